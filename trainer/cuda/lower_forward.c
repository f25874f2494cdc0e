/* SPDX-License-Identifier: MIT */
/* Forward: nodes to ops, fused where only the fused kernel reads what lies between.
 *
 * A batch norm, a product or a sum opens a unit, which the following nodes may complete (lower_build.h) as long as
 * nothing else reads its value. It is written when somebody needs the value as memory. Statistics of a batch norm
 * are made at once, by the convolution before it where the device has that graph, because they need all of x.
 */
#include "trainer/cuda/lower_build.h"

#include "common/err.h"

static struct fv__low_value *val(struct fv__low_build *b, int node)
{
    return &b->value[node];
}

static void finish_value(struct fv__low_build *b, int node, int buffer)
{
    b->value[node].buffer = buffer;
    b->value[node].part_of = node;
}

int fv__low_convert(struct fv__low_build *b, int buffer, int node, enum fv_low_dtype t,
                    const char *what)
{
    if (buffer < 0 || b->l->buffer[buffer].dtype == t)
        return buffer;
    int y = fv__low_image(b, node, t, what);
    struct fv_low_op *op = fv__low_op(b, FV_LOW_CAST, node);
    if (!op)
        return -1;
    op->arg[FV_LOW_X] = buffer;
    op->arg[FV_LOW_Y] = y;
    return y;
}

/* The operands of a unit's second half: what is added before the activation. */
static void add_residual(struct fv__low_build *b, struct fv_low_op *op,
                         const struct fv__low_unit *u, int r)
{
    op->act = u->act;
    op->arg[FV_LOW_R] = r;
    if (u->bn2 >= 0) {
        op->arg[FV_LOW_SCALE2] = val(b, u->bn2)->scale;
        op->arg[FV_LOW_SHIFT2] = val(b, u->bn2)->shift;
    }
}

/* Writes y of the unit whose root is `node`. Its operands exist: they were read when the unit took them in. */
static int write_unit(struct fv__low_build *b, int node)
{
    static const enum fv_low_kind kinds[] = {[FV__LOW_UNIT_BN] = FV_LOW_BN_APPLY,
                                             [FV__LOW_UNIT_SCALE] = FV_LOW_SCALE,
                                             [FV__LOW_UNIT_ADD] = FV_LOW_ADD};
    struct fv__low_unit *u = &val(b, node)->unit;
    enum fv_low_dtype t = val(b, node)->dtype;
    const struct fv_node *base = &b->net->node[u->base];
    int x = fv__low_read(b, base->in[0], t), r = -1, s = -1;
    if (u->kind == FV__LOW_UNIT_SCALE)
        s = fv__low_read(b, base->in[1], t);
    if (u->bn2 >= 0)
        r = fv__low_read(b, b->net->node[u->bn2].in[0], t);
    else if (u->r >= 0)
        r = fv__low_read(b, u->r, t);
    int slope =
        u->act == FV_LOW_ACT_PRELU ? fv__low_master(b, b->net->node[u->act_node].tensor[0]) : -1;
    int y = fv__low_image(b, node, t, "out");
    struct fv_low_op *op = fv__low_op(b, kinds[u->kind], node);
    if (!op)
        return -1;
    op->shape = fv__low_shape(b, node);
    op->arg[FV_LOW_X] = x;
    op->arg[FV_LOW_S] = s;
    op->arg[FV_LOW_Y] = y;
    if (u->kind == FV__LOW_UNIT_BN) {
        op->arg[FV_LOW_SCALE_V] = val(b, u->base)->scale;
        op->arg[FV_LOW_SHIFT_V] = val(b, u->base)->shift;
    }
    add_residual(b, op, u, r);
    op->arg[FV_LOW_SLOPE] = slope;
    u->written = 1;
    val(b, node)->buffer = y;
    return y;
}

int fv__low_read(struct fv__low_build *b, int node, enum fv_low_dtype t)
{
    struct fv__low_value *v = val(b, node);
    if (b->error)
        return -1;
    if (v->buffer < 0 && v->unit.kind != FV__LOW_NO_UNIT && !v->unit.written)
        write_unit(b, node);
    if (v->buffer < 0 || b->l->buffer[v->buffer].dtype == t)
        return v->buffer;
    if (v->cast < 0)
        v->cast = fv__low_convert(b, v->buffer, node, t, "cast");
    return v->cast;
}

/* Opens a unit at `node`. */
static struct fv__low_unit *open_unit(struct fv__low_build *b, int node,
                                      enum fv__low_unit_kind kind)
{
    struct fv__low_value *v = val(b, node);
    v->unit = (struct fv__low_unit){.kind = kind, .base = node, .bn2 = -1, .r = -1, .act_node = -1};
    v->part_of = node;
    return &v->unit;
}

/* Whether the unit that ends at `node` is open and nothing but one node reads it. */
static int is_open(struct fv__low_build *b, int node)
{
    const struct fv__low_value *v = val(b, node);
    return v->unit.kind != FV__LOW_NO_UNIT && !v->unit.written && v->uses == 1 &&
           v->part_of == node;
}

/* Moves the unit's root from `from` to `to`, which reads it. */
static struct fv__low_unit *extend(struct fv__low_build *b, int from, int to)
{
    struct fv__low_value *v = val(b, to);
    v->unit = val(b, from)->unit;
    for (int i = 0; i <= to; i++)
        if (val(b, i)->part_of == from)
            val(b, i)->part_of = to;
    v->part_of = to;
    return &v->unit;
}

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
    finish_value(b, node, y);
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
    const struct fv__low_unit *u = &val(b, in)->unit;
    return b->l->train && is_open(b, in) && val(b, u->base)->finalize >= 0 &&
           u->kind == FV__LOW_UNIT_BN && u->bn2 < 0 && u->r < 0 && u->act == FV_LOW_ACT_RELU &&
           !val(b, u->base)->tail && fv__low_can(b, FV_LOW_GRAPH_WGRAD_PROLOGUE, node, 0);
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
    size_t c = (size_t)val(b, bn)->pad;
    int scale = fv__low_buffer(b, FV_LOW_ARENA, b->l->dtype, c, bn, "scale16");
    int shift = fv__low_buffer(b, FV_LOW_ARENA, b->l->dtype, c, bn, "shift16");
    if (b->error)
        return;
    b->l->op[val(b, bn)->finalize].arg[FV_LOW_SCALE16] = scale;
    b->l->op[val(b, bn)->finalize].arg[FV_LOW_SHIFT16] = shift;
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

static void lower_fc(struct fv__low_build *b, int node);

static void lower_conv(struct fv__low_build *b, int node)
{
    if (fv__low_is_product(b->net, node)) {
        lower_fc(b, node);
        return;
    }
    const struct fv_node *o = &b->net->node[node];
    int depthwise = fv__low_is_depthwise(b->net, node), x = -1, bn = -1;
    enum fv_low_graph graph = depthwise ? FV_LOW_GRAPH_NONE : choose_forward(b, node);
    if (graph == FV_LOW_GRAPH_PROLOGUE || graph == FV_LOW_GRAPH_PROLOGUE_STATS) {
        bn = val(b, o->in[0])->unit.base;
        want_scale16(b, bn);
        x = fv__low_read(b, b->net->node[bn].in[0], b->l->dtype);
    } else {
        x = fv__low_read(b, o->in[0], b->l->dtype);
    }
    int w = fv__low_weight(b, o->tensor[0]), y = fv__low_image(b, node, b->l->dtype, "out");
    if (graph == FV_LOW_GRAPH_STATS || graph == FV_LOW_GRAPH_PROLOGUE_STATS) {
        val(b, node)->stat0 = fv__low_vector(b, node, "sum");
        val(b, node)->stat1 = fv__low_vector(b, node, "squares");
    }
    struct fv_low_op *op = fv__low_op(b, depthwise ? FV_LOW_DEPTHWISE : FV_LOW_CONV, node);
    if (!op)
        return;
    op->graph = graph;
    op->arg[FV_LOW_X] = x;
    op->arg[FV_LOW_W] = w;
    op->arg[FV_LOW_Y] = y;
    op->arg[FV_LOW_STAT0] = val(b, node)->stat0;
    op->arg[FV_LOW_STAT1] = val(b, node)->stat1;
    if (bn >= 0) {
        const struct fv_low_op *made = &b->l->op[val(b, bn)->finalize];
        op->act = FV_LOW_ACT_RELU;
        op->arg[FV_LOW_SCALE16] = made->arg[FV_LOW_SCALE16];
        op->arg[FV_LOW_SHIFT16] = made->arg[FV_LOW_SHIFT16];
    }
    finish_value(b, node, y);
    lower_bias(b, node, y);
}

int fv__low_learns_scale(const struct fv_net *net, const struct fv_node *bn)
{
    return bn->tensor[0] >= 0 && !net->tensor[bn->tensor[0]].buffer;
}

static void finalize_bn(struct fv__low_build *b, int node, int x)
{
    const struct fv_node *o = &b->net->node[node];
    const struct fv__low_value *in = val(b, o->in[0]);
    struct fv__low_value *v = val(b, node);
    v->mean = fv__low_vector(b, node, "mean");
    v->rstd = fv__low_vector(b, node, "rstd");
    int gamma = fv__low_learns_scale(b->net, o) ? fv__low_master(b, o->tensor[0]) : -1;
    int beta = fv__low_master(b, o->tensor[1]);
    int mean = fv__low_batch_stat(b, o->tensor[2]), var = fv__low_batch_stat(b, o->tensor[3]);
    int sums = in->stat0 >= 0; /* the convolution has made them */
    struct fv_low_op *op = fv__low_op(b, sums ? FV_LOW_BN_FINALIZE : FV_LOW_BN_STATS, node);
    if (!op)
        return;
    op->eps = o->eps;
    op->arg[FV_LOW_X] = sums ? -1 : x;
    op->arg[FV_LOW_STAT0] = in->stat0;
    op->arg[FV_LOW_STAT1] = in->stat1;
    op->arg[FV_LOW_GAMMA] = gamma;
    op->arg[FV_LOW_BETA] = beta;
    op->arg[FV_LOW_SCALE_V] = v->scale;
    op->arg[FV_LOW_SHIFT_V] = v->shift;
    op->arg[FV_LOW_MEAN] = v->mean;
    op->arg[FV_LOW_RSTD] = v->rstd;
    op->arg[FV_LOW_BATCH_MEAN] = mean;
    op->arg[FV_LOW_BATCH_VAR] = var;
    v->finalize = b->l->ops - 1;
}

/* By running statistics: in inference, and where it is frozen. */
static void fold_bn(struct fv__low_build *b, int node)
{
    const struct fv_node *o = &b->net->node[node];
    int gamma = fv__low_learns_scale(b->net, o) ? fv__low_master(b, o->tensor[0]) : -1;
    int beta = fv__low_master(b, o->tensor[1]);
    int mean = fv__low_master(b, o->tensor[2]), var = fv__low_master(b, o->tensor[3]);
    if (b->l->train)
        val(b, node)->coef = fv__low_buffer(b, FV_LOW_ARENA, FV_LOW_F32,
                                            3 * (size_t)val(b, node)->pad, node, "coef");
    struct fv_low_op *op = fv__low_op(b, FV_LOW_BN_FOLD, node);
    if (!op)
        return;
    op->eps = o->eps;
    op->arg[FV_LOW_GAMMA] = gamma;
    op->arg[FV_LOW_BETA] = beta;
    op->arg[FV_LOW_RUN_MEAN] = mean;
    op->arg[FV_LOW_RUN_VAR] = var;
    op->arg[FV_LOW_SCALE_V] = val(b, node)->scale;
    op->arg[FV_LOW_SHIFT_V] = val(b, node)->shift;
    op->arg[FV_LOW_COEF] = val(b, node)->coef;
}

static void lower_bn(struct fv__low_build *b, int node)
{
    int x = fv__low_read(b, b->net->node[node].in[0], val(b, node)->dtype);
    val(b, node)->scale = fv__low_vector(b, node, "scale");
    val(b, node)->shift = fv__low_vector(b, node, "shift");
    if (b->l->train && !fv__low_is_frozen_bn(b, node))
        finalize_bn(b, node, x);
    else
        fold_bn(b, node);
    open_unit(b, node, FV__LOW_UNIT_BN);
}

/* The activation alone. */
static void write_act(struct fv__low_build *b, int node, enum fv_low_act act)
{
    const struct fv_node *o = &b->net->node[node];
    enum fv_low_dtype t = val(b, node)->dtype;
    int x = fv__low_read(b, o->in[0], t), y = fv__low_image(b, node, t, "out");
    int slope = act == FV_LOW_ACT_PRELU ? fv__low_master(b, o->tensor[0]) : -1;
    struct fv_low_op *op = fv__low_op(b, FV_LOW_ACT, node);
    if (!op)
        return;
    op->act = act;
    op->arg[FV_LOW_X] = x;
    op->arg[FV_LOW_Y] = y;
    op->arg[FV_LOW_SLOPE] = slope;
    finish_value(b, node, y);
}

static void lower_act(struct fv__low_build *b, int node, enum fv_low_act act)
{
    int in = b->net->node[node].in[0];
    const struct fv__low_unit *u = &val(b, in)->unit;
    int slopes = u->kind == FV__LOW_UNIT_BN && !(b->l->train && val(b, u->base)->finalize < 0);
    int alone = act == FV_LOW_ACT_SIGMOID ||
                (act == FV_LOW_ACT_PRELU && (!slopes || u->r >= 0 || u->bn2 >= 0));
    if (alone || !is_open(b, in) || u->act_node >= 0 || val(b, in)->dtype != val(b, node)->dtype) {
        write_act(b, node, act);
        return;
    }
    struct fv__low_unit *grown = extend(b, in, node);
    grown->act_node = node;
    grown->act = act;
}

static void lower_relu(struct fv__low_build *b, int node)
{
    lower_act(b, node, FV_LOW_ACT_RELU);
}

static void lower_relu6(struct fv__low_build *b, int node)
{
    lower_act(b, node, FV_LOW_ACT_RELU6);
}

static void lower_prelu(struct fv__low_build *b, int node)
{
    lower_act(b, node, FV_LOW_ACT_PRELU);
}

static void lower_sigmoid(struct fv__low_build *b, int node)
{
    lower_act(b, node, FV_LOW_ACT_SIGMOID);
}

static void lower_scale(struct fv__low_build *b, int node)
{
    fv__low_read(b, b->net->node[node].in[0], val(b, node)->dtype);
    fv__low_read(b, b->net->node[node].in[1], val(b, node)->dtype);
    open_unit(b, node, FV__LOW_UNIT_SCALE);
}

int fv__low_dropout(struct fv__low_build *b, int node, int x)
{
    int y = fv__low_image(b, node, val(b, node)->dtype, "dropout"), control = fv__low_control(b);
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
    int x = fv__low_read(b, b->net->node[node].in[0], val(b, node)->dtype);
    finish_value(b, node, b->l->train ? fv__low_dropout(b, node, x) : x);
}

/* Whether the unit at `a` can take in `r` as its residual: r is not made from it, since nothing but the addition
 * reads it. */
static int takes_residual(struct fv__low_build *b, int a, int node)
{
    const struct fv__low_unit *u = &val(b, a)->unit;
    return is_open(b, a) && u->act_node < 0 && u->r < 0 && u->bn2 < 0 &&
           u->kind != FV__LOW_UNIT_ADD && val(b, a)->dtype == val(b, node)->dtype;
}

static void lower_add(struct fv__low_build *b, int node)
{
    int a = b->net->node[node].in[0], r = b->net->node[node].in[1];
    enum fv_low_dtype t = val(b, node)->dtype;
    if (!takes_residual(b, a, node)) {
        int other = a;
        a = r;
        r = other;
    }
    if (!takes_residual(b, a, node)) {
        fv__low_read(b, a, t);
        fv__low_read(b, r, t);
        open_unit(b, node, FV__LOW_UNIT_ADD)->r = b->net->node[node].in[1];
        return;
    }
    int two = val(b, a)->unit.kind == FV__LOW_UNIT_BN && takes_residual(b, r, node) &&
              val(b, r)->unit.kind == FV__LOW_UNIT_BN;
    if (!two)
        fv__low_read(b, r, t);
    struct fv__low_unit *u = extend(b, a, node);
    u->bn2 = two ? r : -1;
    u->r = two ? -1 : r;
    if (two)
        val(b, r)->part_of = node;
}

static void lower_maxpool(struct fv__low_build *b, int node)
{
    int x = fv__low_read(b, b->net->node[node].in[0], b->l->dtype);
    int y = fv__low_image(b, node, b->l->dtype, "out");
    if (b->l->train)
        val(b, node)->index = fv__low_image(b, node, FV_LOW_U8, "index");
    struct fv_low_op *op = fv__low_op(b, FV_LOW_MAXPOOL, node);
    if (!op)
        return;
    op->arg[FV_LOW_X] = x;
    op->arg[FV_LOW_Y] = y;
    op->arg[FV_LOW_INDEX] = val(b, node)->index;
    finish_value(b, node, y);
}

/* Reads T pixels or, of 1x1 pixels, what there is; writes the type of the node. */
static void lower_gap(struct fv__low_build *b, int node)
{
    int in = b->net->node[node].in[0];
    int x = fv__low_read(b, in, val(b, in)->dtype);
    int y = fv__low_image(b, node, val(b, node)->dtype, "out");
    struct fv_low_op *op = fv__low_op(b, FV_LOW_GAP, node);
    if (!op)
        return;
    op->arg[FV_LOW_X] = x;
    op->arg[FV_LOW_Y] = y;
    finish_value(b, node, y);
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
    int y = fv__low_image(b, node, val(b, node)->dtype, "out");
    int w = fv__low_weight(b, o->tensor[0]), bias = fv__low_master(b, o->tensor[1]);
    struct fv_low_op *op = fv__low_op(b, FV_LOW_FC, node);
    if (!op)
        return;
    op->arg[FV_LOW_X] = x;
    op->arg[FV_LOW_W] = w;
    op->arg[FV_LOW_B] = bias;
    op->arg[FV_LOW_Y] = y;
    finish_value(b, node, y);
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
    struct fv__low_value *v = val(b, node);
    const struct fv_low_slot *w = &b->l->slot[o->tensor[0]];
    int x = fv__low_read(b, o->in[0], FV_LOW_F32), master = fv__low_master(b, o->tensor[0]);
    v->unit_x = normalise(b, node, x, b->l->batch, val(b, o->in[0])->pad, &v->norm_x);
    v->unit_w = normalise(b, node, master, w->k, w->c, &v->norm_w);
    int y = fv__low_image(b, node, v->dtype, "cosines");
    struct fv_low_op *op = fv__low_op(b, FV_LOW_FC, node);
    if (!op)
        return;
    op->arg[FV_LOW_X] = v->unit_x;
    op->arg[FV_LOW_W] = v->unit_w;
    op->arg[FV_LOW_Y] = y;
    finish_value(b, node, y);
}

static void (*const lower_node[FV_NODE_KINDS])(struct fv__low_build *, int) = {
    [FV_NODE_INPUT] = lower_input,     [FV_NODE_CONV] = lower_conv,
    [FV_NODE_BN] = lower_bn,           [FV_NODE_RELU] = lower_relu,
    [FV_NODE_ADD] = lower_add,         [FV_NODE_MAXPOOL] = lower_maxpool,
    [FV_NODE_GAP] = lower_gap,         [FV_NODE_FC] = lower_fc,
    [FV_NODE_RELU6] = lower_relu6,     [FV_NODE_PRELU] = lower_prelu,
    [FV_NODE_SIGMOID] = lower_sigmoid, [FV_NODE_SCALE] = lower_scale,
    [FV_NODE_DROPOUT] = lower_dropout, [FV_NODE_COSINE] = lower_cosine,
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
