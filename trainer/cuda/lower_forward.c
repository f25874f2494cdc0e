/* SPDX-License-Identifier: MIT */
/* Forward: nodes to ops, fused where only the fused kernel reads what lies between. Here are the walk, convolutions,
 * pooling and the head; lower_forward_units.c has the units.
 *
 * A batch norm, a product or a sum opens a unit, which the following nodes may complete (lower_build.h) as long as
 * nothing else reads its value. It is written when somebody needs the value as memory. Statistics of a batch norm
 * are made at once, by the convolution before it where the device has that graph, because they need all of x.
 */
#include "trainer/cuda/lower_forward.h"

#include "common/err.h"

static void lower_input(struct fv__low_build *b, int node)
{
    const struct fv_node *o = &b->net->node[node];
    size_t count = (size_t)b->l->batch * (size_t)o->h * (size_t)o->w * 3;
    int pixels = fv__low_buffer(b, FV_LOW_BATCH, FV_LOW_U8, count, node, "pixels");
    int y = fv__low_image(b, node, b->l->dtype, "out");
    struct fv_low_op *op = fv__low_op(b, FV_LOW_INPUT, node);
    if (!op)
        return;
    op->arg[FV_LOW_PIXELS] = pixels;
    op->arg[FV_LOW_Y] = y;
    fv__low_finish_value(b, node, y);
}

/* The batch norm that reads `node`, if there is one. */
static int reading_bn(const struct fv__low_build *b, int node)
{
    for (int i = node + 1; i < b->net->nodes; i++)
        if (b->net->node[i].kind == FV_NODE_BN && b->net->node[i].in[0] == node && b->value[i].live)
            return i;
    return -1;
}

/* Whether the value that convolution `node` reads may stay a batch norm that it applies itself, forward and in the
 * gradient of the weights; otherwise it has to be written in any case. */
static int may_apply(struct fv__low_build *b, int node)
{
    int in = b->net->node[node].in[0];
    const struct fv__low_unit *u = &fv__low_val(b, in)->unit;
    return b->l->train && fv__low_is_open(b, in) && fv__low_val(b, u->base)->finalize >= 0 &&
           u->kind == FV__LOW_UNIT_BN && u->bn2 < 0 && u->r < 0 && u->act == FV_LOW_ACT_RELU &&
           !fv__low_val(b, u->base)->tail && fv__low_can(b, FV_LOW_GRAPH_WGRAD_PROLOGUE, node, 0);
}

/* Whether a depthwise convolution may do so: its kernels are ours, and take any clamp. */
static int may_apply_depthwise(struct fv__low_build *b, int node)
{
    int in = b->net->node[node].in[0];
    const struct fv__low_unit *u = &fv__low_val(b, in)->unit;
    return fv__low_is_open(b, in) && u->kind == FV__LOW_UNIT_BN && u->bn2 < 0 && u->r < 0 &&
           u->act != FV_LOW_ACT_PRELU;
}

static enum fv_low_graph choose_forward(struct fv__low_build *b, int node)
{
    int stats = b->l->train && b->net->node[node].tensor[1] < 0 && reading_bn(b, node) >= 0;
    if (may_apply(b, node)) {
        if (stats && fv__low_can(b, FV_LOW_GRAPH_PROLOGUE_STATS, node, 0))
            return FV_LOW_GRAPH_PROLOGUE_STATS;
        if (fv__low_can(b, FV_LOW_GRAPH_PROLOGUE, node, 0))
            return FV_LOW_GRAPH_PROLOGUE;
    }
    return stats && fv__low_can(b, FV_LOW_GRAPH_STATS, node, 0) ? FV_LOW_GRAPH_STATS
                                                                : FV_LOW_GRAPH_PLAIN;
}

/* scale and shift of the batch norm in the storage type too: its finalize op gains two outputs. */
static void want_scale16(struct fv__low_build *b, int bn)
{
    size_t c = (size_t)fv__low_val(b, bn)->pad;
    int scale = fv__low_buffer(b, FV_LOW_ARENA, b->l->dtype, c, bn, "scale16");
    int shift = fv__low_buffer(b, FV_LOW_ARENA, b->l->dtype, c, bn, "shift16");
    if (b->error)
        return;
    b->l->op[fv__low_val(b, bn)->finalize].arg[FV_LOW_SCALE16] = scale;
    b->l->op[fv__low_val(b, bn)->finalize].arg[FV_LOW_SHIFT16] = shift;
}

static void lower_bias(struct fv__low_build *b, int node, int y)
{
    int bias = fv__low_master(b, b->net->node[node].tensor[1]);
    struct fv_low_op *op = bias >= 0 ? fv__low_op(b, FV_LOW_BIAS, node) : NULL;
    if (!op)
        return;
    op->arg[FV_LOW_B] = bias;
    op->arg[FV_LOW_Y] = y;
}

static void lower_depthwise(struct fv__low_build *b, int node)
{
    const struct fv_node *o = &b->net->node[node];
    const struct fv__low_unit *u = &fv__low_val(b, o->in[0])->unit;
    int applies = may_apply_depthwise(b, node);
    int x = fv__low_read(b, applies ? b->net->node[u->base].in[0] : o->in[0], b->l->dtype);
    int w = fv__low_weight(b, o->tensor[0]), y = fv__low_image(b, node, b->l->dtype, "out");
    struct fv_low_op *op = fv__low_op(b, FV_LOW_DEPTHWISE, node);
    if (!op)
        return;
    op->arg[FV_LOW_X] = x;
    op->arg[FV_LOW_W] = w;
    op->arg[FV_LOW_Y] = y;
    if (applies) {
        op->act = u->act;
        op->arg[FV_LOW_SCALE_V] = fv__low_val(b, u->base)->scale;
        op->arg[FV_LOW_SHIFT_V] = fv__low_val(b, u->base)->shift;
    }
    fv__low_finish_value(b, node, y);
    lower_bias(b, node, y);
}

static void lower_fc(struct fv__low_build *b, int node);

static void lower_conv(struct fv__low_build *b, int node)
{
    if (fv__low_is_product(b->net, node)) {
        lower_fc(b, node);
        return;
    }
    if (fv__low_is_depthwise(b->net, node)) {
        lower_depthwise(b, node);
        return;
    }
    const struct fv_node *o = &b->net->node[node];
    int x = -1, bn = -1;
    enum fv_low_graph graph = choose_forward(b, node);
    if (graph == FV_LOW_GRAPH_PROLOGUE || graph == FV_LOW_GRAPH_PROLOGUE_STATS) {
        bn = fv__low_val(b, o->in[0])->unit.base;
        want_scale16(b, bn);
        x = fv__low_read(b, b->net->node[bn].in[0], b->l->dtype);
    } else {
        x = fv__low_read(b, o->in[0], b->l->dtype);
    }
    int w = fv__low_weight(b, o->tensor[0]), y = fv__low_image(b, node, b->l->dtype, "out");
    if (graph == FV_LOW_GRAPH_STATS || graph == FV_LOW_GRAPH_PROLOGUE_STATS) {
        fv__low_val(b, node)->stat0 = fv__low_vector(b, node, "sum");
        fv__low_val(b, node)->stat1 = fv__low_vector(b, node, "squares");
    }
    struct fv_low_op *op = fv__low_op(b, FV_LOW_CONV, node);
    if (!op)
        return;
    op->graph = graph;
    op->arg[FV_LOW_X] = x;
    op->arg[FV_LOW_W] = w;
    op->arg[FV_LOW_Y] = y;
    op->arg[FV_LOW_STAT0] = fv__low_val(b, node)->stat0;
    op->arg[FV_LOW_STAT1] = fv__low_val(b, node)->stat1;
    if (bn >= 0) {
        const struct fv_low_op *made = &b->l->op[fv__low_val(b, bn)->finalize];
        op->act = FV_LOW_ACT_RELU;
        op->arg[FV_LOW_SCALE16] = made->arg[FV_LOW_SCALE16];
        op->arg[FV_LOW_SHIFT16] = made->arg[FV_LOW_SHIFT16];
    }
    fv__low_finish_value(b, node, y);
    lower_bias(b, node, y);
}

int fv__low_dropout(struct fv__low_build *b, int node, int x)
{
    int y = fv__low_image(b, node, fv__low_val(b, node)->dtype, "dropout"),
        control = fv__low_control(b);
    struct fv_low_op *op = fv__low_op(b, FV_LOW_DROPOUT, node);
    if (!op)
        return -1;
    op->arg[FV_LOW_X] = x;
    op->arg[FV_LOW_CONTROL_V] = control;
    op->arg[FV_LOW_Y] = y;
    return y;
}

static void lower_dropout(struct fv__low_build *b, int node)
{
    int x = fv__low_read(b, b->net->node[node].in[0], fv__low_val(b, node)->dtype);
    fv__low_finish_value(b, node, b->l->train ? fv__low_dropout(b, node, x) : x);
}

/* Whether the pool may apply the batch norm in front of it, whose value then is not written: of that window there are
 * kernels. */
static int may_pool(struct fv__low_build *b, int node)
{
    const struct fv_node *o = &b->net->node[node];
    const struct fv__low_unit *u = &fv__low_val(b, o->in[0])->unit;
    return o->window == 3 && o->stride == 2 && o->pad == 1 && fv__low_is_open(b, o->in[0]) &&
           u->kind == FV__LOW_UNIT_BN && u->bn2 < 0 && u->r < 0 && u->act != FV_LOW_ACT_PRELU;
}

static void lower_maxpool(struct fv__low_build *b, int node)
{
    int in = b->net->node[node].in[0], applies = may_pool(b, node);
    const struct fv__low_unit *u = &fv__low_val(b, in)->unit;
    int x = fv__low_read(b, applies ? b->net->node[u->base].in[0] : in, b->l->dtype);
    int y = fv__low_image(b, node, b->l->dtype, "out");
    if (b->l->train)
        fv__low_val(b, node)->index = fv__low_image(b, node, FV_LOW_U8, "index");
    struct fv_low_op *op = fv__low_op(b, FV_LOW_MAXPOOL, node);
    if (!op)
        return;
    op->arg[FV_LOW_X] = x;
    op->arg[FV_LOW_Y] = y;
    op->arg[FV_LOW_INDEX] = fv__low_val(b, node)->index;
    if (applies) {
        op->act = u->act;
        op->arg[FV_LOW_SCALE_V] = fv__low_val(b, u->base)->scale;
        op->arg[FV_LOW_SHIFT_V] = fv__low_val(b, u->base)->shift;
        fv__low_val(b, in)->pool = node;
    }
    fv__low_finish_value(b, node, y);
}

/* Reads T pixels or, of 1x1 pixels, what there is; writes the type of the node. */
static void lower_gap(struct fv__low_build *b, int node)
{
    int in = b->net->node[node].in[0];
    int x = fv__low_read(b, in, fv__low_val(b, in)->dtype);
    int y = fv__low_image(b, node, fv__low_val(b, node)->dtype, "out");
    struct fv_low_op *op = fv__low_op(b, FV_LOW_GAP, node);
    if (!op)
        return;
    op->arg[FV_LOW_X] = x;
    op->arg[FV_LOW_Y] = y;
    fv__low_finish_value(b, node, y);
}

/* The type in which an fc layer computes: that of its weights as kernels read them. */
static enum fv_low_dtype fc_type(const struct fv__low_build *b, int node)
{
    return b->l->slot[b->net->node[node].tensor[0]].is_t ? b->l->dtype : FV_LOW_F32;
}

static void lower_fc(struct fv__low_build *b, int node)
{
    const struct fv_node *o = &b->net->node[node];
    int x = fv__low_read(b, o->in[0], fc_type(b, node));
    int y = fv__low_image(b, node, fv__low_val(b, node)->dtype, "out");
    int w = fv__low_weight(b, o->tensor[0]), bias = fv__low_master(b, o->tensor[1]);
    struct fv_low_op *op = fv__low_op(b, FV_LOW_FC, node);
    if (!op)
        return;
    op->arg[FV_LOW_X] = x;
    op->arg[FV_LOW_W] = w;
    op->arg[FV_LOW_B] = bias;
    op->arg[FV_LOW_Y] = y;
    fv__low_finish_value(b, node, y);
}

/* Rows of a matrix divided by their lengths. */
static int normalise(struct fv__low_build *b, int node, int x, int rows, int columns, int *norm)
{
    size_t n = (size_t)rows;
    int y = fv__low_buffer(b, FV_LOW_ARENA, FV_LOW_F32, n * (size_t)columns, node, "unit rows");
    *norm = fv__low_buffer(b, FV_LOW_ARENA, FV_LOW_F32, n, node, "norms");
    struct fv_low_op *op = fv__low_op(b, FV_LOW_NORMALISE, node);
    if (!op)
        return -1;
    op->shape = fv__low_matrix(rows, columns);
    op->eps = FV__LOW_NORM_EPS;
    op->arg[FV_LOW_X] = x;
    op->arg[FV_LOW_Y] = y;
    op->arg[FV_LOW_NORM] = *norm;
    return y;
}

static void lower_cosine(struct fv__low_build *b, int node)
{
    const struct fv_node *o = &b->net->node[node];
    struct fv__low_value *v = fv__low_val(b, node);
    const struct fv_low_slot *w = &b->l->slot[o->tensor[0]];
    int x = fv__low_read(b, o->in[0], FV_LOW_F32), master = fv__low_master(b, o->tensor[0]);
    v->unit_x = normalise(b, node, x, b->l->batch, fv__low_val(b, o->in[0])->pad, &v->norm_x);
    v->unit_w = normalise(b, node, master, w->k, w->c, &v->norm_w);
    int y = fv__low_image(b, node, v->dtype, "cosines");
    struct fv_low_op *op = fv__low_op(b, FV_LOW_FC, node);
    if (!op)
        return;
    op->arg[FV_LOW_X] = v->unit_x;
    op->arg[FV_LOW_W] = v->unit_w;
    op->arg[FV_LOW_Y] = y;
    fv__low_finish_value(b, node, y);
}

static void (*const lower_node[FV_NODE_KINDS])(struct fv__low_build *, int) = {
    [FV_NODE_INPUT] = lower_input,
    [FV_NODE_CONV] = lower_conv,
    [FV_NODE_BN] = fv__low_forward_bn,
    [FV_NODE_RELU] = fv__low_forward_relu,
    [FV_NODE_ADD] = fv__low_forward_add,
    [FV_NODE_MAXPOOL] = lower_maxpool,
    [FV_NODE_GAP] = lower_gap,
    [FV_NODE_FC] = lower_fc,
    [FV_NODE_RELU6] = fv__low_forward_relu6,
    [FV_NODE_PRELU] = fv__low_forward_prelu,
    [FV_NODE_SIGMOID] = fv__low_forward_sigmoid,
    [FV_NODE_SCALE] = fv__low_forward_scale,
    [FV_NODE_DROPOUT] = lower_dropout,
    [FV_NODE_COSINE] = lower_cosine,
};

void fv__low_forward(struct fv__low_build *b)
{
    const struct fv_net *net = b->net;
    for (int i = 0; i < net->nodes - 1 && !b->error; i++) {
        if (!b->value[i].live)
            continue;
        if (!lower_node[net->node[i].kind]) {
            fv__low_fail(b, fv_err(FV_EUNSUPPORTED,
                                   "%s: backend cuda has no %s nodes: use --backend cpu", net->arch,
                                   fv_node_names[net->node[i].kind]));
            return;
        }
        lower_node[net->node[i].kind](b, i);
    }
    if (b->l->train)
        return;
    b->l->embedding = fv__low_read(b, net->embedding_node, FV_LOW_F32);
    if (net->logits_node >= 0)
        b->l->logits = fv__low_read(b, net->logits_node, FV_LOW_F32);
}
