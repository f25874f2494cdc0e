/* SPDX-License-Identifier: MIT */
/* Batches in, results out.
 *
 * A step waits for nothing but its slot, which the step before the last had. The batch goes up on a stream of its own,
 * from the loader's memory if the device can read that, else from a copy; then the step is enqueued, which waits on
 * the device for the copy. */
#include "trainer/cuda/backend_cuda.h"

#include "common/err.h"

#include <stdlib.h>
#include <string.h>

/* Where the lowered program has an input of the batch; NULL if it has none. */
static const struct fv_low_buffer *input(const struct fv_lowered *l, enum fv_low_role role)
{
    for (int i = 0; i < l->ops; i++)
        if (l->op[i].arg[role] >= 0 && l->buffer[l->op[i].arg[role]].space == FV_LOW_BATCH)
            return &l->buffer[l->op[i].arg[role]];
    return NULL;
}

static int upload(struct fv_program *p, struct fv__cuda_slot *slot, const struct fv_low_buffer *b,
                  const void *from, size_t bytes)
{
    if (!b)
        return 0;
    if (!fv_gpu_is_host(p->device->gpu, from)) {
        memcpy(slot->host + b->offset, from, bytes);
        from = slot->host + b->offset;
    } else {
        slot->reads_host = 1;
    }
    return fv_gpu_upload(p->device->gpu, FV_GPU_COPY, slot->batch + b->offset, from, bytes);
}

static int upload_batch(struct fv_program *p, const struct fv_lowered *l,
                        struct fv__cuda_slot *slot, const struct fv_batch *b)
{
    const size_t n = (size_t)b->n, pixels = n * (size_t)b->height * (size_t)b->width * 3;
    slot->reads_host = 0;
    FV_TRY(upload(p, slot, input(l, FV_LOW_PIXELS), b->pixels, pixels));
    FV_TRY(upload(p, slot, input(l, FV_LOW_LABEL), b->label, n * sizeof *b->label));
    FV_TRY(upload(p, slot, input(l, FV_LOW_LABEL_MIX), b->label_mix, n * sizeof *b->label_mix));
    return upload(p, slot, input(l, FV_LOW_LAMBDA), b->lambda, n * sizeof *b->lambda);
}

/* Waits until the slot's last step is done. */
static int take_slot(struct fv_program *p, struct fv__cuda_slot **out)
{
    struct fv__cuda_slot *slot = *out = &p->slot[p->steps % FV__CUDA_SLOTS];
    if (p->judged == slot)
        p->judged = NULL;
    return slot->used ? fv__cuda_wait(p, slot->done) : 0;
}

int fv__cuda_settle(struct fv_program *p)
{
    struct fv__cuda_slot *slot = p->again;
    if (!p->held)
        return 0;
    p->held = 0;
    p->again = NULL;
    p->judged = NULL;
    FV_TRY(fv__cuda_release_hold(p));
    if (!slot)
        return 0;
    FV_TRY(fv__cuda_plan_run(slot->plan, slot));
    return fv_gpu_event_record(p->device->gpu, slot->done, FV_GPU_WORK);
}

/* The slot of the next step gets the batch, unless that has begun already. */
static int fetch(struct fv_program *p, const struct fv_batch *b, struct fv__cuda_plan **plan,
                 struct fv__cuda_slot **slot)
{
    const int fetched = p->fetched == b && p->fetched_ticket == b->ticket;
    p->fetched = NULL;
    FV_TRY(fv_backend_check_batch(p->net, p->batch, b));
    FV_TRY(fv__cuda_plan_for(p, b->n, plan));
    FV_TRY(take_slot(p, slot));
    return fetched ? 0 : upload_batch(p, (*plan)->l, *slot, b);
}

int fv__cuda_prefetch(struct fv_program *p, const struct fv_batch *b)
{
    struct fv__cuda_slot *slot;
    struct fv__cuda_plan *plan;
    FV_TRY(fetch(p, b, &plan, &slot));
    p->fetched = b;
    p->fetched_ticket = b->ticket;
    return 0;
}

int fv__cuda_step(struct fv_program *p, const struct fv_batch *b, const struct fv_optim *optim)
{
    struct fv_gpu *g = p->device->gpu;
    struct fv__cuda_slot *slot;
    struct fv__cuda_plan *plan;
    FV_TRY(fv__cuda_plan_freeze(p, optim));
    FV_TRY(fetch(p, b, &plan, &slot));
    FV_TRY(fv__cuda_prepare_update(p, slot, b, optim));
    FV_TRY(fv_gpu_event_record(g, slot->copied, FV_GPU_COPY));
    FV_TRY(fv_gpu_event_wait(g, slot->copied, FV_GPU_WORK));
    slot->used = 1;
    slot->n = b->n;
    int rc = fv__cuda_plan_run(plan, slot);
    FV_TRY(fv_gpu_event_record(g, slot->done, FV_GPU_WORK));
    FV_TRY(rc);
    p->steps++;
    /* the batch goes back to the loader now */
    return slot->reads_host ? fv_gpu_event_sync(g, slot->copied) : 0;
}

static int read_result(struct fv_program *p, struct fv__cuda_slot *slot, struct fv_step_result *out)
{
    FV_TRY(fv__cuda_wait(p, slot->done));
    FV_TRY(fv__cuda_read_control(p, slot, out));
    p->judged = slot;
    p->held = fv__cuda_on_hold(slot);
    return 0;
}

int fv__cuda_result(struct fv_program *p, struct fv_step_result *out)
{
    if (p->steps == 0)
        return fv_err(FV_EINVAL, "%s: no step was taken", p->net->arch);
    return read_result(p, &p->slot[(p->steps - 1) % FV__CUDA_SLOTS], out);
}

int fv__cuda_result_before(struct fv_program *p, struct fv_step_result *out)
{
    if (p->steps < 2 || !p->late)
        return fv_err(FV_EINVAL, "%s: there is no step before the last to tell of", p->net->arch);
    FV_TRY(read_result(p, &p->slot[p->steps % FV__CUDA_SLOTS], out));
    p->again = p->held ? &p->slot[(p->steps - 1) % FV__CUDA_SLOTS] : NULL;
    return 0;
}

/* Rows of the padded length to rows of `columns`; all in one piece, since each copy has its price. */
static int download_rows(struct fv_program *p, const struct fv_lowered *l, int buffer, int n,
                         int columns, float *out)
{
    const struct fv_low_buffer *b = &l->buffer[buffer];
    const size_t stride = b->bytes / sizeof(float) / (size_t)l->batch, rows = (size_t)n;
    const size_t count = (size_t)columns;
    float *padded = stride == count ? out : malloc(rows * stride * sizeof *padded);
    if (!padded)
        return fv_err(FV_ENOMEM, "backend cuda: out of memory");
    int rc = fv_gpu_download(p->device->gpu, FV_GPU_WORK, padded, p->arena + b->offset,
                             rows * stride * sizeof *padded);
    if (rc == 0)
        rc = fv__cuda_wait_work(p);
    if (padded == out)
        return rc;
    for (size_t i = 0; i < rows && rc == 0; i++)
        memcpy(out + i * count, padded + i * stride, count * sizeof *out);
    free(padded);
    return rc;
}

int fv__cuda_eval(struct fv_program *p, const uint8_t *pixels, int n, float *embedding,
                  float *logits)
{
    struct fv_gpu *g = p->device->gpu;
    struct fv__cuda_slot *slot;
    if (n < 1 || n > p->batch)
        return fv_err(FV_EINVAL, "%d images for a program of 1 .. %d", n, p->batch);
    FV_TRY(fv_backend_check_logits(p->net, logits));
    p->fetched = NULL; /* its slot is used here */
    FV_TRY(take_slot(p, &slot));
    const struct fv_lowered *l = p->infer->l;
    FV_TRY(upload(p, slot, input(l, FV_LOW_PIXELS), pixels,
                  (size_t)n * (size_t)p->net->size * (size_t)p->net->size * 3));
    FV_TRY(fv_gpu_event_record(g, slot->copied, FV_GPU_COPY));
    FV_TRY(fv_gpu_event_wait(g, slot->copied, FV_GPU_WORK));
    FV_TRY(fv__cuda_plan_run(p->infer, slot));
    slot->n = n;
    if (embedding)
        FV_TRY(download_rows(p, l, l->embedding, n, p->net->embedding, embedding));
    if (logits)
        FV_TRY(download_rows(p, l, l->logits, n, p->net->classes, logits));
    return fv__cuda_wait_work(p);
}
