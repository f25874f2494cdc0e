/* SPDX-License-Identifier: MIT */
/* From a list of nodes to the list of launches that a GPU executes: the lowering of the CUDA backend.
 *
 * Lowering decides all that has nothing to do with a device: which nodes become one kernel, what forward keeps for
 * backward, in which order gradients are ready, where each buffer lies. Its result is data, which the backend
 * executes and which tests execute on the host; so it is plain C, and is built and tested without CUDA.
 *
 * Storage. T is the storage type (bf16, fp16, or fp32 for checking). Activations are NHWC with the channels padded
 * to a multiple of 8, so that every row is whole 16-byte vectors: `c` always counts the padding, `channels` does
 * not. PADDING IS ZERO in every activation, gradient and parameter, and each op keeps it so. Statistics, vectors of
 * parameters (batch norm, bias, slope), the head and the loss are fp32.
 *
 * Parameters. Each tensor has a slot in the flat arenas of the device (struct fv_low_slot), aligned to 256
 * elements: the same element offset in the fp32 masters, in each plane of the optimiser's state, in the gradients
 * and in the working copies. Slots below `elements_t` have gradients and working copies of type T (weights of
 * convolutions and of fc layers inside the net); those above have fp32 gradients and are read from the masters. In
 * each part slots come in the order in which backward completes their gradients, so that a bucket of gradients is
 * one range, and one launch updates everything. A working copy exists only if T is 16 bits wide.
 * BN running statistics lie in two arenas of `stat_elements` (the net's, and the batch's for them): slot.offset
 * counts there for the tensors that are buffers.
 */
#ifndef FV_TRAINER_CUDA_LOWER_H
#define FV_TRAINER_CUDA_LOWER_H

#include "trainer/net/net.h"

enum fv_low_dtype { FV_LOW_F32, FV_LOW_BF16, FV_LOW_F16, FV_LOW_U8, FV_LOW_I32, FV_LOW_DTYPES };
extern const char *const fv_low_dtype_names[FV_LOW_DTYPES];
size_t fv_low_dtype_bytes(enum fv_low_dtype t);

enum fv_low_act {
    FV_LOW_ACT_NONE,
    FV_LOW_ACT_RELU,
    FV_LOW_ACT_RELU6,
    FV_LOW_ACT_PRELU, /* slope a channel, fp32 */
    FV_LOW_ACT_SIGMOID,
    FV_LOW_ACTS
};
extern const char *const fv_low_act_names[FV_LOW_ACTS];

/* Memory that outlives a program and that several programs share, and the arena of one program. */
enum fv_low_space {
    FV_LOW_ARENA, /* activations and all that is temporary: one allocation, offsets by lifetime */
    FV_LOW_BATCH, /* inputs of the step: pixels, labels, label_mix, lambda, each from a multiple of 256 */
    FV_LOW_MASTER, /* fp32, slots */
    FV_LOW_WORK,   /* T, slots below elements_t; empty if T is fp32 */
    FV_LOW_GRAD,   /* T below elements_t, fp32 above; bytes as fv_low_grad_byte says */
    FV_LOW_STATE, /* the optimiser's planes, fp32, each elements long; their number is the backend's */
    FV_LOW_RUNNING,   /* fp32, running statistics */
    FV_LOW_BATCHSTAT, /* fp32, what RUNNING_UPDATE mixes into them: mean, unbiased variance */
    FV_LOW_CONTROL,   /* loss, hits, finite flag, norm, loss scale, step: laid out by kernels.h */
    FV_LOW_SPACES
};
extern const char *const fv_low_space_names[FV_LOW_SPACES];

enum fv_low_kind {
    /* forward */
    FV_LOW_INPUT, /* pixels -> y: (x/255 - mean) / std, channels 3 .. c-1 zero */
    FV_LOW_CONV,  /* x, w -> y; graph: x is relu(x * scale + shift), and/or stat0, stat1 = sums */
    FV_LOW_DEPTHWISE, /* x, w -> y; with scale, x is act(x * scale + shift), also in the gradient by w */
    FV_LOW_BIAS,      /* y += bias, per channel */
    /* batch norm, from x or from the sums that a convolution made (stat0 = sum, stat1 = sum of squares): mean, rstd,
     * y = x * scale + shift (scale16, shift16: the same in T), and batch_mean, batch_var for the running statistics */
    FV_LOW_BN_STATS,    /* x, gamma, beta -> those */
    FV_LOW_BN_FINALIZE, /* stat0, stat1, gamma, beta -> those */
    FV_LOW_BN_FOLD,     /* gamma, beta, run_mean, run_var -> scale, shift [, coef: scale, 0, 0] */
    /* y = act(x * scale + shift [+ r | + r * scale2 + shift2]) [, open: a bit a value, 8 a byte, set where act has a
     * slope] */
    FV_LOW_BN_APPLY,
    FV_LOW_ACT,   /* y = act(x) */
    FV_LOW_ADD,   /* y = act(x + r) */
    FV_LOW_SCALE, /* y = act(x * s [+ r]), s per image and channel */
    /* x -> y [, index: u8, which of the window's taps, row by row]; with scale, of act(x * scale + shift), and then the
     * index is 254 where act has no slope at the maximum */
    FV_LOW_MAXPOOL,
    FV_LOW_GAP,  /* x -> y, mean over pixels */
    FV_LOW_FC,   /* y = x w' [+ bias]; x (n, in_h * in_w * in_c), w (c, in_h * in_w * in_c) */
    FV_LOW_CAST, /* x -> y, of another type */
    FV_LOW_DROPOUT, /* y = x * factor (fv_net_dropout_factors; the ticket is in control); backward too */
    FV_LOW_NORMALISE, /* y = x / max(norm, eps) row by row, norm = |x|, fp32: (shape.h rows of shape.w) */
    /* the net's loss over what it reads of y (logits), cosines, embedding [, norm: of the embeddings] -> items,
     * hits, and the gradients dx, dcosines, dembedding; the states of its terms (net.h) are the backend's business */
    FV_LOW_LOSS,
    /* backward: dy [+ dy2] is the incoming gradient; where act is not none it is masked first, by open or by y, or if
     * both are absent by x * scale + shift */
    FV_LOW_BN_REDUCE, /* dy, x, mean, rstd, gamma -> dgamma, dbeta [, dslope], coef [, dz: the masked dy + dy2] */
    FV_LOW_BN_SUMS, /* stat0, stat1, mean, rstd, gamma -> dgamma, dbeta, coef: sums that a convolution made */
    FV_LOW_BN_BACKWARD, /* dy, x, coef -> dx */
    /* the same where a max pool with scale stands behind the batch norm: dy [+ dy2] is the gradient by its output, the
     * shape is the pool's */
    FV_LOW_BN_REDUCE_POOL,     /* dy, index, x, mean, rstd, gamma -> dgamma, dbeta, coef */
    FV_LOW_BN_BACKWARD_POOL,   /* dy, index, x, coef -> dx */
    FV_LOW_ACT_BACKWARD,       /* dy, y (prelu: x) -> dx [, dslope] */
    FV_LOW_SCALE_REDUCE,       /* dy, x -> ds: sums over pixels [, dz: the masked dy + dy2] */
    FV_LOW_SCALE_BACKWARD,     /* dx = dy * s [+ dmean / (h * w)] [, dz: the masked dy] */
    FV_LOW_MAXPOOL_BACKWARD,   /* dy, index -> dx */
    FV_LOW_GAP_BACKWARD,       /* dx = dy / (in_h * in_w) [+ r] */
    FV_LOW_NORMALISE_BACKWARD, /* dy, y, norm -> dx */
    FV_LOW_FC_DGRAD,           /* dy, w -> dx */
    FV_LOW_FC_WGRAD,           /* x, dy -> dw */
    FV_LOW_BIAS_GRAD,          /* dy -> db */
    FV_LOW_CONV_DGRAD, /* dy, w -> dx; graph: dx = masked (that [+ r]), and the sums for the batch norm */
    FV_LOW_CONV_WGRAD, /* x, dy -> dw; graph: x is relu(x * scale16 + shift16) */
    FV_LOW_MASK,       /* dw: zero what lies outside the merged groups (struct fv_low_slot) */
    FV_LOW_DEPTHWISE_DGRAD,
    FV_LOW_DEPTHWISE_WGRAD,
    /* update */
    FV_LOW_BUCKET, /* the gradients of one bucket are complete and nobody but the update reads them: all-reduce */
    FV_LOW_CHECK, /* grad, items [, hits] -> control: loss, hits, norm, finite */
    FV_LOW_OPTIM, /* grad, control -> masters, states, working copies; only if finite */
    /* batchstat, control -> running statistics; only if finite. embedding and labels: for a loss that keeps something
     * for each class */
    FV_LOW_RUNNING_UPDATE,
    FV_LOW_KINDS
};

/* The operands of an op, by role; which an op of some kind has, and whether it reads or writes them, is said by
 * fv_low_kinds. */
enum fv_low_role {
    FV_LOW_X,
    FV_LOW_Y,
    FV_LOW_R,
    FV_LOW_W,
    FV_LOW_B,
    FV_LOW_S,
    FV_LOW_SLOPE,
    FV_LOW_SCALE_V,
    FV_LOW_SHIFT_V,
    FV_LOW_SCALE2,
    FV_LOW_SHIFT2,
    FV_LOW_SCALE16, /* as scale and shift, in T: what cuDNN's prologues read */
    FV_LOW_SHIFT16,
    FV_LOW_STAT0,
    FV_LOW_STAT1,
    FV_LOW_MEAN,
    FV_LOW_RSTD,
    FV_LOW_GAMMA,
    FV_LOW_BETA,
    FV_LOW_RUN_MEAN,
    FV_LOW_RUN_VAR,
    FV_LOW_BATCH_MEAN,
    FV_LOW_BATCH_VAR,
    FV_LOW_INDEX,
    FV_LOW_OPEN,
    FV_LOW_DY,
    FV_LOW_DY2,
    FV_LOW_DX,
    FV_LOW_DZ,
    FV_LOW_DW,
    FV_LOW_DB,
    FV_LOW_DGAMMA,
    FV_LOW_DBETA,
    FV_LOW_DSLOPE,
    FV_LOW_DS,
    FV_LOW_DMEAN,
    FV_LOW_COEF, /* three vectors: what BN_BACKWARD computes dx with */
    FV_LOW_NORM,
    FV_LOW_COSINES,
    FV_LOW_EMBEDDING,
    FV_LOW_DCOSINES,
    FV_LOW_DEMBEDDING,
    FV_LOW_PIXELS,
    FV_LOW_LABEL,
    FV_LOW_LABEL_MIX,
    FV_LOW_LAMBDA,
    FV_LOW_ITEMS, /* loss of each image, fp32: (terms, n), times the terms' weights */
    FV_LOW_HITS, /* the right answer's share of each image, (n) fp32; absent without class scores */
    FV_LOW_CONTROL_V,
    FV_LOW_GRADS,
    FV_LOW_MASTERS,
    FV_LOW_STATES,
    FV_LOW_WORKS,
    FV_LOW_RUNNINGS,
    FV_LOW_BATCHSTATS,
    FV_LOW_ROLES
};
extern const char *const fv_low_role_names[FV_LOW_ROLES];

enum fv_low_access { FV_LOW_ABSENT, FV_LOW_READ, FV_LOW_WRITE, FV_LOW_UPDATE };
struct fv_low_kind_info {
    const char *name;
    unsigned char
        access[FV_LOW_ROLES]; /* enum fv_low_access; an op may leave out what it does not need */
};
extern const struct fv_low_kind_info fv_low_kinds[FV_LOW_KINDS];

/* What cuDNN is asked for. Each but the plain ones needs a yes of settings.can. */
enum fv_low_graph {
    FV_LOW_GRAPH_NONE,           /* not a convolution */
    FV_LOW_GRAPH_PLAIN,          /* fprop, dgrad or wgrad alone */
    FV_LOW_GRAPH_STATS,          /* fprop + sums: stat0 = sum(y), stat1 = sum(y * y), fp32 */
    FV_LOW_GRAPH_PROLOGUE,       /* relu(x * scale16 + shift16) + fprop */
    FV_LOW_GRAPH_PROLOGUE_STATS, /* both */
    FV_LOW_GRAPH_WGRAD_PROLOGUE, /* relu(x * scale16 + shift16) + wgrad */
    /* dgrad, masked by relu'(x * scale + shift): dx = that, stat0 = sum(dx), stat1 = sum(dx * (x - mean) * rstd); x,
     * mean, rstd, gamma and beta are the batch norm's whose output the convolution read */
    FV_LOW_GRAPH_DGRAD_BN,
    /* dgrad [+ r], masked by y > 0: dx = that, stat0 = sum(dx), stat1 = sum(dx * x) */
    FV_LOW_GRAPH_DGRAD_SUMS,
    FV_LOW_GRAPHS
};
extern const char *const fv_low_graph_names[FV_LOW_GRAPHS];

/* Of the forward computation, whatever the direction of the op: (n, in_h, in_w, in_c) -> (n, h, w, c). */
struct fv_low_shape {
    int n, in_h, in_w, in_c, h, w, c;
    int channels; /* of c, without padding */
    int window, stride, pad, groups;
};

struct fv_low_op {
    enum fv_low_kind kind;
    enum fv_low_graph graph;
    enum fv_low_act act;
    int node;              /* of the net; -1: none */
    int arg[FV_LOW_ROLES]; /* buffers, -1: absent */
    struct fv_low_shape shape;
    int centred; /* BN_SUMS: stat1 is of dz * (x - mean) * rstd, else of dz * x */
    float eps;   /* BN_STATS, BN_FINALIZE, BN_FOLD, NORMALISE and its backward */
    int bucket;  /* BUCKET: its number */
};

struct fv_low_buffer {
    enum fv_low_space space;
    enum fv_low_dtype dtype;
    size_t bytes, offset; /* in its space; the arena's are multiples of 256 */
    int first, last; /* ops that use it; last is fv_lowered.ops for what must survive the program */
    int node;        /* it belongs to; -1: none */
    const char *what; /* "out", "dgrad", "mean", ...; constant text */
};

/* How a tensor of the net lies in its slot: (k, r, s, c), k and c counting the padding, zero outside the tensor's
 * own extent; depthwise (r, s, c); vectors (c). fc layers that read (h, w, c) pixels have r = h, s = w.
 * A grouped convolution that is not depthwise becomes one without groups: `merged` of them are one, and all weights
 * between two of the original ones are zero (FV_LOW_MASK keeps their gradients so). */
enum fv_low_order { FV_LOW_KRSC, FV_LOW_RSC, FV_LOW_VECTOR };
struct fv_low_slot {
    enum fv_low_order order;
    int k, r, s, c; /* stored; vectors: k = r = s = 1 */
    int real_k,
        real_c; /* the tensor's own shape is (real_k, real_c, r, s); depthwise and vectors: real_k = 1 */
    int merged, group_k;  /* 1 but for merged groups; filters of an original group */
    size_t offset, count; /* elements; count is k * r * s * c */
    int is_t;             /* gradient and working copy are T */
    int bucket;           /* -1 for running statistics */
};
/* Element of the arenas with weight (k, c, tap) of the tensor, tap = r * window + s; vectors: (0, c, 0). */
size_t fv_low_slot_element(const struct fv_low_slot *slot, int k, int c, int tap);
struct fv_low_bucket {
    size_t offset, bytes; /* in FV_LOW_GRAD */
    enum fv_low_dtype dtype;
    int op; /* index of its BUCKET op */
};

struct fv_low_query {
    enum fv_low_graph graph;
    enum fv_low_dtype dtype;
    struct fv_low_shape shape;
    int add; /* DGRAD_SUMS: with r */
    int node;
};

struct fv_lower_settings {
    int batch, train;
    enum fv_low_dtype dtype; /* T: F32, BF16, F16 */
    int keep;                /* no two buffers share memory: for node_get and tests */
    size_t bucket_bytes;     /* of gradients; 0: 8 MiB */
    /* By tensor: 1 is frozen (trainer/backend.h), so it gets no gradient (its slot stays as it is), backward ends where
     * all that is left is frozen, and a batch norm frozen whole works by its running statistics. NULL: none is. */
    const unsigned char *frozen;
    int (*can)(void *ctx, const struct fv_low_query *q); /* 1: this graph; NULL: never */
    void *ctx;
};

struct fv_lowered {
    const struct fv_net *net;
    int batch, train;
    enum fv_low_dtype dtype;
    struct fv_low_buffer *buffer;
    int buffers;
    struct fv_low_op *op;
    int ops;
    int forward_ops,
        backward_ops; /* op[0 .. forward_ops-1] is forward, up to backward_ops loss and backward */
    struct fv_low_slot *slot; /* a tensor of the net each */
    size_t elements, elements_t, stat_elements;
    struct fv_low_bucket *bucket; /* in the order of their completion */
    int bucket_count;
    size_t bytes[FV_LOW_SPACES]; /* of each space; STATE: one plane */
    int embedding,
        logits; /* inference: buffers, fp32, rows of the padded length; else, or where there are none, -1 */
    int *out,
        *grad; /* by node: buffer with its value or the gradient by it; -1: fused away or overwritten */
};

/* FV_EUNSUPPORTED names a node that the backend has no ops for. The net must outlive the result. */
int fv_lower(struct fv_lowered **out, const struct fv_net *net, const struct fv_lower_settings *s);
void fv_lowered_free(struct fv_lowered **l); /* accepts NULL */
/* A readable listing: ops with their buffers, graphs and bytes; the caller frees it. NULL: out of memory. */
char *fv_lowered_dump(const struct fv_lowered *l);
/* A line for each convolution: which graph forward and the gradients take; the caller frees it. */
char *fv_lowered_graphs(const struct fv_lowered *l);
/* The most that is alive at one op: the arena cannot be smaller. */
size_t fv_lowered_least_bytes(const struct fv_lowered *l);
/* Byte of an element in FV_LOW_GRAD. */
size_t fv_low_grad_byte(const struct fv_lowered *l, size_t element);

/* What a training program of this size holds on the device, without cuDNN's workspace; exact. */
struct fv_low_memory {
    size_t activations, parameters, states, batch; /* masters, copies, gradients are parameters */
    size_t total;
};
int fv_lower_memory(struct fv_low_memory *out, const struct fv_net *net,
                    const struct fv_lower_settings *s, int state_planes);

#endif
