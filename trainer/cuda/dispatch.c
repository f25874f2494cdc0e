/* SPDX-License-Identifier: MIT */
#include "trainer/cuda/dispatch.h"

#include "common/err.h"
#include "trainer/cuda/dispatch_call.h"

enum fv_k_type fv_dispatch_type(enum fv_low_dtype t)
{
    return t == FV_LOW_BF16 ? FV_K_BF16 : t == FV_LOW_F16 ? FV_K_F16 : FV_K_F32;
}

/* Update */

static int do_bucket(const struct fv__call *c)
{
    return c->d->bucket ? c->d->bucket(c->d->ctx, &c->d->l->bucket[c->op->bucket]) : 0;
}

static int do_update(const struct fv__call *c)
{
    return c->d->update(c->d->ctx, c->index, c->arg, c->d->scratch);
}

static int (*const calls[FV_LOW_KINDS])(const struct fv__call *) = {
    [FV_LOW_INPUT] = fv__dispatch_input,
    [FV_LOW_CONV] = fv__dispatch_conv,
    [FV_LOW_DEPTHWISE] = fv__dispatch_depthwise,
    [FV_LOW_BIAS] = fv__dispatch_add_bias,
    [FV_LOW_BN_STATS] = fv__dispatch_bn_finalize,
    [FV_LOW_BN_FINALIZE] = fv__dispatch_bn_finalize,
    [FV_LOW_BN_FOLD] = fv__dispatch_bn_fold,
    [FV_LOW_BN_APPLY] = fv__dispatch_bn_apply,
    [FV_LOW_ACT] = fv__dispatch_act,
    [FV_LOW_ADD] = fv__dispatch_act,
    [FV_LOW_MAXPOOL] = fv__dispatch_maxpool,
    [FV_LOW_GAP] = fv__dispatch_gap,
    [FV_LOW_FC] = fv__dispatch_fc,
    [FV_LOW_CAST] = fv__dispatch_cast,
    [FV_LOW_DROPOUT] = do_update,
    [FV_LOW_NORMALISE] = fv__dispatch_normalise,
    [FV_LOW_NORMALISE_BACKWARD] = fv__dispatch_normalise_backward,
    [FV_LOW_LOSS] = do_update,
    [FV_LOW_BN_REDUCE] = fv__dispatch_bn_gradient,
    [FV_LOW_BN_SUMS] = fv__dispatch_bn_gradient,
    [FV_LOW_SCALE] = fv__dispatch_scale,
    [FV_LOW_SCALE_REDUCE] = fv__dispatch_scale_reduce,
    [FV_LOW_SCALE_BACKWARD] = fv__dispatch_scale_backward,
    [FV_LOW_BN_BACKWARD] = fv__dispatch_bn_backward,
    [FV_LOW_BN_REDUCE_POOL] = fv__dispatch_bn_gradient,
    [FV_LOW_BN_BACKWARD_POOL] = fv__dispatch_bn_backward_pool,
    [FV_LOW_ACT_BACKWARD] = fv__dispatch_act_backward,
    [FV_LOW_MAXPOOL_BACKWARD] = fv__dispatch_maxpool_backward,
    [FV_LOW_GAP_BACKWARD] = fv__dispatch_gap_backward,
    [FV_LOW_FC_DGRAD] = fv__dispatch_fc_dgrad,
    [FV_LOW_FC_WGRAD] = fv__dispatch_fc_wgrad,
    [FV_LOW_BIAS_GRAD] = fv__dispatch_bias_grad,
    [FV_LOW_CONV_DGRAD] = fv__dispatch_conv,
    [FV_LOW_CONV_WGRAD] = fv__dispatch_conv,
    [FV_LOW_MASK] = fv__dispatch_mask,
    [FV_LOW_DEPTHWISE_DGRAD] = fv__dispatch_depthwise_dgrad,
    [FV_LOW_DEPTHWISE_WGRAD] = fv__dispatch_depthwise_wgrad,
    [FV_LOW_BUCKET] = do_bucket,
    [FV_LOW_CHECK] = do_update,
    [FV_LOW_OPTIM] = do_update,
    [FV_LOW_RUNNING_UPDATE] = do_update,
};

static struct fv__call call_of(const struct fv_dispatch *d, int op, void *const arg[FV_LOW_ROLES])
{
    struct fv__call c = {.d = d, .op = &d->l->op[op], .index = op};
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
    const struct fv__call c = call_of(d, op, arg);
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

static size_t scratch_of(const struct fv__call *c)
{
    const int width = c->op->shape.c;
    struct fv_k_depthwise d;
    switch (c->op->kind) {
    case FV_LOW_BN_STATS:
        return fv_k_bn_stats_partial(c->rows, width);
    case FV_LOW_BN_REDUCE:
    case FV_LOW_BN_REDUCE_POOL: /* the shape is the pool's: rows of its output */
        return fv_k_bn_reduce_partial(c->rows, width);
    case FV_LOW_ACT_BACKWARD:
    case FV_LOW_BIAS_GRAD:
        return fv_k_act_backward_partial(c->rows, width);
    case FV_LOW_DEPTHWISE_WGRAD:
        d = fv__call_depthwise(c, FV_LOW_X);
        return (size_t)fv_k_depthwise_parts(&d) * (size_t)fv__call_count(c, FV_LOW_DW);
    default:
        return 0;
    }
}

/* Behind that: what goes from rank to rank. */
static size_t exchanged(const struct fv__call *c, int ranks)
{
    const size_t two = 2 * (size_t)c->op->shape.c;
    switch (c->op->kind) {
    case FV_LOW_BN_STATS:
    case FV_LOW_BN_FINALIZE:
        return fv__call_place(two) + (size_t)ranks * two;
    case FV_LOW_BN_REDUCE:
    case FV_LOW_BN_REDUCE_POOL:
    case FV_LOW_BN_SUMS:
        return two;
    default:
        return 0;
    }
}

float *fv__call_exchange(const struct fv__call *c)
{
    return (float *)c->d->scratch + fv__call_place(scratch_of(c));
}

size_t fv_dispatch_scratch(const struct fv_lowered *l, int ranks)
{
    const struct fv_dispatch d = {.l = l};
    size_t most = 0;
    for (int i = 0; i < l->ops; i++) {
        const struct fv__call c = {.d = &d,
                                   .op = &l->op[i],
                                   .rows = (int64_t)l->op[i].shape.n * l->op[i].shape.h *
                                           l->op[i].shape.w};
        const size_t floats =
            ranks > 1 ? fv__call_place(scratch_of(&c)) + exchanged(&c, ranks) : scratch_of(&c);
        most = floats > most ? floats : most;
    }
    return most * sizeof(float);
}
