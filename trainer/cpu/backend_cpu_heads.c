/* SPDX-License-Identifier: MIT */
/* Net -> steps, both directions, for cosine heads and the loss, and their loops.
 *
 * A cosine head is two normalisations and a matrix product: oneDNN multiplies unit rows of the embedding by unit rows
 * of the weight, and backward hands the gradients by unit rows through u = x / |x|: dx = (du - (du . u) u) / |x|.
 * In training the weight's unit rows are made anew each step, in a buffer; in inference the program keeps them instead
 * of the weight (backend_cpu_params.c).
 *
 * The loss is trainer/loss's, over plain rows: it gives value and gradients at once, so its backward step only hands
 * on.
 */
#include "trainer/cpu/backend_cpu.h"

#include "common/err.h"
#include "trainer/cpu/backend_cpu_threads.h"

#include <limits.h>
#include <math.h>

/* Rows and their norms. */
struct rows {
    const float *in, *grad;
    float *out, *norm;
    size_t columns;
};

/* Adds in four lanes, so that it becomes vector code; the order is fixed. */
static double dot(const float *a, const float *b, size_t n)
{
    double sum[4] = {0};
    size_t i = 0;
    for (; i + 4 <= n; i += 4)
        for (size_t k = 0; k < 4; k++)
            sum[k] += (double)a[i + k] * (double)b[i + k];
    for (; i < n; i++)
        sum[0] += (double)a[i] * (double)b[i];
    return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

static void unit_rows(void *ctx, size_t begin, size_t end)
{
    const struct rows *r = ctx;
    for (size_t i = begin; i < end; i++) {
        const float *x = r->in + i * r->columns;
        float *u = r->out + i * r->columns;
        const double norm = fmax(sqrt(dot(x, x, r->columns)), FV_CPU_SHORTEST);
        const float by = (float)(1 / norm);
        for (size_t k = 0; k < r->columns; k++)
            u[k] = x[k] * by;
        if (r->norm)
            r->norm[i] = (float)norm;
    }
}

void fv__cpu_unit_rows(int threads, const float *in, size_t rows, size_t columns, float *out,
                       float *norm)
{
    struct rows r = {.in = in, .out = out, .norm = norm, .columns = columns};
    fv__threads_share(threads, rows, 1, unit_rows, &r);
}

static void unit_grad_rows(void *ctx, size_t begin, size_t end)
{
    const struct rows *r = ctx;
    for (size_t i = begin; i < end; i++) {
        const float *u = r->in + i * r->columns, *g = r->grad + i * r->columns;
        float *out = r->out + i * r->columns;
        const float along = (float)dot(u, g, r->columns), by = 1 / r->norm[i];
        for (size_t k = 0; k < r->columns; k++)
            out[k] = (g[k] - along * u[k]) * by;
    }
}

/* operands: rows, unit rows, norms; count is the number of rows, lanes their length */
static void loop_unit(const struct fv__cpu_step *s, struct fv__cpu_run *r)
{
    fv__cpu_unit_rows(r->program->device->threads, s->data[0], s->count, s->lanes, s->data[1],
                      s->data[2]);
}

/* operands: gradient by unit rows, unit rows, norms, gradient by rows, which may be the first */
static void loop_unit_grad(const struct fv__cpu_step *s, struct fv__cpu_run *r)
{
    struct rows rows = {.grad = s->data[0],
                        .in = s->data[1],
                        .norm = s->data[2],
                        .out = s->data[3],
                        .columns = s->lanes};
    fv__threads_share(r->program->device->threads, s->count, 1, unit_grad_rows, &rows);
}

static void rows_step(struct fv__cpu_plan *plan, int node, int backward,
                      void (*loop)(const struct fv__cpu_step *, struct fv__cpu_run *), int rows,
                      int columns)
{
    struct fv__cpu_step *s = fv__cpu_step_loop(plan, node, backward, loop, (size_t)rows);
    if (s)
        s->lanes = (size_t)columns;
}

/* Unit rows of what is at `place`, and where their norms are. */
static int make_unit(struct fv__cpu_plan *plan, int node, struct fv__cpu_place place,
                     const struct fv__dnn_md *md, const int dim[2], int *norm)
{
    int unit = fv__cpu_buffer_for(plan, md);
    *norm = plan->error ? -1 : fv__cpu_buffer_new(plan, (size_t)dim[0] * sizeof(float));
    rows_step(plan, node, 0, loop_unit, dim[0], dim[1]);
    fv__cpu_operand(plan, place);
    fv__cpu_operand(plan, fv__cpu_in_buffer(unit));
    fv__cpu_operand(plan, fv__cpu_in_buffer(*norm));
    return unit;
}

void fv__cpu_cosine_forward(struct fv__cpu_plan *plan, int node)
{
    const struct fv_node *o = fv__cpu_node(plan, node);
    const int *d = plan->program->net->tensor[o->tensor[0]].dim;
    struct fv__cpu_value *in = &plan->value[o->in[0]], *v = &plan->value[node];
    struct fv__dnn_md *plain = fv__cpu_value_md(plan, o->in[0], FV_DNN_PLAIN);
    struct fv__dnn_md *weights = fv__cpu_md(plan, 2, d, FV_DNN_PLAIN);
    struct fv__dnn_md *dst = fv__cpu_md(plan, 2, (int[2]){plan->n, d[0]}, FV_DNN_PLAIN);
    struct fv__cpu_place w = {FV_CPU_WEIGHT, o->tensor[0]};
    v->src_md = fv__cpu_md(plan, 2, (int[2]){plan->n, d[1]}, FV_DNN_PLAIN);
    v->md = fv__cpu_value_md(plan, node, FV_DNN_PLAIN);
    if (plan->error)
        return;
    int rc = fv__dnn_fc_forward(&v->op, plan->program->device->engine, plan->training, v->src_md,
                                weights, NULL, dst);
    if (rc < 0) {
        fv__cpu_fail(plan, rc);
        return;
    }
    const struct fv__cpu_place x =
        fv__cpu_convert(plan, node, 0, fv__cpu_value_place(plan, o->in[0]), in->md, plain);
    v->src =
        fv__cpu_in_buffer(make_unit(plan, node, x, v->src_md, (int[2]){plan->n, d[1]}, &v->mean));
    if (plan->training) {
        v->workspace = make_unit(plan, node, w, weights, d, &v->var);
        w = fv__cpu_in_buffer(v->workspace);
    }
    v->buffer = fv__cpu_buffer_for(plan, v->md);
    fv__cpu_step_op(plan, node, 0, v->op);
    fv__cpu_arg(plan, DNNL_ARG_SRC, v->src_md, v->src);
    fv__cpu_arg(plan, DNNL_ARG_WEIGHTS, weights, w);
    fv__cpu_arg(plan, DNNL_ARG_DST, dst, fv__cpu_value_place(plan, node));
    fv__cpu_have_read(plan, node);
}

/* The gradient by rows at `place`, from that by their unit rows in the buffer g. */
static void unit_backward(struct fv__cpu_plan *plan, int node, int g, struct fv__cpu_place unit,
                          int norm, const int dim[2], struct fv__cpu_place place)
{
    rows_step(plan, node, 1, loop_unit_grad, dim[0], dim[1]);
    fv__cpu_operand(plan, fv__cpu_in_buffer(g));
    fv__cpu_operand(plan, unit);
    fv__cpu_operand(plan, fv__cpu_in_buffer(norm));
    fv__cpu_operand(plan, place);
}

/* The gradient of the weight, by way of that of its unit rows. */
static int cosine_weight_grad(struct fv__cpu_plan *plan, int node, int g,
                              const struct fv__dnn_md *weights, const struct fv__dnn_md *dst)
{
    const struct fv_node *o = fv__cpu_node(plan, node);
    const struct fv__cpu_value *v = &plan->value[node];
    struct fv__dnn_op op = {0};
    FV_TRY(fv__dnn_fc_backward_weights(&op, plan->program->device->engine, v->src_md, weights, NULL,
                                       dst, &v->op));
    const int dw = fv__cpu_buffer_for(plan, weights);
    fv__cpu_step_op(plan, node, 1, op);
    fv__cpu_arg(plan, DNNL_ARG_SRC, v->src_md, v->src);
    fv__cpu_arg(plan, DNNL_ARG_DIFF_DST, dst, fv__cpu_in_buffer(g));
    fv__cpu_arg(plan, DNNL_ARG_DIFF_WEIGHTS, weights, fv__cpu_in_buffer(dw));
    unit_backward(plan, node, dw, fv__cpu_in_buffer(v->workspace), v->var,
                  plan->program->net->tensor[o->tensor[0]].dim,
                  (struct fv__cpu_place){FV_CPU_GRADIENT, o->tensor[0]});
    return plan->error;
}

static int cosine_data_grad(struct fv__cpu_plan *plan, int node, int g,
                            const struct fv__dnn_md *weights, const struct fv__dnn_md *dst)
{
    const struct fv_node *o = fv__cpu_node(plan, node);
    const struct fv__cpu_value *v = &plan->value[node];
    const int rows[2] = {plan->n, plan->program->net->tensor[o->tensor[0]].dim[1]};
    struct fv__dnn_md *plain = fv__cpu_md(plan, 4, (int[4]){rows[0], rows[1], 1, 1}, FV_DNN_PLAIN);
    struct fv__dnn_op op = {0};
    FV_TRY(fv__dnn_fc_backward_data(&op, plan->program->device->engine, v->src_md, weights, dst,
                                    &v->op));
    const int dx = fv__cpu_buffer_for(plan, v->src_md);
    fv__cpu_step_op(plan, node, 1, op);
    fv__cpu_arg(plan, DNNL_ARG_DIFF_DST, dst, fv__cpu_in_buffer(g));
    fv__cpu_arg(plan, DNNL_ARG_WEIGHTS, weights, fv__cpu_in_buffer(v->workspace));
    fv__cpu_arg(plan, DNNL_ARG_DIFF_SRC, v->src_md, fv__cpu_in_buffer(dx));
    unit_backward(plan, node, dx, v->src, v->mean, rows, fv__cpu_in_buffer(dx));
    fv__cpu_give(plan, node, o->in[0], dx, plain);
    return plan->error;
}

void fv__cpu_cosine_backward(struct fv__cpu_plan *plan, int node)
{
    const struct fv_node *o = fv__cpu_node(plan, node);
    const int *d = plan->program->net->tensor[o->tensor[0]].dim;
    struct fv__dnn_md *weights = fv__cpu_md(plan, 2, d, FV_DNN_PLAIN);
    struct fv__dnn_md *dst = fv__cpu_md(plan, 2, (int[2]){plan->n, d[0]}, FV_DNN_PLAIN);
    const int g = fv__cpu_collect(plan, node, -1);
    if (plan->error || g < 0)
        return;
    int rc = fv__cpu_is_still(plan, node) ? 0 : cosine_weight_grad(plan, node, g, weights, dst);
    if (rc == 0 && fv__cpu_wants_grad(plan, o->in[0]))
        rc = cosine_data_grad(plan, node, g, weights, dst);
    if (rc < 0)
        fv__cpu_fail(plan, rc);
}

static void share_rows(void *ctx, size_t count, void (*fn)(void *arg, size_t begin, size_t end),
                       void *arg)
{
    const struct fv_program *p = ctx;
    fv__threads_share(p->device->threads, count, 1, fn, arg);
}

/* operands: work, then of each matrix that the loss reads the rows and, where there is one, their gradient */
static void loop_loss(const struct fv__cpu_step *s, struct fv__cpu_run *r)
{
    struct fv_program *p = r->program;
    const struct fv_net *net = p->net;
    const struct fv_node *o = &net->node[s->node];
    struct fv_loss_call *c = &p->loss;
    int at = 0;
    *c = (struct fv_loss_call){.spec = &net->loss,
                               .n = r->batch->n,
                               .classes = net->classes,
                               .dim = net->embedding,
                               .label = r->batch->label,
                               .label_mix = r->batch->label_mix,
                               .lambda = r->batch->lambda,
                               .epoch = p->epoch,
                               .work = (double *)(void *)s->data[at++],
                               .share = share_rows,
                               .share_ctx = p};
    for (int k = 0; k < FV_LOSS_INPUTS; k++) {
        if (o->in[k] < 0)
            continue;
        c->in[k].f = s->data[at++];
        if (net->loss.reads & 1u << k)
            c->in[k].grad_f = s->data[at++];
    }
    for (int t = 0; t < net->loss.terms; t++)
        for (int k = 0; k < FV_LOSS_STATES; k++) {
            const int tensor = fv_net_loss_state(net, t, k);
            c->state[t][k] = tensor < 0 ? NULL : p->weight + p->slot[tensor].offset;
        }
    fv_loss_run(c);
}

void fv__cpu_loss_forward(struct fv__cpu_plan *plan, int node)
{
    const struct fv_net *net = plan->program->net;
    const struct fv_node *o = fv__cpu_node(plan, node);
    struct fv__cpu_value *v = &plan->value[node];
    struct fv__cpu_place src[FV_LOSS_INPUTS];
    if (!plan->training)
        return;
    for (int k = 0; k < FV_LOSS_INPUTS; k++) {
        v->loss_grad[k] = -1;
        if (o->in[k] < 0)
            continue;
        struct fv__dnn_md *plain = fv__cpu_value_md(plan, o->in[k], FV_DNN_PLAIN);
        if (plan->error)
            return;
        src[k] = fv__cpu_convert(plan, node, 0, fv__cpu_value_place(plan, o->in[k]),
                                 plan->value[o->in[k]].md, plain);
        if (net->loss.reads & 1u << k)
            v->loss_grad[k] = fv__cpu_buffer_for(plan, plain);
    }
    v->md = fv__cpu_value_md(plan, node, FV_DNN_PLAIN);
    v->buffer = fv__cpu_buffer_new(plan, fv_loss_work(&net->loss, plan->n, net->embedding) *
                                             sizeof(double));
    fv__cpu_step_loop(plan, node, 0, loop_loss, (size_t)plan->n);
    fv__cpu_operand(plan, fv__cpu_value_place(plan, node));
    for (int k = 0; k < FV_LOSS_INPUTS; k++) {
        if (o->in[k] >= 0)
            fv__cpu_operand(plan, src[k]);
        if (v->loss_grad[k] >= 0)
            fv__cpu_operand(plan, fv__cpu_in_buffer(v->loss_grad[k]));
    }
    if (!plan->error)
        plan->buffer[v->buffer].last = INT_MAX; /* the new states are in it */
}

void fv__cpu_loss_backward(struct fv__cpu_plan *plan, int node)
{
    for (int k = 0; k < FV_LOSS_INPUTS; k++) {
        const int in = fv__cpu_node(plan, node)->in[k];
        if (plan->error || plan->value[node].loss_grad[k] < 0)
            continue;
        fv__cpu_give(plan, node, in, plan->value[node].loss_grad[k],
                     fv__cpu_value_md(plan, in, FV_DNN_PLAIN));
    }
}
