/* SPDX-License-Identifier: MIT */
/* Net -> steps, both directions, for what works number by number and is not a ReLU: PReLU, sigmoid, scaling by channel,
 * dropout.
 *
 * PReLU and scaling follow the layout that the convolutions chose, as long as it is blocks of channels; a sigmoid,
 * which would fill padding, and dropout, which counts its numbers, work on plain values: where these nets have them
 * the maps are one pixel.
 */
#include "trainer/cpu/backend_cpu.h"

static size_t floats(const struct fv__dnn_md *md)
{
    return fv__dnn_md_bytes(md) / sizeof(float);
}

/* Input k of `node` in the layout `md`. */
static struct fv__cpu_place input(struct fv__cpu_plan *plan, int node, int k,
                                  const struct fv__dnn_md *md)
{
    int in = fv__cpu_node(plan, node)->in[k];
    return fv__cpu_convert(plan, node, 0, fv__cpu_value_place(plan, in), plan->value[in].md, md);
}

/* The layout in which a loop over lanes reads input 0: its own, or the plain one. */
static struct fv__dnn_md *lanes_md(struct fv__cpu_plan *plan, int node)
{
    int in = fv__cpu_node(plan, node)->in[0];
    if (!plan->error && fv__dnn_md_lanes(plan->value[in].md) > 0)
        return plan->value[in].md;
    return fv__cpu_value_md(plan, in, FV_DNN_PLAIN);
}

static void lanes_step(struct fv__cpu_plan *plan, int node, int backward,
                       void (*loop)(const struct fv__cpu_step *, struct fv__cpu_run *),
                       const struct fv__dnn_md *md)
{
    struct fv__cpu_step *s = fv__cpu_step_loop(plan, node, backward, loop, (size_t)plan->n);
    if (s)
        s->lanes = fv__dnn_md_lanes(md);
}

void fv__cpu_prelu_forward(struct fv__cpu_plan *plan, int node)
{
    struct fv__cpu_value *v = &plan->value[node];
    v->md = v->src_md = lanes_md(plan, node);
    if (plan->error)
        return;
    v->src = input(plan, node, 0, v->md);
    v->buffer = fv__cpu_buffer_for(plan, v->md);
    lanes_step(plan, node, 0, fv__cpu_loop_prelu, v->md);
    fv__cpu_operand(plan, v->src);
    fv__cpu_operand(plan, fv__cpu_in_weight(fv__cpu_node(plan, node)->tensor[0]));
    fv__cpu_operand(plan, fv__cpu_value_place(plan, node));
    fv__cpu_have_read(plan, node);
}

void fv__cpu_prelu_backward(struct fv__cpu_plan *plan, int node)
{
    const struct fv__cpu_value *v = &plan->value[node];
    int slope = fv__cpu_node(plan, node)->tensor[0], g = fv__cpu_collect(plan, node, -1);
    if (plan->error || g < 0)
        return;
    int dx = fv__cpu_buffer_for(plan, v->md);
    lanes_step(plan, node, 1, fv__cpu_loop_prelu_grad, v->md);
    fv__cpu_operand(plan, v->src);
    fv__cpu_operand(plan, fv__cpu_in_buffer(g));
    fv__cpu_operand(plan, fv__cpu_in_weight(slope));
    fv__cpu_operand(plan, fv__cpu_in_buffer(dx));
    fv__cpu_operand(plan, (struct fv__cpu_place){FV_CPU_GRADIENT, slope});
    fv__cpu_give(plan, node, fv__cpu_node(plan, node)->in[0], dx, v->md);
}

void fv__cpu_sigmoid_forward(struct fv__cpu_plan *plan, int node)
{
    struct fv__cpu_value *v = &plan->value[node];
    v->md = fv__cpu_value_md(plan, node, FV_DNN_PLAIN);
    if (plan->error)
        return;
    struct fv__cpu_place in = input(plan, node, 0, v->md);
    v->buffer = fv__cpu_buffer_for(plan, v->md);
    fv__cpu_step_loop(plan, node, 0, fv__cpu_loop_sigmoid, floats(v->md));
    fv__cpu_operand(plan, in);
    fv__cpu_operand(plan, fv__cpu_value_place(plan, node));
    fv__cpu_have_read(plan, node);
}

void fv__cpu_sigmoid_backward(struct fv__cpu_plan *plan, int node)
{
    const struct fv__cpu_value *v = &plan->value[node];
    int g = fv__cpu_collect(plan, node, -1);
    if (plan->error || g < 0)
        return;
    int dx = fv__cpu_buffer_for(plan, v->md);
    fv__cpu_step_loop(plan, node, 1, fv__cpu_loop_sigmoid_grad, floats(v->md));
    fv__cpu_operand(plan, fv__cpu_in_buffer(g));
    fv__cpu_operand(plan, fv__cpu_value_place(plan, node));
    fv__cpu_operand(plan, fv__cpu_in_buffer(dx));
    fv__cpu_give(plan, node, fv__cpu_node(plan, node)->in[0], dx, v->md);
}

/* The factors as a matrix (n, c), kept for backward as the value's workspace. */
void fv__cpu_scale_forward(struct fv__cpu_plan *plan, int node)
{
    struct fv__cpu_value *v = &plan->value[node];
    struct fv__dnn_md *plain =
        fv__cpu_value_md(plan, fv__cpu_node(plan, node)->in[1], FV_DNN_PLAIN);
    v->md = v->src_md = lanes_md(plan, node);
    if (plan->error)
        return;
    v->src = input(plan, node, 0, v->md);
    v->workspace = input(plan, node, 1, plain).index;
    v->buffer = fv__cpu_buffer_for(plan, v->md);
    lanes_step(plan, node, 0, fv__cpu_loop_scale, v->md);
    fv__cpu_operand(plan, v->src);
    fv__cpu_operand(plan, fv__cpu_in_buffer(v->workspace));
    fv__cpu_operand(plan, fv__cpu_value_place(plan, node));
    fv__cpu_have_read(plan, node);
}

void fv__cpu_scale_backward(struct fv__cpu_plan *plan, int node)
{
    const struct fv__cpu_value *v = &plan->value[node];
    const struct fv_node *o = fv__cpu_node(plan, node);
    struct fv__dnn_md *plain = fv__cpu_value_md(plan, o->in[1], FV_DNN_PLAIN);
    int g = fv__cpu_collect(plan, node, -1);
    if (plan->error || g < 0)
        return;
    int dx = fv__cpu_buffer_for(plan, v->md), factor = fv__cpu_buffer_for(plan, plain);
    lanes_step(plan, node, 1, fv__cpu_loop_scale_grad, v->md);
    fv__cpu_operand(plan, v->src);
    fv__cpu_operand(plan, fv__cpu_in_buffer(g));
    fv__cpu_operand(plan, fv__cpu_in_buffer(v->workspace));
    fv__cpu_operand(plan, fv__cpu_in_buffer(dx));
    fv__cpu_operand(plan, fv__cpu_in_buffer(factor));
    fv__cpu_give(plan, node, o->in[0], dx, v->md);
    fv__cpu_give(plan, node, o->in[1], factor, plain);
}

/* In inference a copy: the input may be asked for, and the output written over. */
void fv__cpu_dropout_forward(struct fv__cpu_plan *plan, int node)
{
    struct fv__cpu_value *v = &plan->value[node];
    v->md = fv__cpu_value_md(plan, node, FV_DNN_PLAIN);
    if (plan->error)
        return;
    struct fv__cpu_place in = input(plan, node, 0, v->md);
    v->buffer = fv__cpu_buffer_for(plan, v->md);
    if (plan->training) {
        fv__cpu_step_loop(plan, node, 0, fv__cpu_loop_dropout, (size_t)plan->n);
        fv__cpu_operand(plan, in);
        fv__cpu_operand(plan, fv__cpu_value_place(plan, node));
    } else {
        fv__cpu_copy(plan, node, 0, in, v->md, fv__cpu_value_place(plan, node), v->md);
    }
    fv__cpu_have_read(plan, node);
}

void fv__cpu_dropout_backward(struct fv__cpu_plan *plan, int node)
{
    const struct fv__cpu_value *v = &plan->value[node];
    int g = fv__cpu_collect(plan, node, -1);
    if (plan->error || g < 0)
        return;
    int dx = fv__cpu_buffer_for(plan, v->md);
    fv__cpu_step_loop(plan, node, 1, fv__cpu_loop_dropout, (size_t)plan->n);
    fv__cpu_operand(plan, fv__cpu_in_buffer(g));
    fv__cpu_operand(plan, fv__cpu_in_buffer(dx));
    fv__cpu_give(plan, node, fv__cpu_node(plan, node)->in[0], dx, v->md);
}
