/* SPDX-License-Identifier: MIT */
/* Inside the dispatch: an op with its operands, and the functions that call its kernels, by family.
 *
 * dispatch.c           the table, addresses, scratch, the update
 * dispatch_forward.c   forward
 * dispatch_backward.c  gradients */
#ifndef FV_TRAINER_CUDA_DISPATCH_CALL_H
#define FV_TRAINER_CUDA_DISPATCH_CALL_H

#include "trainer/cuda/dispatch.h"

/* An op on its way to a kernel. */
struct fv__call {
    const struct fv_dispatch *d;
    const struct fv_low_op *op;
    void *arg[FV_LOW_ROLES];
    int index;
    int64_t rows;        /* n * h * w of the op's shape */
    enum fv_k_type type; /* of the storage */
};

static inline const struct fv_low_buffer *fv__call_buffer(const struct fv__call *c,
                                                          enum fv_low_role role)
{
    return &c->d->l->buffer[c->op->arg[role]];
}

static inline enum fv_k_type fv__call_type(const struct fv__call *c, enum fv_low_role role)
{
    return fv_dispatch_type(fv__call_buffer(c, role)->dtype);
}

static inline int64_t fv__call_count(const struct fv__call *c, enum fv_low_role role)
{
    const struct fv_low_buffer *b = fv__call_buffer(c, role);
    return (int64_t)(b->bytes / fv_low_dtype_bytes(b->dtype));
}

static inline enum fv_k_act fv__call_act(const struct fv__call *c)
{
    static const enum fv_k_act acts[FV_LOW_ACTS] = {
        [FV_LOW_ACT_NONE] = FV_K_NONE,       [FV_LOW_ACT_RELU] = FV_K_RELU,
        [FV_LOW_ACT_RELU6] = FV_K_RELU6,     [FV_LOW_ACT_PRELU] = FV_K_PRELU,
        [FV_LOW_ACT_SIGMOID] = FV_K_SIGMOID,
    };
    return acts[c->op->act];
}

/* A window that slides over an image, as the structs of kernels name it. */
#define FV__CALL_WINDOW(s)                                                                         \
    .n = (s)->n, .in_h = (s)->in_h, .in_w = (s)->in_w, .h = (s)->h, .w = (s)->w, .c = (s)->c,      \
    .window = (s)->window, .stride = (s)->stride, .pad = (s)->pad

static inline struct fv_k_depthwise fv__call_depthwise(const struct fv__call *c,
                                                       enum fv_low_role typed)
{
    const struct fv_low_shape *s = &c->op->shape;
    return (struct fv_k_depthwise){FV__CALL_WINDOW(s), .type = fv__call_type(c, typed),
                                   .scale = c->arg[FV_LOW_SCALE_V], .shift = c->arg[FV_LOW_SHIFT_V],
                                   .act = fv__call_act(c)};
}

/* Matrix products: x (n, k), w (c, k), y (n, c), row by row. */
static inline int fv__call_depth(const struct fv__call *c)
{
    const struct fv_low_shape *s = &c->op->shape;
    return s->in_h * s->in_w * s->in_c;
}

/* Floats, so that what comes next is aligned. */
static inline size_t fv__call_place(size_t floats)
{
    return (floats + 63) / 64 * 64;
}
/* Scratch behind that of the op's own kernels, for what goes from rank to rank. */
float *fv__call_exchange(const struct fv__call *c);

#define STREAM (c->d->stream)
#define A(role) (c->arg[FV_LOW_##role])

int fv__dispatch_input(const struct fv__call *c);
int fv__dispatch_conv(const struct fv__call *c);
int fv__dispatch_depthwise(const struct fv__call *c);
int fv__dispatch_add_bias(const struct fv__call *c);
int fv__dispatch_bn_finalize(const struct fv__call *c);
int fv__dispatch_bn_fold(const struct fv__call *c);
int fv__dispatch_bn_apply(const struct fv__call *c);
int fv__dispatch_act(const struct fv__call *c);
int fv__dispatch_scale(const struct fv__call *c);
int fv__dispatch_maxpool(const struct fv__call *c);
int fv__dispatch_gap(const struct fv__call *c);
int fv__dispatch_fc(const struct fv__call *c);
int fv__dispatch_cast(const struct fv__call *c);
int fv__dispatch_normalise(const struct fv__call *c);
int fv__dispatch_normalise_backward(const struct fv__call *c);
int fv__dispatch_scale_reduce(const struct fv__call *c);
int fv__dispatch_scale_backward(const struct fv__call *c);
int fv__dispatch_fc_dgrad(const struct fv__call *c);
int fv__dispatch_fc_wgrad(const struct fv__call *c);
int fv__dispatch_bn_gradient(const struct fv__call *c);
int fv__dispatch_bn_backward(const struct fv__call *c);
int fv__dispatch_bn_backward_pool(const struct fv__call *c);
int fv__dispatch_act_backward(const struct fv__call *c);
int fv__dispatch_maxpool_backward(const struct fv__call *c);
int fv__dispatch_gap_backward(const struct fv__call *c);
int fv__dispatch_bias_grad(const struct fv__call *c);
int fv__dispatch_depthwise_dgrad(const struct fv__call *c);
int fv__dispatch_depthwise_wgrad(const struct fv__call *c);
int fv__dispatch_mask(const struct fv__call *c);

#endif
