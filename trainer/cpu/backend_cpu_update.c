/* SPDX-License-Identifier: MIT */
/* What follows the backward pass: is all of it finite, the average over the ranks, accumulation, running statistics,
 * clipping, and the update with its average in one pass over the numbers. All of it goes element by element over the
 * packed arenas, in loops that the compiler vectorises.
 *
 * Sums of squares are taken over blocks of fixed size and added up in order, so that no number of threads changes a
 * bit. A part of an accumulated step that is not finite leaves a NaN in the sum: the last part, whenever it comes and
 * in whatever process, then knows of it.
 */
#include "trainer/cpu/backend_cpu.h"

#include "common/err.h"
#include "trainer/cpu/backend_cpu_threads.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { GRANULE = 16, SMALL = 4096, BLOCK = 8192 };

size_t fv__cpu_state_floats(const struct fv_program *p, enum fv_state which)
{
    return which == FV_STATE_EMA ? p->packed : p->trained;
}

/* The vector, made at its first use. */
static int need_vector(struct fv_program *p, enum fv_state which)
{
    const size_t count = fv__cpu_state_floats(p, which);
    if (p->vector[which])
        return 0;
    p->vector[which] = fv__cpu_floats(count);
    if (!p->vector[which])
        return fv_err(FV_ENOMEM, "%s: no memory for %zu MB of optimiser state", p->net->arch,
                      count * sizeof(float) >> 20);
    if (which == FV_STATE_EMA)
        memcpy(p->vector[which], p->weight, count * sizeof(float));
    return 0;
}

int fv__cpu_state_set(struct fv_program *p, enum fv_state which, const float *v)
{
    FV_TRY(need_vector(p, which));
    return fv__cpu_pack(p, p->vector[which], v);
}

int fv__cpu_state_get(struct fv_program *p, enum fv_state which, float *v)
{
    if (p->vector[which])
        return fv__cpu_unpack(p, p->vector[which], v);
    if (which == FV_STATE_EMA)
        return fv__cpu_unpack(p, p->weight, v);
    memset(v, 0, fv_state_count(p->net, which) * sizeof *v);
    return 0;
}

static void share(const struct fv_program *p, size_t count,
                  void (*fn)(void *ctx, size_t begin, size_t end), void *ctx)
{
    fv__threads_share(count < SMALL ? 1 : p->device->threads, count, GRANULE, fn, ctx);
}

struct check {
    const float *grad;
    int bad; /* only ever set, by whichever thread */
};

static void check_floats(void *ctx, size_t begin, size_t end)
{
    struct check *c = ctx;
    unsigned worst = 0;
    for (size_t i = begin; i < end; i++) {
        unsigned bits;
        memcpy(&bits, &c->grad[i], sizeof bits);
        bits &= 0x7f800000u;
        worst = bits > worst ? bits : worst;
    }
    if (worst == 0x7f800000u)
        __atomic_store_n(&c->bad, 1, __ATOMIC_RELAXED);
}

static int are_finite(const struct fv_program *p, const struct fv_optim *o, const float *grad)
{
    struct check c = {.bad = 0};
    if (!o || !o->lr_factor) { /* the arena holds nothing else */
        c.grad = grad;
        share(p, p->trained, check_floats, &c);
        return !c.bad;
    }
    for (int t = 0; t < p->net->tensors && !c.bad; t++) {
        c.grad = grad + p->slot[t].offset;
        if (fv_optim_trains(o, p->net, t))
            share(p, p->slot[t].count, check_floats, &c);
    }
    return !c.bad;
}

static void update_statistics(struct fv_program *p, const struct fv__cpu_plan *plan,
                              const struct fv_optim *optim)
{
    for (int i = 0; i < p->net->nodes; i++) {
        const struct fv_node *o = &p->net->node[i];
        if (o->kind != FV_NODE_BN || fv_optim_is_frozen_bn(optim, p->net, i))
            continue;
        const float *batch_mean = fv__cpu_address(plan, fv__cpu_in_buffer(plan->value[i].mean));
        const float *batch_var = fv__cpu_address(plan, fv__cpu_in_buffer(plan->value[i].var));
        float *mean = p->weight + p->slot[o->tensor[2]].offset;
        float *var = p->weight + p->slot[o->tensor[3]].offset;
        double m = (double)plan->n * o->h * o->w, part = (double)o->momentum;
        m *= p->sync_bn ? p->comm->world : 1;
        double unbiased = part * m / (m - 1);
        for (int c = 0; c < o->c; c++) {
            mean[c] = (float)((1 - part) * (double)mean[c] + part * (double)batch_mean[c]);
            var[c] = (float)((1 - part) * (double)var[c] + unbiased * (double)batch_var[c]);
        }
    }
}

struct sum {
    float *sum;
    const float *grad;
};

static void add_floats(void *ctx, size_t begin, size_t end)
{
    const struct sum *s = ctx;
    float *restrict sum = s->sum;
    const float *restrict grad = s->grad;
    for (size_t i = begin; i < end; i++)
        sum[i] += grad[i];
}

/* Adds this part's gradients to the sum; the first part begins it anew. */
static void accumulate(struct fv_program *p, const struct fv_optim *o, int finite)
{
    float *sum = p->vector[FV_STATE_SUM];
    if (o->part == 0)
        memset(sum, 0, p->trained * sizeof *sum);
    for (int t = 0; t < p->net->tensors; t++) {
        struct sum s = {sum + p->slot[t].offset, p->grad + p->slot[t].offset};
        if (!fv_optim_trains(o, p->net, t))
            continue;
        share(p, p->slot[t].count, add_floats, &s);
        if (!finite)
            s.sum[0] = NAN;
    }
}

struct squares {
    const float *grad;
    size_t count;
    double *block;
};

static void square_blocks(void *ctx, size_t begin, size_t end)
{
    const struct squares *s = ctx;
    for (size_t b = begin; b < end; b++) {
        const size_t stop = (b + 1) * BLOCK < s->count ? (b + 1) * BLOCK : s->count;
        double lane[8] = {0};
        for (size_t i = b * BLOCK; i < stop; i += 8)
            for (size_t k = 0; k < 8; k++) /* the arena ends at a multiple of 16 */
                lane[k] += (double)s->grad[i + k] * (double)s->grad[i + k];
        s->block[b] = ((lane[0] + lane[4]) + (lane[1] + lane[5])) +
                      ((lane[2] + lane[6]) + (lane[3] + lane[7]));
    }
}

static double sum_of_squares(struct fv_program *p, const float *grad, size_t count)
{
    double total = 0;
    const size_t blocks = (count + BLOCK - 1) / BLOCK;
    struct squares s = {grad, count, p->square};
    fv__threads_share(blocks < 2 ? 1 : p->device->threads, blocks, 1, square_blocks, &s);
    for (size_t b = 0; b < blocks; b++)
        total += s.block[b];
    return total;
}

static int norm_of(struct fv_program *p, const struct fv_optim *o, const float *grad, double *norm)
{
    double squares = 0;
    if (!p->square)
        p->square = calloc(p->trained / BLOCK + 1, sizeof *p->square);
    if (!p->square)
        return fv_err(FV_ENOMEM, "backend cpu: out of memory");
    for (int t = 0; t < p->net->tensors; t++)
        if (fv_optim_trains(o, p->net, t))
            squares += sum_of_squares(p, grad + p->slot[t].offset, p->slot[t].count);
    *norm = sqrt(squares);
    return 0;
}

struct update {
    void (*loop)(void *ctx, size_t begin,
                 size_t end);        /* of the optimiser; NULL: only the average */
    float *w, *first, *second, *ema; /* ema NULL: no average */
    const float *g;
    float scale; /* of the gradient: clipping, division by the parts */
    float lr, decay, shrink, momentum;
    float beta1, beta2, rest1, rest2, eps, step_size, root_scale, ema_rest;
};

static void sgd_floats(void *ctx, size_t begin, size_t end)
{
    const struct update u = *(const struct update *)ctx;
    float *restrict w = u.w, *restrict v = u.first;
    const float *restrict gradient = u.g;
    for (size_t i = begin; i < end; i++) {
        const float w0 = w[i] * u.shrink, g = gradient[i] * u.scale + u.decay * w0;
        const float v1 = u.momentum * v[i] + g;
        v[i] = v1;
        w[i] = w0 - u.lr * v1;
    }
}

static void nesterov_floats(void *ctx, size_t begin, size_t end)
{
    const struct update u = *(const struct update *)ctx;
    float *restrict w = u.w, *restrict v = u.first;
    const float *restrict gradient = u.g;
    for (size_t i = begin; i < end; i++) {
        const float w0 = w[i] * u.shrink, g = gradient[i] * u.scale + u.decay * w0;
        const float v1 = u.momentum * v[i] + g;
        v[i] = v1;
        w[i] = w0 - u.lr * (g + u.momentum * v1);
    }
}

static void adam_floats(void *ctx, size_t begin, size_t end)
{
    const struct update u = *(const struct update *)ctx;
    float *restrict w = u.w, *restrict first = u.first, *restrict second = u.second;
    const float *restrict gradient = u.g;
    for (size_t i = begin; i < end; i++) {
        const float w0 = w[i] * u.shrink, g = gradient[i] * u.scale + u.decay * w0;
        const float m = u.beta1 * first[i] + u.rest1 * g, v = u.beta2 * second[i] + u.rest2 * g * g;
        first[i] = m;
        second[i] = v;
        w[i] = w0 - u.step_size * m / (sqrtf(v) * u.root_scale + u.eps);
    }
}

static void average_floats(void *ctx, size_t begin, size_t end)
{
    const struct update u = *(const struct update *)ctx;
    const float *restrict w = u.w;
    float *restrict ema = u.ema;
    for (size_t i = begin; i < end; i++)
        ema[i] += u.ema_rest * (w[i] - ema[i]);
}

/* By pieces that stay in the cache until the average has read them. */
static void update_floats(void *ctx, size_t begin, size_t end)
{
    enum { PIECE = 4096 };
    const struct update *u = ctx;
    for (size_t i = begin; i < end; i += PIECE) {
        const size_t stop = i + PIECE < end ? i + PIECE : end;
        if (u->loop)
            u->loop(ctx, i, stop);
        if (u->ema)
            average_floats(ctx, i, stop);
    }
}

static struct update scalars_of(const struct fv_optim *o, int tensor)
{
    const struct fv_optim_scalars c = fv_optim_scalars(o, tensor);
    return (struct update){.loop = o->kind != FV_OPTIM_SGD ? adam_floats
                                   : o->nesterov           ? nesterov_floats
                                                           : sgd_floats,
                           .lr = (float)c.lr,
                           .decay = (float)c.decay,
                           .shrink = (float)c.shrink,
                           .momentum = (float)c.momentum,
                           .beta1 = (float)c.beta1,
                           .beta2 = (float)c.beta2,
                           .rest1 = (float)(1 - c.beta1),
                           .rest2 = (float)(1 - c.beta2),
                           .eps = (float)c.eps,
                           .step_size = (float)c.step_size,
                           .root_scale = (float)c.root_scale};
}

static void update_tensor(struct fv_program *p, const struct fv_optim *o, int t, const float *grad,
                          double scale)
{
    const struct fv__cpu_slot *s = &p->slot[t];
    const int buffer = p->net->tensor[t].buffer, average = o->ema_decay > 0;
    struct update u = scalars_of(o, t);
    if (!s->packed || (buffer ? !average : !fv_optim_trains(o, p->net, t)))
        return;
    u.w = p->weight + s->offset;
    u.ema = average ? p->vector[FV_STATE_EMA] + s->offset : NULL;
    u.ema_rest = (float)(1 - o->ema_decay);
    if (buffer) {
        u.loop = NULL;
    } else {
        u.g = grad + s->offset;
        u.scale = (float)scale;
        u.first = p->vector[FV_STATE_FIRST] + s->offset;
        u.second = o->kind == FV_OPTIM_SGD ? NULL : p->vector[FV_STATE_SECOND] + s->offset;
    }
    share(p, s->count, update_floats, &u);
}

/* Of the gradients at `grad`, which are finite and want dividing by `parts`. */
static int update(struct fv_program *p, const struct fv_optim *o, const float *grad, int parts)
{
    double scale = 1.0 / parts, norm = 0;
    if (o->clip_norm > 0) {
        FV_TRY(norm_of(p, o, grad, &norm));
        p->result.grad_norm = norm * scale;
        scale *= fv_optim_clip_scale(o, p->result.grad_norm);
    }
    for (int t = 0; t < p->net->tensors; t++)
        update_tensor(p, o, t, grad, scale);
    return 0;
}

static int need_vectors(struct fv_program *p, const struct fv_optim *o)
{
    for (int s = 0; s < fv_optim_rules[o->kind].states; s++)
        FV_TRY(need_vector(p, (enum fv_state)s));
    if (o->ema_decay > 0)
        FV_TRY(need_vector(p, FV_STATE_EMA));
    return o->parts > 1 ? need_vector(p, FV_STATE_SUM) : 0;
}

int fv__cpu_finish_step(struct fv_program *p, const struct fv__cpu_plan *plan,
                        const struct fv_optim *o, int loss_finite)
{
    const int parts = o && o->parts > 1 ? o->parts : 1, last = !o || fv_optim_updates(o);
    float *grad = p->grad;
    int finite = loss_finite && are_finite(p, o, grad);
    p->result.finite = finite;
    p->result.wanted = o ? o->wants : 0;
    FV_TRY(fv_backend_sum_result(p->comm, &p->result));
    finite = p->result.finite;
    if (p->comm && finite) {
        FV_TRY(fv__cpu_average(p, plan));
        finite = are_finite(p, o, grad);
    }
    if (o)
        FV_TRY(need_vectors(p, o));
    if (parts > 1) {
        accumulate(p, o, finite);
        grad = p->vector[FV_STATE_SUM];
    }
    if (last && parts > 1) /* an earlier part may not have been */
        finite = finite && are_finite(p, o, grad);
    p->result.finite = finite;
    p->infer_stale |= finite;
    if (finite) {
        update_statistics(p, plan, o);
        FV_TRY(fv_backend_commit_loss(p->comm, p->net, &p->loss));
    }
    if (o && last && finite)
        FV_TRY(update(p, o, grad, parts));
    if (last && parts > 1)
        memset(grad, 0, p->trained * sizeof *grad);
    return 0;
}
