/* SPDX-License-Identifier: MIT */
/* Backward of units: a batch norm, a product or a sum with its residual and activation, as one. */
#include "trainer/cuda/lower_backward.h"

/* How the incoming gradient of a unit is masked: by what y is made from, if that is x alone, which is read anyway; else
 * by the bits that forward left. */
static void set_mask(struct fv__low_build *b, struct fv_low_op *op, int root)
{
    const struct fv__low_unit *u = &fv__low_val(b, root)->unit;
    op->act = u->act;
    if (u->act == FV_LOW_ACT_NONE)
        return;
    if ((u->r >= 0 || u->bn2 >= 0) && u->act != FV_LOW_ACT_PRELU) {
        op->arg[FV_LOW_OPEN] = fv__low_val(b, root)->open;
        return;
    }
    op->arg[FV_LOW_SCALE_V] = fv__low_val(b, u->base)->scale;
    op->arg[FV_LOW_SHIFT_V] = fv__low_val(b, u->base)->shift;
}

struct fv__low_bn_sums fv__low_bn_gradients(struct fv__low_build *b, int bn)
{
    const struct fv_node *o = &b->net->node[bn];
    int scale = fv__low_learns_scale(b->net, o) ? o->tensor[0] : -1;
    struct fv__low_bn_sums s = {.gamma = fv__low_master(b, scale),
                                .dgamma = fv__low_grad(b, scale),
                                .dbeta = fv__low_grad(b, o->tensor[1])};
    s.coef = fv__low_val(b, bn)->coef = fv__low_buffer(
        b, FV_LOW_ARENA, FV_LOW_F32, 3 * (size_t)fv__low_val(b, bn)->pad, bn, "coef");
    return s;
}

void fv__low_set_bn_gradients(struct fv__low_build *b, struct fv_low_op *op, int bn,
                              struct fv__low_bn_sums s)
{
    op->arg[FV_LOW_MEAN] = fv__low_val(b, bn)->mean;
    op->arg[FV_LOW_RSTD] = fv__low_val(b, bn)->rstd;
    op->arg[FV_LOW_GAMMA] = s.gamma;
    op->arg[FV_LOW_DGAMMA] = s.dgamma;
    op->arg[FV_LOW_DBETA] = s.dbeta;
    op->arg[FV_LOW_COEF] = s.coef;
}

static void reduce_bn(struct fv__low_build *b, int bn, int root, struct fv__low_incoming in,
                      int masked, int dz)
{
    const struct fv__low_unit *u = &fv__low_val(b, root)->unit;
    int prelu = masked && u->act == FV_LOW_ACT_PRELU;
    int x = fv__low_read(b, b->net->node[bn].in[0], fv__low_val(b, bn)->dtype);
    int slope = prelu ? b->net->node[u->act_node].tensor[0] : -1;
    int slope_v = fv__low_master(b, slope), dslope = fv__low_grad(b, slope);
    struct fv__low_bn_sums sums = fv__low_bn_gradients(b, bn);
    struct fv_low_op *op = fv__low_op(b, FV_LOW_BN_REDUCE, bn);
    if (!op)
        return;
    fv__low_set_incoming(op, in);
    if (masked)
        set_mask(b, op, root);
    fv__low_set_bn_gradients(b, op, bn, sums);
    op->arg[FV_LOW_SLOPE] = slope_v;
    op->arg[FV_LOW_DSLOPE] = dslope;
    op->arg[FV_LOW_X] = x;
    op->arg[FV_LOW_DZ] = dz;
}

static void pass_bn(struct fv__low_build *b, int bn, int root, struct fv__low_incoming in,
                    int masked)
{
    const struct fv__low_unit *u = &fv__low_val(b, root)->unit;
    int x_node = b->net->node[bn].in[0];
    if (!fv__low_needs_gradient(b, x_node)) {
        fv__low_val(b, x_node)->left--;
        return;
    }
    int x = fv__low_read(b, x_node, fv__low_val(b, bn)->dtype);
    int dx = fv__low_image(b, x_node, fv__low_val(b, bn)->dtype, "dbn");
    int prelu = masked && u->act == FV_LOW_ACT_PRELU;
    int slope = fv__low_master(b, prelu ? b->net->node[u->act_node].tensor[0] : -1);
    struct fv_low_op *op = fv__low_op(b, FV_LOW_BN_BACKWARD, bn);
    if (!op)
        return;
    fv__low_set_incoming(op, in);
    if (masked)
        set_mask(b, op, root);
    op->arg[FV_LOW_SLOPE] = slope;
    op->arg[FV_LOW_X] = x;
    op->arg[FV_LOW_COEF] = fv__low_val(b, bn)->coef;
    op->arg[FV_LOW_DX] = dx;
    fv__low_give(b, x_node, dx);
}

/* dz = act'(y) * (dy + dy2), by itself: where no reduction of a batch norm is made that would write it. */
static void write_masked(struct fv__low_build *b, int root, struct fv__low_incoming in, int dz)
{
    struct fv_low_op *op = fv__low_op(b, FV_LOW_ACT_BACKWARD, root);
    if (!op)
        return;
    fv__low_set_incoming(op, in);
    op->act = fv__low_val(b, root)->unit.act;
    op->arg[FV_LOW_Y] = op->act == FV_LOW_ACT_NONE ? -1 : fv__low_val(b, root)->buffer;
    op->arg[FV_LOW_DX] = dz;
}

static void reduce_pooled(struct fv__low_build *b, int bn, const struct fv__low_value *v, int x)
{
    struct fv__low_bn_sums sums = fv__low_bn_gradients(b, bn);
    struct fv_low_op *op = fv__low_op(b, FV_LOW_BN_REDUCE_POOL, bn);
    if (!op)
        return;
    op->shape = fv__low_shape(b, v->pool);
    fv__low_set_incoming(op, (struct fv__low_incoming){v->pool_dy, v->pool_dy2});
    fv__low_set_bn_gradients(b, op, bn, sums);
    op->arg[FV_LOW_INDEX] = fv__low_val(b, v->pool)->index;
    op->arg[FV_LOW_X] = x;
}

/* A batch norm that a max pool has applied. */
static void back_pooled(struct fv__low_build *b, int root)
{
    const struct fv__low_value *v = fv__low_val(b, root);
    int bn = v->unit.base, x_node = b->net->node[bn].in[0];
    int x = fv__low_read(b, x_node, b->l->dtype);
    if (!fv__low_is_frozen_bn(b, bn))
        reduce_pooled(b, bn, v, x);
    if (!fv__low_needs_gradient(b, x_node)) {
        fv__low_val(b, x_node)->left--;
        return;
    }
    int dx = fv__low_gradient(b, x_node, "dbn");
    struct fv_low_op *op = fv__low_op(b, FV_LOW_BN_BACKWARD_POOL, bn);
    if (!op)
        return;
    op->shape = fv__low_shape(b, v->pool);
    fv__low_set_incoming(op, (struct fv__low_incoming){v->pool_dy, v->pool_dy2});
    op->arg[FV_LOW_INDEX] = fv__low_val(b, v->pool)->index;
    op->arg[FV_LOW_X] = x;
    op->arg[FV_LOW_COEF] = fv__low_val(b, bn)->coef;
    op->arg[FV_LOW_DX] = dx;
    fv__low_give(b, x_node, dx);
}

static void back_bn_unit(struct fv__low_build *b, int root)
{
    if (fv__low_val(b, root)->pool_dy >= 0) {
        back_pooled(b, root);
        return;
    }
    struct fv__low_unit *u = &fv__low_val(b, root)->unit;
    struct fv__low_incoming in = fv__low_collect(b, root, 2);
    int masked = u->act != FV_LOW_ACT_NONE && !u->reduced;
    int shared = u->bn2 >= 0 || u->r >= 0, dz = -1, frozen = fv__low_is_frozen_bn(b, u->base);
    if (shared && (masked || in.dy2 >= 0))
        dz = fv__low_gradient(b, root, "dz");
    if (dz >= 0 && frozen)
        write_masked(b, root, in, dz);
    if (!u->reduced && !frozen)
        reduce_bn(b, u->base, root, in, masked, dz);
    if (dz >= 0) {
        in = (struct fv__low_incoming){dz, -1};
        masked = 0;
    }
    pass_bn(b, u->base, root, in, masked);
    if (u->bn2 >= 0) {
        if (!fv__low_is_frozen_bn(b, u->bn2))
            reduce_bn(b, u->bn2, root, in, 0, -1);
        pass_bn(b, u->bn2, root, in, 0);
    } else if (u->r >= 0) {
        fv__low_give(b, u->r, in.dy);
    }
}

/* An activation alone, or that of a sum: the gradient by what goes into it. */
int fv__low_back_act(struct fv__low_build *b, int node, enum fv_low_act act)
{
    const struct fv_node *o = &b->net->node[node];
    struct fv__low_incoming in = fv__low_collect(b, node, 2);
    int prelu = act == FV_LOW_ACT_PRELU, tensor = prelu ? o->tensor[0] : -1;
    int x = prelu ? fv__low_read(b, o->in[0], fv__low_val(b, node)->dtype) : -1;
    int slope = fv__low_master(b, tensor), dslope = fv__low_grad(b, tensor);
    int dx = fv__low_gradient(b, node, "dact");
    struct fv_low_op *op = fv__low_op(b, FV_LOW_ACT_BACKWARD, node);
    if (!op)
        return -1;
    op->act = act;
    fv__low_set_incoming(op, in);
    op->arg[prelu ? FV_LOW_X : FV_LOW_Y] = prelu ? x : fv__low_val(b, node)->buffer;
    op->arg[FV_LOW_SLOPE] = slope;
    op->arg[FV_LOW_DSLOPE] = dslope;
    op->arg[FV_LOW_DX] = dx;
    return dx;
}

static void back_add_unit(struct fv__low_build *b, int root)
{
    const struct fv__low_unit *u = &fv__low_val(b, root)->unit;
    int dz = u->act == FV_LOW_ACT_NONE ? fv__low_collect(b, root, 1).dy
                                       : fv__low_back_act(b, root, u->act);
    fv__low_give(b, b->net->node[u->base].in[0], dz);
    fv__low_give(b, b->net->node[u->base].in[1], dz);
}

static void back_scale_unit(struct fv__low_build *b, int root)
{
    const struct fv__low_unit *u = &fv__low_val(b, root)->unit;
    const struct fv_node *o = &b->net->node[u->base];
    enum fv_low_dtype t = fv__low_val(b, root)->dtype;
    struct fv__low_incoming in = fv__low_collect(b, root, 2);
    int masked = u->act != FV_LOW_ACT_NONE;
    int dz = masked || in.dy2 >= 0 ? fv__low_gradient(b, root, "dz") : -1;
    int x = fv__low_read(b, o->in[0], t), ds = fv__low_image(b, o->in[1], t, "ds");
    struct fv_low_op *op = fv__low_op(b, FV_LOW_SCALE_REDUCE, u->base);
    if (!op)
        return;
    fv__low_set_incoming(op, in);
    op->act = u->act;
    op->arg[FV_LOW_Y] = masked ? fv__low_val(b, root)->buffer : -1;
    op->arg[FV_LOW_X] = x;
    op->arg[FV_LOW_DS] = ds;
    op->arg[FV_LOW_DZ] = dz;
    if (dz < 0)
        dz = in.dy;
    fv__low_give(b, o->in[1], ds);
    if (u->r >= 0)
        fv__low_give(b, u->r, dz);
    struct fv__low_value *v = fv__low_val(b, o->in[0]);
    if (v->scaled >= 0)
        fv__low_write_scaled(b, o->in[0], -1);
    v->scaled = u->base;
    v->scaled_dy = dz;
}

void fv__low_back_unit(struct fv__low_build *b, int root)
{
    switch (fv__low_val(b, root)->unit.kind) {
    case FV__LOW_UNIT_BN:
        back_bn_unit(b, root);
        return;
    case FV__LOW_UNIT_SCALE:
        back_scale_unit(b, root);
        return;
    default:
        back_add_unit(b, root);
    }
}
