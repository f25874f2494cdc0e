/* SPDX-License-Identifier: MIT */
/* Backward: from the last node to the first, each unit of forward as one.
 *
 * A value that several nodes read gets several pieces of gradient. They stay apart as long as the kernel that takes
 * them can add two while reading; only a third one costs an addition. Buffers are never changed once written, so a
 * piece may be handed on as it is: an addition gives its own to both sides.
 *
 * Where a unit has a residual, the reduction of its batch norm writes the masked sum of the pieces (dz), which is
 * the residual's gradient and all that the second pass has to read. The gradient of a product waits at its image
 * side for that of the mean over the same image (squeeze and excitation), and takes it in. That of a max pool which
 * applies a batch norm itself is spread by what takes it.
 */
#include "trainer/cuda/lower_backward.h"

/* Replaces the last two pieces by their sum. */
static void add_pieces(struct fv__low_build *b, int node)
{
    struct fv__low_value *v = fv__low_val(b, node);
    int sum = fv__low_gradient(b, node, "sum of gradients");
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
void fv__low_give(struct fv__low_build *b, int node, int buffer)
{
    struct fv__low_value *v = fv__low_val(b, node);
    v->left--;
    if (b->error || !fv__low_needs_gradient(b, node))
        return;
    buffer = fv__low_convert(b, buffer, node, v->dtype, "gradient");
    if (v->pieces == FV__LOW_PIECES)
        add_pieces(b, node);
    v->piece[v->pieces++] = buffer;
}

/* The gradient of the product `v->scaled` by the image `node`: dy * s [+ dmean / (h * w)]. */
void fv__low_write_scaled(struct fv__low_build *b, int node, int dmean)
{
    struct fv__low_value *v = fv__low_val(b, node);
    int scale = v->scaled;
    enum fv_low_dtype t = fv__low_val(b, scale)->dtype;
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
    fv__low_give(b, node, dx);
}

/* The gradient by the value of `node`, as at most `most` (1 or 2) buffers. */
struct fv__low_incoming fv__low_collect(struct fv__low_build *b, int node, int most)
{
    struct fv__low_value *v = fv__low_val(b, node);
    if (v->scaled >= 0)
        fv__low_write_scaled(b, node, -1);
    while (v->pieces > most && !b->error)
        add_pieces(b, node);
    if (v->pieces == 1 && !v->unit.reduced)
        b->l->grad[node] = v->piece[0];
    return (struct fv__low_incoming){.dy = v->pieces > 0 ? v->piece[0] : -1,
                                     .dy2 = v->pieces > 1 ? v->piece[1] : -1};
}

void fv__low_set_incoming(struct fv_low_op *op, struct fv__low_incoming in)
{
    op->arg[FV_LOW_DY] = in.dy;
    op->arg[FV_LOW_DY2] = in.dy2;
}

static void back_relu(struct fv__low_build *b, int node)
{
    fv__low_give(b, b->net->node[node].in[0], fv__low_back_act(b, node, FV_LOW_ACT_RELU));
}

static void back_relu6(struct fv__low_build *b, int node)
{
    fv__low_give(b, b->net->node[node].in[0], fv__low_back_act(b, node, FV_LOW_ACT_RELU6));
}

static void back_prelu(struct fv__low_build *b, int node)
{
    fv__low_give(b, b->net->node[node].in[0], fv__low_back_act(b, node, FV_LOW_ACT_PRELU));
}

static void back_sigmoid(struct fv__low_build *b, int node)
{
    fv__low_give(b, b->net->node[node].in[0], fv__low_back_act(b, node, FV_LOW_ACT_SIGMOID));
}

static void back_dropout(struct fv__low_build *b, int node)
{
    fv__low_give(b, b->net->node[node].in[0],
                 fv__low_dropout(b, node, fv__low_collect(b, node, 1).dy));
}

static void back_maxpool(struct fv__low_build *b, int node)
{
    int in = b->net->node[node].in[0];
    struct fv__low_incoming dy = fv__low_collect(b, node, 2);
    if (fv__low_val(b, in)->pool == node) { /* its batch norm spreads it itself */
        fv__low_val(b, in)->pool_dy = dy.dy;
        fv__low_val(b, in)->pool_dy2 = dy.dy2;
        fv__low_val(b, in)->left--;
        return;
    }
    int dx = fv__low_gradient(b, in, "dpool");
    struct fv_low_op *op = fv__low_op(b, FV_LOW_MAXPOOL_BACKWARD, node);
    if (!op)
        return;
    fv__low_set_incoming(op, dy);
    op->arg[FV_LOW_INDEX] = fv__low_val(b, node)->index;
    op->arg[FV_LOW_DX] = dx;
    fv__low_give(b, in, dx);
}

static void back_gap(struct fv__low_build *b, int node)
{
    int in = b->net->node[node].in[0], dy = fv__low_collect(b, node, 1).dy;
    struct fv__low_value *v = fv__low_val(b, in);
    if (v->scaled >= 0 && fv__low_val(b, v->scaled)->dtype == fv__low_val(b, node)->dtype) {
        fv__low_write_scaled(b, in, dy);
        v->left--;
        return;
    }
    int r = v->pieces > 0 ? v->piece[--v->pieces] : -1, dx = fv__low_gradient(b, in, "dmean");
    struct fv_low_op *op = fv__low_op(b, FV_LOW_GAP_BACKWARD, node);
    if (!op)
        return;
    op->arg[FV_LOW_DY] = dy;
    op->arg[FV_LOW_R] = r;
    op->arg[FV_LOW_DX] = dx;
    fv__low_give(b, in, dx);
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
        gradient[i] = o->in[i] < 0 || !(b->net->loss.reads & 1u << i)
                          ? -1 /* also where only lengths are read */
                          : fv__low_image(b, o->in[i], FV_LOW_F32, "dloss");
    }
    b->label = fv__low_buffer(b, FV_LOW_BATCH, FV_LOW_I32, n, node, "labels");
    b->label_mix = fv__low_buffer(b, FV_LOW_BATCH, FV_LOW_I32, n, node, "labels mixed in");
    b->lambda = fv__low_buffer(b, FV_LOW_BATCH, FV_LOW_F32, n, node, "lambda");
    int control = fv__low_control(b);
    b->items =
        fv__low_buffer(b, FV_LOW_ARENA, FV_LOW_F32, (size_t)b->net->loss.terms * n, node, "items");
    if (b->net->loss.scored >= 0)
        b->hits = fv__low_buffer(b, FV_LOW_ARENA, FV_LOW_F32, n, node, "hits");
    b->loss_embedding = in[FV_LOSS_EMBEDDING];
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
        op->arg[FV_LOW_NORM] = fv__low_val(b, o->in[FV_LOSS_COSINE])->norm_x;
    op->arg[FV_LOW_LABEL] = b->label;
    op->arg[FV_LOW_LABEL_MIX] = b->label_mix;
    op->arg[FV_LOW_LAMBDA] = b->lambda;
    op->arg[FV_LOW_ITEMS] = b->items;
    op->arg[FV_LOW_HITS] = b->hits;
    op->arg[FV_LOW_CONTROL_V] = control;
    b->value[node].buffer = b->items;
    for (int i = 0; i < FV_LOSS_INPUTS; i++)
        if (gradient[i] >= 0)
            fv__low_give(b, o->in[i], gradient[i]);
        else if (o->in[i] >= 0)
            fv__low_val(b, o->in[i])->left--;
}

static void (*const back_node[FV_NODE_KINDS])(struct fv__low_build *, int) = {
    [FV_NODE_CONV] = fv__low_back_conv, [FV_NODE_RELU] = back_relu,
    [FV_NODE_MAXPOOL] = back_maxpool,   [FV_NODE_GAP] = back_gap,
    [FV_NODE_FC] = fv__low_back_fc,     [FV_NODE_RELU6] = back_relu6,
    [FV_NODE_PRELU] = back_prelu,       [FV_NODE_SIGMOID] = back_sigmoid,
    [FV_NODE_DROPOUT] = back_dropout,   [FV_NODE_COSINE] = fv__low_back_cosine,
};

void fv__low_backward(struct fv__low_build *b)
{
    loss_and_gradient(b, b->net->nodes - 1);
    for (int i = b->net->nodes - 2; i > 0 && !b->error; i--) {
        const struct fv__low_value *v = fv__low_val(b, i);
        if (!v->live || !v->trains || v->part_of != i)
            continue; /* part of a later node's unit */
        if (v->pieces == 0 && v->scaled < 0 && v->pool_dy < 0)
            continue; /* the embedding's side of a net: the loss does not depend on it */
        if (v->unit.kind != FV__LOW_NO_UNIT)
            fv__low_back_unit(b, i);
        else
            back_node[b->net->node[i].kind](b, i);
    }
}
