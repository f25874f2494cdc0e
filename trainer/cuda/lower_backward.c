/* SPDX-License-Identifier: MIT */
/* Backward: from the last node to the first, each unit of forward as one.
 *
 * A value that several nodes read gets several pieces of gradient. They stay apart as long as the kernel that takes
 * them can add two while reading; only a third one costs an addition. Buffers are never changed once written, so a
 * piece may be handed on as it is: an addition gives its own to both sides.
 *
 * Where a unit has a residual, the reduction of its batch norm writes the masked sum of the pieces (dz), which is
 * the residual's gradient and all that the second pass has to read. The gradient of a product waits at its image
 * side for that of the mean over the same image (squeeze and excitation), and takes it in.
 */
#include "trainer/cuda/lower_build.h"

#include "common/err.h"

static struct fv__low_value *val(struct fv__low_build *b, int node)
{
    return &b->value[node];
}

static int needs_gradient(const struct fv__low_build *b, int node)
{
    return b->value[node].trains;
}

static int image(struct fv__low_build *b, int node, const char *what)
{
    return fv__low_image(b, node, val(b, node)->dtype, what);
}

/* Replaces the last two pieces by their sum. */
static void add_pieces(struct fv__low_build *b, int node)
{
    struct fv__low_value *v = val(b, node);
    int sum = image(b, node, "sum of gradients");
    struct fv_low_op *op = fv__low_op(b, FV_LOW_ADD, node);
    if (!op)
        return;
    op->arg[FV_LOW_X] = v->piece[v->pieces - 2];
    op->arg[FV_LOW_R] = v->piece[v->pieces - 1];
    op->arg[FV_LOW_Y] = sum;
    v->pieces--;
    v->piece[v->pieces - 1] = sum;
}

/* A node that reads `node` hands over its share of the gradient. */
static void give(struct fv__low_build *b, int node, int buffer)
{
    struct fv__low_value *v = val(b, node);
    v->left--;
    if (b->error || !needs_gradient(b, node))
        return;
    buffer = fv__low_convert(b, buffer, node, v->dtype, "gradient");
    if (v->pieces == FV__LOW_PIECES)
        add_pieces(b, node);
    v->piece[v->pieces++] = buffer;
}

/* The gradient of the product `v->scaled` by the image `node`: dy * s [+ dmean / (h * w)]. */
static void write_scaled(struct fv__low_build *b, int node, int dmean)
{
    struct fv__low_value *v = val(b, node);
    int scale = v->scaled;
    enum fv_low_dtype t = val(b, scale)->dtype;
    int dx = fv__low_image(b, node, t, "dscale");
    int s = fv__low_read(b, b->net->node[scale].in[1], t);
    struct fv_low_op *op = fv__low_op(b, FV_LOW_SCALE_BACKWARD, scale);
    v->scaled = -1;
    if (!op)
        return;
    op->arg[FV_LOW_DY] = v->scaled_dy;
    op->arg[FV_LOW_S] = s;
    op->arg[FV_LOW_DMEAN] = dmean;
    op->arg[FV_LOW_DX] = dx;
    give(b, node, dx);
}

struct incoming {
    int dy, dy2;
};

/* The gradient by the value of `node`, as at most `most` (1 or 2) buffers. */
static struct incoming collect(struct fv__low_build *b, int node, int most)
{
    struct fv__low_value *v = val(b, node);
    if (v->scaled >= 0)
        write_scaled(b, node, -1);
    while (v->pieces > most && !b->error)
        add_pieces(b, node);
    if (v->pieces == 1 && !v->unit.reduced)
        b->l->grad[node] = v->piece[0];
    return (struct incoming){.dy = v->pieces > 0 ? v->piece[0] : -1,
                             .dy2 = v->pieces > 1 ? v->piece[1] : -1};
}

static void set_incoming(struct fv_low_op *op, struct incoming in)
{
    op->arg[FV_LOW_DY] = in.dy;
    op->arg[FV_LOW_DY2] = in.dy2;
}

/* How the incoming gradient of a unit is masked: by y, or by what y is made from. */
static void set_mask(struct fv__low_build *b, struct fv_low_op *op, int root)
{
    const struct fv__low_unit *u = &val(b, root)->unit;
    op->act = u->act;
    if (u->act == FV_LOW_ACT_NONE)
        return;
    if (u->written && u->act != FV_LOW_ACT_PRELU) {
        op->arg[FV_LOW_Y] = val(b, root)->buffer;
        return;
    }
    op->arg[FV_LOW_SCALE_V] = val(b, u->base)->scale;
    op->arg[FV_LOW_SHIFT_V] = val(b, u->base)->shift;
}

/* Operands of what makes the gradients of a batch norm's parameters from sums. */
struct bn_sums {
    int gamma, dgamma, dbeta, coef;
};
static struct bn_sums bn_gradients(struct fv__low_build *b, int bn)
{
    const struct fv_node *o = &b->net->node[bn];
    int scale = fv__low_learns_scale(b->net, o) ? o->tensor[0] : -1;
    struct bn_sums s = {.gamma = fv__low_master(b, scale),
                        .dgamma = fv__low_grad(b, scale),
                        .dbeta = fv__low_grad(b, o->tensor[1])};
    s.coef = val(b, bn)->coef =
        fv__low_buffer(b, FV_LOW_ARENA, FV_LOW_F32, 3 * (size_t)val(b, bn)->pad, bn, "coef");
    return s;
}

static void set_bn_gradients(struct fv__low_build *b, struct fv_low_op *op, int bn,
                             struct bn_sums s)
{
    op->arg[FV_LOW_MEAN] = val(b, bn)->mean;
    op->arg[FV_LOW_RSTD] = val(b, bn)->rstd;
    op->arg[FV_LOW_GAMMA] = s.gamma;
    op->arg[FV_LOW_DGAMMA] = s.dgamma;
    op->arg[FV_LOW_DBETA] = s.dbeta;
    op->arg[FV_LOW_COEF] = s.coef;
}

static void reduce_bn(struct fv__low_build *b, int bn, int root, struct incoming in, int masked,
                      int dz)
{
    const struct fv__low_unit *u = &val(b, root)->unit;
    int prelu = masked && u->act == FV_LOW_ACT_PRELU;
    int x = fv__low_read(b, b->net->node[bn].in[0], val(b, bn)->dtype);
    int slope = prelu ? b->net->node[u->act_node].tensor[0] : -1;
    int slope_v = fv__low_master(b, slope), dslope = fv__low_grad(b, slope);
    struct bn_sums sums = bn_gradients(b, bn);
    struct fv_low_op *op = fv__low_op(b, FV_LOW_BN_REDUCE, bn);
    if (!op)
        return;
    set_incoming(op, in);
    if (masked)
        set_mask(b, op, root);
    set_bn_gradients(b, op, bn, sums);
    op->arg[FV_LOW_SLOPE] = slope_v;
    op->arg[FV_LOW_DSLOPE] = dslope;
    op->arg[FV_LOW_X] = x;
    op->arg[FV_LOW_DZ] = dz;
}

static void pass_bn(struct fv__low_build *b, int bn, int root, struct incoming in, int masked)
{
    const struct fv__low_unit *u = &val(b, root)->unit;
    int x_node = b->net->node[bn].in[0];
    if (!needs_gradient(b, x_node)) {
        val(b, x_node)->left--;
        return;
    }
    int x = fv__low_read(b, x_node, val(b, bn)->dtype);
    int dx = fv__low_image(b, x_node, val(b, bn)->dtype, "dbn");
    int prelu = masked && u->act == FV_LOW_ACT_PRELU;
    int slope = fv__low_master(b, prelu ? b->net->node[u->act_node].tensor[0] : -1);
    struct fv_low_op *op = fv__low_op(b, FV_LOW_BN_BACKWARD, bn);
    if (!op)
        return;
    set_incoming(op, in);
    if (masked)
        set_mask(b, op, root);
    op->arg[FV_LOW_SLOPE] = slope;
    op->arg[FV_LOW_X] = x;
    op->arg[FV_LOW_COEF] = val(b, bn)->coef;
    op->arg[FV_LOW_DX] = dx;
    give(b, x_node, dx);
}

/* dz = act'(y) * (dy + dy2), by itself: where no reduction of a batch norm is made that would write it. */
static void write_masked(struct fv__low_build *b, int root, struct incoming in, int dz)
{
    struct fv_low_op *op = fv__low_op(b, FV_LOW_ACT_BACKWARD, root);
    if (!op)
        return;
    set_incoming(op, in);
    op->act = val(b, root)->unit.act;
    op->arg[FV_LOW_Y] = op->act == FV_LOW_ACT_NONE ? -1 : val(b, root)->buffer;
    op->arg[FV_LOW_DX] = dz;
}

static void back_bn_unit(struct fv__low_build *b, int root)
{
    struct fv__low_unit *u = &val(b, root)->unit;
    struct incoming in = collect(b, root, 2);
    int masked = u->act != FV_LOW_ACT_NONE && !u->reduced;
    int shared = u->bn2 >= 0 || u->r >= 0, dz = -1, frozen = fv__low_is_frozen_bn(b, u->base);
    if (shared && (masked || in.dy2 >= 0))
        dz = image(b, root, "dz");
    if (dz >= 0 && frozen)
        write_masked(b, root, in, dz);
    if (!u->reduced && !frozen)
        reduce_bn(b, u->base, root, in, masked, dz);
    if (dz >= 0) {
        in = (struct incoming){dz, -1};
        masked = 0;
    }
    pass_bn(b, u->base, root, in, masked);
    if (u->bn2 >= 0) {
        if (!fv__low_is_frozen_bn(b, u->bn2))
            reduce_bn(b, u->bn2, root, in, 0, -1);
        pass_bn(b, u->bn2, root, in, 0);
    } else if (u->r >= 0) {
        give(b, u->r, in.dy);
    }
}

/* An activation alone, or that of a sum: the gradient by what goes into it. */
static int back_act(struct fv__low_build *b, int node, enum fv_low_act act)
{
    const struct fv_node *o = &b->net->node[node];
    struct incoming in = collect(b, node, 2);
    int prelu = act == FV_LOW_ACT_PRELU, tensor = prelu ? o->tensor[0] : -1;
    int x = prelu ? fv__low_read(b, o->in[0], val(b, node)->dtype) : -1;
    int slope = fv__low_master(b, tensor), dslope = fv__low_grad(b, tensor);
    int dx = image(b, node, "dact");
    struct fv_low_op *op = fv__low_op(b, FV_LOW_ACT_BACKWARD, node);
    if (!op)
        return -1;
    op->act = act;
    set_incoming(op, in);
    op->arg[prelu ? FV_LOW_X : FV_LOW_Y] = prelu ? x : val(b, node)->buffer;
    op->arg[FV_LOW_SLOPE] = slope;
    op->arg[FV_LOW_DSLOPE] = dslope;
    op->arg[FV_LOW_DX] = dx;
    return dx;
}

static void back_add_unit(struct fv__low_build *b, int root)
{
    const struct fv__low_unit *u = &val(b, root)->unit;
    int dz = u->act == FV_LOW_ACT_NONE ? collect(b, root, 1).dy : back_act(b, root, u->act);
    give(b, b->net->node[u->base].in[0], dz);
    give(b, b->net->node[u->base].in[1], dz);
}

static void back_scale_unit(struct fv__low_build *b, int root)
{
    const struct fv__low_unit *u = &val(b, root)->unit;
    const struct fv_node *o = &b->net->node[u->base];
    enum fv_low_dtype t = val(b, root)->dtype;
    struct incoming in = collect(b, root, 2);
    int masked = u->act != FV_LOW_ACT_NONE;
    int dz = masked || in.dy2 >= 0 ? image(b, root, "dz") : -1;
    int x = fv__low_read(b, o->in[0], t), ds = fv__low_image(b, o->in[1], t, "ds");
    struct fv_low_op *op = fv__low_op(b, FV_LOW_SCALE_REDUCE, u->base);
    if (!op)
        return;
    set_incoming(op, in);
    op->act = u->act;
    op->arg[FV_LOW_Y] = masked ? val(b, root)->buffer : -1;
    op->arg[FV_LOW_X] = x;
    op->arg[FV_LOW_DS] = ds;
    op->arg[FV_LOW_DZ] = dz;
    if (dz < 0)
        dz = in.dy;
    give(b, o->in[1], ds);
    if (u->r >= 0)
        give(b, u->r, dz);
    struct fv__low_value *v = val(b, o->in[0]);
    if (v->scaled >= 0)
        write_scaled(b, o->in[0], -1);
    v->scaled = u->base;
    v->scaled_dy = dz;
}

static void back_unit(struct fv__low_build *b, int root)
{
    switch (val(b, root)->unit.kind) {
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

/* Sums that a convolution's data gradient has made become the gradients of the batch norm. */
static void finish_sums(struct fv__low_build *b, int bn, int stat0, int stat1, int centred)
{
    struct bn_sums sums = bn_gradients(b, bn);
    struct fv_low_op *op = fv__low_op(b, FV_LOW_BN_SUMS, bn);
    if (!op)
        return;
    set_bn_gradients(b, op, bn, sums);
    op->centred = centred;
    op->arg[FV_LOW_STAT0] = stat0;
    op->arg[FV_LOW_STAT1] = stat1;
}

/* Whether the data gradient of convolution `node`, the last piece of its input's, can do the first half of the
 * backward pass of the unit that made that input. */
static enum fv_low_graph choose_dgrad(struct fv__low_build *b, int node)
{
    struct fv__low_value *in = val(b, b->net->node[node].in[0]);
    const struct fv__low_unit *u = &in->unit;
    if (u->kind != FV__LOW_UNIT_BN || u->act != FV_LOW_ACT_RELU || in->left != 1 ||
        in->pieces > 1 || in->scaled >= 0 || in->tail || fv__low_is_frozen_bn(b, u->base))
        return FV_LOW_GRAPH_PLAIN;
    if (in->pieces == 0 && u->r < 0 && u->bn2 < 0 && fv__low_can(b, FV_LOW_GRAPH_DGRAD_BN, node, 0))
        return FV_LOW_GRAPH_DGRAD_BN;
    return u->written && fv__low_can(b, FV_LOW_GRAPH_DGRAD_SUMS, node, in->pieces)
               ? FV_LOW_GRAPH_DGRAD_SUMS
               : FV_LOW_GRAPH_PLAIN;
}

/* The operands by which a data gradient masks and sums for the batch norm of the unit at `in`. */
static void fused_operands(struct fv__low_build *b, struct fv_low_op *op, int in, int x)
{
    struct fv__low_value *v = val(b, in);
    const struct fv__low_value *bn = val(b, v->unit.base);
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
    int in = b->net->node[node].in[0], bn = val(b, in)->unit.base;
    const struct fv_node *o = &b->net->node[bn];
    int own = graph == FV_LOW_GRAPH_DGRAD_BN; /* else gamma and beta are not needed */
    int gamma = fv__low_master(b, own && fv__low_learns_scale(b->net, o) ? o->tensor[0] : -1);
    int beta = fv__low_master(b, own ? o->tensor[1] : -1);
    int w = fv__low_weight(b, b->net->node[node].tensor[0]), dx = image(b, in, "dgrad dz");
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
    struct fv__low_value *v = val(b, in);
    v->unit.reduced = 1;
    v->left--;
    v->pieces = 1;
    v->piece[0] = dx;
}

static void back_dgrad(struct fv__low_build *b, int node, int depthwise, int dy)
{
    int in = b->net->node[node].in[0];
    if (!needs_gradient(b, in)) {
        val(b, in)->left--;
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
    give(b, in, dx);
}

static void back_wgrad(struct fv__low_build *b, int node, int depthwise, int dy)
{
    int in = b->net->node[node].in[0], dw = fv__low_grad(b, b->net->node[node].tensor[0]);
    const struct fv__low_unit *u = &val(b, in)->unit;
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
    if (applied) {
        const struct fv_low_op *made = &b->l->op[val(b, u->base)->finalize];
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

static void back_fc(struct fv__low_build *b, int node);

static void back_conv(struct fv__low_build *b, int node)
{
    if (fv__low_is_product(b->net, node)) {
        back_fc(b, node);
        return;
    }
    int depthwise = fv__low_is_depthwise(b->net, node), dy = collect(b, node, 1).dy;
    back_wgrad(b, node, depthwise, dy);
    back_bias(b, node, dy);
    back_dgrad(b, node, depthwise, dy);
}

static void back_relu(struct fv__low_build *b, int node)
{
    give(b, b->net->node[node].in[0], back_act(b, node, FV_LOW_ACT_RELU));
}

static void back_relu6(struct fv__low_build *b, int node)
{
    give(b, b->net->node[node].in[0], back_act(b, node, FV_LOW_ACT_RELU6));
}

static void back_prelu(struct fv__low_build *b, int node)
{
    give(b, b->net->node[node].in[0], back_act(b, node, FV_LOW_ACT_PRELU));
}

static void back_sigmoid(struct fv__low_build *b, int node)
{
    give(b, b->net->node[node].in[0], back_act(b, node, FV_LOW_ACT_SIGMOID));
}

static void back_dropout(struct fv__low_build *b, int node)
{
    give(b, b->net->node[node].in[0], fv__low_dropout(b, node, collect(b, node, 1).dy));
}

static void back_maxpool(struct fv__low_build *b, int node)
{
    int in = b->net->node[node].in[0];
    struct incoming dy = collect(b, node, 2);
    int dx = image(b, in, "dpool");
    struct fv_low_op *op = fv__low_op(b, FV_LOW_MAXPOOL_BACKWARD, node);
    if (!op)
        return;
    set_incoming(op, dy);
    op->arg[FV_LOW_INDEX] = val(b, node)->index;
    op->arg[FV_LOW_DX] = dx;
    give(b, in, dx);
}

static void back_gap(struct fv__low_build *b, int node)
{
    int in = b->net->node[node].in[0], dy = collect(b, node, 1).dy;
    struct fv__low_value *v = val(b, in);
    if (v->scaled >= 0 && val(b, v->scaled)->dtype == val(b, node)->dtype) {
        write_scaled(b, in, dy);
        v->left--;
        return;
    }
    int r = v->pieces > 0 ? v->piece[--v->pieces] : -1, dx = image(b, in, "dmean");
    struct fv_low_op *op = fv__low_op(b, FV_LOW_GAP_BACKWARD, node);
    if (!op)
        return;
    op->arg[FV_LOW_DY] = dy;
    op->arg[FV_LOW_R] = r;
    op->arg[FV_LOW_DX] = dx;
    give(b, in, dx);
}

static void back_fc(struct fv__low_build *b, int node)
{
    const struct fv_node *o = &b->net->node[node];
    enum fv_low_dtype t = b->l->slot[o->tensor[0]].is_t ? b->l->dtype : FV_LOW_F32;
    int dy = collect(b, node, 1).dy, in = o->in[0];
    back_bias(b, node, dy);
    dy = fv__low_convert(b, dy, node, t, "gradient");
    int x = fv__low_read(b, in, t), dw = fv__low_grad(b, o->tensor[0]);
    struct fv_low_op *op = dw >= 0 ? fv__low_op(b, FV_LOW_FC_WGRAD, node) : NULL;
    if (op) {
        op->arg[FV_LOW_X] = x;
        op->arg[FV_LOW_DY] = dy;
        op->arg[FV_LOW_DW] = dw;
    }
    if (!needs_gradient(b, in))
        return;
    int w = fv__low_weight(b, o->tensor[0]), dx = fv__low_image(b, in, t, "dfc");
    op = fv__low_op(b, FV_LOW_FC_DGRAD, node);
    if (!op)
        return;
    op->arg[FV_LOW_DY] = dy;
    op->arg[FV_LOW_W] = w;
    op->arg[FV_LOW_DX] = dx;
    give(b, in, dx);
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

static void back_cosine(struct fv__low_build *b, int node)
{
    const struct fv_node *o = &b->net->node[node];
    const struct fv__low_value *v = val(b, node);
    const struct fv_low_slot *w = &b->l->slot[o->tensor[0]];
    int dy = collect(b, node, 1).dy, in = o->in[0], dw = fv__low_grad(b, o->tensor[0]);
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
    if (!needs_gradient(b, in))
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
                   fv__low_matrix(b->l->batch, val(b, in)->pad));
    give(b, in, dx);
}

/* What the loss reads, by enum fv_loss_input, and where the gradient by it goes. */
static const struct loss_role {
    enum fv_low_role in, gradient;
} loss_roles[FV_LOSS_INPUTS] = {[FV_LOSS_LOGITS] = {FV_LOW_Y, FV_LOW_DX},
                                [FV_LOSS_COSINE] = {FV_LOW_COSINES, FV_LOW_DCOSINES},
                                [FV_LOSS_EMBEDDING] = {FV_LOW_EMBEDDING, FV_LOW_DEMBEDDING}};

static void loss_and_gradient(struct fv__low_build *b, int node)
{
    const struct fv_node *o = &b->net->node[node];
    int in[FV_LOSS_INPUTS], gradient[FV_LOSS_INPUTS];
    size_t n = (size_t)b->l->batch;
    for (int i = 0; i < FV_LOSS_INPUTS; i++) {
        in[i] = o->in[i] < 0 ? -1 : fv__low_read(b, o->in[i], FV_LOW_F32);
        gradient[i] = o->in[i] < 0 ? -1 : fv__low_image(b, o->in[i], FV_LOW_F32, "dloss");
    }
    b->label = fv__low_buffer(b, FV_LOW_BATCH, FV_LOW_I32, n, node, "labels");
    b->label_mix = fv__low_buffer(b, FV_LOW_BATCH, FV_LOW_I32, n, node, "labels mixed in");
    b->lambda = fv__low_buffer(b, FV_LOW_BATCH, FV_LOW_F32, n, node, "lambda");
    int control = fv__low_control(b);
    int items = fv__low_buffer(b, FV_LOW_ARENA, FV_LOW_F32, n, node, "items");
    struct fv_low_op *op = fv__low_op(b, FV_LOW_LOSS, node);
    if (!op)
        return;
    for (int i = FV_LOSS_INPUTS - 1; i >= 0; i--) {
        op->arg[loss_roles[i].in] = in[i];
        op->arg[loss_roles[i].gradient] = gradient[i];
        if (o->in[i] >= 0)
            op->shape = fv__low_shape(b, o->in[i]);
    }
    if (o->in[FV_LOSS_COSINE] >= 0)
        op->arg[FV_LOW_NORM] = val(b, o->in[FV_LOSS_COSINE])->norm_x;
    op->arg[FV_LOW_LABEL] = b->label;
    op->arg[FV_LOW_LABEL_MIX] = b->label_mix;
    op->arg[FV_LOW_LAMBDA] = b->lambda;
    op->arg[FV_LOW_ITEMS] = items;
    op->arg[FV_LOW_CONTROL_V] = control;
    b->value[node].buffer = items;
    for (int i = 0; i < FV_LOSS_INPUTS; i++)
        if (o->in[i] >= 0)
            give(b, o->in[i], gradient[i]);
}

static void (*const back_node[FV_NODE_KINDS])(struct fv__low_build *, int) = {
    [FV_NODE_CONV] = back_conv,       [FV_NODE_RELU] = back_relu,
    [FV_NODE_MAXPOOL] = back_maxpool, [FV_NODE_GAP] = back_gap,
    [FV_NODE_FC] = back_fc,           [FV_NODE_RELU6] = back_relu6,
    [FV_NODE_PRELU] = back_prelu,     [FV_NODE_SIGMOID] = back_sigmoid,
    [FV_NODE_DROPOUT] = back_dropout, [FV_NODE_COSINE] = back_cosine,
};

void fv__low_backward(struct fv__low_build *b)
{
    loss_and_gradient(b, b->net->nodes - 1);
    for (int i = b->net->nodes - 2; i > 0 && !b->error; i--) {
        const struct fv__low_value *v = val(b, i);
        if (!v->live || !v->trains || v->part_of != i)
            continue; /* part of a later node's unit */
        if (v->pieces == 0 && v->scaled < 0)
            continue; /* the embedding's side of a net: the loss does not depend on it */
        if (v->unit.kind != FV__LOW_NO_UNIT)
            back_unit(b, i);
        else
            back_node[b->net->node[i].kind](b, i);
    }
}
