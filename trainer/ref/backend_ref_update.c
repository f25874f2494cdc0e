/* SPDX-License-Identifier: MIT */
/* What follows the backward pass in the reference backend: is all of it finite, the average over the ranks, running
 * statistics, accumulation, clipping, the update, the average. Written down in that order and nothing else.
 *
 * A part of an accumulated step that is not finite leaves a NaN in the sum, so that the last part, whenever it comes
 * and in whatever process, knows of it.
 */
#include "trainer/ref/backend_ref.h"

#include "common/err.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The vector, made at its first use. */
static int need_vector(struct fv_program *p, enum fv_state which)
{
    const size_t count = fv_state_count(p->net, which);
    if (p->vector[which])
        return 0;
    p->vector[which] = calloc(count, sizeof(float));
    if (!p->vector[which])
        return fv_err(FV_ENOMEM, "backend ref: out of memory");
    if (which == FV_STATE_EMA)
        memcpy(p->vector[which], p->value, count * sizeof(float));
    return 0;
}

int fv__ref_state_set(struct fv_program *p, enum fv_state which, const float *v)
{
    FV_TRY(need_vector(p, which));
    memcpy(p->vector[which], v, fv_state_count(p->net, which) * sizeof *v);
    return 0;
}

int fv__ref_state_get(struct fv_program *p, enum fv_state which, float *v)
{
    const float *from = p->vector[which];
    if (!from && which == FV_STATE_EMA)
        from = p->value;
    if (from)
        memcpy(v, from, fv_state_count(p->net, which) * sizeof *v);
    else
        memset(v, 0, fv_state_count(p->net, which) * sizeof *v);
    return 0;
}

static int are_finite(const struct fv_program *p, const struct fv_optim *o)
{
    for (int t = 0; t < p->net->tensors; t++) {
        const struct fv_tensor *tensor = &p->net->tensor[t];
        for (size_t i = 0; fv_optim_trains(o, p->net, t) && i < tensor->count; i++)
            if (!isfinite(p->grad[tensor->offset + i]))
                return 0;
    }
    return 1;
}

static void update_statistics(struct fv_program *p)
{
    for (int i = 0; i < p->net->nodes; i++) {
        const struct fv_node *o = &p->net->node[i];
        if (o->kind != FV_NODE_BN || p->node[i].by_running)
            continue;
        const double *stat = p->node[i].stat;
        float *mean = p->value + p->net->tensor[o->tensor[2]].offset;
        float *var = p->value + p->net->tensor[o->tensor[3]].offset;
        double m = stat[2 * o->c], share = (double)o->momentum;
        for (int c = 0; c < o->c; c++) {
            mean[c] = (float)((1 - share) * (double)mean[c] + share * stat[c]);
            var[c] = (float)((1 - share) * (double)var[c] + share * stat[o->c + c] * (m / (m - 1)));
        }
    }
}

/* Where the arena has the running statistics that a node's mean (0) or variance (1) goes into. */
static double *shared_statistic(const struct fv_program *p, int node, int which)
{
    return p->shared + p->net->tensor[p->net->node[node].tensor[2 + which]].offset;
}

/* Brings statistics of batch norms into what is shared (give), or back, divided. */
static void move_statistics(struct fv_program *p, int give)
{
    for (int i = 0; i < p->net->nodes; i++) {
        const struct fv_node *o = &p->net->node[i];
        for (int k = 0; k < 2 * o->c && o->kind == FV_NODE_BN; k++) {
            double *shared = &shared_statistic(p, i, k / o->c)[k % o->c];
            if (give)
                *shared = p->node[i].stat[k];
            else if (!p->node[i].by_running)
                p->node[i].stat[k] = *shared / p->comm->world;
        }
    }
}

/* Gradients and statistics of batch norms: their average over the ranks, by one sum. It goes in double:
 * nothing is rounded between the pass and the update, so that weights of ranks and of one process with all the images
 * round to the same fp32, but for one in many millions. */
static int average(struct fv_program *p)
{
    const size_t params = p->net->params, all = params + p->net->buffers;
    memset(p->shared + params, 0, p->net->buffers * sizeof *p->shared);
    move_statistics(p, 1);
    memcpy(p->shared, p->grad, params * sizeof *p->shared);
    FV_TRY(fv_comm_sum_doubles(p->comm, p->shared, all));
    move_statistics(p, 0);
    for (size_t i = 0; i < params; i++)
        p->grad[i] = p->shared[i] / p->comm->world;
    return 0;
}

/* Adds this part's gradients to the sum; the first part begins it anew. */
static void accumulate(struct fv_program *p, const struct fv_optim *o)
{
    float *sum = p->vector[FV_STATE_SUM];
    if (o->part == 0)
        memset(sum, 0, p->net->params * sizeof *sum);
    for (int t = 0; t < p->net->tensors; t++) {
        const struct fv_tensor *tensor = &p->net->tensor[t];
        if (!fv_optim_trains(o, p->net, t))
            continue;
        for (size_t i = tensor->offset; i < tensor->offset + tensor->count; i++)
            sum[i] = (float)((double)sum[i] + p->grad[i]);
        if (!p->result.finite)
            sum[tensor->offset] = NAN;
    }
}

/* The gradient that the update is made of. */
static double gradient(const struct fv_program *p, const struct fv_optim *o, size_t i)
{
    return o->parts > 1 ? (double)p->vector[FV_STATE_SUM][i] / o->parts : p->grad[i];
}

/* Of all that is trained; not finite if any of it is not. */
static double gradient_norm(const struct fv_program *p, const struct fv_optim *o)
{
    double squares = 0;
    for (int t = 0; t < p->net->tensors; t++) {
        const struct fv_tensor *tensor = &p->net->tensor[t];
        for (size_t i = 0; fv_optim_trains(o, p->net, t) && i < tensor->count; i++)
            squares += pow(gradient(p, o, tensor->offset + i), 2);
    }
    return sqrt(squares);
}

static void update_tensor(struct fv_program *p, const struct fv_optim *o, int t, double scale)
{
    const struct fv_optim_rule *rule = &fv_optim_rules[o->kind];
    const struct fv_optim_scalars c = fv_optim_scalars(o, t);
    const struct fv_tensor *tensor = &p->net->tensor[t];
    for (size_t i = tensor->offset; i < tensor->offset + tensor->count; i++) {
        double w = (double)p->value[i], state[2] = {0, 0};
        for (int s = 0; s < rule->states; s++)
            state[s] = (double)p->vector[s][i];
        rule->update(&c, &w, gradient(p, o, i) * scale, state);
        for (int s = 0; s < rule->states; s++)
            p->vector[s][i] = (float)state[s];
        p->value[i] = (float)w;
    }
}

static void average_tensor(struct fv_program *p, const struct fv_optim *o, int t)
{
    const struct fv_tensor *tensor = &p->net->tensor[t];
    float *ema = p->vector[FV_STATE_EMA];
    for (size_t i = tensor->offset; i < tensor->offset + tensor->count; i++)
        ema[i] += (float)((1 - o->ema_decay) * ((double)p->value[i] - (double)ema[i]));
}

static void update(struct fv_program *p, const struct fv_optim *o, double norm)
{
    const double scale = fv_optim_clip_scale(o, norm);
    p->result.grad_norm = o->clip_norm > 0 ? norm : 0;
    for (int t = 0; t < p->net->tensors; t++) {
        if (fv_optim_trains(o, p->net, t))
            update_tensor(p, o, t, scale);
        if (o->ema_decay > 0 && (fv_optim_trains(o, p->net, t) || p->net->tensor[t].buffer))
            average_tensor(p, o, t);
    }
}

int fv__ref_finish_step(struct fv_program *p, const struct fv_optim *o)
{
    const int updates = fv_optim_updates(o);
    double norm = 0;
    for (int s = 0; o && s < fv_optim_rules[o->kind].states; s++)
        FV_TRY(need_vector(p, (enum fv_state)s));
    if (o && o->ema_decay > 0)
        FV_TRY(need_vector(p, FV_STATE_EMA));
    if (o && o->parts > 1)
        FV_TRY(need_vector(p, FV_STATE_SUM));
    p->result.grad_norm = 0;
    p->result.wanted = o ? o->wants : 0;
    p->result.finite = p->result.finite && are_finite(p, o);
    FV_TRY(fv_backend_sum_result(p->comm, &p->result));
    if (p->result.finite && p->comm) {
        FV_TRY(average(p));
        p->result.finite = are_finite(p, o);
    }
    if (o && o->parts > 1)
        accumulate(p, o);
    if (updates)
        norm = gradient_norm(p, o);
    p->result.finite = p->result.finite && isfinite(norm);
    if (p->result.finite) {
        update_statistics(p);
        FV_TRY(fv_backend_commit_loss(p->comm, p->net, &p->loss));
    }
    if (updates && p->result.finite)
        update(p, o, norm);
    if (updates && o->parts > 1)
        memset(p->vector[FV_STATE_SUM], 0, p->net->params * sizeof(float));
    return 0;
}
