/* SPDX-License-Identifier: MIT */
/* Forward ops, and those that both directions have, as calls of kernels. */
#include "trainer/cuda/dispatch_call.h"

#include "common/err.h"

#include <string.h>

int fv__dispatch_input(const struct fv__call *c)
{
    const struct fv_node *node = &c->d->l->net->node[c->op->node];
    struct fv_k_input k = {.pixels = A(PIXELS),
                           .y = A(Y),
                           .type = fv__call_type(c, FV_LOW_Y),
                           .n = c->op->shape.n,
                           .h = node->h,
                           .w = node->w};
    memcpy(k.mean, node->mean, sizeof k.mean);
    memcpy(k.std, node->std, sizeof k.std);
    return fv_k_input(&k, STREAM);
}

int fv__dispatch_conv(const struct fv__call *c)
{
    return c->d->conv(c->d->ctx, c->index, c->arg, c->d->scratch);
}

int fv__dispatch_depthwise(const struct fv__call *c)
{
    const struct fv_k_depthwise_forward k = {
        .conv = fv__call_depthwise(c, FV_LOW_X), .x = A(X), .weight = A(W), .y = A(Y)};
    return fv_k_depthwise_forward(&k, STREAM);
}

int fv__dispatch_add_bias(const struct fv__call *c)
{
    const struct fv_k_act_forward k = {.x = A(Y),
                                       .bias = A(B),
                                       .y = A(Y),
                                       .type = fv__call_type(c, FV_LOW_Y),
                                       .act = FV_K_NONE,
                                       .rows = c->rows,
                                       .c = c->op->shape.c};
    return fv_k_act_forward(&k, STREAM);
}

/* This rank's mean and variance, and then those of all: what is left to do is to make one of them. */
static int gather_moments(const struct fv__call *c, struct fv_k_bn_finalize *k)
{
    const struct fv_dispatch_ranks *sync = c->d->sync;
    const size_t count = 2 * (size_t)k->c;
    float *mine = fv__call_exchange(c), *all = mine + fv__call_place(count);
    k->moments = mine;
    FV_TRY(fv_k_bn_finalize(k, STREAM));
    FV_TRY(sync->gather(c->d->ctx, mine, all, count));
    k->moments = NULL;
    k->gathered = all;
    k->ranks = sync->ranks;
    return 0;
}

/* BN_STATS makes the sums itself, for BN_FINALIZE a convolution has made them. */
int fv__dispatch_bn_finalize(const struct fv__call *c)
{
    const int sums = c->op->kind == FV_LOW_BN_FINALIZE, width = c->op->shape.c;
    struct fv_k_bn_finalize k = {.partial = sums ? NULL : c->d->scratch,
                                 .sum = A(STAT0),
                                 .square = A(STAT1),
                                 .rows = c->rows,
                                 .c = width,
                                 .channels = c->op->shape.channels,
                                 .gamma = A(GAMMA),
                                 .beta = A(BETA),
                                 .eps = c->op->eps,
                                 .mean = A(MEAN),
                                 .rstd = A(RSTD),
                                 .scale = A(SCALE_V),
                                 .shift = A(SHIFT_V),
                                 .scale16 = A(SCALE16),
                                 .shift16 = A(SHIFT16),
                                 .type16 = c->type,
                                 .batch_mean = A(BATCH_MEAN),
                                 .batch_var = A(BATCH_VAR)};
    if (!sums) {
        const struct fv_k_bn_stats stats = {.x = A(X),
                                            .type = fv__call_type(c, FV_LOW_X),
                                            .rows = c->rows,
                                            .c = width,
                                            .partial = c->d->scratch};
        FV_TRY(fv_k_bn_stats(&stats, STREAM));
    }
    if (c->d->sync)
        FV_TRY(gather_moments(c, &k));
    return fv_k_bn_finalize(&k, STREAM);
}

int fv__dispatch_bn_fold(const struct fv__call *c)
{
    const struct fv_k_bn_fold k = {.mean = A(RUN_MEAN),
                                   .var = A(RUN_VAR),
                                   .gamma = A(GAMMA),
                                   .beta = A(BETA),
                                   .eps = c->op->eps,
                                   .c = c->op->shape.c,
                                   .channels = c->op->shape.channels,
                                   .scale = A(SCALE_V),
                                   .shift = A(SHIFT_V)};
    const size_t bytes = (size_t)k.c * sizeof(float);
    FV_TRY(fv_k_bn_fold(&k, STREAM));
    if (!A(COEF))
        return 0;
    FV_TRY(fv_k_zero(A(COEF), 3 * bytes, STREAM)); /* dx = scale * dz */
    return fv_k_copy(A(COEF), A(SCALE_V), bytes, STREAM);
}

int fv__dispatch_bn_apply(const struct fv__call *c)
{
    const struct fv_k_bn_apply k = {.x = A(X),
                                    .residual = A(R),
                                    .scale = A(SCALE_V),
                                    .shift = A(SHIFT_V),
                                    .scale2 = A(SCALE2),
                                    .shift2 = A(SHIFT2),
                                    .slope = A(SLOPE),
                                    .y = A(Y),
                                    .open = A(OPEN),
                                    .type = fv__call_type(c, FV_LOW_Y),
                                    .act = fv__call_act(c),
                                    .rows = c->rows,
                                    .c = c->op->shape.c};
    return fv_k_bn_apply(&k, STREAM);
}

/* ACT, and ADD with its second operand. */
int fv__dispatch_act(const struct fv__call *c)
{
    const struct fv_k_act_forward k = {.x = A(X),
                                       .residual = A(R),
                                       .slope = A(SLOPE),
                                       .y = A(Y),
                                       .type = fv__call_type(c, FV_LOW_Y),
                                       .act = fv__call_act(c),
                                       .rows = c->rows,
                                       .c = c->op->shape.c};
    return fv_k_act_forward(&k, STREAM);
}

/* Squeeze and excitation. The factors are (n, c): the shape is that of the product. */

int fv__dispatch_scale(const struct fv__call *c)
{
    const struct fv_low_shape *s = &c->op->shape;
    const struct fv_k_scale_forward k = {.x = A(X),
                                         .factor = A(S),
                                         .residual = A(R),
                                         .y = A(Y),
                                         .type = fv__call_type(c, FV_LOW_Y),
                                         .act = fv__call_act(c),
                                         .n = s->n,
                                         .pixels = s->h * s->w,
                                         .c = s->c};
    return fv_k_scale_forward(&k, STREAM);
}

int fv__dispatch_maxpool(const struct fv__call *c)
{
    const struct fv_low_shape *s = &c->op->shape;
    if (A(SCALE_V)) {
        const struct fv_k_bn_pool k = {.x = A(X),
                                       .scale = A(SCALE_V),
                                       .shift = A(SHIFT_V),
                                       .y = A(Y),
                                       .winner = A(INDEX),
                                       .type = fv__call_type(c, FV_LOW_Y),
                                       .act = fv__call_act(c),
                                       .n = s->n,
                                       .in_h = s->in_h,
                                       .in_w = s->in_w,
                                       .c = s->c};
        return fv_k_bn_pool(&k, STREAM);
    }
    const struct fv_k_maxpool_forward k = {.x = A(X),
                                           .y = A(Y),
                                           .winner = A(INDEX),
                                           .type = fv__call_type(c, FV_LOW_Y),
                                           FV__CALL_WINDOW(s)};
    return fv_k_maxpool_forward(&k, STREAM);
}

int fv__dispatch_gap(const struct fv__call *c)
{
    const struct fv_k_gap_forward k = {.x = A(X),
                                       .y = A(Y),
                                       .type = fv__call_type(c, FV_LOW_X),
                                       .y_type = fv__call_type(c, FV_LOW_Y),
                                       .n = c->op->shape.n,
                                       .pixels = c->op->shape.in_h * c->op->shape.in_w,
                                       .c = c->op->shape.c};
    return fv_k_gap_forward(&k, STREAM);
}

int fv__dispatch_fc(const struct fv__call *c)
{
    const struct fv_gpu_gemm s = {.m = c->op->shape.n,
                                  .n = c->op->shape.c,
                                  .k = fv__call_depth(c),
                                  .tb = 1,
                                  .type = fv__call_buffer(c, FV_LOW_W)->dtype,
                                  .c_type = fv__call_buffer(c, FV_LOW_Y)->dtype};
    FV_TRY(c->d->gemm(c->d->ctx, &s, A(X), A(W), A(Y)));
    return A(B) ? fv__dispatch_add_bias(c) : 0;
}

int fv__dispatch_cast(const struct fv__call *c)
{
    const struct fv_k_cast k = {.from = A(X),
                                .to = A(Y),
                                .from_type = fv__call_type(c, FV_LOW_X),
                                .to_type = fv__call_type(c, FV_LOW_Y),
                                .count = fv__call_count(c, FV_LOW_Y)};
    return fv_k_cast(&k, STREAM);
}

/* Rows of a matrix: the shape is (rows, columns) in h and w. */

int fv__dispatch_normalise(const struct fv__call *c)
{
    const struct fv_k_normalise_forward k = {.x = A(X),
                                             .y = A(Y),
                                             .norm = A(NORM),
                                             .rows = c->op->shape.h,
                                             .c = c->op->shape.w,
                                             .eps = c->op->eps};
    return fv_k_normalise_forward(&k, STREAM);
}
