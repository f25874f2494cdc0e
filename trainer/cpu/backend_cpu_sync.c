/* SPDX-License-Identifier: MIT */
/* What goes from rank to rank.
 *
 * Gradients go in the net's order: on another machine the packed order may be another. The batch statistics that
 * the running ones are about to take go with them, so that those are the same on every rank after every step, and
 * no checkpoint has to bring them together.
 *
 * A batch norm over all ranks' items is put together from oneDNN's own, which work on one rank's, so that it
 * takes any layout. Forward: measure the rank's own items; bring the means and variances of all together;
 * normalise by given statistics. Backward: by given statistics oneDNN gives dx = gamma / deviation * dy and the
 * rank's own sums of dy and of dy * h. What is missing, with the sums of all ranks and m values a channel, is
 *
 *     - gamma / deviation * sum(dy) / m - h * gamma / deviation * sum(dy * h) / m,
 *
 * a factor and an offset of h a channel: a batch norm of x with that scale and shift. */
#include "trainer/cpu/backend_cpu.h"

#include "common/err.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Where the arena has the running statistic that this one goes into: 0 mean, 1 variance. */
static float *statistic(const struct fv_program *p, int node, int which)
{
    return p->plain + p->net->tensor[p->net->node[node].tensor[2 + which]].offset;
}

static float *measured(const struct fv__cpu_plan *plan, int node, int which)
{
    const struct fv__cpu_value *v = &plan->value[node];
    return fv__cpu_address(plan, fv__cpu_in_buffer(which ? v->var : v->mean));
}

int fv__cpu_average(struct fv_program *p, const struct fv__cpu_plan *plan)
{
    const struct fv_net *net = p->net;
    const size_t all = net->params + net->buffers;
    const float share = 1.0f / (float)p->comm->world;
    memset(p->plain + net->params, 0, net->buffers * sizeof *p->plain);
    FV_TRY(fv__cpu_unpack(p, p->grad, p->plain));
    for (int i = 0; i < net->nodes; i++)
        for (int k = 0; k < 2 && net->node[i].kind == FV_NODE_BN; k++)
            memcpy(statistic(p, i, k), measured(plan, i, k),
                   (size_t)net->node[i].c * sizeof(float));
    FV_TRY(fv_comm_sum_floats(p->comm, p->plain, all));
    for (size_t i = 0; i < all; i++)
        p->plain[i] *= share;
    for (int i = 0; i < net->nodes; i++)
        for (int k = 0; k < 2 && net->node[i].kind == FV_NODE_BN; k++)
            memcpy(measured(plan, i, k), statistic(p, i, k),
                   (size_t)net->node[i].c * sizeof(float));
    return fv__cpu_pack(p, p->grad, p->plain);
}

static size_t values(const struct fv__cpu_run *r, int node)
{
    const struct fv_node *o = &r->program->net->node[node];
    return (size_t)r->batch->n * (size_t)o->h * (size_t)o->w;
}

/* Operands mean, variance: of this rank's items, then of all. Ranks have equally many items: the mean is that of the
 * means, and the variance that of the variances and of the means' squared distances from it. */
static void merge_statistics(const struct fv__cpu_step *s, struct fv__cpu_run *r)
{
    struct fv_comm *comm = r->program->comm;
    const size_t c = s->count, w = (size_t)comm->world;
    double *sum = malloc(2 * c * sizeof *sum);
    if (!sum) {
        r->error = fv_err(FV_ENOMEM, "backend cpu: out of memory");
        return;
    }
    for (size_t i = 0; i < c; i++) {
        const double mean = (double)s->data[0][i];
        sum[i] = mean;
        sum[c + i] = (double)s->data[1][i] + mean * mean;
    }
    r->error = fv_comm_sum_doubles(comm, sum, 2 * c);
    for (size_t i = 0; i < c; i++) {
        const double mean = sum[i] / (double)w, var = sum[c + i] / (double)w - mean * mean;
        s->data[0][i] = (float)mean;
        s->data[1][i] = (float)(var < 0 ? 0 : var); /* a NaN stays one */
    }
    free(sum);
}

void fv__cpu_sync_forward(struct fv__cpu_plan *plan, int node, struct fv__cpu_place out)
{
    const struct fv_node *o = &plan->program->net->node[node];
    const struct fv__cpu_value *v = &plan->value[node];
    struct fv__dnn_bn bn = {.eps = o->eps, .training = 1, .bare = 1};
    struct fv__dnn_md *stat = fv__cpu_md(plan, 1, &o->c, FV_DNN_PLAIN);
    struct fv__dnn_op op = {0};
    if (plan->error)
        return;
    const int rc = fv__dnn_bn_forward(&op, plan->program->device->engine, &bn, v->src_md);
    if (rc < 0) {
        fv__cpu_fail(plan, rc);
        return;
    }
    fv__cpu_step_op(plan, node, 0, op);
    fv__cpu_arg(plan, DNNL_ARG_SRC, v->src_md, v->src);
    fv__cpu_arg(plan, DNNL_ARG_DST, v->src_md, out);
    fv__cpu_arg(plan, DNNL_ARG_MEAN, stat, fv__cpu_in_buffer(v->mean));
    fv__cpu_arg(plan, DNNL_ARG_VARIANCE, stat, fv__cpu_in_buffer(v->var));
    fv__cpu_step_loop(plan, node, 0, merge_statistics, (size_t)o->c);
    fv__cpu_operand(plan, fv__cpu_in_buffer(v->mean));
    fv__cpu_operand(plan, fv__cpu_in_buffer(v->var));
}

/* Operands dgamma and dbeta, of this rank's items; factor and offset of h; variance. dy is that of a rank's own
 * mean loss, which is world times that of the whole batch: so dx is, and the average over the ranks makes up for
 * it. */
static void merge_sums(const struct fv__cpu_step *s, struct fv__cpu_run *r)
{
    const struct fv_program *p = r->program;
    const struct fv_node *o = &p->net->node[s->node];
    const float *gamma = p->weight + p->slot[o->tensor[0]].offset;
    const float *var = s->data[4];
    const size_t c = s->count;
    const double m = (double)values(r, s->node) * p->comm->world;
    double *sum = malloc(2 * c * sizeof *sum);
    if (!sum) {
        r->error = fv_err(FV_ENOMEM, "backend cpu: out of memory");
        return;
    }
    for (size_t i = 0; i < 2 * c; i++)
        sum[i] = (double)s->data[i / c][i % c];
    r->error = fv_comm_sum_doubles(p->comm, sum, 2 * c);
    for (size_t i = 0; i < c; i++) {
        const double scale = (double)gamma[i] / sqrt((double)var[i] + (double)o->eps);
        s->data[2][i] = (float)(-scale * sum[i] / m);
        s->data[3][i] = (float)(-scale * sum[c + i] / m);
    }
    free(sum);
}

void fv__cpu_sync_backward(struct fv__cpu_plan *plan, int node, int dx, struct fv__cpu_place dgamma,
                           struct fv__cpu_place dbeta)
{
    const struct fv_node *o = &plan->program->net->node[node];
    const struct fv__cpu_value *v = &plan->value[node];
    struct fv__dnn_bn bn = {.eps = o->eps};
    struct fv__dnn_md *stat = fv__cpu_md(plan, 1, &o->c, FV_DNN_PLAIN);
    struct fv__dnn_op op = {0};
    const int factor = fv__cpu_buffer_for(plan, stat), offset = fv__cpu_buffer_for(plan, stat);
    const int missing = fv__cpu_buffer_for(plan, v->src_md);
    if (plan->error)
        return;
    const int rc = fv__dnn_bn_forward(&op, plan->program->device->engine, &bn, v->src_md);
    if (rc < 0) {
        fv__cpu_fail(plan, rc);
        return;
    }
    fv__cpu_step_loop(plan, node, 1, merge_sums, (size_t)o->c);
    fv__cpu_operand(plan, dgamma);
    fv__cpu_operand(plan, dbeta);
    fv__cpu_operand(plan, fv__cpu_in_buffer(factor));
    fv__cpu_operand(plan, fv__cpu_in_buffer(offset));
    fv__cpu_operand(plan, fv__cpu_in_buffer(v->var));
    fv__cpu_step_op(plan, node, 1, op);
    fv__cpu_arg(plan, DNNL_ARG_SRC, v->src_md, v->src);
    fv__cpu_arg(plan, DNNL_ARG_DST, v->src_md, fv__cpu_in_buffer(missing));
    fv__cpu_arg(plan, DNNL_ARG_MEAN, stat, fv__cpu_in_buffer(v->mean));
    fv__cpu_arg(plan, DNNL_ARG_VARIANCE, stat, fv__cpu_in_buffer(v->var));
    fv__cpu_arg(plan, DNNL_ARG_SCALE, stat, fv__cpu_in_buffer(factor));
    fv__cpu_arg(plan, DNNL_ARG_SHIFT, stat, fv__cpu_in_buffer(offset));
    fv__cpu_step_loop(plan, node, 1, fv__cpu_loop_add, fv__dnn_md_bytes(v->src_md) / sizeof(float));
    fv__cpu_operand(plan, fv__cpu_in_buffer(dx));
    fv__cpu_operand(plan, fv__cpu_in_buffer(missing));
    fv__cpu_operand(plan, fv__cpu_in_buffer(dx));
}
