/* SPDX-License-Identifier: MIT */
/* Backward of convolutions and matrix products. The data gradient of a convolution may be asked to do the first half
 * of what comes next: mask by the activation, and sum for the batch norm that made its input. */
#include "trainer/cuda/lower_backward.h"

/* Sums that a convolution's data gradient has made become the gradients of the batch norm. */
static void finish_sums(struct fv__low_build *b, int bn, int stat0, int stat1, int centred)
{
    struct fv__low_bn_sums sums = fv__low_bn_gradients(b, bn);
    struct fv_low_op *op = fv__low_op(b, FV_LOW_BN_SUMS, bn);
    if (!op)
        return;
    fv__low_set_bn_gradients(b, op, bn, sums);
    op->centred = centred;
    op->arg[FV_LOW_STAT0] = stat0;
    op->arg[FV_LOW_STAT1] = stat1;
}

/* Whether the data gradient of convolution `node`, the last piece of its input's, can do the first half of the
 * backward pass of the unit that made that input. */
static enum fv_low_graph choose_dgrad(struct fv__low_build *b, int node)
{
    struct fv__low_value *in = fv__low_val(b, b->net->node[node].in[0]);
    const struct fv__low_unit *u = &in->unit;
    if (u->kind != FV__LOW_UNIT_BN || u->act != FV_LOW_ACT_RELU || in->left != 1 ||
        in->pieces > 1 || in->scaled >= 0 || in->tail || fv__low_is_frozen_bn(b, u->base))
        return FV_LOW_GRAPH_PLAIN;
    if (in->pieces == 0 && u->r < 0 && u->bn2 < 0 &&
        fv__low_learns_scale(b->net, &b->net->node[u->base]) &&
        fv__low_can(b, FV_LOW_GRAPH_DGRAD_BN, node, 0))
        return FV_LOW_GRAPH_DGRAD_BN;
    return u->written && fv__low_can(b, FV_LOW_GRAPH_DGRAD_SUMS, node, in->pieces)
               ? FV_LOW_GRAPH_DGRAD_SUMS
               : FV_LOW_GRAPH_PLAIN;
}

/* The operands by which a data gradient masks and sums for the batch norm of the unit at `in`. */
static void fused_operands(struct fv__low_build *b, struct fv_low_op *op, int in, int x)
{
    struct fv__low_value *v = fv__low_val(b, in);
    const struct fv__low_value *bn = fv__low_val(b, v->unit.base);
    op->act = v->unit.act;
    op->arg[FV_LOW_X] = x;
    if (op->graph == FV_LOW_GRAPH_DGRAD_SUMS) {
        op->arg[FV_LOW_Y] = v->buffer;
        op->arg[FV_LOW_R] = v->pieces > 0 ? v->piece[0] : -1;
        return;
    }
    op->arg[FV_LOW_MEAN] = bn->mean;
    op->arg[FV_LOW_RSTD] = bn->rstd;
    op->arg[FV_LOW_SCALE_V] = bn->scale;
    op->arg[FV_LOW_SHIFT_V] = bn->shift;
}

static void back_fused_dgrad(struct fv__low_build *b, int node, enum fv_low_graph graph, int dy)
{
    int in = b->net->node[node].in[0], bn = fv__low_val(b, in)->unit.base;
    const struct fv_node *o = &b->net->node[bn];
    int own = graph == FV_LOW_GRAPH_DGRAD_BN; /* else gamma and beta are not needed */
    int gamma = fv__low_master(b, own && fv__low_learns_scale(b->net, o) ? o->tensor[0] : -1);
    int beta = fv__low_master(b, own ? o->tensor[1] : -1);
    int w = fv__low_weight(b, b->net->node[node].tensor[0]),
        dx = fv__low_gradient(b, in, "dgrad dz");
    int x = fv__low_read(b, o->in[0], b->l->dtype);
    int stat0 = fv__low_vector(b, bn, "sum dz"), stat1 = fv__low_vector(b, bn, "sum dz x");
    struct fv_low_op *op = fv__low_op(b, FV_LOW_CONV_DGRAD, node);
    if (!op)
        return;
    op->graph = graph;
    fused_operands(b, op, in, x);
    op->arg[FV_LOW_DY] = dy;
    op->arg[FV_LOW_W] = w;
    op->arg[FV_LOW_DX] = dx;
    op->arg[FV_LOW_GAMMA] = gamma;
    op->arg[FV_LOW_BETA] = beta;
    op->arg[FV_LOW_STAT0] = stat0;
    op->arg[FV_LOW_STAT1] = stat1;
    finish_sums(b, bn, stat0, stat1, own);
    struct fv__low_value *v = fv__low_val(b, in);
    v->unit.reduced = 1;
    v->left--;
    v->pieces = 1;
    v->piece[0] = dx;
}

static void back_dgrad(struct fv__low_build *b, int node, int depthwise, int dy)
{
    int in = b->net->node[node].in[0];
    if (!fv__low_needs_gradient(b, in)) {
        fv__low_val(b, in)->left--;
        return;
    }
    enum fv_low_graph graph = depthwise ? FV_LOW_GRAPH_NONE : choose_dgrad(b, node);
    if (graph > FV_LOW_GRAPH_PLAIN) {
        back_fused_dgrad(b, node, graph, dy);
        return;
    }
    int w = fv__low_weight(b, b->net->node[node].tensor[0]);
    int dx = fv__low_image(b, in, b->l->dtype, "dgrad");
    struct fv_low_op *op =
        fv__low_op(b, depthwise ? FV_LOW_DEPTHWISE_DGRAD : FV_LOW_CONV_DGRAD, node);
    if (!op)
        return;
    op->graph = graph;
    op->arg[FV_LOW_DY] = dy;
    op->arg[FV_LOW_W] = w;
    op->arg[FV_LOW_DX] = dx;
    fv__low_give(b, in, dx);
}

static void back_wgrad(struct fv__low_build *b, int node, int depthwise, int dy)
{
    int in = b->net->node[node].in[0], dw = fv__low_grad(b, b->net->node[node].tensor[0]);
    const struct fv__low_unit *u = &fv__low_val(b, in)->unit;
    if (dw < 0)
        return;
    int applied = u->kind == FV__LOW_UNIT_BN && !u->written;
    int x = fv__low_read(b, applied ? b->net->node[u->base].in[0] : in, b->l->dtype);
    struct fv_low_op *op =
        fv__low_op(b, depthwise ? FV_LOW_DEPTHWISE_WGRAD : FV_LOW_CONV_WGRAD, node);
    if (!op)
        return;
    op->graph = depthwise ? FV_LOW_GRAPH_NONE
                : applied ? FV_LOW_GRAPH_WGRAD_PROLOGUE
                          : FV_LOW_GRAPH_PLAIN;
    op->arg[FV_LOW_X] = x;
    op->arg[FV_LOW_DY] = dy;
    op->arg[FV_LOW_DW] = dw;
    if (applied && depthwise) {
        op->act = u->act;
        op->arg[FV_LOW_SCALE_V] = fv__low_val(b, u->base)->scale;
        op->arg[FV_LOW_SHIFT_V] = fv__low_val(b, u->base)->shift;
    } else if (applied) {
        const struct fv_low_op *made = &b->l->op[fv__low_val(b, u->base)->finalize];
        op->act = u->act;
        op->arg[FV_LOW_SCALE16] = made->arg[FV_LOW_SCALE16];
        op->arg[FV_LOW_SHIFT16] = made->arg[FV_LOW_SHIFT16];
    }
    op = b->l->slot[b->net->node[node].tensor[0]].merged > 1 ? fv__low_op(b, FV_LOW_MASK, node)
                                                             : NULL;
    if (op)
        op->arg[FV_LOW_DW] = dw;
}

static void back_bias(struct fv__low_build *b, int node, int dy)
{
    int db = fv__low_grad(b, b->net->node[node].tensor[1]);
    struct fv_low_op *op = db >= 0 ? fv__low_op(b, FV_LOW_BIAS_GRAD, node) : NULL;
    if (!op)
        return;
    op->arg[FV_LOW_DY] = dy;
    op->arg[FV_LOW_DB] = db;
}

void fv__low_back_conv(struct fv__low_build *b, int node)
{
    if (fv__low_is_product(b->net, node)) {
        fv__low_back_fc(b, node);
        return;
    }
    int depthwise = fv__low_is_depthwise(b->net, node), dy = fv__low_collect(b, node, 1).dy;
    back_wgrad(b, node, depthwise, dy);
    back_bias(b, node, dy);
    back_dgrad(b, node, depthwise, dy);
}

void fv__low_back_fc(struct fv__low_build *b, int node)
{
    const struct fv_node *o = &b->net->node[node];
    enum fv_low_dtype t = b->l->slot[o->tensor[0]].is_t ? b->l->dtype : FV_LOW_F32;
    int dy = fv__low_collect(b, node, 1).dy, in = o->in[0];
    back_bias(b, node, dy);
    dy = fv__low_convert(b, dy, node, t, "gradient");
    int x = fv__low_read(b, in, t), dw = fv__low_grad(b, o->tensor[0]);
    struct fv_low_op *op = dw >= 0 ? fv__low_op(b, FV_LOW_FC_WGRAD, node) : NULL;
    if (op) {
        op->arg[FV_LOW_X] = x;
        op->arg[FV_LOW_DY] = dy;
        op->arg[FV_LOW_DW] = dw;
    }
    if (!fv__low_needs_gradient(b, in))
        return;
    int w = fv__low_weight(b, o->tensor[0]), dx = fv__low_image(b, in, t, "dfc");
    op = fv__low_op(b, FV_LOW_FC_DGRAD, node);
    if (!op)
        return;
    op->arg[FV_LOW_DY] = dy;
    op->arg[FV_LOW_W] = w;
    op->arg[FV_LOW_DX] = dx;
    fv__low_give(b, in, dx);
}

/* dx of rows divided by their lengths. */
static void back_normalise(struct fv__low_build *b, int node, int dy, int y, int norm, int dx,
                           struct fv_low_shape shape)
{
    struct fv_low_op *op = fv__low_op(b, FV_LOW_NORMALISE_BACKWARD, node);
    if (!op)
        return;
    op->shape = shape;
    op->eps = FV__LOW_NORM_EPS;
    op->arg[FV_LOW_DY] = dy;
    op->arg[FV_LOW_Y] = y;
    op->arg[FV_LOW_NORM] = norm;
    op->arg[FV_LOW_DX] = dx;
}

void fv__low_back_cosine(struct fv__low_build *b, int node)
{
    const struct fv_node *o = &b->net->node[node];
    const struct fv__low_value *v = fv__low_val(b, node);
    const struct fv_low_slot *w = &b->l->slot[o->tensor[0]];
    int dy = fv__low_collect(b, node, 1).dy, in = o->in[0], dw = fv__low_grad(b, o->tensor[0]);
    if (dw >= 0) {
        int unit = fv__low_buffer(b, FV_LOW_ARENA, FV_LOW_F32, w->count, node, "d unit rows");
        struct fv_low_op *made = fv__low_op(b, FV_LOW_FC_WGRAD, node);
        if (!made)
            return;
        made->arg[FV_LOW_X] = v->unit_x;
        made->arg[FV_LOW_DY] = dy;
        made->arg[FV_LOW_DW] = unit;
        back_normalise(b, node, unit, v->unit_w, v->norm_w, dw, fv__low_matrix(w->k, w->c));
    }
    if (!fv__low_needs_gradient(b, in))
        return;
    int unit_dx = fv__low_image(b, in, FV_LOW_F32, "d unit rows");
    int dx = fv__low_image(b, in, FV_LOW_F32, "dcosine");
    struct fv_low_op *op = fv__low_op(b, FV_LOW_FC_DGRAD, node);
    if (!op)
        return;
    op->arg[FV_LOW_DY] = dy;
    op->arg[FV_LOW_W] = v->unit_w;
    op->arg[FV_LOW_DX] = unit_dx;
    back_normalise(b, node, unit_dx, v->unit_x, v->norm_x, dx,
                   fv__low_matrix(b->l->batch, fv__low_val(b, in)->pad));
    fv__low_give(b, in, dx);
}
