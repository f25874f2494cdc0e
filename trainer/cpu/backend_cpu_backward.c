/* SPDX-License-Identifier: MIT */
/* Net -> steps, backward: the nodes in reverse, each turning the gradient of its output into those of its inputs and
 * of its weights.
 *
 * A value that several nodes read has a gradient in several pieces, one from each; they are added when the
 * node that made the value is reached, in the same pass that applies a ReLU's mask where there is one, and in
 * place where the piece is nobody else's. An addition hands its gradient on as it is: both inputs share it.
 */
#include "trainer/cpu/backend_cpu.h"

#include "common/err.h"

#include <math.h>

/* What a ReLU cuts off at. */
static float limit_of(const struct fv__cpu_plan *plan, int node)
{
    return fv__cpu_node(plan, node)->kind == FV_NODE_RELU6 ? 6.0f : INFINITY;
}

int fv__cpu_wants_grad(const struct fv__cpu_plan *plan, int node)
{
    return fv__cpu_node(plan, node)->kind != FV_NODE_INPUT &&
           !(plan->program->frozen[node] & FV_CPU_UNNEEDED);
}

/* Whether a node's tensors want their gradients. */
int fv__cpu_is_still(const struct fv__cpu_plan *plan, int node)
{
    return plan->program->frozen[node] & FV_CPU_STILL;
}

/* A piece of the gradient of `node`'s output, in the layout `md`. */
void fv__cpu_give(struct fv__cpu_plan *plan, int from, int node, int buffer,
                  const struct fv__dnn_md *md)
{
    struct fv__cpu_value *v = &plan->value[node];
    if (plan->error || !fv__cpu_wants_grad(plan, node))
        return;
    struct fv__cpu_place piece =
        fv__cpu_convert(plan, from, 1, fv__cpu_in_buffer(buffer), md, v->md);
    if (plan->error)
        return;
    if (v->grads == FV_CPU_PIECES) {
        fv__cpu_fail(plan,
                     fv_err(FV_EUNSUPPORTED, "backend cpu: %s: more than %d nodes read node %d",
                            plan->program->net->arch, FV_CPU_PIECES, node));
        return;
    }
    v->grad[v->grads++] = piece.index;
    plan->buffer[piece.index].pieces++;
}

/* A loop over gradients laid out as `node`'s value; the result may lie over one of them that is not needed any more,
 * unless each is to be kept. Returns its buffer. */
static int combine(struct fv__cpu_plan *plan, int node, int a, int b, int mask)
{
    const struct fv__cpu_value *v = &plan->value[node];
    if (plan->error)
        return -1;
    int keep = plan->program->device->keep, out;
    if (!keep && plan->buffer[a].pieces == 0)
        out = a;
    else if (!keep && b >= 0 && plan->buffer[b].pieces == 0)
        out = b;
    else
        out = fv__cpu_buffer_for(plan, v->md);
    struct fv__cpu_step *s = fv__cpu_step_loop(plan, node, 1,
                                               b < 0      ? fv__cpu_loop_mask
                                               : mask < 0 ? fv__cpu_loop_add
                                                          : fv__cpu_loop_add_mask,
                                               fv__dnn_md_bytes(v->md) / sizeof(float));
    if (s && mask >= 0)
        s->limit = limit_of(plan, node);
    fv__cpu_operand(plan, fv__cpu_in_buffer(a));
    if (b >= 0)
        fv__cpu_operand(plan, fv__cpu_in_buffer(b));
    if (mask >= 0)
        fv__cpu_operand(plan, fv__cpu_in_buffer(mask));
    fv__cpu_operand(plan, fv__cpu_in_buffer(out));
    return out;
}

/* The whole gradient of `node`'s output, by a ReLU's output `mask` also behind that ReLU (-1: none). -1: nothing
 * that leads to the loss reads it. */
int fv__cpu_collect(struct fv__cpu_plan *plan, int node, int mask)
{
    struct fv__cpu_value *v = &plan->value[node];
    int keep = plan->program->device->keep;
    if (plan->error || v->grads == 0)
        return -1;
    int sum = v->grad[0], masked = 0;
    plan->buffer[sum].pieces--;
    for (int i = 1; i < v->grads; i++) {
        plan->buffer[v->grad[i]].pieces--; /* one at a time: a buffer may come twice */
        masked = mask >= 0 && !keep && i == v->grads - 1;
        sum = combine(plan, node, sum, v->grad[i], masked ? mask : -1);
    }
    v->kept_grad = sum;
    return mask >= 0 && !masked ? combine(plan, node, sum, -1, mask) : sum;
}

/* Where a primitive writes the gradient of a slot: the slot itself, or a buffer if the layouts differ. */
static struct fv__cpu_place grad_place(struct fv__cpu_plan *plan, int slot,
                                       const struct fv__dnn_md *md)
{
    if (plan->error || fv__dnn_md_equal(md, plan->program->slot[slot].packed))
        return (struct fv__cpu_place){FV_CPU_GRADIENT, slot};
    return fv__cpu_in_buffer(fv__cpu_buffer_for(plan, md));
}

static void store_grad(struct fv__cpu_plan *plan, int node, int slot, struct fv__cpu_place place,
                       const struct fv__dnn_md *md)
{
    if (!plan->error && place.space == FV_CPU_BUFFER)
        fv__cpu_copy(plan, node, 1, place, md, (struct fv__cpu_place){FV_CPU_GRADIENT, slot},
                     plan->program->slot[slot].packed);
}

/* The part of a convolution and of a fully connected layer that is the same: gradients of weights and bias from an
 * op made for them. */
static void weight_grads(struct fv__cpu_plan *plan, int node, struct fv__dnn_op op, int g,
                         const struct fv__dnn_md *g_md)
{
    const struct fv_node *o = fv__cpu_node(plan, node);
    const struct fv__cpu_value *v = &plan->value[node];
    struct fv__dnn_md *w_md = fv__cpu_op_md(plan, &op, dnnl_query_diff_weights_md);
    struct fv__cpu_place w = grad_place(plan, o->tensor[0], w_md);
    fv__cpu_step_op(plan, node, 1, op);
    fv__cpu_arg(plan, DNNL_ARG_SRC, v->src_md, v->src);
    fv__cpu_arg(plan, DNNL_ARG_DIFF_DST, g_md, fv__cpu_in_buffer(g));
    fv__cpu_arg(plan, DNNL_ARG_DIFF_WEIGHTS, w_md, w);
    if (o->tensor[1] >= 0)
        fv__cpu_arg(plan, DNNL_ARG_DIFF_BIAS, plan->program->slot[o->tensor[1]].packed,
                    (struct fv__cpu_place){FV_CPU_GRADIENT, o->tensor[1]});
    store_grad(plan, node, o->tensor[0], w, w_md);
}

static int data_grad(struct fv__cpu_plan *plan, int node, struct fv__dnn_op op, int g,
                     const struct fv__dnn_md *g_md)
{
    const struct fv_node *o = fv__cpu_node(plan, node);
    const struct fv__cpu_value *v = &plan->value[node];
    struct fv__dnn_md *w_md = fv__cpu_op_md(plan, &op, dnnl_query_weights_md);
    int dx = fv__cpu_buffer_for(plan, v->src_md);
    struct fv__cpu_place w = fv__cpu_in_weight(o->tensor[0]);
    if (!plan->error)
        w = fv__cpu_convert(plan, node, 1, w, plan->program->slot[o->tensor[0]].packed, w_md);
    fv__cpu_step_op(plan, node, 1, op);
    fv__cpu_arg(plan, DNNL_ARG_DIFF_DST, g_md, fv__cpu_in_buffer(g));
    fv__cpu_arg(plan, DNNL_ARG_WEIGHTS, w_md, w);
    fv__cpu_arg(plan, DNNL_ARG_DIFF_SRC, v->src_md, fv__cpu_in_buffer(dx));
    return dx;
}

static struct fv__dnn_md *bias_md(const struct fv__cpu_plan *plan, const struct fv_node *o)
{
    return o->tensor[1] >= 0 ? plan->program->slot[o->tensor[1]].packed : NULL;
}

static void conv_backward(struct fv__cpu_plan *plan, int node)
{
    const struct fv_node *o = fv__cpu_node(plan, node);
    const struct fv__cpu_value *v = &plan->value[node];
    dnnl_engine_t engine = plan->program->device->engine;
    struct fv__dnn_conv conv = fv__cpu_conv_of(plan, node);
    struct fv__dnn_op op = {0};
    int g = fv__cpu_collect(plan, node, -1), rc;
    struct fv__dnn_md *any = fv__cpu_conv_weights(plan, node);
    if (plan->error || g < 0)
        return;
    rc = fv__cpu_is_still(plan, node)
             ? 0
             : fv__dnn_conv_backward_weights(&op, engine, &conv, v->src_md, any, bias_md(plan, o),
                                             v->md, &v->op);
    if (rc < 0)
        fv__cpu_fail(plan, rc);
    else if (op.primitive)
        weight_grads(plan, node, op, g, v->md);
    if (plan->error || !fv__cpu_wants_grad(plan, o->in[0]))
        return;
    rc = fv__dnn_conv_backward_data(&op, engine, &conv, v->src_md, any, v->md, &v->op);
    if (rc < 0)
        fv__cpu_fail(plan, rc);
    else
        fv__cpu_give(plan, node, o->in[0], data_grad(plan, node, op, g, v->md), v->src_md);
}

static void fc_backward(struct fv__cpu_plan *plan, int node)
{
    const struct fv_node *o = fv__cpu_node(plan, node), *in = fv__cpu_node(plan, o->in[0]);
    const struct fv__cpu_value *v = &plan->value[node];
    dnnl_engine_t engine = plan->program->device->engine;
    struct fv__dnn_op op = {0};
    const int *d = plan->program->net->tensor[o->tensor[0]].dim;
    struct fv__dnn_md *any = fv__cpu_md(plan, 2, d, FV_DNN_ANY);
    struct fv__dnn_md *dst = fv__cpu_md(plan, 2, (int[2]){plan->n, o->c}, FV_DNN_PLAIN);
    struct fv__dnn_md *plain =
        fv__cpu_md(plan, 4, (int[4]){plan->n, in->c, in->h, in->w}, FV_DNN_PLAIN);
    int g = fv__cpu_collect(plan, node, -1), rc;
    if (plan->error || g < 0)
        return;
    rc = fv__cpu_is_still(plan, node) ? 0
                                      : fv__dnn_fc_backward_weights(&op, engine, v->src_md, any,
                                                                    bias_md(plan, o), dst, &v->op);
    if (rc < 0)
        fv__cpu_fail(plan, rc);
    else if (op.primitive)
        weight_grads(plan, node, op, g, dst);
    if (plan->error || !fv__cpu_wants_grad(plan, o->in[0]))
        return;
    rc = fv__dnn_fc_backward_data(&op, engine, v->src_md, any, dst, &v->op);
    if (rc < 0)
        fv__cpu_fail(plan, rc);
    else
        fv__cpu_give(plan, node, o->in[0], data_grad(plan, node, op, g, dst), plain);
}

/* By oneDNN, of a frozen batch norm. */
static void given_bn_backward(struct fv__cpu_plan *plan, int node, int g, int dx,
                              struct fv__cpu_place dgamma, struct fv__cpu_place dbeta)
{
    const struct fv_node *o = fv__cpu_node(plan, node);
    const struct fv__cpu_value *v = &plan->value[node];
    struct fv__dnn_bn bn = {.eps = o->eps, .training = 1, .given = 1, .relu = v->out != node};
    struct fv__dnn_op op = {0};
    struct fv__dnn_md *stat = fv__cpu_md(plan, 1, &o->c, FV_DNN_PLAIN);
    if (plan->error)
        return;
    int rc = fv__dnn_bn_backward(&op, plan->program->device->engine, &bn, v->src_md, &v->op);
    if (rc < 0) {
        fv__cpu_fail(plan, rc);
        return;
    }
    fv__cpu_step_op(plan, node, 1, op);
    fv__cpu_arg(plan, DNNL_ARG_SRC, v->src_md, v->src);
    fv__cpu_arg(plan, DNNL_ARG_DIFF_DST, v->src_md, fv__cpu_in_buffer(g));
    fv__cpu_arg(plan, DNNL_ARG_MEAN, stat, fv__cpu_in_buffer(v->mean));
    fv__cpu_arg(plan, DNNL_ARG_VARIANCE, stat, fv__cpu_in_buffer(v->var));
    fv__cpu_arg(plan, DNNL_ARG_SCALE, stat, fv__cpu_in_weight(o->tensor[0]));
    if (fv__dnn_bn_backward_takes_shift())
        fv__cpu_arg(plan, DNNL_ARG_SHIFT, stat, fv__cpu_in_weight(o->tensor[1]));
    if (bn.relu)
        fv__cpu_arg(plan, DNNL_ARG_WORKSPACE, fv__cpu_op_md(plan, &v->op, dnnl_query_workspace_md),
                    fv__cpu_in_buffer(v->workspace));
    fv__cpu_arg(plan, DNNL_ARG_DIFF_SRC, v->src_md, fv__cpu_in_buffer(dx));
    fv__cpu_arg(plan, DNNL_ARG_DIFF_SCALE, stat, dgamma);
    fv__cpu_arg(plan, DNNL_ARG_DIFF_SHIFT, stat, dbeta);
}

static void bn_backward(struct fv__cpu_plan *plan, int node)
{
    const struct fv_node *o = fv__cpu_node(plan, node);
    const struct fv__cpu_value *v = &plan->value[node];
    struct fv__dnn_md *stat = fv__cpu_md(plan, 1, &o->c, FV_DNN_PLAIN);
    int g = fv__cpu_collect(plan, v->out, -1);
    if (plan->error || g < 0)
        return;
    int dx = plan->buffer[g].pieces == 0 && !plan->program->device->keep
                 ? g
                 : fv__cpu_buffer_for(plan, v->src_md);
    const struct fv__cpu_place dbeta = {FV_CPU_GRADIENT, o->tensor[1]};
    const struct fv__cpu_place dgamma = plan->program->net->tensor[o->tensor[0]].buffer
                                            ? fv__cpu_in_buffer(fv__cpu_buffer_for(plan, stat))
                                            : (struct fv__cpu_place){FV_CPU_GRADIENT, o->tensor[0]};
    if (v->own_bn)
        fv__cpu_bn_backward(plan, node, g, dx, v->out == node ? 0 : limit_of(plan, v->out), dgamma,
                            dbeta);
    else
        given_bn_backward(plan, node, g, dx, dgamma, dbeta);
    fv__cpu_give(plan, node, o->in[0], dx, v->src_md);
}

static void relu_backward(struct fv__cpu_plan *plan, int node)
{
    const struct fv__cpu_value *v = &plan->value[node];
    int dx = fv__cpu_collect(plan, node, v->buffer);
    if (dx >= 0)
        fv__cpu_give(plan, node, fv__cpu_node(plan, node)->in[0], dx, v->md);
}

static void add_backward(struct fv__cpu_plan *plan, int node)
{
    const struct fv__cpu_value *out = &plan->value[plan->value[node].out];
    int relu = plan->value[node].out != node;
    int g = fv__cpu_collect(plan, plan->value[node].out, relu ? out->buffer : -1);
    if (g < 0)
        return;
    plan->value[node].kept_grad = g;
    for (int k = 0; k < 2; k++)
        fv__cpu_give(plan, node, fv__cpu_node(plan, node)->in[k], g, out->md);
}

static void pool_backward(struct fv__cpu_plan *plan, int node)
{
    const struct fv_node *o = fv__cpu_node(plan, node), *in = fv__cpu_node(plan, o->in[0]);
    const struct fv__cpu_value *v = &plan->value[node];
    struct fv__dnn_op op = {0};
    struct fv__dnn_pool pool = {
        .window_h = o->window, .window_w = o->window, .stride = o->stride, .pad = o->pad};
    if (o->kind == FV_NODE_GAP)
        pool = (struct fv__dnn_pool){.window_h = in->h, .window_w = in->w, .stride = 1, .mean = 1};
    int g = fv__cpu_collect(plan, node, -1);
    if (plan->error || g < 0)
        return;
    int rc =
        fv__dnn_pool_backward(&op, plan->program->device->engine, &pool, v->src_md, v->md, &v->op);
    if (rc < 0) {
        fv__cpu_fail(plan, rc);
        return;
    }
    int dx = fv__cpu_buffer_for(plan, v->src_md);
    fv__cpu_step_op(plan, node, 1, op);
    fv__cpu_arg(plan, DNNL_ARG_DIFF_DST, v->md, fv__cpu_in_buffer(g));
    if (o->kind == FV_NODE_MAXPOOL)
        fv__cpu_arg(plan, DNNL_ARG_WORKSPACE, fv__cpu_op_md(plan, &v->op, dnnl_query_workspace_md),
                    fv__cpu_in_buffer(v->workspace));
    fv__cpu_arg(plan, DNNL_ARG_DIFF_SRC, v->src_md, fv__cpu_in_buffer(dx));
    fv__cpu_give(plan, node, o->in[0], dx, v->src_md);
}

static void (*const lower[FV_NODE_KINDS])(struct fv__cpu_plan *, int) = {
    [FV_NODE_CONV] = conv_backward,
    [FV_NODE_BN] = bn_backward,
    [FV_NODE_RELU] = relu_backward,
    [FV_NODE_ADD] = add_backward,
    [FV_NODE_MAXPOOL] = pool_backward,
    [FV_NODE_GAP] = pool_backward,
    [FV_NODE_FC] = fc_backward,
    [FV_NODE_LOSS] = fv__cpu_loss_backward,
    [FV_NODE_COSINE] = fv__cpu_cosine_backward,
    [FV_NODE_RELU6] = relu_backward,
    [FV_NODE_PRELU] = fv__cpu_prelu_backward,
    [FV_NODE_SIGMOID] = fv__cpu_sigmoid_backward,
    [FV_NODE_SCALE] = fv__cpu_scale_backward,
    [FV_NODE_DROPOUT] = fv__cpu_dropout_backward,
};

void fv__cpu_lower_backward(struct fv__cpu_plan *plan)
{
    const struct fv_net *net = plan->program->net;
    for (int i = net->nodes - 1; i >= 0 && !plan->error; i--)
        if (!plan->value[i].fused && lower[net->node[i].kind])
            lower[net->node[i].kind](plan, i);
}
