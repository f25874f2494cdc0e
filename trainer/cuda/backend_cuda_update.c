/* SPDX-License-Identifier: MIT */
/* The end of a step: loss, the check of the gradients, the update, running statistics.
 *
 * Nothing here waits for the device: whether a step was finite, how far its gradients are clipped and what the next
 * loss scale is are decided there. What the host decides goes up with the batch (struct fv_k_hyper), so that a captured
 * step serves for every learning rate; only which kernels run at all makes another graph necessary (the mode). */
#include "trainer/cuda/backend_cuda_update.h"

#include "common/err.h"
#include "common/rng.h"
#include "trainer/cuda/hyper.h"

#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK = 256 };
/* The kinds of step that need a graph each. */
enum {
    WITH_OPTIM = 1,
    WITH_UPDATE = 2,
    IS_ADAM = 4,
    IN_PARTS = 8,
    FIRST_PART = 16,
    WITH_AVERAGE = 32,
};
/* fp16: where the scale begins, and after how many good steps it doubles. */
enum { FIRST_SCALE = 1 << 14, GROWTH_STEPS = 2000 };

static size_t blocks(size_t elements)
{
    return (elements + BLOCK - 1) / BLOCK;
}

static const struct fv_lowered *layout(const struct fv_program *p)
{
    return p->plan[0]->l;
}

size_t fv__cuda_settings_bytes(const struct fv_program *p)
{
    (void)p;
    return sizeof(struct fv__cuda_settings);
}

/* What belongs to blocks of elements */

static void fill_momenta(const struct fv_low_slot *s, float share, float *momentum)
{
    for (size_t j = 0; j < blocks(s->count); j++)
        momentum[s->offset / BLOCK + j] = share;
}

/* The factors of each block, then the shares of the new value that BN and a loss's numbers take; padding, frozen
 * batch norms and what classes keep have 0. */
static void fill_blocks(const struct fv_program *p, const struct fv_optim *optim,
                        struct fv_k_block *block, float *momentum)
{
    const struct fv_lowered *l = layout(p);
    const struct fv_net *net = p->net;
    for (int t = 0; t < net->tensors; t++) {
        const struct fv_low_slot *s = &l->slot[t];
        for (size_t i = 0; !net->tensor[t].buffer && i < blocks(s->count); i++)
            block[s->offset / BLOCK + i] = fv_k_block_of(optim, t);
    }
    for (int i = 0; i < net->nodes; i++)
        for (int k = 2; k < 4 && net->node[i].kind == FV_NODE_BN; k++)
            if (!fv_optim_is_frozen_bn(optim, net, i))
                fill_momenta(&l->slot[net->node[i].tensor[k]], net->node[i].momentum, momentum);
    for (int i = 0; i < net->loss.terms; i++)
        for (int k = 0; k < FV_LOSS_STATES; k++)
            if (fv_net_loss_state(net, i, k) >= 0 && !net->loss.term[i].loss->state[k].per_class)
                fill_momenta(&l->slot[fv_net_loss_state(net, i, k)], 1, momentum);
}

static size_t block_bytes(const struct fv_program *p)
{
    return blocks(layout(p)->elements) * sizeof(struct fv_k_block);
}

static int upload_blocks(struct fv_program *p, const struct fv_optim *optim)
{
    struct fv_gpu *g = p->device->gpu;
    const size_t first = block_bytes(p);
    const size_t bytes = first + blocks(layout(p)->stat_elements) * sizeof(float);
    if (!p->blocks) {
        void *memory;
        FV_TRY(fv_gpu_alloc(g, &memory, bytes + 1, "the optimiser's factors"));
        p->blocks = memory;
    }
    char *host = calloc(1, bytes + 1);
    if (!host)
        return fv_err(FV_ENOMEM, "backend cuda: out of memory");
    fill_blocks(p, optim, (struct fv_k_block *)host, (float *)(host + first));
    int rc = fv_gpu_upload(g, FV_GPU_WORK, p->blocks, host, bytes);
    if (rc == 0)
        rc = fv__cuda_wait_work(p);
    free(host);
    return rc;
}

/* Remembers a tensor's factors; 1 if they are not what they were. */
static int factors_changed(struct fv_program *p, const struct fv_optim *optim)
{
    int changed = 0;
    for (int t = 0; t < p->net->tensors; t++) {
        const struct fv_k_block b = fv_k_block_of(optim, t);
        changed |= p->factor[2 * t] != b.lr_factor || p->factor[2 * t + 1] != b.decay_factor;
        p->factor[2 * t] = b.lr_factor;
        p->factor[2 * t + 1] = b.decay_factor;
    }
    return changed;
}

/* Before a step */

static int need_states(struct fv_program *p, const struct fv_optim *o)
{
    for (int s = 0; s < fv_optim_rules[o->kind].states; s++)
        FV_TRY(fv__cuda_state_need(p, (enum fv_state)s));
    if (o->ema_decay > 0)
        FV_TRY(fv__cuda_state_need(p, FV_STATE_EMA));
    return o->parts > 1 ? fv__cuda_state_need(p, FV_STATE_SUM) : 0;
}

static unsigned mode_of(const struct fv_optim *o)
{
    if (!o)
        return 0;
    return WITH_OPTIM | (fv_optim_updates(o) ? WITH_UPDATE : 0u) |
           (o->kind != FV_OPTIM_SGD ? IS_ADAM : 0u) | (o->parts > 1 ? IN_PARTS : 0u) |
           (o->parts > 1 && o->part == 0 ? FIRST_PART : 0u) |
           (o->ema_decay > 0 ? WITH_AVERAGE : 0u);
}

int fv__cuda_begin_control(struct fv_program *p)
{
    const struct fv_k_control c = {.loss_scale = p->device->type == FV_LOW_F16 ? FIRST_SCALE : 1,
                                   .used_scale = 1};
    struct fv_gpu *g = p->device->gpu;
    p->factor = calloc(2 * (size_t)p->net->tensors + 1, sizeof *p->factor);
    FV_TRY(p->factor ? 0 : fv_err(FV_ENOMEM, "backend cuda: out of memory"));
    FV_TRY(fv_gpu_upload(g, FV_GPU_WORK, p->space[FV_LOW_CONTROL], &c, sizeof c));
    return fv__cuda_wait_work(p);
}

/* The device counts updates itself, since the host does not know yet which steps were finite; it is told where
 * counting begins. */
static int begin_count(struct fv_program *p, const struct fv_optim *o)
{
    struct fv_gpu *g = p->device->gpu;
    const uint64_t updates = o->updates;
    p->counting = 1;
    FV_TRY(fv_gpu_upload(g, FV_GPU_WORK,
                         p->space[FV_LOW_CONTROL] + offsetof(struct fv_k_control, updates),
                         &updates, sizeof updates));
    return fv__cuda_wait_work(p);
}

int fv__cuda_prepare_update(struct fv_program *p, struct fv__cuda_slot *slot,
                            const struct fv_batch *b, const struct fv_optim *optim)
{
    if (optim)
        FV_TRY(need_states(p, optim));
    if (optim && !p->counting)
        FV_TRY(begin_count(p, optim));
    if (factors_changed(p, optim) || !p->blocks)
        FV_TRY(upload_blocks(p, optim));
    p->mode = mode_of(optim);
    slot->wants = optim ? optim->wants : 0;
    slot->clips = optim && optim->clip_norm > 0 && fv_optim_updates(optim);
    struct fv__cuda_settings *s = (struct fv__cuda_settings *)(void *)slot->settings_host;
    fv_k_hyper_set(&s->hyper, optim, b->n, p->device->type == FV_LOW_F16 ? GROWTH_STEPS : 0);
    s->hyper.holds = p->late;
    s->ticket = b->ticket;
    FV_TRY(fv__cuda_set_margins(p, s));
    return fv_gpu_upload(p->device->gpu, FV_GPU_COPY, slot->settings, s, sizeof *s);
}

/* In a step */

static int do_dropout(const struct fv__cuda_update *s)
{
    const struct fv_net *net = s->p->net;
    const struct fv_node *node = &net->node[s->op->node];
    const struct fv_low_shape *shape = &s->op->shape;
    const struct fv_k_dropout d = {.x = s->arg[FV_LOW_X],
                                   .y = s->arg[FV_LOW_Y],
                                   .type =
                                       fv_dispatch_type(s->l->buffer[s->op->arg[FV_LOW_Y]].dtype),
                                   .rows = (int64_t)shape->n * shape->h * shape->w,
                                   .c = shape->c,
                                   .channels = shape->channels,
                                   .seed = net->seed,
                                   .node = (uint32_t)s->op->node,
                                   .stream = FV_RNG_DROPOUT,
                                   .limit = fv_net_dropout_limit(node),
                                   .kept = (float)(1 / (1 - (double)node->rate)),
                                   .ticket = &s->settings->ticket};
    return fv_k_dropout(&d, s->stream);
}

static struct fv_k_gradients gradients(const struct fv__cuda_update *s, int of_sum)
{
    const struct fv_lowered *l = layout(s->p);
    char *grad = s->p->space[FV_LOW_GRAD];
    if (of_sum)
        return (struct fv_k_gradients){.low = s->p->state[FV_STATE_SUM],
                                       .high = s->p->state[FV_STATE_SUM] + l->elements_t,
                                       .type = FV_K_F32,
                                       .low_count = l->elements_t,
                                       .count = l->elements,
                                       .is_sum = 1};
    return (struct fv_k_gradients){.low = grad,
                                   .high =
                                       (float *)(void *)(grad + fv_low_grad_byte(l, l->elements_t)),
                                   .type = fv_dispatch_type(l->dtype),
                                   .low_count = l->elements_t,
                                   .count = l->elements};
}

/* The update of an accumulated step is made of the sum of its parts. */
static int takes_sum(const struct fv_program *p)
{
    return (p->mode & IN_PARTS) && (p->mode & WITH_UPDATE);
}

/* What the result says of all ranks' items. Whether a step counts is decided by each rank for itself, and must be
 * decided alike: by the losses of all, and by gradients of all. A mean with something in it that is not finite is
 * not. */
static int share_result(const struct fv__cuda_update *s)
{
    struct fv_program *p = s->p;
    const size_t rows = (size_t)s->l->batch;
    if (!p->comm)
        return 0;
    FV_TRY(fv_gpu_copy(p->device->gpu, FV_GPU_WORK, s->control->shared.want,
                       s->settings->hyper.want, sizeof s->control->shared.want));
    FV_TRY(fv__cuda_mean_of_ranks(p, &s->control->shared, sizeof s->control->shared / sizeof(float),
                                  FV_LOW_F32));
    FV_TRY(fv__cuda_mean_of_ranks(p, s->arg[FV_LOW_ITEMS], (size_t)p->net->loss.terms * rows,
                                  FV_LOW_F32));
    return s->arg[FV_LOW_HITS] ? fv__cuda_mean_of_ranks(p, s->arg[FV_LOW_HITS], rows, FV_LOW_F32)
                               : 0;
}

static int do_check(const struct fv__cuda_update *s)
{
    struct fv_program *p = s->p;
    const int sum = takes_sum(p);
    const struct fv_k_accumulate a = {.gradients = gradients(s, 0),
                                      .block = p->blocks,
                                      .control = s->control,
                                      .sum = p->state[FV_STATE_SUM],
                                      .first = (p->mode & FIRST_PART) != 0};
    const struct fv_k_gradient_norm n = {
        .gradients = gradients(s, sum), .block = p->blocks, .partial = s->scratch};
    const struct fv_k_decide d = {.partial = s->scratch,
                                  .count = layout(p)->elements,
                                  .is_sum = sum,
                                  .items = s->arg[FV_LOW_ITEMS],
                                  .hits = s->arg[FV_LOW_HITS],
                                  .terms = p->net->loss.terms,
                                  .rows = s->l->batch,
                                  .hyper = &s->settings->hyper,
                                  .control = s->control};
    FV_TRY(fv__cuda_join_ranks(p));
    if (p->mode & IN_PARTS)
        FV_TRY(fv_k_accumulate(&a, s->stream));
    FV_TRY(fv_k_gradient_norm(&n, s->stream));
    FV_TRY(share_result(s));
    return fv_k_decide(&d, s->stream);
}

static int do_optim(const struct fv__cuda_update *s)
{
    struct fv_program *p = s->p;
    const struct fv_lowered *l = layout(p);
    const struct fv_k_optim o = {.gradients = gradients(s, takes_sum(p)),
                                 .block = p->blocks,
                                 .hyper = &s->settings->hyper,
                                 .control = s->control,
                                 .master = (float *)(void *)p->space[FV_LOW_MASTER],
                                 .first = p->state[FV_STATE_FIRST],
                                 .second = p->state[FV_STATE_SECOND],
                                 .work = l->dtype == FV_LOW_F32 ? NULL : p->space[FV_LOW_WORK],
                                 .average = p->mode & WITH_AVERAGE ? p->state[FV_STATE_EMA] : NULL,
                                 .work_type = fv_dispatch_type(l->dtype),
                                 .is_adam = (p->mode & IS_ADAM) != 0};
    if (!(p->mode & WITH_UPDATE))
        return 0;
    const struct fv_k_forget f = {
        .sum = p->state[FV_STATE_SUM], .count = l->elements, .control = s->control};
    FV_TRY(fv_k_optim(&o, s->stream));
    return p->mode & IN_PARTS ? fv_k_forget(&f, s->stream) : 0;
}

static int do_running(const struct fv__cuda_update *s)
{
    struct fv_program *p = s->p;
    const size_t count = layout(p)->stat_elements;
    const struct fv_k_running r = {
        .batch = (const float *)(const void *)p->space[FV_LOW_BATCHSTAT],
        .momentum = (const float *)(const void *)((const char *)p->blocks + block_bytes(p)),
        .running = (float *)(void *)p->space[FV_LOW_RUNNING],
        .average = p->mode & WITH_AVERAGE ? p->state[FV_STATE_EMA] + layout(p)->elements : NULL,
        .count = count,
        .hyper = &s->settings->hyper,
        .control = s->control};
    FV_TRY(fv__cuda_mean_of_ranks(p, p->space[FV_LOW_BATCHSTAT], count, FV_LOW_F32));
    FV_TRY(fv__cuda_follow_classes(s));
    return fv_k_running(&r, s->stream);
}

int fv__cuda_update(struct fv_program *p, const struct fv_low_op *op, void *const arg[FV_LOW_ROLES],
                    void *scratch)
{
    const struct fv__cuda_update s = {
        .p = p,
        .l = p->last->plan->l,
        .op = op,
        .arg = arg,
        .scratch = scratch,
        .stream = fv_gpu_stream(p->device->gpu, FV_GPU_WORK),
        .settings = (const struct fv__cuda_settings *)(const void *)p->last->settings,
        .control = (struct fv_k_control *)(void *)p->space[FV_LOW_CONTROL]};
    switch (op->kind) {
    case FV_LOW_DROPOUT:
        return do_dropout(&s);
    case FV_LOW_LOSS:
        return fv__cuda_loss(&s);
    case FV_LOW_CHECK:
        return do_check(&s);
    case FV_LOW_OPTIM:
        return do_optim(&s);
    default:
        return do_running(&s);
    }
}

/* After a step */

int fv__cuda_read_control(const struct fv_program *p, const struct fv__cuda_slot *slot,
                          struct fv_step_result *out)
{
    const int world = fv_comm_world(p->comm); /* each with a batch of this size */
    struct fv_k_control c;
    int triplets = 0;
    for (int t = 0; t < p->net->loss.terms; t++)
        triplets |= strcmp(p->net->loss.term[t].loss->name, "triplet") == 0;
    memcpy(&c, slot->result, sizeof c);
    *out = (struct fv_step_result){.loss = c.loss,
                                   .correct = c.correct * world,
                                   .active = triplets ? (double)c.shared.active : NAN,
                                   .distance = triplets ? (double)c.shared.distance : NAN,
                                   .n = slot->n * world,
                                   .finite = c.finite,
                                   .rescaled = !c.finite && isfinite(c.loss) && c.used_scale > 1,
                                   .grad_norm = slot->clips && c.finite ? c.grad_norm : 0,
                                   .wanted = slot->wants};
    for (int t = 0; t < p->net->loss.terms; t++)
        out->term[t] = c.term[t] / p->net->loss.term[t].weight;
    for (int k = 0; k < FV_WANT_BITS && world > 1; k++)
        out->wanted |= (unsigned)(c.shared.want[k] > 0) << k;
    return 0;
}

int fv__cuda_on_hold(const struct fv__cuda_slot *slot)
{
    struct fv_k_control c;
    memcpy(&c, slot->result, sizeof c);
    return c.hold;
}

int fv__cuda_release_hold(struct fv_program *p)
{
    static const int32_t no = 0;
    return fv_gpu_upload(p->device->gpu, FV_GPU_WORK,
                         p->space[FV_LOW_CONTROL] + offsetof(struct fv_k_control, hold), &no,
                         sizeof no);
}

int fv__cuda_loss_scale(struct fv_program *p, double *scale)
{
    struct fv_k_control c;
    struct fv_gpu *g = p->device->gpu;
    FV_TRY(fv_gpu_download(g, FV_GPU_WORK, &c, p->space[FV_LOW_CONTROL], sizeof c));
    FV_TRY(fv__cuda_wait_work(p));
    *scale = c.used_scale > 0 ? (double)c.used_scale : 1;
    return 0;
}
