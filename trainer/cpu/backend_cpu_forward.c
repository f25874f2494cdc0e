/* SPDX-License-Identifier: MIT */
/* Net -> steps, forward, for training and for inference.
 *
 * Convolutions choose layouts (blocks of channels, on most processors; backend_cpu_forward_weights.c) and everything
 * after them follows, so that a value is converted only where two convolutions disagree. Every value is a 4-d tensor; a
 * fully connected layer sees plain 1x1 pixels as a matrix.
 *
 * Fused, where the value in between has no other reader: in training batch norm + ReLU and add + ReLU; in inference
 * convolution + batch norm (folded into its weights) + add + ReLU, the sum taken in place over the other operand.
 */
#include "trainer/cpu/backend_cpu.h"

#include <limits.h>

struct fv__dnn_md *fv__cpu_value_md(struct fv__cpu_plan *plan, int node, enum fv__dnn_layout layout)
{
    const struct fv_node *o = fv__cpu_node(plan, node);
    return fv__cpu_md(plan, 4, (int[4]){plan->n, o->c, o->h, o->w}, layout);
}

struct fv__cpu_place fv__cpu_value_place(const struct fv__cpu_plan *plan, int node)
{
    return fv__cpu_in_buffer(plan->value[node].buffer);
}

struct fv__dnn_md *fv__cpu_vector_md(struct fv__cpu_plan *plan, int count)
{
    return fv__cpu_md(plan, 1, &count, FV_DNN_PLAIN);
}

static size_t floats(const struct fv__dnn_md *md)
{
    return md ? fv__dnn_md_bytes(md) / sizeof(float) : 0;
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

/* By oneDNN: in inference, and of a frozen batch norm. */
static void make_bn(struct fv__cpu_plan *plan, int node, int relu, struct fv__cpu_place out)
{
    const struct fv_node *o = fv__cpu_node(plan, node);
    struct fv__cpu_value *v = &plan->value[node];
    struct fv__dnn_bn bn = {.eps = o->eps, .training = plan->training, .given = 1, .relu = relu};
    struct fv__dnn_md *stat = fv__cpu_vector_md(plan, o->c);
    struct fv__cpu_place mean = fv__cpu_in_weight(o->tensor[2]),
                         var = fv__cpu_in_weight(o->tensor[3]);
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
        fv__cpu_copy(plan, node, 0, fv__cpu_in_weight(o->tensor[2]), stat, mean, stat);
        fv__cpu_copy(plan, node, 0, fv__cpu_in_weight(o->tensor[3]), stat, var, stat);
    }
    fv__cpu_step_op(plan, node, 0, v->op);
    fv__cpu_arg(plan, DNNL_ARG_SRC, v->src_md, v->src);
    fv__cpu_arg(plan, DNNL_ARG_DST, v->src_md, out);
    fv__cpu_arg(plan, DNNL_ARG_MEAN, stat, mean);
    fv__cpu_arg(plan, DNNL_ARG_VARIANCE, stat, var);
    fv__cpu_arg(plan, DNNL_ARG_SCALE, stat, fv__cpu_in_weight(o->tensor[0]));
    fv__cpu_arg(plan, DNNL_ARG_SHIFT, stat, fv__cpu_in_weight(o->tensor[1]));
    if (plan->training && bn.relu) {
        struct fv__dnn_md *mask = fv__cpu_op_md(plan, &v->op, dnnl_query_workspace_md);
        v->workspace = fv__cpu_buffer_for(plan, mask);
        fv__cpu_arg(plan, DNNL_ARG_WORKSPACE, mask, fv__cpu_in_buffer(v->workspace));
    }
}

static void lower_bn(struct fv__cpu_plan *plan, int node)
{
    const struct fv_node *o = fv__cpu_node(plan, node);
    struct fv__cpu_value *in = &plan->value[o->in[0]], *v = &plan->value[node];
    const int own = v->own_bn =
        plan->training && !(plan->program->frozen[node] & FV_CPU_BY_RUNNING);
    int relu = own ? fv__cpu_only_relu(plan, node) : fv__cpu_only_reader(plan, node, FV_NODE_RELU);
    struct fv__cpu_value *out = &plan->value[relu >= 0 ? relu : node];
    struct fv__dnn_md *stat = fv__cpu_vector_md(plan, o->c);
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
                           relu >= 0 ? fv__cpu_relu_limit(plan, relu) : 0);
    else
        make_bn(plan, node, relu >= 0, fv__cpu_in_buffer(out->buffer));
    fv__cpu_have_read(plan, node);
    if (relu >= 0)
        fv__cpu_fuse(plan, node, relu);
}

static void lower_relu(struct fv__cpu_plan *plan, int node)
{
    int in = fv__cpu_node(plan, node)->in[0];
    struct fv__cpu_value *v = &plan->value[node];
    struct fv__cpu_place src = fv__cpu_value_place(plan, in);
    v->md = plan->value[in].md;
    v->buffer = fv__cpu_buffer_over(plan, in, v->md);
    struct fv__cpu_step *s = fv__cpu_step_loop(plan, node, 0, fv__cpu_loop_relu, floats(v->md));
    if (s)
        s->limit = fv__cpu_relu_limit(plan, node);
    fv__cpu_operand(plan, src);
    fv__cpu_operand(plan, fv__cpu_value_place(plan, node));
    fv__cpu_have_read(plan, node);
}

static void lower_add(struct fv__cpu_plan *plan, int node)
{
    const struct fv_node *o = fv__cpu_node(plan, node);
    int a = o->in[0], b = o->in[1], relu = fv__cpu_only_relu(plan, node);
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
        s->limit = fv__cpu_relu_limit(plan, relu);
    fv__cpu_operand(plan, first);
    fv__cpu_operand(plan, second);
    fv__cpu_operand(plan, fv__cpu_in_buffer(out->buffer));
    fv__cpu_have_read(plan, node);
    if (relu >= 0)
        fv__cpu_fuse(plan, node, relu);
}

static void lower_pool(struct fv__cpu_plan *plan, int node)
{
    const struct fv_node *o = fv__cpu_node(plan, node), *from = fv__cpu_node(plan, o->in[0]);
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

static void (*const lower[FV_NODE_KINDS])(struct fv__cpu_plan *, int) = {
    [FV_NODE_INPUT] = lower_input,
    [FV_NODE_CONV] = fv__cpu_conv_forward,
    [FV_NODE_BN] = lower_bn,
    [FV_NODE_RELU] = lower_relu,
    [FV_NODE_ADD] = lower_add,
    [FV_NODE_MAXPOOL] = lower_pool,
    [FV_NODE_GAP] = lower_pool,
    [FV_NODE_FC] = fv__cpu_fc_forward,
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
    return !plan->training && fv__cpu_only_reader(plan, node, FV_NODE_LOSS) >= 0;
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
