/* SPDX-License-Identifier: MIT */
/* The CUDA kernels, as plain C sees them: one struct and one function a kernel.
 *
 * All of a network's step but its convolutions and matrix products. Activations are NHWC with c channels, c a multiple
 * of 8 (whoever lowers the net pads: padded channels hold zeros, and stay zero through every kernel here), seen as
 * `rows` = n * h * w rows of c. They lie in one of three storage types and at 16-byte boundaries; all is computed in
 * fp32. Statistics, parameters of batch norms, biases, the head, losses and masters are fp32.
 *
 * Pointers are to device memory. A launch is queued on the stream and returns 0, FV_EINVAL (a shape that a kernel does
 * not take) or FV_EBACKEND (the device's sentence). No launch allocates or waits: all can be captured in a CUDA graph.
 * Every sum has a fixed order that depends on the shape alone, so the same input gives the same bits on every run.
 * Kernels that sum over rows do so in two launches: the first leaves one partial sum a block in `partial`, whose size
 * in floats is said by the function beside it; the second adds those up.
 *
 * fv_stream is CUDA's stream. Where the kernels are emulated (emulate.h) it may be NULL, and memory is the host's.
 */
#ifndef FV_TRAINER_CUDA_KERNELS_H
#define FV_TRAINER_CUDA_KERNELS_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct CUstream_st *fv_stream; /* cudaStream_t */

enum fv_k_type { FV_K_F32, FV_K_BF16, FV_K_F16 };
/* relu6 is min(max(z, 0), 6); prelu is z < 0 ? slope[channel] * z : z. A NaN passes through each. */
enum fv_k_act { FV_K_NONE, FV_K_RELU, FV_K_RELU6, FV_K_PRELU, FV_K_SIGMOID };

size_t fv_k_type_bytes(enum fv_k_type type);

/* --- input ------------------------------------------------------------------------------------------------------ */

/* y = (x / 255 - mean) / std: u8 (n, h, w, 3) -> (n, h, w, 8), channels 3 to 7 zero. mirror: left and right swapped. */
struct fv_k_input {
    const uint8_t *pixels; /* at any address */
    void *y;
    enum fv_k_type type;
    int n, h, w, mirror;
    float mean[3], std[3];
};
int fv_k_input(const struct fv_k_input *a, fv_stream s);

/* --- batch norm ------------------------------------------------------------------------------------------------- */

/* Sums over the rows of x, of (x - shift) and its square for each channel, shift being x's first row: a variance from
 * plain squares would lose the digits that mean and deviation share. */
struct fv_k_bn_stats {
    const void *x;
    enum fv_k_type type;
    int64_t rows;
    int c;
    float *partial;
};
size_t fv_k_bn_stats_partial(int64_t rows, int c);
int fv_k_bn_stats(const struct fv_k_bn_stats *a, fv_stream s);

/* From those sums, or from sum and square (c floats each, as cuDNN's genstats leave them: no shift), what the other
 * launches need: mean and rstd = 1 / sqrt(biased variance + eps), and y = x * scale + shift; scale16 and shift16 are
 * the same in type16, for cuDNN. Channels from `channels` (of gamma, beta) on are padding: their scale and shift are 0.
 * batch_mean and batch_var (with Bessel's correction) are for fv_k_running.
 *
 * Over the rows of several ranks, of each as many: a first launch with `moments` leaves this rank's mean and biased
 * variance there and writes nothing else; a second with those of all ranks (`gathered`) does the rest. */
struct fv_k_bn_finalize {
    const float *partial;      /* of fv_k_bn_stats, or NULL */
    const float *sum, *square; /* where partial is NULL */
    int64_t rows;              /* of this rank */
    float *moments;            /* (2, c), or NULL */
    const float *gathered;     /* (ranks, 2, c), or NULL */
    int ranks;
    int c, channels;
    const float *gamma, *beta; /* channels; NULL: 1, 0 */
    float eps;
    float *mean, *rstd, *scale, *shift; /* c each */
    void *scale16, *shift16;            /* c each, or NULL */
    enum fv_k_type type16;
    float *batch_mean, *batch_var; /* channels each, or NULL */
};
int fv_k_bn_finalize(const struct fv_k_bn_finalize *a, fv_stream s);

/* Inference: scale and shift (c each) from running statistics (channels each). */
struct fv_k_bn_fold {
    const float *mean, *var, *gamma, *beta; /* gamma, beta NULL: 1, 0 */
    float eps;
    int c, channels;
    float *scale, *shift;
};
int fv_k_bn_fold(const struct fv_k_bn_fold *a, fv_stream s);

/* y = act(x * scale + shift [+ residual [* scale2 + shift2]]). y may be x, or residual. Not for sigmoid. For relu and
 * relu6, if asked, a bit for each value, set where act has a slope: value i is bit i % 8 of byte i / 8. */
struct fv_k_bn_apply {
    const void *x, *residual;                     /* residual: NULL for none */
    const float *scale, *shift, *scale2, *shift2; /* scale2 NULL: the residual as it is */
    const float *slope;                           /* prelu: c */
    void *y;
    uint8_t *open; /* NULL: not wanted */
    enum fv_k_type type;
    enum fv_k_act act;
    int64_t rows;
    int c;
};
int fv_k_bn_apply(const struct fv_k_bn_apply *a, fv_stream s);

/* The backward pass of y = act(x * scale + shift [+ residual]), with dz = act'(z) * (dy [+ dy2]):
 *
 *   fv_k_bn_reduce    sums over rows of dz, of dz * (x - mean) and, for prelu, of (dy + dy2) * z where z < 0;
 *                     stores dz if asked: it is the residual's gradient, and then what fv_k_bn_backward takes for dy,
 *                     with FV_K_NONE, reading less
 *   fv_k_bn_gradient  dbeta, dgamma, dslope from the sums, and coefficients
 *   fv_k_bn_backward  dx = gamma * rstd * (dz - mean of dz - xhat * mean of dz * xhat)
 *
 * relu and relu6 take act' from fv_k_bn_apply's bits where they are given; else, and for prelu, z is computed again
 * from x, scale and shift: that is for units without a residual. */
struct fv_k_bn_incoming {
    const void *dy, *dy2, *x;   /* dy2: NULL for none */
    const uint8_t *open;        /* rows * c / 8 bytes; NULL: z is computed again */
    const float *scale, *shift; /* where z is computed again: c each */
    const float *slope;         /* prelu: c */
    enum fv_k_type type;
    enum fv_k_act act;
    int64_t rows;
    int c;
};
struct fv_k_bn_reduce {
    struct fv_k_bn_incoming in;
    const float *mean; /* c */
    void *dz;          /* NULL: not stored; may be dy or dy2 */
    float *partial;
};
size_t fv_k_bn_reduce_partial(int64_t rows, int c);
int fv_k_bn_reduce(const struct fv_k_bn_reduce *a, fv_stream s);

struct fv_k_bn_gradient {
    const float
        *partial; /* of fv_k_bn_reduce, or NULL: then the sums over rows that a convolution made, */
    const float *sum, *dot; /* of dz, and of dz * xhat if centred, else of dz * x: c each */
    int centred;
    const float *gamma; /* channels; NULL: 1 */
    const float *mean, *rstd;
    int64_t rows;
    int64_t part_rows; /* rows that the launch which left partial went over; 0: the same */
    int c, channels;
    float *dgamma, *dbeta,
        *dslope;         /* channels each; NULL: not wanted. dslope: only after a prelu */
    float *coefficients; /* 3 * c floats, for fv_k_bn_backward */
    /* Over the rows of several ranks, of each as many: a first launch with `own` (2, c) leaves there what is the mean
     * over this rank's rows of dz and of dz * xhat, and no coefficients; a second makes these from `means`, the mean of
     * all ranks' own, and nothing else. */
    float *own;
    const float *means;
};
int fv_k_bn_gradient(const struct fv_k_bn_gradient *a, fv_stream s);

struct fv_k_bn_backward {
    struct fv_k_bn_incoming in; /* as for fv_k_bn_reduce, or dy = its dz and FV_K_NONE */
    const float *coefficients;
    void *dx; /* may be any of the inputs */
};
int fv_k_bn_backward(const struct fv_k_bn_backward *a, fv_stream s);

/* A batch norm, its activation and the max pool of windows of 3, stride 2, padding 1 behind it:
 *
 *   fv_k_bn_pool           y = the maximum of act(x * scale + shift), and its place in the window, as of
 *                          fv_k_maxpool_forward; 254 where act has no slope there. None, relu, relu6
 *   fv_k_bn_pool_reduce    the sums of fv_k_bn_reduce, dy [+ dy2] being the gradient by the pool's output; rows are
 *                          those of the output: fv_k_bn_gradient's part_rows
 *   fv_k_bn_pool_backward  dx as of fv_k_bn_backward
 *
 * x is (n, in_h, in_w, c), the output (n, (in_h + 1) / 2, (in_w + 1) / 2, c). */
struct fv_k_bn_pool {
    const void *x;
    const float *scale, *shift; /* c each */
    void *y;
    uint8_t *winner; /* NULL in inference */
    enum fv_k_type type;
    enum fv_k_act act;
    int n, in_h, in_w, c;
};
int fv_k_bn_pool(const struct fv_k_bn_pool *a, fv_stream s);
struct fv_k_bn_pool_backward {
    const void *dy, *dy2, *x; /* dy2: NULL for none */
    const uint8_t *winner;
    enum fv_k_type type;
    int n, in_h, in_w, c;
    const float *mean;         /* reduce: c */
    float *partial;            /* reduce: fv_k_bn_reduce_partial of the output's rows */
    const float *coefficients; /* backward */
    void *dx;                  /* backward; may be x */
};
int fv_k_bn_pool_reduce(const struct fv_k_bn_pool_backward *a, fv_stream s);
int fv_k_bn_pool_backward(const struct fv_k_bn_pool_backward *a, fv_stream s);

/* --- elementwise ------------------------------------------------------------------------------------------------ */

/* y = act(x [+ bias of c] [+ residual]). y may be x or the residual. Of a sigmoid, whose value at 0 is not 0, channels
 * from `channels` on are stored as zeros. */
struct fv_k_act_forward {
    const void *x, *residual;  /* residual: NULL for none */
    const float *bias, *slope; /* bias: NULL for none */
    void *y;
    enum fv_k_type type;
    enum fv_k_act act;
    int64_t rows;
    int c, channels; /* channels 0: c */
};
int fv_k_act_forward(const struct fv_k_act_forward *a, fv_stream s);

/* dx = act'(z) * (dy [+ dy2]). relu, relu6, sigmoid: `saved` is the output y; prelu: the input z; none: NULL. partial:
 * NULL, or where fv_k_column_finish finds the sums over the rows of dx (a bias's gradient) and, for prelu, of dslope:
 * two rows of c a part. */
struct fv_k_act_backward {
    const void *dy, *dy2, *saved;
    const float *slope;
    void *dx; /* may be any of the inputs; NULL: only the sums */
    float *partial;
    enum fv_k_type type;
    enum fv_k_act act;
    int64_t rows;
    int c;
};
size_t fv_k_act_backward_partial(int64_t rows, int c);
int fv_k_act_backward(const struct fv_k_act_backward *a, fv_stream s);

/* --- squeeze and excitation ------------------------------------------------------------------------------------- */

/* y = act(x * factor [+ residual]), one factor an image and channel: (n, c), of x's type. y may be x or the residual.
 * act: none, relu, relu6. */
struct fv_k_scale_forward {
    const void *x, *factor, *residual;
    void *y;
    enum fv_k_type type;
    enum fv_k_act act;
    int n, pixels, c;
};
int fv_k_scale_forward(const struct fv_k_scale_forward *a, fv_stream s);

/* dfactor (n, c) = sum over an image's pixels of dz * x, with dz = act'(y) * (dy [+ dy2]), stored if asked. */
struct fv_k_scale_reduce {
    const void *dy, *dy2, *y, *x; /* dy2: NULL for none; y: NULL with FV_K_NONE */
    void *dz, *dfactor;           /* dz: NULL: not stored; may be dy, dy2 or y */
    enum fv_k_type type;
    enum fv_k_act act;
    int n, pixels, c;
};
int fv_k_scale_reduce(const struct fv_k_scale_reduce *a, fv_stream s);

/* dx = dz * factor [+ dmean / pixels]: dmean (n, c) is the gradient by the mean of x, which made the factor. */
struct fv_k_scale_backward {
    const void *dz, *factor, *dmean; /* dmean: NULL for none */
    void *dx;                        /* may be dz */
    enum fv_k_type type;
    int n, pixels, c;
};
int fv_k_scale_backward(const struct fv_k_scale_backward *a, fv_stream s);

/* --- sums over rows --------------------------------------------------------------------------------------------- */

/* out[i] = sum over parts of partial[part * stride + offset + i], i < count. parts is fv_k_parts(rows, c) of the launch
 * that left the partial sums, stride the floats of one part. */
struct fv_k_column_finish {
    const float *partial;
    int parts, offset, count;
    size_t stride;
    void *out;
    enum fv_k_type type; /* of out */
};
int fv_k_parts(int64_t rows, int c);
int fv_k_column_finish(const struct fv_k_column_finish *a, fv_stream s);

/* --- pooling ---------------------------------------------------------------------------------------------------- */

/* Square window of at most 15; padding counts as -inf, ties go to the first in row order, a NaN is the largest.
 * winner: (n, h, w, c) u8, the place r * window + s in the window; NULL in inference. */
struct fv_k_maxpool_forward {
    const void *x;
    void *y;
    uint8_t *winner;
    enum fv_k_type type;
    int n, in_h, in_w, h, w, c, window, stride, pad;
};
int fv_k_maxpool_forward(const struct fv_k_maxpool_forward *a, fv_stream s);
struct fv_k_maxpool_backward {
    const void *dy, *dy2; /* dy2: NULL for none */
    const uint8_t *winner;
    void *dx;
    enum fv_k_type type;
    int n, in_h, in_w, h, w, c, window, stride, pad;
};
int fv_k_maxpool_backward(const struct fv_k_maxpool_backward *a, fv_stream s);

/* y (n, c) = mean of x over an image's pixels; y_type F32 or x's. */
struct fv_k_gap_forward {
    const void *x;
    void *y;
    enum fv_k_type type, y_type;
    int n, pixels, c;
};
int fv_k_gap_forward(const struct fv_k_gap_forward *a, fv_stream s);
/* dx = dy / pixels [+ residual]. dx may be the residual. */
struct fv_k_gap_backward {
    const void *dy, *residual; /* residual: NULL for none */
    void *dx;
    enum fv_k_type type, y_type;
    int n, pixels, c;
};
int fv_k_gap_backward(const struct fv_k_gap_backward *a, fv_stream s);

/* --- depthwise convolution -------------------------------------------------------------------------------------- */

/* y = x (*) w channel by channel, zero padding; w is (window, window, c) of the storage type. Windows of 3, stride 1
 * or 2 and pad 1 are fast; others of at most 16 are served. A prologue takes act(x * scale + shift) for x. */
struct fv_k_depthwise {
    int n, in_h, in_w, h, w, c, window, stride, pad;
    enum fv_k_type type;
    const float *scale, *shift, *slope; /* the prologue's; scale NULL for none */
    enum fv_k_act act;
};
struct fv_k_depthwise_forward {
    struct fv_k_depthwise conv;
    const void *x, *weight;
    void *y;
};
int fv_k_depthwise_forward(const struct fv_k_depthwise_forward *a, fv_stream s);
/* The gradient by what the window slid over, after the prologue. */
struct fv_k_depthwise_data {
    struct fv_k_depthwise conv; /* no prologue */
    const void *dy, *weight;
    void *dx;
};
int fv_k_depthwise_data(const struct fv_k_depthwise_data *a, fv_stream s);
/* The gradient by the weight: partial sums for fv_k_column_finish, one part window * window * c floats, in
 * fv_k_depthwise_parts(conv) parts. */
struct fv_k_depthwise_weight {
    struct fv_k_depthwise conv;
    const void *x, *dy;
    float *partial;
};
int fv_k_depthwise_parts(const struct fv_k_depthwise *conv);
int fv_k_depthwise_weight(const struct fv_k_depthwise_weight *a, fv_stream s);

/* --- the head --------------------------------------------------------------------------------------------------- */

/* y = x / max(|x|, eps) row by row, norm the |x|. fp32; c is any number. y may be x. */
struct fv_k_normalise_forward {
    const float *x;
    float *y, *norm;
    int rows, c;
    float eps;
};
int fv_k_normalise_forward(const struct fv_k_normalise_forward *a, fv_stream s);
/* dx = (dy - y * (y . dy)) / norm; where norm < eps, dy / eps. dx may be dy. add: dx += that. */
struct fv_k_normalise_backward {
    const float *dy, *y, *norm;
    float *dx;
    int rows, c, add;
    float eps;
};
int fv_k_normalise_backward(const struct fv_k_normalise_backward *a, fv_stream s);

/* --- the step: loss, gradients' norm, update -------------------------------------------------------------------- */

/* What the host decides for each step. It lies in device memory, because a captured graph replays its launches with
 * the arguments that they had; hyper.h fills it from trainer/backend.h's settings. */
struct fv_k_hyper {
    double beta1_exact, beta2_exact; /* for the powers of the bias correction */
    float lr, weight_decay, momentum, beta1, one_minus_beta1, beta2, one_minus_beta2, eps;
    float clip_norm;     /* 0: none */
    float ema_share;     /* 1 - decay of the average; 0: none */
    float inverse_parts; /* of an accumulated step: what its sum is multiplied by; else 1 */
    int32_t nesterov, decoupled;
    int32_t update;       /* this is the last of its parts */
    int32_t growth_steps; /* good steps after which the loss scale doubles; 0: it stays as it is */
    int32_t n;            /* items of the batch */
    int32_t holds;        /* the host reads late: see control */
    float want[2];        /* what this rank wants of all, each 0 or 1: see control */
};

/* Of a step, floats alone: with several ranks the caller makes them means over all. */
struct fv_k_shared {
    float active, distance; /* of fv_k_triplet: share of triplets with a loss; mean of all pairs */
    float want[2];          /* the caller puts hyper's here; more than 0 then: any rank wants it */
};

/* What the device keeps from step to step, and what it says of the last one. At most 256 bytes. */
struct fv_k_control {
    uint64_t
        updates; /* done so far: Adam's count; set by the host where training begins or resumes */
    float loss_scale; /* that the next step's gradients are multiplied by: 1 unless T is fp16 */
    int32_t good_steps;
    int32_t broken; /* a part of the accumulated step under way was not finite */
    /* A step was not finite, the loss scale not being to blame, and the host has not read it yet: until it takes this
     * back, steps change nothing, so that it can look into that one and give them again. */
    int32_t hold;
    /* ---- of the last step */
    double loss, correct; /* mean over the batch; share of right answers, summed */
    double grad_norm;     /* of the gradient that the update was to be made of, before clipping */
    int32_t finite;       /* loss and gradients were; else nothing was changed */
    int32_t n;
    float used_scale; /* the loss scale of this step */
    float factor; /* what the update multiplied its gradients by: clipping, parts and loss scale */
    double term[4]; /* of the loss, times their weights: mean over the batch */
    struct fv_k_shared shared;
    /* Adam: lr * step is the step's size, root corrects the root of the second moment */
    float step, root;
};

/* The flat arenas are made of blocks of 256 elements, each of one tensor. */
struct fv_k_block {
    float lr_factor; /* 0: frozen: neither changed nor counted in the norm */
    float decay_factor;
};

/* Gradients: elements below `low` are of type, those from there on fp32. Both counts are multiples of 256. */
struct fv_k_gradients {
    const void *low;
    const float *high;
    enum fv_k_type type;
    size_t low_count, count;
    int is_sum; /* of fv_k_accumulate: free of the loss scale, to be multiplied by inverse_parts */
};

/* sum = [sum +] gradient / loss scale; first: not the old sum. Frozen blocks are left alone, and all on hold. */
struct fv_k_accumulate {
    struct fv_k_gradients gradients;
    const struct fv_k_block *block;
    const struct fv_k_control *control;
    float *sum; /* count */
    int first;
};
int fv_k_accumulate(const struct fv_k_accumulate *a, fv_stream s);
/* After the last part: the sum becomes 0, unless on hold. */
struct fv_k_forget {
    float *sum;
    size_t count; /* a multiple of 256 */
    const struct fv_k_control *control;
};
int fv_k_forget(const struct fv_k_forget *a, fv_stream s);

/* The gradients' squares and whether all are finite, in partial; then fv_k_decide adds up, and writes control. */
struct fv_k_gradient_norm {
    struct fv_k_gradients gradients;
    const struct fv_k_block *block;
    float *partial;
};
size_t fv_k_gradient_norm_partial(size_t count);
int fv_k_gradient_norm(const struct fv_k_gradient_norm *a, fv_stream s);

/* Items' losses and hits become the step's result; the norm, whether all was finite, the factor of the update, Adam's
 * corrections, and the next step's loss scale follow: half of it after a step that was not finite, and twice as much
 * after growth_steps that were, within 1 .. 2^24. A sum that an earlier part has broken says nothing of the scale now:
 * it stays. */
struct fv_k_decide {
    const float *partial; /* of fv_k_gradient_norm */
    size_t count;         /* as there */
    int is_sum;
    const float *items; /* (terms, rows) */
    const float *hits;  /* (rows); NULL: none counted */
    int terms, rows;    /* 1 .. 4 terms; rows at least hyper->n */
    const struct fv_k_hyper *hyper;
    struct fv_k_control *control;
};
int fv_k_decide(const struct fv_k_decide *a, fv_stream s);

/* The update, as trainer/optim.c defines it, unless control says that the step was not finite. first and second are
 * fp32 planes of count; second is only Adam's. */
struct fv_k_optim {
    struct fv_k_gradients gradients;
    const struct fv_k_block *block;
    const struct fv_k_hyper *hyper;
    const struct fv_k_control *control;
    float *master, *first, *second;
    void *
        work; /* low_count of work_type: rounded copies of the masters below low_count; NULL: none */
    float *average; /* of the masters; NULL: none */
    enum fv_k_type work_type;
    int is_adam;
};
int fv_k_optim(const struct fv_k_optim *a, fv_stream s);

/* running = (1 - momentum) * running + momentum * batch, for a finite step; a momentum a block of 256, 0: left alone.
 * The average follows at steps that update. */
struct fv_k_running {
    const float *batch, *momentum;
    float *running, *average; /* average: NULL for none */
    size_t count;             /* a multiple of 256 */
    const struct fv_k_hyper *hyper;
    const struct fv_k_control *control;
};
int fv_k_running(const struct fv_k_running *a, fv_stream s);

/* --- loss over class scores ------------------------------------------------------------------------------------- */

/* What a term of the loss makes of scores, in device memory: margins grow during a warm-up. hyper.h fills it.
 * Formulas: trainer/loss/loss_softmax.c, loss_margin.c, loss_adaface.c. */
enum fv_k_margin_kind { FV_K_MARGIN_NONE, FV_K_MARGIN_ANGLE, FV_K_MARGIN_ADAFACE };
struct fv_k_margin {
    double m1, m2, m3;   /* ANGLE: cos(m1 t + m2) - m3; ADAFACE: m2 is its m */
    double h;            /* ADAFACE */
    float scale;         /* logits are scale * score; 1 without a margin */
    float limit;         /* scores are held within +-limit; INFINITY: not */
    float smooth;        /* share of the label that is spread over all classes */
    float weight;        /* of the term */
    float t_alpha;       /* ADAFACE: share of a new batch in the norms' statistics */
    int32_t kind;        /* enum fv_k_margin_kind */
    int32_t insightface; /* ANGLE: the slope of the own class's logit is 1 */
};

/* Value and gradient of one term: softmax cross-entropy with soft labels, mean over hyper->n items. Scores and gradient
 * are rows of `stride` floats, `classes` of them used; the gradient of the rest, and of rows from n on, is 0. The
 * gradient is multiplied by control's loss scale. */
struct fv_k_loss {
    const float *scores;
    int rows, classes, stride; /* rows: those of the buffers */
    const int32_t *label, *label_mix;
    const float *lambda;
    const struct fv_k_margin *margin;
    const float *norm;             /* ADAFACE: of the embeddings (fv_k_normalise_forward) */
    const float *mean, *deviation; /* ADAFACE: of fv_k_norm_moments, the new ones */
    const struct fv_k_hyper *hyper;
    const struct fv_k_control *control;
    float *gradient;
    float *items; /* (rows): each item's loss, times the term's weight */
    float *hits;  /* (rows): share of right answers; NULL: not this term's business */
    int add_gradient, add_items; /* to what earlier terms left */
};
int fv_k_loss(const struct fv_k_loss *a, fv_stream s);

/* AdaFace's mean and deviation of the norms, followed by a share of this batch: new from old. fv_k_running with a
 * momentum of 1 takes the new ones over if the step was finite. */
struct fv_k_norm_moments {
    const float *norm; /* hyper->n of them */
    const struct fv_k_margin *margin;
    const struct fv_k_hyper *hyper;
    const float *mean, *deviation;
    float *new_mean, *new_deviation;
};
int fv_k_norm_moments(const struct fv_k_norm_moments *a, fv_stream s);

/* Center loss, trainer/loss/loss_center.c: half the squared distance of an embedding from the centre of its class, mean
 * over hyper->n items. Rows of embedding and gradient are `stride` floats apart, those of centre `centre_stride`; the
 * gradient of padding and of rows from n on is 0. The centres do not change here. */
struct fv_k_center {
    const float *embedding;
    int rows, dim, stride, centre_stride;
    const int32_t *label, *label_mix;
    const float *lambda;
    const float *centre; /* (classes, dim) */
    float weight;        /* of the term */
    const struct fv_k_hyper *hyper;
    const struct fv_k_control *control;
    float *gradient, *items; /* as of fv_k_loss */
    int add_gradient, add_items;
};
int fv_k_center(const struct fv_k_center *a, fv_stream s);

/* Every centre of the batch's classes follows them, if control says that the step was finite. */
struct fv_k_center_follow {
    const float *embedding;
    int rows, dim, stride, centre_stride;
    const int32_t *label, *label_mix;
    const float *lambda;
    float *centre;
    float alpha;
    const struct fv_k_hyper *hyper;
    const struct fv_k_control *control;
};
int fv_k_center_follow(const struct fv_k_center_follow *a, fv_stream s);

/* Triplet loss, trainer/loss/loss_triplet.c; several launches. Rows of embedding and gradient are `stride` floats
 * apart; the gradient of padding and of rows from hyper->n on is 0. Writes control's active and distance (NAN: no
 * triplet, no pair). */
struct fv_k_triplet {
    const float *embedding;
    int rows, dim, stride;
    const int32_t *label, *label_mix;
    const float *lambda;
    float weight, margin;
    int semi_hard, squared, soft, unit; /* semi_hard 0: batch-hard */
    const struct fv_k_hyper *hyper;
    struct fv_k_control *control;
    float *work;             /* fv_k_triplet_work floats */
    float *gradient, *items; /* as of fv_k_loss */
    int add_gradient;
};
size_t fv_k_triplet_work(int rows, int stride);
int fv_k_triplet(const struct fv_k_triplet *a, fv_stream s);

/* --- dropout ---------------------------------------------------------------------------------------------------- */

/* y = x * factor, the factors of fv_net_dropout_factors: 0 or `kept`; padding becomes 0. y may be x. */
struct fv_k_dropout {
    const void *x;
    void *y;
    enum fv_k_type type;
    int64_t rows;
    int c, channels;
    uint64_t seed;
    uint32_t node, stream, limit; /* stream: FV_RNG_DROPOUT; limit: fv_net_dropout_limit */
    float kept;                   /* 1 / (1 - rate) */
    const uint64_t *ticket;       /* of the batch; device memory */
};
int fv_k_dropout(const struct fv_k_dropout *a, fv_stream s);

/* --- memory ----------------------------------------------------------------------------------------------------- */

int fv_k_zero(void *p, size_t bytes, fv_stream s);
int fv_k_copy(void *to, const void *from, size_t bytes, fv_stream s);
struct fv_k_cast {
    const void *from;
    void *to;
    enum fv_k_type from_type, to_type;
    int64_t count;
};
int fv_k_cast(const struct fv_k_cast *a, fv_stream s);

/* Convolution weights between the canonical order (k, c, window) in fp32 and (k, window, c_pad) in the storage type;
 * window is r * s. Towards krsc, channels from c on become zero, and so do filters from k to k_pad. */
struct fv_k_pack {
    const void *from;
    void *to;
    enum fv_k_type type; /* of the krsc side */
    int k, k_pad, c, c_pad, window;
};
int fv_k_pack(const struct fv_k_pack *a, fv_stream s);   /* to krsc */
int fv_k_unpack(const struct fv_k_pack *a, fv_stream s); /* to kcrs */

/* Weights (k, window, c) of a convolution whose groups are `merged` original ones each: zero what joins two of those,
 * that is all but channels j * group_c .. (j + 1) * group_c - 1 of filter f, where j = f / group_k % merged. */
struct fv_k_mask {
    void *w;
    enum fv_k_type type;
    int k, window, c, merged, group_k, group_c;
};
int fv_k_mask(const struct fv_k_mask *a, fv_stream s);

#ifdef __cplusplus
}
#endif

#endif
