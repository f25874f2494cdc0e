/* SPDX-License-Identifier: MIT */
/* Gradients as calls of kernels. A sum over rows leaves its parts in scratch memory; a second
 * launch adds them up. */
#include "trainer/cuda/dispatch_call.h"

#include "common/err.h"

int fv__dispatch_normalise_backward(const struct fv__call *c)
{
    const struct fv_k_normalise_backward k = {.dy = A(DY),
                                              .y = A(Y),
                                              .norm = A(NORM),
                                              .dx = A(DX),
                                              .rows = c->op->shape.h,
                                              .c = c->op->shape.w,
                                              .eps = c->op->eps};
    return fv_k_normalise_backward(&k, STREAM);
}

int fv__dispatch_scale_reduce(const struct fv__call *c)
{
    const struct fv_low_shape *s = &c->op->shape;
    const struct fv_k_scale_reduce k = {.dy = A(DY),
                                        .dy2 = A(DY2),
                                        .y = A(Y),
                                        .x = A(X),
                                        .dz = A(DZ),
                                        .dfactor = A(DS),
                                        .type = fv__call_type(c, FV_LOW_X),
                                        .act = fv__call_act(c),
                                        .n = s->n,
                                        .pixels = s->h * s->w,
                                        .c = s->c};
    return fv_k_scale_reduce(&k, STREAM);
}

int fv__dispatch_scale_backward(const struct fv__call *c)
{
    const struct fv_low_shape *s = &c->op->shape;
    const struct fv_k_scale_backward k = {.dz = A(DY),
                                          .factor = A(S),
                                          .dmean = A(DMEAN),
                                          .dx = A(DX),
                                          .type = fv__call_type(c, FV_LOW_DX),
                                          .n = s->n,
                                          .pixels = s->h * s->w,
                                          .c = s->c};
    return fv_k_scale_backward(&k, STREAM);
}

int fv__dispatch_fc_dgrad(const struct fv__call *c)
{
    const struct fv_gpu_gemm s = {.m = c->op->shape.n,
                                  .n = fv__call_depth(c),
                                  .k = c->op->shape.c,
                                  .type = fv__call_buffer(c, FV_LOW_W)->dtype,
                                  .c_type = fv__call_buffer(c, FV_LOW_DX)->dtype};
    return c->d->gemm(c->d->ctx, &s, A(DY), A(W), A(DX));
}

int fv__dispatch_fc_wgrad(const struct fv__call *c)
{
    const struct fv_gpu_gemm s = {.m = c->op->shape.c,
                                  .n = fv__call_depth(c),
                                  .k = c->op->shape.n,
                                  .ta = 1,
                                  .type = fv__call_buffer(c, FV_LOW_X)->dtype,
                                  .c_type = fv__call_buffer(c, FV_LOW_DW)->dtype};
    return c->d->gemm(c->d->ctx, &s, A(DY), A(X), A(DW));
}

static int finish_columns(const struct fv__call *c, int parts, size_t stride, int offset, int count,
                          enum fv_low_role role)
{
    const struct fv_k_column_finish k = {.partial = c->d->scratch,
                                         .parts = parts,
                                         .stride = stride,
                                         .offset = offset,
                                         .count = count,
                                         .out = c->arg[role],
                                         .type = fv__call_type(c, role)};
    return fv_k_column_finish(&k, STREAM);
}

static struct fv_k_bn_incoming incoming(const struct fv__call *c)
{
    return (struct fv_k_bn_incoming){.dy = A(DY),
                                     .dy2 = A(DY2),
                                     .x = A(X),
                                     .open = A(OPEN),
                                     .scale = A(SCALE_V),
                                     .shift = A(SHIFT_V),
                                     .slope = A(SLOPE),
                                     .type = fv__call_type(c, FV_LOW_X),
                                     .act = fv__call_act(c),
                                     .rows = c->rows,
                                     .c = c->op->shape.c};
}

static struct fv_k_bn_pool_backward pooled(const struct fv__call *c)
{
    const struct fv_low_shape *s = &c->op->shape;
    return (struct fv_k_bn_pool_backward){.dy = A(DY),
                                          .dy2 = A(DY2),
                                          .x = A(X),
                                          .winner = A(INDEX),
                                          .type = fv__call_type(c, FV_LOW_X),
                                          .n = s->n,
                                          .in_h = s->in_h,
                                          .in_w = s->in_w,
                                          .c = s->c,
                                          .mean = A(MEAN),
                                          .partial = c->d->scratch,
                                          .coefficients = A(COEF),
                                          .dx = A(DX)};
}

static int partial_sums(const struct fv__call *c)
{
    if (c->op->kind == FV_LOW_BN_REDUCE_POOL) {
        const struct fv_k_bn_pool_backward k = pooled(c);
        return fv_k_bn_pool_reduce(&k, STREAM);
    }
    const struct fv_k_bn_reduce k = {
        .in = incoming(c), .mean = A(MEAN), .dz = A(DZ), .partial = c->d->scratch};
    return fv_k_bn_reduce(&k, STREAM);
}

/* BN_REDUCE and BN_REDUCE_POOL make the sums themselves, for BN_SUMS a convolution has made them. */
int fv__dispatch_bn_gradient(const struct fv__call *c)
{
    const int sums = c->op->kind == FV_LOW_BN_SUMS;
    const struct fv_low_shape *s = &c->op->shape;
    const int pool = c->op->kind == FV_LOW_BN_REDUCE_POOL;
    struct fv_k_bn_gradient g = {.partial = sums ? NULL : c->d->scratch,
                                 .sum = A(STAT0),
                                 .dot = A(STAT1),
                                 .centred = c->op->centred,
                                 .gamma = A(GAMMA),
                                 .mean = A(MEAN),
                                 .rstd = A(RSTD),
                                 .rows = pool ? (int64_t)s->n * s->in_h * s->in_w : c->rows,
                                 .part_rows = c->rows,
                                 .c = c->op->shape.c,
                                 .channels = c->op->shape.channels,
                                 .dgamma = A(DGAMMA),
                                 .dbeta = A(DBETA),
                                 .dslope = A(DSLOPE),
                                 .coefficients = A(COEF)};
    if (!sums)
        FV_TRY(partial_sums(c));
    if (c->d->sync) { /* the parameters' gradients are averaged with all others, later */
        g.own = fv__call_exchange(c);
        FV_TRY(fv_k_bn_gradient(&g, STREAM));
        FV_TRY(c->d->sync->mean(c->d->ctx, g.own, 2 * (size_t)g.c));
        g.means = g.own;
        g.own = NULL;
    }
    return fv_k_bn_gradient(&g, STREAM);
}

int fv__dispatch_bn_backward(const struct fv__call *c)
{
    const struct fv_k_bn_backward k = {.in = incoming(c), .coefficients = A(COEF), .dx = A(DX)};
    return fv_k_bn_backward(&k, STREAM);
}

int fv__dispatch_bn_backward_pool(const struct fv__call *c)
{
    const struct fv_k_bn_pool_backward k = pooled(c);
    return fv_k_bn_pool_backward(&k, STREAM);
}

int fv__dispatch_act_backward(const struct fv__call *c)
{
    const int width = c->op->shape.c, prelu = c->op->act == FV_LOW_ACT_PRELU;
    const struct fv_k_act_backward k = {.dy = A(DY),
                                        .dy2 = A(DY2),
                                        .saved = prelu ? A(X) : A(Y),
                                        .slope = A(SLOPE),
                                        .dx = A(DX),
                                        .partial = A(DSLOPE) ? c->d->scratch : NULL,
                                        .type = fv__call_type(c, FV_LOW_DX),
                                        .act = fv__call_act(c),
                                        .rows = c->rows,
                                        .c = width};
    FV_TRY(fv_k_act_backward(&k, STREAM));
    if (!A(DSLOPE))
        return 0;
    return finish_columns(c, fv_k_parts(c->rows, width), 2 * (size_t)width, width,
                          c->op->shape.channels, FV_LOW_DSLOPE);
}

int fv__dispatch_maxpool_backward(const struct fv__call *c)
{
    const struct fv_low_shape *s = &c->op->shape;
    const struct fv_k_maxpool_backward k = {.dy = A(DY),
                                            .dy2 = A(DY2),
                                            .winner = A(INDEX),
                                            .dx = A(DX),
                                            .type = fv__call_type(c, FV_LOW_DX),
                                            FV__CALL_WINDOW(s)};
    return fv_k_maxpool_backward(&k, STREAM);
}

int fv__dispatch_gap_backward(const struct fv__call *c)
{
    const struct fv_k_gap_backward k = {.dy = A(DY),
                                        .residual = A(R),
                                        .dx = A(DX),
                                        .type = fv__call_type(c, FV_LOW_DX),
                                        .y_type = fv__call_type(c, FV_LOW_DY),
                                        .n = c->op->shape.n,
                                        .pixels = c->op->shape.in_h * c->op->shape.in_w,
                                        .c = c->op->shape.c};
    return fv_k_gap_backward(&k, STREAM);
}

int fv__dispatch_bias_grad(const struct fv__call *c)
{
    const int width = c->op->shape.c;
    const struct fv_k_act_backward k = {.dy = A(DY),
                                        .partial = c->d->scratch,
                                        .type = fv__call_type(c, FV_LOW_DY),
                                        .act = FV_K_NONE,
                                        .rows = c->rows,
                                        .c = width};
    FV_TRY(fv_k_act_backward(&k, STREAM));
    return finish_columns(c, fv_k_parts(c->rows, width), 2 * (size_t)width, 0,
                          c->op->shape.channels, FV_LOW_DB);
}

int fv__dispatch_depthwise_dgrad(const struct fv__call *c)
{
    const struct fv_k_depthwise_data k = {
        .conv = fv__call_depthwise(c, FV_LOW_DX), .dy = A(DY), .weight = A(W), .dx = A(DX)};
    return fv_k_depthwise_data(&k, STREAM);
}

int fv__dispatch_depthwise_wgrad(const struct fv__call *c)
{
    const struct fv_k_depthwise_weight k = {
        .conv = fv__call_depthwise(c, FV_LOW_X), .x = A(X), .dy = A(DY), .partial = c->d->scratch};
    const int count = (int)fv__call_count(c, FV_LOW_DW);
    FV_TRY(fv_k_depthwise_weight(&k, STREAM));
    return finish_columns(c, fv_k_depthwise_parts(&k.conv), (size_t)count, 0, count, FV_LOW_DW);
}

int fv__dispatch_mask(const struct fv__call *c)
{
    const struct fv_low_slot *slot = &c->d->l->slot[c->d->l->net->node[c->op->node].tensor[0]];
    const struct fv_k_mask k = {.w = A(DW),
                                .type = fv__call_type(c, FV_LOW_DW),
                                .k = slot->k,
                                .window = slot->r * slot->s,
                                .c = slot->c,
                                .merged = slot->merged,
                                .group_k = slot->group_k,
                                .group_c = slot->real_c};
    return fv_k_mask(&k, STREAM);
}
