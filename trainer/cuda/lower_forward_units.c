/* SPDX-License-Identifier: MIT */
/* Forward's units: batch norms, products and sums with the residual and activation behind them, as one. A unit is
 * opened here, completed here, and written when somebody reads its value as memory. */
#include "trainer/cuda/lower_forward.h"

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
        op->arg[FV_LOW_SCALE2] = fv__low_val(b, u->bn2)->scale;
        op->arg[FV_LOW_SHIFT2] = fv__low_val(b, u->bn2)->shift;
    }
}

/* Backward has to know which values passed the activation. Without a residual it sees that by x, and a bit each is less
 * to read than y. */
static int wants_bits(const struct fv__low_build *b, int node)
{
    const struct fv__low_unit *u = &b->value[node].unit;
    return b->l->train && b->value[node].trains && u->kind == FV__LOW_UNIT_BN &&
           (u->r >= 0 || u->bn2 >= 0) && u->act != FV_LOW_ACT_NONE &&
           !fv__low_is_frozen_bn(b, u->base);
}

/* Writes y of the unit whose root is `node`. Its operands exist: they were read when the unit took them in. */
static int write_unit(struct fv__low_build *b, int node)
{
    static const enum fv_low_kind kinds[] = {[FV__LOW_UNIT_BN] = FV_LOW_BN_APPLY,
                                             [FV__LOW_UNIT_SCALE] = FV_LOW_SCALE,
                                             [FV__LOW_UNIT_ADD] = FV_LOW_ADD};
    struct fv__low_unit *u = &fv__low_val(b, node)->unit;
    enum fv_low_dtype t = fv__low_val(b, node)->dtype;
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
    if (wants_bits(b, node) && y >= 0)
        fv__low_val(b, node)->open =
            fv__low_buffer(b, FV_LOW_ARENA, FV_LOW_U8,
                           b->l->buffer[y].bytes / fv_low_dtype_bytes(t) / 8, node, "open");
    struct fv_low_op *op = fv__low_op(b, kinds[u->kind], node);
    if (!op)
        return -1;
    op->shape = fv__low_shape(b, node);
    op->arg[FV_LOW_X] = x;
    op->arg[FV_LOW_S] = s;
    op->arg[FV_LOW_Y] = y;
    if (u->kind == FV__LOW_UNIT_BN) {
        op->arg[FV_LOW_SCALE_V] = fv__low_val(b, u->base)->scale;
        op->arg[FV_LOW_SHIFT_V] = fv__low_val(b, u->base)->shift;
    }
    add_residual(b, op, u, r);
    op->arg[FV_LOW_SLOPE] = slope;
    op->arg[FV_LOW_OPEN] = fv__low_val(b, node)->open;
    u->written = 1;
    fv__low_val(b, node)->buffer = y;
    return y;
}

int fv__low_read(struct fv__low_build *b, int node, enum fv_low_dtype t)
{
    struct fv__low_value *v = fv__low_val(b, node);
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
    struct fv__low_value *v = fv__low_val(b, node);
    v->unit = (struct fv__low_unit){.kind = kind, .base = node, .bn2 = -1, .r = -1, .act_node = -1};
    v->part_of = node;
    return &v->unit;
}

/* Whether the unit that ends at `node` is open and nothing but one node reads it. */
int fv__low_is_open(struct fv__low_build *b, int node)
{
    const struct fv__low_value *v = fv__low_val(b, node);
    return v->unit.kind != FV__LOW_NO_UNIT && !v->unit.written && v->uses == 1 &&
           v->part_of == node;
}

/* Moves the unit's root from `from` to `to`, which reads it. */
static struct fv__low_unit *extend(struct fv__low_build *b, int from, int to)
{
    struct fv__low_value *v = fv__low_val(b, to);
    v->unit = fv__low_val(b, from)->unit;
    for (int i = 0; i <= to; i++)
        if (fv__low_val(b, i)->part_of == from)
            fv__low_val(b, i)->part_of = to;
    v->part_of = to;
    return &v->unit;
}

int fv__low_learns_scale(const struct fv_net *net, const struct fv_node *bn)
{
    return bn->tensor[0] >= 0 && !net->tensor[bn->tensor[0]].buffer;
}

static void finalize_bn(struct fv__low_build *b, int node, int x)
{
    const struct fv_node *o = &b->net->node[node];
    const struct fv__low_value *in = fv__low_val(b, o->in[0]);
    struct fv__low_value *v = fv__low_val(b, node);
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
        fv__low_val(b, node)->coef = fv__low_buffer(
            b, FV_LOW_ARENA, FV_LOW_F32, 3 * (size_t)fv__low_val(b, node)->pad, node, "coef");
    struct fv_low_op *op = fv__low_op(b, FV_LOW_BN_FOLD, node);
    if (!op)
        return;
    op->eps = o->eps;
    op->arg[FV_LOW_GAMMA] = gamma;
    op->arg[FV_LOW_BETA] = beta;
    op->arg[FV_LOW_RUN_MEAN] = mean;
    op->arg[FV_LOW_RUN_VAR] = var;
    op->arg[FV_LOW_SCALE_V] = fv__low_val(b, node)->scale;
    op->arg[FV_LOW_SHIFT_V] = fv__low_val(b, node)->shift;
    op->arg[FV_LOW_COEF] = fv__low_val(b, node)->coef;
}

void fv__low_forward_bn(struct fv__low_build *b, int node)
{
    int x = fv__low_read(b, b->net->node[node].in[0], fv__low_val(b, node)->dtype);
    fv__low_val(b, node)->scale = fv__low_vector(b, node, "scale");
    fv__low_val(b, node)->shift = fv__low_vector(b, node, "shift");
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
    enum fv_low_dtype t = fv__low_val(b, node)->dtype;
    int x = fv__low_read(b, o->in[0], t), y = fv__low_image(b, node, t, "out");
    int slope = act == FV_LOW_ACT_PRELU ? fv__low_master(b, o->tensor[0]) : -1;
    struct fv_low_op *op = fv__low_op(b, FV_LOW_ACT, node);
    if (!op)
        return;
    op->act = act;
    op->arg[FV_LOW_X] = x;
    op->arg[FV_LOW_Y] = y;
    op->arg[FV_LOW_SLOPE] = slope;
    fv__low_finish_value(b, node, y);
}

static void lower_act(struct fv__low_build *b, int node, enum fv_low_act act)
{
    int in = b->net->node[node].in[0];
    const struct fv__low_unit *u = &fv__low_val(b, in)->unit;
    int slopes =
        u->kind == FV__LOW_UNIT_BN && !(b->l->train && fv__low_val(b, u->base)->finalize < 0);
    int alone = act == FV_LOW_ACT_SIGMOID ||
                (act == FV_LOW_ACT_PRELU && (!slopes || u->r >= 0 || u->bn2 >= 0));
    if (alone || !fv__low_is_open(b, in) || u->act_node >= 0 ||
        fv__low_val(b, in)->dtype != fv__low_val(b, node)->dtype) {
        write_act(b, node, act);
        return;
    }
    struct fv__low_unit *grown = extend(b, in, node);
    grown->act_node = node;
    grown->act = act;
}

void fv__low_forward_relu(struct fv__low_build *b, int node)
{
    lower_act(b, node, FV_LOW_ACT_RELU);
}

void fv__low_forward_relu6(struct fv__low_build *b, int node)
{
    lower_act(b, node, FV_LOW_ACT_RELU6);
}

void fv__low_forward_prelu(struct fv__low_build *b, int node)
{
    lower_act(b, node, FV_LOW_ACT_PRELU);
}

void fv__low_forward_sigmoid(struct fv__low_build *b, int node)
{
    lower_act(b, node, FV_LOW_ACT_SIGMOID);
}

void fv__low_forward_scale(struct fv__low_build *b, int node)
{
    fv__low_read(b, b->net->node[node].in[0], fv__low_val(b, node)->dtype);
    fv__low_read(b, b->net->node[node].in[1], fv__low_val(b, node)->dtype);
    open_unit(b, node, FV__LOW_UNIT_SCALE);
}

/* Whether the unit at `a` can take in `r` as its residual: r is not made from it, since nothing but the addition
 * reads it. */
static int takes_residual(struct fv__low_build *b, int a, int node)
{
    const struct fv__low_unit *u = &fv__low_val(b, a)->unit;
    return fv__low_is_open(b, a) && u->act_node < 0 && u->r < 0 && u->bn2 < 0 &&
           u->kind != FV__LOW_UNIT_ADD && fv__low_val(b, a)->dtype == fv__low_val(b, node)->dtype;
}

void fv__low_forward_add(struct fv__low_build *b, int node)
{
    int a = b->net->node[node].in[0], r = b->net->node[node].in[1];
    enum fv_low_dtype t = fv__low_val(b, node)->dtype;
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
    int two = fv__low_val(b, a)->unit.kind == FV__LOW_UNIT_BN && takes_residual(b, r, node) &&
              fv__low_val(b, r)->unit.kind == FV__LOW_UNIT_BN;
    if (!two)
        fv__low_read(b, r, t);
    struct fv__low_unit *u = extend(b, a, node);
    u->bn2 = two ? r : -1;
    u->r = two ? -1 : r;
    if (two)
        fv__low_val(b, r)->part_of = node;
}
