/* SPDX-License-Identifier: MIT */
/* Net -> steps, forward: convolutions and fully connected layers, which choose the layouts that all else follows, and
 * how their weights are packed. */
#include "trainer/cpu/backend_cpu.h"

#include "common/err.h"

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
    c.bn = fv__cpu_only_reader(plan, node, FV_NODE_BN);
    if (c.bn >= 0)
        c.last = c.bn;
    int add = with_add ? fv__cpu_only_reader(plan, c.last, FV_NODE_ADD) : -1;
    if (add >= 0) {
        int other = fv__cpu_node(plan, add)->in[fv__cpu_node(plan, add)->in[0] == c.last];
        if (plan->value[other].buffer >= 0 && fv__cpu_may_overwrite(plan, other))
            c.last = c.add = add;
    }
    int relu = fv__cpu_only_relu(plan, c.last);
    if (relu >= 0) {
        c.last = relu;
        c.limit = fv__cpu_relu_limit(plan, relu);
    }
    return c;
}

static int other_of_add(const struct fv__cpu_plan *plan, const struct chain *c)
{
    const struct fv_node *add = fv__cpu_node(plan, c->add);
    return add->in[plan->value[add->in[0]].buffer < 0];
}

static int make_conv(struct fv__cpu_plan *plan, int node, const struct chain *c,
                     struct fv__dnn_op *op)
{
    const struct fv_node *o = fv__cpu_node(plan, node);
    struct fv__dnn_conv conv = fv__cpu_conv_of(plan, node);
    conv.sum = c->add >= 0;
    conv.limit = c->limit;
    struct fv__dnn_md *bias =
        o->tensor[1] >= 0 || c->bn >= 0 ? fv__cpu_vector_md(plan, o->c) : NULL;
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
        return fv__cpu_in_weight(tensor);
    return fv__cpu_convert(plan, node, 0, fv__cpu_in_weight(tensor), slot->packed, *md);
}

void fv__cpu_conv_forward(struct fv__cpu_plan *plan, int node)
{
    const struct fv_node *o = fv__cpu_node(plan, node);
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
        fv__cpu_arg(
            plan, DNNL_ARG_BIAS, fv__cpu_vector_md(plan, o->c),
            fv__cpu_in_weight(c.bn >= 0 ? plan->program->net->tensors + node : o->tensor[1]));
    fv__cpu_have_read(plan, node);
    if (c.bn >= 0) {
        plan->program->folded[node] = c.bn;
        fv__cpu_fuse(plan, node, c.bn);
    }
    if (c.add >= 0) {
        struct fv__cpu_value *other = &plan->value[other_of_add(plan, &c)];
        out->buffer = other->buffer;
        other->buffer = -1;
        fv__cpu_fuse(plan, node, c.add);
    } else {
        out->buffer = fv__cpu_buffer_for(plan, out->md);
    }
    if (c.limit > 0)
        fv__cpu_fuse(plan, node, c.last);
    fv__cpu_arg(plan, DNNL_ARG_DST, out->md, fv__cpu_in_buffer(out->buffer));
}

void fv__cpu_fc_forward(struct fv__cpu_plan *plan, int node)
{
    const struct fv_node *o = fv__cpu_node(plan, node);
    struct fv__cpu_value *in = &plan->value[o->in[0]], *v = &plan->value[node];
    const int *d = plan->program->net->tensor[o->tensor[0]].dim;
    const struct fv__cpu_slot *slot = &plan->program->slot[o->tensor[0]];
    struct fv__dnn_md *plain = fv__cpu_value_md(plan, o->in[0], FV_DNN_PLAIN);
    struct fv__dnn_md *any = fv__cpu_md(plan, 2, d, FV_DNN_ANY), *weights;
    struct fv__dnn_md *dst = fv__cpu_md(plan, 2, (int[2]){plan->n, d[0]}, FV_DNN_PLAIN);
    struct fv__dnn_md *bias = o->tensor[1] >= 0 ? fv__cpu_vector_md(plan, o->c) : NULL;
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
        fv__cpu_arg(plan, DNNL_ARG_BIAS, bias, fv__cpu_in_weight(o->tensor[1]));
    fv__cpu_arg(plan, DNNL_ARG_DST, dst, fv__cpu_value_place(plan, node));
    fv__cpu_have_read(plan, node);
}
