/* SPDX-License-Identifier: MIT */
/* Net -> steps, forward, for training and for inference.
 *
 * Convolutions choose layouts (blocks of channels, on most processors) and everything after them follows, so that a
 * value is converted only where two convolutions disagree. Every value is a 4-d tensor; a fully connected layer
 * sees plain 1x1 pixels as a matrix.
 *
 * Fused, where the value in between has no other reader: in training batch norm + ReLU and add + ReLU; in inference
 * convolution + batch norm (folded into its weights) + add + ReLU, the sum taken in place over the other operand.
 */
#include "trainer/cpu/backend_cpu.h"

#include "common/err.h"

#include <limits.h>
#include <math.h>
#include <string.h>

static const struct fv_node *desc(const struct fv__cpu_plan *plan, int node)
{
    return &plan->program->net->node[node];
}

/* The only reader of a node's output, if it is of that kind and the output is not asked for by itself; else -1. */
static int only_reader(const struct fv__cpu_plan *plan, int node, enum fv_node_kind kind)
{
    const struct fv_net *net = plan->program->net;
    if (plan->value[node].readers != 1 || node == net->embedding_node || node == net->logits_node)
        return -1;
    for (int i = node + 1; i < net->nodes; i++)
        for (int k = 0; k < FV_NODE_INPUTS; k++)
            if (net->node[i].in[k] == node)
                return net->node[i].kind == kind ? i : -1;
    return -1;
}

/* The ReLU of either kind that is the only reader of a node's output; -1: there is none. */
static int only_relu(const struct fv__cpu_plan *plan, int node)
{
    int relu = only_reader(plan, node, FV_NODE_RELU);
    return relu >= 0 ? relu : only_reader(plan, node, FV_NODE_RELU6);
}

/* What a ReLU cuts off at. */
static float limit_of(const struct fv__cpu_plan *plan, int node)
{
    return desc(plan, node)->kind == FV_NODE_RELU6 ? 6.0f : INFINITY;
}

/* All nodes that read a node's output. */
static int all_readers(const struct fv__cpu_plan *plan, int node)
{
    const struct fv_net *net = plan->program->net;
    int readers = 0;
    for (int i = node + 1; i < net->nodes; i++)
        for (int k = 0; k < FV_NODE_INPUTS; k++)
            readers += net->node[i].in[k] == node;
    return readers;
}

/* Whether the output of `node` may be written over when its last reader has it: nothing else needs it, in
 * backward neither, where an earlier reader may want it again. */
static int may_overwrite(const struct fv__cpu_plan *plan, int node)
{
    const struct fv_net *net = plan->program->net;
    enum fv_node_kind kind = net->node[node].kind;
    if (plan->value[node].readers != 1 || node == net->embedding_node || node == net->logits_node)
        return 0;
    return !plan->training ||
           ((kind == FV_NODE_BN || kind == FV_NODE_CONV) && all_readers(plan, node) == 1);
}

struct fv__dnn_md *fv__cpu_value_md(struct fv__cpu_plan *plan, int node, enum fv__dnn_layout layout)
{
    const struct fv_node *o = desc(plan, node);
    return fv__cpu_md(plan, 4, (int[4]){plan->n, o->c, o->h, o->w}, layout);
}

struct fv__cpu_place fv__cpu_value_place(const struct fv__cpu_plan *plan, int node)
{
    return fv__cpu_in_buffer(plan->value[node].buffer);
}

static struct fv__cpu_place weight(int slot)
{
    return (struct fv__cpu_place){FV_CPU_WEIGHT, slot};
}

static size_t floats(const struct fv__dnn_md *md)
{
    return md ? fv__dnn_md_bytes(md) / sizeof(float) : 0;
}

static struct fv__dnn_md *vector_md(struct fv__cpu_plan *plan, int count)
{
    return fv__cpu_md(plan, 1, &count, FV_DNN_PLAIN);
}

/* `node` has read its inputs: all that may be written over an input is decided before. */
void fv__cpu_have_read(struct fv__cpu_plan *plan, int node)
{
    for (int k = 0; k < FV_NODE_INPUTS; k++)
        if (desc(plan, node)->in[k] >= 0)
            plan->value[desc(plan, node)->in[k]].readers--;
}

/* The step of `node` does the work of `later` too. */
static void fuse(struct fv__cpu_plan *plan, int node, int later)
{
    plan->value[node].out = later;
    plan->value[later].fused = 1;
    fv__cpu_have_read(plan, later);
}

/* The buffer keeps its contents to the end of the plan. */
static void hold(struct fv__cpu_plan *plan, int buffer)
{
    if (!plan->error)
        plan->buffer[buffer].last = INT_MAX;
}

static void lower_input(struct fv__cpu_plan *plan, int node)
{
    struct fv__cpu_value *v = &plan->value[node];
    v->md = fv__cpu_value_md(plan, node, FV_DNN_PLAIN);
    v->buffer = fv__cpu_buffer_for(plan, v->md);
    fv__cpu_step_loop(plan, node, 0, fv__cpu_loop_input, (size_t)plan->n);
    fv__cpu_operand(plan, fv__cpu_value_place(plan, node));
}

/* What follows a convolution and is done by it. */
struct chain {
    int bn, add, last; /* nodes; -1: none; last is the one whose value comes out */
    float limit;
};

static struct chain find_chain(const struct fv__cpu_plan *plan, int node, int with_add)
{
    struct chain c = {.bn = -1, .add = -1, .last = node};
    if (plan->training)
        return c;
    c.bn = only_reader(plan, node, FV_NODE_BN);
    if (c.bn >= 0)
        c.last = c.bn;
    int add = with_add ? only_reader(plan, c.last, FV_NODE_ADD) : -1;
    if (add >= 0) {
        int other = desc(plan, add)->in[desc(plan, add)->in[0] == c.last];
        if (plan->value[other].buffer >= 0 && may_overwrite(plan, other))
            c.last = c.add = add;
    }
    int relu = only_relu(plan, c.last);
    if (relu >= 0) {
        c.last = relu;
        c.limit = limit_of(plan, relu);
    }
    return c;
}

static int other_of_add(const struct fv__cpu_plan *plan, const struct chain *c)
{
    const struct fv_node *add = desc(plan, c->add);
    return add->in[plan->value[add->in[0]].buffer < 0];
}

static int make_conv(struct fv__cpu_plan *plan, int node, const struct chain *c,
                     struct fv__dnn_op *op)
{
    const struct fv_node *o = desc(plan, node);
    struct fv__dnn_conv conv = fv__cpu_conv_of(plan, node);
    conv.sum = c->add >= 0;
    conv.limit = c->limit;
    struct fv__dnn_md *bias = o->tensor[1] >= 0 || c->bn >= 0 ? vector_md(plan, o->c) : NULL;
    FV_TRY(plan->error);
    return fv__cpu_conv_make(plan, node, &conv, bias,
                             c->add >= 0 ? plan->value[other_of_add(plan, c)].md : NULL, op);
}

/* The first plan settles how a weight is packed; later ones convert if they must. */
static struct fv__cpu_place packed_weight(struct fv__cpu_plan *plan, int node, int tensor,
                                          const struct fv__dnn_op *op, struct fv__dnn_md **md)
{
    struct fv__cpu_slot *slot = &plan->program->slot[tensor];
    *md = fv__cpu_op_md(plan, op, dnnl_query_weights_md);
    if (*md && !slot->packed) {
        int rc = fv__dnn_op_md(&slot->packed, op, dnnl_query_weights_md);
        if (rc < 0)
            fv__cpu_fail(plan, rc);
    }
    if (plan->error)
        return weight(tensor);
    return fv__cpu_convert(plan, node, 0, weight(tensor), slot->packed, *md);
}

static void lower_conv(struct fv__cpu_plan *plan, int node)
{
    const struct fv_node *o = desc(plan, node);
    struct fv__cpu_value *in = &plan->value[o->in[0]], *v = &plan->value[node];
    struct fv__dnn_op op = {0};
    struct fv__dnn_md *weights;
    struct chain c = find_chain(plan, node, 1);
    int rc = make_conv(plan, node, &c, &op);
    if (c.add >= 0 && (rc < 0 || fv__cpu_conv_cost(&op) > 0)) {
        fv__dnn_op_free(&op);
        c = find_chain(plan, node, 0);
        rc = make_conv(plan, node, &c, &op);
    }
    if (rc < 0) {
        fv__cpu_fail(plan, rc);
        return;
    }
    v->src_md = fv__cpu_op_md(plan, &op, dnnl_query_src_md);
    struct fv__cpu_value *out = &plan->value[c.last];
    out->md = fv__cpu_op_md(plan, &op, dnnl_query_dst_md);
    if (plan->error) {
        fv__dnn_op_free(&op);
        return;
    }
    v->src = fv__cpu_convert(plan, node, 0, fv__cpu_value_place(plan, o->in[0]), in->md, v->src_md);
    struct fv__cpu_place w = packed_weight(plan, node, o->tensor[0], &op, &weights);
    v->op = op;
    fv__cpu_step_op(plan, node, 0, op);
    fv__cpu_arg(plan, DNNL_ARG_SRC, v->src_md, v->src);
    fv__cpu_arg(plan, DNNL_ARG_WEIGHTS, weights, w);
    if (o->tensor[1] >= 0 || c.bn >= 0)
        fv__cpu_arg(plan, DNNL_ARG_BIAS, vector_md(plan, o->c),
                    weight(c.bn >= 0 ? plan->program->net->tensors + node : o->tensor[1]));
    fv__cpu_have_read(plan, node);
    if (c.bn >= 0) {
        plan->program->folded[node] = c.bn;
        fuse(plan, node, c.bn);
    }
    if (c.add >= 0) {
        struct fv__cpu_value *other = &plan->value[other_of_add(plan, &c)];
        out->buffer = other->buffer;
        other->buffer = -1;
        fuse(plan, node, c.add);
    } else {
        out->buffer = fv__cpu_buffer_for(plan, out->md);
    }
    if (c.limit > 0)
        fuse(plan, node, c.last);
    fv__cpu_arg(plan, DNNL_ARG_DST, out->md, fv__cpu_in_buffer(out->buffer));
}

/* By oneDNN: in inference, and of a frozen batch norm. */
static void make_bn(struct fv__cpu_plan *plan, int node, int relu, struct fv__cpu_place out)
{
    const struct fv_node *o = desc(plan, node);
    struct fv__cpu_value *v = &plan->value[node];
    struct fv__dnn_bn bn = {.eps = o->eps, .training = plan->training, .given = 1, .relu = relu};
    struct fv__dnn_md *stat = vector_md(plan, o->c);
    struct fv__cpu_place mean = weight(o->tensor[2]), var = weight(o->tensor[3]);
    if (plan->error)
        return;
    int rc = fv__dnn_bn_forward(&v->op, plan->program->device->engine, &bn, v->src_md);
    if (rc < 0) {
        fv__cpu_fail(plan, rc);
        return;
    }
    if (plan->training) {
        mean = fv__cpu_in_buffer(v->mean);
        var = fv__cpu_in_buffer(v->var);
        fv__cpu_copy(plan, node, 0, weight(o->tensor[2]), stat, mean, stat);
        fv__cpu_copy(plan, node, 0, weight(o->tensor[3]), stat, var, stat);
    }
    fv__cpu_step_op(plan, node, 0, v->op);
    fv__cpu_arg(plan, DNNL_ARG_SRC, v->src_md, v->src);
    fv__cpu_arg(plan, DNNL_ARG_DST, v->src_md, out);
    fv__cpu_arg(plan, DNNL_ARG_MEAN, stat, mean);
    fv__cpu_arg(plan, DNNL_ARG_VARIANCE, stat, var);
    fv__cpu_arg(plan, DNNL_ARG_SCALE, stat, weight(o->tensor[0]));
    fv__cpu_arg(plan, DNNL_ARG_SHIFT, stat, weight(o->tensor[1]));
    if (plan->training && bn.relu) {
        struct fv__dnn_md *mask = fv__cpu_op_md(plan, &v->op, dnnl_query_workspace_md);
        v->workspace = fv__cpu_buffer_for(plan, mask);
        fv__cpu_arg(plan, DNNL_ARG_WORKSPACE, mask, fv__cpu_in_buffer(v->workspace));
    }
}

static void lower_bn(struct fv__cpu_plan *plan, int node)
{
    const struct fv_node *o = desc(plan, node);
    struct fv__cpu_value *in = &plan->value[o->in[0]], *v = &plan->value[node];
    const int own = v->own_bn =
        plan->training && !(plan->program->frozen[node] & FV_CPU_BY_RUNNING);
    int relu = own ? only_relu(plan, node) : only_reader(plan, node, FV_NODE_RELU);
    struct fv__cpu_value *out = &plan->value[relu >= 0 ? relu : node];
    struct fv__dnn_md *stat = vector_md(plan, o->c);
    struct fv__dnn_md *plain = fv__cpu_value_md(plan, node, FV_DNN_PLAIN);

    if (plan->error)
        return;
    out->md = v->src_md = own && fv__dnn_md_lanes(in->md) == 0 ? plain : in->md;
    v->src = fv__cpu_convert(plan, node, 0, fv__cpu_value_place(plan, o->in[0]), in->md, v->src_md);
    if (plan->training) {
        v->mean = fv__cpu_buffer_for(plan, stat);
        v->var = fv__cpu_buffer_for(plan, stat);
        hold(plan, v->mean); /* the running statistics take them at the end of the step */
        hold(plan, v->var);
    }
    out->buffer = fv__cpu_buffer_for(plan, out->md);
    if (own)
        fv__cpu_bn_forward(plan, node, fv__cpu_in_buffer(out->buffer),
                           relu >= 0 ? limit_of(plan, relu) : 0);
    else
        make_bn(plan, node, relu >= 0, fv__cpu_in_buffer(out->buffer));
    fv__cpu_have_read(plan, node);
    if (relu >= 0)
        fuse(plan, node, relu);
}

/* The buffer for an output that is computed element by element: the input's own where that may go. */
int fv__cpu_buffer_over(struct fv__cpu_plan *plan, int in, const struct fv__dnn_md *md)
{
    if (!may_overwrite(plan, in))
        return fv__cpu_buffer_for(plan, md);
    int buffer = plan->value[in].buffer;
    plan->value[in].buffer = -1;
    return buffer;
}

static void lower_relu(struct fv__cpu_plan *plan, int node)
{
    int in = desc(plan, node)->in[0];
    struct fv__cpu_value *v = &plan->value[node];
    struct fv__cpu_place src = fv__cpu_value_place(plan, in);
    v->md = plan->value[in].md;
    v->buffer = fv__cpu_buffer_over(plan, in, v->md);
    struct fv__cpu_step *s = fv__cpu_step_loop(plan, node, 0, fv__cpu_loop_relu, floats(v->md));
    if (s)
        s->limit = limit_of(plan, node);
    fv__cpu_operand(plan, src);
    fv__cpu_operand(plan, fv__cpu_value_place(plan, node));
    fv__cpu_have_read(plan, node);
}

static void lower_add(struct fv__cpu_plan *plan, int node)
{
    const struct fv_node *o = desc(plan, node);
    int a = o->in[0], b = o->in[1], relu = only_relu(plan, node);
    struct fv__cpu_value *out = &plan->value[relu >= 0 ? relu : node];
    struct fv__cpu_place first = fv__cpu_value_place(plan, a),
                         second = fv__cpu_value_place(plan, b);
    plan->value[node].md = out->md = plan->value[a].md;
    if (plan->error)
        return;
    second = fv__cpu_convert(plan, node, 0, second, plan->value[b].md, out->md);
    out->buffer =
        a == b ? fv__cpu_buffer_for(plan, out->md) : fv__cpu_buffer_over(plan, a, out->md);
    struct fv__cpu_step *s = fv__cpu_step_loop(plan, node, 0, fv__cpu_loop_add, floats(out->md));
    if (s && relu >= 0)
        s->limit = limit_of(plan, relu);
    fv__cpu_operand(plan, first);
    fv__cpu_operand(plan, second);
    fv__cpu_operand(plan, fv__cpu_in_buffer(out->buffer));
    fv__cpu_have_read(plan, node);
    if (relu >= 0)
        fuse(plan, node, relu);
}

static void lower_pool(struct fv__cpu_plan *plan, int node)
{
    const struct fv_node *o = desc(plan, node), *from = desc(plan, o->in[0]);
    struct fv__cpu_value *in = &plan->value[o->in[0]], *v = &plan->value[node];
    struct fv__dnn_pool pool = {.window_h = o->window,
                                .window_w = o->window,
                                .stride = o->stride,
                                .pad = o->pad,
                                .training = plan->training};
    if (o->kind == FV_NODE_GAP)
        pool = (struct fv__dnn_pool){.window_h = from->h,
                                     .window_w = from->w,
                                     .stride = 1,
                                     .mean = 1,
                                     .training = plan->training};
    struct fv__dnn_md *any = fv__cpu_value_md(plan, node, FV_DNN_ANY);
    if (plan->error)
        return;
    int rc = fv__dnn_pool_forward(&v->op, plan->program->device->engine, &pool, in->md, any);
    if (rc < 0) {
        fv__cpu_fail(plan, rc);
        return;
    }
    v->md = fv__cpu_op_md(plan, &v->op, dnnl_query_dst_md);
    v->src = fv__cpu_value_place(plan, o->in[0]);
    v->src_md = in->md;
    v->buffer = fv__cpu_buffer_for(plan, v->md);
    fv__cpu_step_op(plan, node, 0, v->op);
    fv__cpu_arg(plan, DNNL_ARG_SRC, in->md, v->src);
    fv__cpu_arg(plan, DNNL_ARG_DST, v->md, fv__cpu_value_place(plan, node));
    if (plan->training && o->kind == FV_NODE_MAXPOOL) {
        struct fv__dnn_md *where = fv__cpu_op_md(plan, &v->op, dnnl_query_workspace_md);
        v->workspace = fv__cpu_buffer_for(plan, where);
        fv__cpu_arg(plan, DNNL_ARG_WORKSPACE, where, fv__cpu_in_buffer(v->workspace));
    }
    fv__cpu_have_read(plan, node);
}

static void lower_fc(struct fv__cpu_plan *plan, int node)
{
    const struct fv_node *o = desc(plan, node);
    struct fv__cpu_value *in = &plan->value[o->in[0]], *v = &plan->value[node];
    const int *d = plan->program->net->tensor[o->tensor[0]].dim;
    const struct fv__cpu_slot *slot = &plan->program->slot[o->tensor[0]];
    struct fv__dnn_md *plain = fv__cpu_value_md(plan, o->in[0], FV_DNN_PLAIN);
    struct fv__dnn_md *any = fv__cpu_md(plan, 2, d, FV_DNN_ANY), *weights;
    struct fv__dnn_md *dst = fv__cpu_md(plan, 2, (int[2]){plan->n, d[0]}, FV_DNN_PLAIN);
    struct fv__dnn_md *bias = o->tensor[1] >= 0 ? vector_md(plan, o->c) : NULL;
    v->src_md = fv__cpu_md(plan, 2, (int[2]){plan->n, d[1]}, FV_DNN_PLAIN);
    v->md = fv__cpu_value_md(plan, node, FV_DNN_PLAIN);
    if (plan->error)
        return;
    dnnl_engine_t engine = plan->program->device->engine;
    int rc = fv__dnn_fc_forward(&v->op, engine, plan->training, v->src_md,
                                slot->packed ? slot->packed : any, bias, dst);
    if (rc < 0 && slot->packed)
        rc = fv__dnn_fc_forward(&v->op, engine, plan->training, v->src_md, any, bias, dst);
    if (rc < 0) {
        fv__cpu_fail(plan, rc);
        return;
    }
    v->src = fv__cpu_convert(plan, node, 0, fv__cpu_value_place(plan, o->in[0]), in->md, plain);
    struct fv__cpu_place w = packed_weight(plan, node, o->tensor[0], &v->op, &weights);
    v->buffer = fv__cpu_buffer_for(plan, v->md);
    fv__cpu_step_op(plan, node, 0, v->op);
    fv__cpu_arg(plan, DNNL_ARG_SRC, v->src_md, v->src);
    fv__cpu_arg(plan, DNNL_ARG_WEIGHTS, weights, w);
    if (bias)
        fv__cpu_arg(plan, DNNL_ARG_BIAS, bias, weight(o->tensor[1]));
    fv__cpu_arg(plan, DNNL_ARG_DST, dst, fv__cpu_value_place(plan, node));
    fv__cpu_have_read(plan, node);
}

static void (*const lower[FV_NODE_KINDS])(struct fv__cpu_plan *, int) = {
    [FV_NODE_INPUT] = lower_input,
    [FV_NODE_CONV] = lower_conv,
    [FV_NODE_BN] = lower_bn,
    [FV_NODE_RELU] = lower_relu,
    [FV_NODE_ADD] = lower_add,
    [FV_NODE_MAXPOOL] = lower_pool,
    [FV_NODE_GAP] = lower_pool,
    [FV_NODE_FC] = lower_fc,
    [FV_NODE_LOSS] = fv__cpu_loss_forward,
    [FV_NODE_COSINE] = fv__cpu_cosine_forward,
    [FV_NODE_RELU6] = lower_relu,
    [FV_NODE_PRELU] = fv__cpu_prelu_forward,
    [FV_NODE_SIGMOID] = fv__cpu_sigmoid_forward,
    [FV_NODE_SCALE] = fv__cpu_scale_forward,
    [FV_NODE_DROPOUT] = fv__cpu_dropout_forward,
};

/* What a plan for inference is for: the value as a plain matrix, whatever its layout. Returns its buffer. */
static int output(struct fv__cpu_plan *plan, int node)
{
    struct fv__dnn_md *plain = fv__cpu_value_md(plan, node, FV_DNN_PLAIN);
    if (plan->error)
        return -1;
    return fv__cpu_convert(plan, node, 0, fv__cpu_value_place(plan, node), plan->value[node].md,
                           plain)
        .index;
}

/* Only the loss reads it: inference has no use for it. */
static int is_idle(const struct fv__cpu_plan *plan, int node)
{
    return !plan->training && only_reader(plan, node, FV_NODE_LOSS) >= 0;
}

void fv__cpu_lower_forward(struct fv__cpu_plan *plan)
{
    const struct fv_net *net = plan->program->net;
    for (int i = 0; i < net->nodes; i++)
        for (int k = 0; k < FV_NODE_INPUTS; k++)
            if (net->node[i].in[k] >= 0)
                plan->value[net->node[i].in[k]].readers++;
    for (int i = 0; i < net->nodes && !plan->error; i++) {
        plan->value[i].out = i;
        if (!plan->value[i].fused && !is_idle(plan, i))
            lower[net->node[i].kind](plan, i);
    }
    hold(plan, plan->value[net->embedding_node].buffer);
    if (net->logits_node >= 0)
        hold(plan, plan->value[net->logits_node].buffer);
    if (!plan->training) {
        hold(plan, plan->embedding = output(plan, net->embedding_node));
        if (net->logits_node >= 0)
            hold(plan, plan->logits = output(plan, net->logits_node));
    }
}
