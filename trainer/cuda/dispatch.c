/* SPDX-License-Identifier: MIT */
#include "trainer/cuda/dispatch.h"

#include "common/err.h"

#include <string.h>

/* An op on its way to a kernel. */
struct call {
    const struct fv_dispatch *d;
    const struct fv_low_op *op;
    void *arg[FV_LOW_ROLES];
    int index;
    int64_t rows;        /* n * h * w of the op's shape */
    enum fv_k_type type; /* of the storage */
};

enum fv_k_type fv_dispatch_type(enum fv_low_dtype t)
{
    return t == FV_LOW_BF16 ? FV_K_BF16 : t == FV_LOW_F16 ? FV_K_F16 : FV_K_F32;
}

static const struct fv_low_buffer *buffer(const struct call *c, enum fv_low_role role)
{
    return &c->d->l->buffer[c->op->arg[role]];
}

static enum fv_k_type type_of(const struct call *c, enum fv_low_role role)
{
    return fv_dispatch_type(buffer(c, role)->dtype);
}

static int64_t count_of(const struct call *c, enum fv_low_role role)
{
    const struct fv_low_buffer *b = buffer(c, role);
    return (int64_t)(b->bytes / fv_low_dtype_bytes(b->dtype));
}

static enum fv_k_act act_of(const struct call *c)
{
    static const enum fv_k_act acts[FV_LOW_ACTS] = {
        [FV_LOW_ACT_NONE] = FV_K_NONE,       [FV_LOW_ACT_RELU] = FV_K_RELU,
        [FV_LOW_ACT_RELU6] = FV_K_RELU6,     [FV_LOW_ACT_PRELU] = FV_K_PRELU,
        [FV_LOW_ACT_SIGMOID] = FV_K_SIGMOID,
    };
    return acts[c->op->act];
}

#define STREAM (c->d->stream)
#define A(role) (c->arg[FV_LOW_##role])

/* Forward */

static int do_input(const struct call *c)
{
    const struct fv_node *node = &c->d->l->net->node[c->op->node];
    struct fv_k_input k = {.pixels = A(PIXELS),
                           .y = A(Y),
                           .type = type_of(c, FV_LOW_Y),
                           .n = c->op->shape.n,
                           .h = node->h,
                           .w = node->w};
    memcpy(k.mean, node->mean, sizeof k.mean);
    memcpy(k.std, node->std, sizeof k.std);
    return fv_k_input(&k, STREAM);
}

static int do_conv(const struct call *c)
{
    return c->d->conv(c->d->ctx, c->index, c->arg, c->d->scratch);
}

static struct fv_k_depthwise depthwise(const struct call *c, enum fv_low_role typed)
{
    const struct fv_low_shape *s = &c->op->shape;
    return (struct fv_k_depthwise){.n = s->n,
                                   .in_h = s->in_h,
                                   .in_w = s->in_w,
                                   .h = s->h,
                                   .w = s->w,
                                   .c = s->c,
                                   .window = s->window,
                                   .stride = s->stride,
                                   .pad = s->pad,
                                   .type = type_of(c, typed)};
}

static int do_depthwise(const struct call *c)
{
    const struct fv_k_depthwise_forward k = {
        .conv = depthwise(c, FV_LOW_X), .x = A(X), .weight = A(W), .y = A(Y)};
    return fv_k_depthwise_forward(&k, STREAM);
}

static int add_bias(const struct call *c)
{
    const struct fv_k_act_forward k = {.x = A(Y),
                                       .bias = A(B),
                                       .y = A(Y),
                                       .type = type_of(c, FV_LOW_Y),
                                       .act = FV_K_NONE,
                                       .rows = c->rows,
                                       .c = c->op->shape.c};
    return fv_k_act_forward(&k, STREAM);
}

static int cast(const struct call *c, const void *from, enum fv_k_type from_type, void *to,
                enum fv_k_type to_type, int64_t count)
{
    const struct fv_k_cast k = {
        .from = from, .to = to, .from_type = from_type, .to_type = to_type, .count = count};
    return fv_k_cast(&k, STREAM);
}

/* BN_STATS makes the sums itself, for BN_FINALIZE a convolution has made them. */
static int do_bn_finalize(const struct call *c)
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
                                 .batch_mean = A(BATCH_MEAN),
                                 .batch_var = A(BATCH_VAR)};
    if (!sums) {
        const struct fv_k_bn_stats stats = {.x = A(X),
                                            .type = type_of(c, FV_LOW_X),
                                            .rows = c->rows,
                                            .c = width,
                                            .partial = c->d->scratch};
        FV_TRY(fv_k_bn_stats(&stats, STREAM));
    }
    FV_TRY(fv_k_bn_finalize(&k, STREAM));
    if (!A(SCALE16))
        return 0;
    FV_TRY(cast(c, A(SCALE_V), FV_K_F32, A(SCALE16), c->type, width));
    return cast(c, A(SHIFT_V), FV_K_F32, A(SHIFT16), c->type, width);
}

static int do_bn_fold(const struct call *c)
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

static int do_bn_apply(const struct call *c)
{
    const struct fv_k_bn_apply k = {.x = A(X),
                                    .residual = A(R),
                                    .scale = A(SCALE_V),
                                    .shift = A(SHIFT_V),
                                    .scale2 = A(SCALE2),
                                    .shift2 = A(SHIFT2),
                                    .slope = A(SLOPE),
                                    .y = A(Y),
                                    .type = type_of(c, FV_LOW_Y),
                                    .act = act_of(c),
                                    .rows = c->rows,
                                    .c = c->op->shape.c};
    return fv_k_bn_apply(&k, STREAM);
}

/* ACT, and ADD with its second operand. */
static int do_act(const struct call *c)
{
    const struct fv_k_act_forward k = {.x = A(X),
                                       .residual = A(R),
                                       .slope = A(SLOPE),
                                       .y = A(Y),
                                       .type = type_of(c, FV_LOW_Y),
                                       .act = act_of(c),
                                       .rows = c->rows,
                                       .c = c->op->shape.c};
    return fv_k_act_forward(&k, STREAM);
}

/* Squeeze and excitation. The factors are (n, c): the shape is that of the product. */

static int do_scale(const struct call *c)
{
    const struct fv_low_shape *s = &c->op->shape;
    const struct fv_k_scale_forward k = {.x = A(X),
                                         .factor = A(S),
                                         .residual = A(R),
                                         .y = A(Y),
                                         .type = type_of(c, FV_LOW_Y),
                                         .act = act_of(c),
                                         .n = s->n,
                                         .pixels = s->h * s->w,
                                         .c = s->c};
    return fv_k_scale_forward(&k, STREAM);
}

static int do_scale_reduce(const struct call *c)
{
    const struct fv_low_shape *s = &c->op->shape;
    const struct fv_k_scale_reduce k = {.dy = A(DY),
                                        .dy2 = A(DY2),
                                        .y = A(Y),
                                        .x = A(X),
                                        .dz = A(DZ),
                                        .dfactor = A(DS),
                                        .type = type_of(c, FV_LOW_X),
                                        .act = act_of(c),
                                        .n = s->n,
                                        .pixels = s->h * s->w,
                                        .c = s->c};
    return fv_k_scale_reduce(&k, STREAM);
}

static int do_scale_backward(const struct call *c)
{
    const struct fv_low_shape *s = &c->op->shape;
    const struct fv_k_scale_backward k = {.dz = A(DY),
                                          .factor = A(S),
                                          .dmean = A(DMEAN),
                                          .dx = A(DX),
                                          .type = type_of(c, FV_LOW_DX),
                                          .n = s->n,
                                          .pixels = s->h * s->w,
                                          .c = s->c};
    return fv_k_scale_backward(&k, STREAM);
}

static int do_maxpool(const struct call *c)
{
    const struct fv_low_shape *s = &c->op->shape;
    const struct fv_k_maxpool_forward k = {.x = A(X),
                                           .y = A(Y),
                                           .winner = A(INDEX),
                                           .type = type_of(c, FV_LOW_Y),
                                           .n = s->n,
                                           .in_h = s->in_h,
                                           .in_w = s->in_w,
                                           .h = s->h,
                                           .w = s->w,
                                           .c = s->c,
                                           .window = s->window,
                                           .stride = s->stride,
                                           .pad = s->pad};
    return fv_k_maxpool_forward(&k, STREAM);
}

static int do_gap(const struct call *c)
{
    const struct fv_k_gap_forward k = {.x = A(X),
                                       .y = A(Y),
                                       .type = type_of(c, FV_LOW_X),
                                       .y_type = type_of(c, FV_LOW_Y),
                                       .n = c->op->shape.n,
                                       .pixels = c->op->shape.in_h * c->op->shape.in_w,
                                       .c = c->op->shape.c};
    return fv_k_gap_forward(&k, STREAM);
}

/* Matrix products: x (n, k), w (c, k), y (n, c), row by row. */
static int fc_depth(const struct call *c)
{
    const struct fv_low_shape *s = &c->op->shape;
    return s->in_h * s->in_w * s->in_c;
}

static int do_fc(const struct call *c)
{
    const struct fv_gpu_gemm s = {.m = c->op->shape.n,
                                  .n = c->op->shape.c,
                                  .k = fc_depth(c),
                                  .tb = 1,
                                  .type = buffer(c, FV_LOW_W)->dtype,
                                  .c_type = buffer(c, FV_LOW_Y)->dtype};
    FV_TRY(c->d->gemm(c->d->ctx, &s, A(X), A(W), A(Y)));
    return A(B) ? add_bias(c) : 0;
}

static int do_fc_dgrad(const struct call *c)
{
    const struct fv_gpu_gemm s = {.m = c->op->shape.n,
                                  .n = fc_depth(c),
                                  .k = c->op->shape.c,
                                  .type = buffer(c, FV_LOW_W)->dtype,
                                  .c_type = buffer(c, FV_LOW_DX)->dtype};
    return c->d->gemm(c->d->ctx, &s, A(DY), A(W), A(DX));
}

static int do_fc_wgrad(const struct call *c)
{
    const struct fv_gpu_gemm s = {.m = c->op->shape.c,
                                  .n = fc_depth(c),
                                  .k = c->op->shape.n,
                                  .ta = 1,
                                  .type = buffer(c, FV_LOW_X)->dtype,
                                  .c_type = buffer(c, FV_LOW_DW)->dtype};
    return c->d->gemm(c->d->ctx, &s, A(DY), A(X), A(DW));
}

static int do_cast(const struct call *c)
{
    return cast(c, A(X), type_of(c, FV_LOW_X), A(Y), type_of(c, FV_LOW_Y), count_of(c, FV_LOW_Y));
}

/* Rows of a matrix: the shape is (rows, columns) in h and w. */

static int do_normalise(const struct call *c)
{
    const struct fv_k_normalise_forward k = {.x = A(X),
                                             .y = A(Y),
                                             .norm = A(NORM),
                                             .rows = c->op->shape.h,
                                             .c = c->op->shape.w,
                                             .eps = c->op->eps};
    return fv_k_normalise_forward(&k, STREAM);
}

/* Backward */

static int do_normalise_backward(const struct call *c)
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

static int finish_columns(const struct call *c, int parts, size_t stride, int offset, int count,
                          enum fv_low_role role)
{
    const struct fv_k_column_finish k = {.partial = c->d->scratch,
                                         .parts = parts,
                                         .stride = stride,
                                         .offset = offset,
                                         .count = count,
                                         .out = c->arg[role],
                                         .type = type_of(c, role)};
    return fv_k_column_finish(&k, STREAM);
}

static struct fv_k_bn_incoming incoming(const struct call *c)
{
    return (struct fv_k_bn_incoming){.dy = A(DY),
                                     .dy2 = A(DY2),
                                     .x = A(X),
                                     .y = A(Y),
                                     .scale = A(SCALE_V),
                                     .shift = A(SHIFT_V),
                                     .slope = A(SLOPE),
                                     .type = type_of(c, FV_LOW_X),
                                     .act = act_of(c),
                                     .rows = c->rows,
                                     .c = c->op->shape.c};
}

/* BN_REDUCE makes the sums itself, for BN_SUMS a convolution has made them. */
static int do_bn_gradient(const struct call *c)
{
    const int sums = c->op->kind == FV_LOW_BN_SUMS;
    const struct fv_k_bn_gradient g = {.partial = sums ? NULL : c->d->scratch,
                                       .sum = A(STAT0),
                                       .dot = A(STAT1),
                                       .centred = c->op->centred,
                                       .gamma = A(GAMMA),
                                       .mean = A(MEAN),
                                       .rstd = A(RSTD),
                                       .rows = c->rows,
                                       .c = c->op->shape.c,
                                       .channels = c->op->shape.channels,
                                       .dgamma = A(DGAMMA),
                                       .dbeta = A(DBETA),
                                       .dslope = A(DSLOPE),
                                       .coefficients = A(COEF)};
    if (!sums) {
        const struct fv_k_bn_reduce k = {
            .in = incoming(c), .mean = A(MEAN), .dz = A(DZ), .partial = c->d->scratch};
        FV_TRY(fv_k_bn_reduce(&k, STREAM));
    }
    return fv_k_bn_gradient(&g, STREAM);
}

static int do_bn_backward(const struct call *c)
{
    const struct fv_k_bn_backward k = {.in = incoming(c), .coefficients = A(COEF), .dx = A(DX)};
    return fv_k_bn_backward(&k, STREAM);
}

static int do_act_backward(const struct call *c)
{
    const int width = c->op->shape.c, prelu = c->op->act == FV_LOW_ACT_PRELU;
    const struct fv_k_act_backward k = {.dy = A(DY),
                                        .dy2 = A(DY2),
                                        .saved = prelu ? A(X) : A(Y),
                                        .slope = A(SLOPE),
                                        .dx = A(DX),
                                        .partial = A(DSLOPE) ? c->d->scratch : NULL,
                                        .type = type_of(c, FV_LOW_DX),
                                        .act = act_of(c),
                                        .rows = c->rows,
                                        .c = width};
    FV_TRY(fv_k_act_backward(&k, STREAM));
    if (!A(DSLOPE))
        return 0;
    return finish_columns(c, fv_k_parts(c->rows, width), 2 * (size_t)width, width,
                          c->op->shape.channels, FV_LOW_DSLOPE);
}

static int do_maxpool_backward(const struct call *c)
{
    const struct fv_low_shape *s = &c->op->shape;
    const struct fv_k_maxpool_backward k = {.dy = A(DY),
                                            .dy2 = A(DY2),
                                            .winner = A(INDEX),
                                            .dx = A(DX),
                                            .type = type_of(c, FV_LOW_DX),
                                            .n = s->n,
                                            .in_h = s->in_h,
                                            .in_w = s->in_w,
                                            .h = s->h,
                                            .w = s->w,
                                            .c = s->c,
                                            .window = s->window,
                                            .stride = s->stride,
                                            .pad = s->pad};
    return fv_k_maxpool_backward(&k, STREAM);
}

static int do_gap_backward(const struct call *c)
{
    const struct fv_k_gap_backward k = {.dy = A(DY),
                                        .residual = A(R),
                                        .dx = A(DX),
                                        .type = type_of(c, FV_LOW_DX),
                                        .y_type = type_of(c, FV_LOW_DY),
                                        .n = c->op->shape.n,
                                        .pixels = c->op->shape.in_h * c->op->shape.in_w,
                                        .c = c->op->shape.c};
    return fv_k_gap_backward(&k, STREAM);
}

static int do_bias_grad(const struct call *c)
{
    const int width = c->op->shape.c;
    const struct fv_k_act_backward k = {.dy = A(DY),
                                        .partial = c->d->scratch,
                                        .type = type_of(c, FV_LOW_DY),
                                        .act = FV_K_NONE,
                                        .rows = c->rows,
                                        .c = width};
    FV_TRY(fv_k_act_backward(&k, STREAM));
    return finish_columns(c, fv_k_parts(c->rows, width), 2 * (size_t)width, 0,
                          c->op->shape.channels, FV_LOW_DB);
}

static int do_depthwise_dgrad(const struct call *c)
{
    const struct fv_k_depthwise_data k = {
        .conv = depthwise(c, FV_LOW_DX), .dy = A(DY), .weight = A(W), .dx = A(DX)};
    return fv_k_depthwise_data(&k, STREAM);
}

static int do_depthwise_wgrad(const struct call *c)
{
    const struct fv_k_depthwise_weight k = {
        .conv = depthwise(c, FV_LOW_X), .x = A(X), .dy = A(DY), .partial = c->d->scratch};
    const int count = (int)count_of(c, FV_LOW_DW);
    FV_TRY(fv_k_depthwise_weight(&k, STREAM));
    return finish_columns(c, fv_k_depthwise_parts(&k.conv), (size_t)count, 0, count, FV_LOW_DW);
}

static int do_mask(const struct call *c)
{
    const struct fv_low_slot *slot = &c->d->l->slot[c->d->l->net->node[c->op->node].tensor[0]];
    const struct fv_k_mask k = {.w = A(DW),
                                .type = type_of(c, FV_LOW_DW),
                                .k = slot->k,
                                .window = slot->r * slot->s,
                                .c = slot->c,
                                .merged = slot->merged,
                                .group_k = slot->group_k,
                                .group_c = slot->real_c};
    return fv_k_mask(&k, STREAM);
}

/* Update */

static int do_bucket(const struct call *c)
{
    return c->d->bucket ? c->d->bucket(c->d->ctx, &c->d->l->bucket[c->op->bucket]) : 0;
}

static int do_update(const struct call *c)
{
    return c->d->update(c->d->ctx, c->index, c->arg, c->d->scratch);
}

static int (*const calls[FV_LOW_KINDS])(const struct call *) = {
    [FV_LOW_INPUT] = do_input,
    [FV_LOW_CONV] = do_conv,
    [FV_LOW_DEPTHWISE] = do_depthwise,
    [FV_LOW_BIAS] = add_bias,
    [FV_LOW_BN_STATS] = do_bn_finalize,
    [FV_LOW_BN_FINALIZE] = do_bn_finalize,
    [FV_LOW_BN_FOLD] = do_bn_fold,
    [FV_LOW_BN_APPLY] = do_bn_apply,
    [FV_LOW_ACT] = do_act,
    [FV_LOW_ADD] = do_act,
    [FV_LOW_MAXPOOL] = do_maxpool,
    [FV_LOW_GAP] = do_gap,
    [FV_LOW_FC] = do_fc,
    [FV_LOW_CAST] = do_cast,
    [FV_LOW_DROPOUT] = do_update,
    [FV_LOW_NORMALISE] = do_normalise,
    [FV_LOW_NORMALISE_BACKWARD] = do_normalise_backward,
    [FV_LOW_LOSS] = do_update,
    [FV_LOW_BN_REDUCE] = do_bn_gradient,
    [FV_LOW_BN_SUMS] = do_bn_gradient,
    [FV_LOW_SCALE] = do_scale,
    [FV_LOW_SCALE_REDUCE] = do_scale_reduce,
    [FV_LOW_SCALE_BACKWARD] = do_scale_backward,
    [FV_LOW_BN_BACKWARD] = do_bn_backward,
    [FV_LOW_ACT_BACKWARD] = do_act_backward,
    [FV_LOW_MAXPOOL_BACKWARD] = do_maxpool_backward,
    [FV_LOW_GAP_BACKWARD] = do_gap_backward,
    [FV_LOW_FC_DGRAD] = do_fc_dgrad,
    [FV_LOW_FC_WGRAD] = do_fc_wgrad,
    [FV_LOW_BIAS_GRAD] = do_bias_grad,
    [FV_LOW_CONV_DGRAD] = do_conv,
    [FV_LOW_CONV_WGRAD] = do_conv,
    [FV_LOW_MASK] = do_mask,
    [FV_LOW_DEPTHWISE_DGRAD] = do_depthwise_dgrad,
    [FV_LOW_DEPTHWISE_WGRAD] = do_depthwise_wgrad,
    [FV_LOW_BUCKET] = do_bucket,
    [FV_LOW_CHECK] = do_update,
    [FV_LOW_OPTIM] = do_update,
    [FV_LOW_RUNNING_UPDATE] = do_update,
};

static struct call call_of(const struct fv_dispatch *d, int op, void *const arg[FV_LOW_ROLES])
{
    struct call c = {.d = d, .op = &d->l->op[op], .index = op};
    const struct fv_low_shape *s = &c.op->shape;
    c.rows = (int64_t)s->n * s->h * s->w;
    c.type = fv_dispatch_type(d->l->dtype);
    for (int role = 0; role < FV_LOW_ROLES; role++)
        if (c.op->arg[role] >= 0) {
            const struct fv_low_buffer *b = &d->l->buffer[c.op->arg[role]];
            c.arg[role] = arg ? arg[role] : d->base[b->space] + b->offset;
        }
    return c;
}

int fv_dispatch_run_on(const struct fv_dispatch *d, int op, void *const arg[FV_LOW_ROLES])
{
    const struct call c = call_of(d, op, arg);
    if (!calls[c.op->kind])
        return fv_err(FV_EUNSUPPORTED, "%s: no kernel", fv_low_kinds[c.op->kind].name);
    return calls[c.op->kind](&c);
}

int fv_dispatch_run(const struct fv_dispatch *d, int op)
{
    return fv_dispatch_run_on(d, op, NULL);
}

int fv_dispatch_check(const struct fv_lowered *l)
{
    for (int i = 0; i < l->ops; i++) {
        const struct fv_low_op *op = &l->op[i];
        if (!calls[op->kind])
            return fv_err(FV_EUNSUPPORTED,
                          "%s: backend cuda has no kernel for %s: use --backend cpu", l->net->arch,
                          fv_low_kinds[op->kind].name);
    }
    return 0;
}

static size_t scratch_of(const struct call *c)
{
    const int width = c->op->shape.c;
    struct fv_k_depthwise d;
    switch (c->op->kind) {
    case FV_LOW_BN_STATS:
        return fv_k_bn_stats_partial(c->rows, width);
    case FV_LOW_BN_REDUCE:
        return fv_k_bn_reduce_partial(c->rows, width);
    case FV_LOW_ACT_BACKWARD:
    case FV_LOW_BIAS_GRAD:
        return fv_k_act_backward_partial(c->rows, width);
    case FV_LOW_DEPTHWISE_WGRAD:
        d = depthwise(c, FV_LOW_X);
        return (size_t)fv_k_depthwise_parts(&d) * (size_t)count_of(c, FV_LOW_DW);
    default:
        return 0;
    }
}

size_t fv_dispatch_scratch(const struct fv_lowered *l)
{
    const struct fv_dispatch d = {.l = l};
    size_t most = 0;
    for (int i = 0; i < l->ops; i++) {
        const struct call c = {.d = &d,
                               .op = &l->op[i],
                               .rows =
                                   (int64_t)l->op[i].shape.n * l->op[i].shape.h * l->op[i].shape.w};
        const size_t floats = scratch_of(&c);
        most = floats > most ? floats : most;
    }
    return most * sizeof(float);
}
