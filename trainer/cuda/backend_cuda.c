/* SPDX-License-Identifier: MIT */
#include "trainer/cuda/backend_cuda.h"

#include "common/err.h"
#include "trainer/cuda/cuda_row.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The device */

static void cuda_close(struct fv_device **d)
{
    if (!d || !*d)
        return;
    fv_gpu_close(&(*d)->gpu);
    free(*d);
    *d = NULL;
}

/* bf16 where the device has it: it needs no loss scale. */
static int choose_type(struct fv_device *d, const char *name)
{
    const int bf16 = fv_gpu_has_bf16(d->gpu);
    if (!name || strcmp(name, "auto") == 0) {
        d->type = bf16 ? FV_LOW_BF16 : FV_LOW_F16;
        return 0;
    }
    for (int t = FV_LOW_F32; t <= FV_LOW_F16; t++)
        if (strcmp(name, fv_low_dtype_names[t]) == 0) {
            d->type = (enum fv_low_dtype)t;
            if (d->type == FV_LOW_BF16 && !bf16)
                return fv_err(FV_EUNSUPPORTED, "%s has no bf16: use --dtype fp16",
                              fv_gpu_name(d->gpu));
            return 0;
        }
    return fv_err(FV_EUSAGE, "backend cuda computes in fp32, bf16 and fp16, not in '%s'", name);
}

static int cuda_open(struct fv_device **out, const struct fv_device_settings *s)
{
    struct fv_device *d = *out = calloc(1, sizeof *d);
    if (!d)
        return fv_err(FV_ENOMEM, "backend cuda: out of memory");
    int rc = fv_gpu_open(&d->gpu, s->index);
    if (rc == 0)
        rc = choose_type(d, s->dtype);
    if (rc < 0) {
        cuda_close(out);
        return rc;
    }
    d->eager = s->no_graph;
    snprintf(d->info, sizeof d->info, "%s, %s%s", fv_gpu_name(d->gpu), fv_low_dtype_names[d->type],
             d->eager ? ", without graphs" : "");
    return 0;
}

static const char *cuda_info(const struct fv_device *d)
{
    return d->info;
}

static void *cuda_host_alloc(struct fv_device *d, size_t bytes)
{
    void *p;
    return fv_gpu_host_alloc(d->gpu, &p, bytes, "batches") < 0 ? NULL : p;
}

static void cuda_host_free(struct fv_device *d, void *p)
{
    fv_gpu_host_free(d->gpu, p);
}

/* A program's memory */

static void free_slot(struct fv_gpu *g, struct fv__cuda_slot *slot)
{
    fv_gpu_free(g, slot->batch);
    fv_gpu_free(g, slot->settings);
    fv_gpu_host_free(g, slot->host);
    fv_gpu_event_free(g, slot->copied);
    fv_gpu_event_free(g, slot->done);
}

static void cuda_release(struct fv_program **out)
{
    if (!out || !*out)
        return;
    struct fv_program *p = *out;
    struct fv_gpu *g = p->device->gpu;
    (void)fv_gpu_sync(g, FV_GPU_COPY);
    if (fv__cuda_wait_work(p) < 0)
        (void)fv_gpu_sync(g, FV_GPU_WORK); /* sums over ranks were given up: it ends */
    for (int i = 0; i < FV__CUDA_PLANS; i++)
        fv__cuda_plan_free(&p->plan[i]);
    fv__cuda_plan_free(&p->infer);
    for (int i = 0; i < FV__CUDA_SLOTS; i++)
        free_slot(g, &p->slot[i]);
    for (int i = 0; i < FV_STATES; i++)
        fv_gpu_free(g, p->state[i]);
    fv_gpu_free(g, p->arena);
    fv_gpu_free(g, p->scratch);
    fv_gpu_free(g, p->parameters);
    fv_gpu_free(g, p->blocks);
    fv_gpu_event_free(g, p->ready);
    fv_gpu_event_free(g, p->joined);
    fv_gpu_event_free(g, p->idle);
    free(p->factor);
    free(p->frozen);
    free(p);
    *out = NULL;
}

static size_t align(size_t bytes)
{
    return (bytes + 255) / 256 * 256;
}

/* Masters, copies, gradients and statistics in one allocation, zeroed. */
static int place_parameters(struct fv_program *p, const struct fv_lowered *l)
{
    static const enum fv_low_space train[] = {FV_LOW_MASTER,  FV_LOW_WORK,      FV_LOW_RUNNING,
                                              FV_LOW_CONTROL, FV_LOW_BATCHSTAT, FV_LOW_GRAD};
    const int spaces = p->train ? 6 : 3;
    size_t offset[6], total = 0;
    for (int i = 0; i < spaces; i++) {
        offset[i] = total;
        total += align(l->bytes[train[i]]);
    }
    FV_TRY(fv_gpu_alloc(p->device->gpu, &p->parameters, total, "the parameters"));
    p->parameter_bytes = total;
    for (int i = 0; i < spaces; i++)
        p->space[train[i]] = (char *)p->parameters + offset[i];
    return fv_gpu_zero(p->device->gpu, FV_GPU_WORK, p->parameters, total);
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* One arena and one scratch for training and inference: they take turns. Also smaller batches have room. */
static int place_work(struct fv_program *p)
{
    struct fv_gpu *g = p->device->gpu;
    const struct fv__cuda_plan *train = p->plan[0], *infer = p->infer;
    void *memory;
    p->arena_bytes =
        larger(train ? train->l->bytes[FV_LOW_ARENA] : 0, infer->l->bytes[FV_LOW_ARENA]);
    p->scratch_bytes = larger(train ? train->scratch : 0, infer->scratch);
    FV_TRY(fv_gpu_alloc(g, &memory, p->arena_bytes, "the activations"));
    p->arena = memory;
    FV_TRY(fv_gpu_alloc(g, &memory, p->scratch_bytes, "the workspace"));
    p->scratch = memory;
    return 0;
}

/* Device memory for a batch, and pinned host memory for the batch, the settings of the step and its result. */
static int place_slot(struct fv_program *p, struct fv__cuda_slot *slot)
{
    struct fv_gpu *g = p->device->gpu;
    const size_t settings = align(fv__cuda_settings_bytes(p));
    const size_t control = align(p->plan[0] ? p->plan[0]->l->bytes[FV_LOW_CONTROL] : 0);
    void *memory;
    p->batch_bytes = align(larger(p->plan[0] ? p->plan[0]->l->bytes[FV_LOW_BATCH] : 0,
                                  p->infer->l->bytes[FV_LOW_BATCH]));
    p->host_bytes = p->batch_bytes + settings + control;
    FV_TRY(fv_gpu_alloc(g, &memory, p->batch_bytes, "a batch"));
    slot->batch = memory;
    FV_TRY(fv_gpu_alloc(g, &memory, settings, "a step's settings"));
    slot->settings = memory;
    FV_TRY(fv_gpu_host_alloc(g, &memory, p->host_bytes, "a batch"));
    slot->host = memory;
    slot->settings_host = slot->host + p->batch_bytes;
    slot->result = slot->settings_host + settings;
    FV_TRY(fv_gpu_event_new(g, &slot->copied, 0));
    return fv_gpu_event_new(g, &slot->done, 0);
}

static int prepare(struct fv_program *p)
{
    if (p->train)
        FV_TRY(fv__cuda_check_loss(p->net));
    FV_TRY(fv__cuda_check_memory(p, p->batch));
    if (p->train)
        FV_TRY(fv__cuda_plan_new(&p->plan[0], p, p->batch, 1));
    FV_TRY(fv__cuda_plan_new(&p->infer, p, p->batch, 0));
    FV_TRY(fv__cuda_check_memory(p, p->batch)); /* now that the workspace is known */
    FV_TRY(place_parameters(p, p->train ? p->plan[0]->l : p->infer->l));
    FV_TRY(place_work(p));
    for (int i = 0; i < FV__CUDA_SLOTS; i++)
        FV_TRY(place_slot(p, &p->slot[i]));
    return p->train ? fv__cuda_begin_control(p) : 0;
}

static int cuda_compile(struct fv_device *d, const struct fv_net *net, int batch, int train,
                        const struct fv_optim *optim, struct fv_program **out)
{
    *out = NULL;
    if (batch < 1)
        return fv_err(FV_EINVAL, "%s: a batch of %d images", net->arch, batch);
    struct fv_program *p = *out = calloc(1, sizeof *p);
    if (!p)
        return fv_err(FV_ENOMEM, "backend cuda: out of memory");
    p->device = d;
    p->net = net;
    p->batch = batch;
    p->train = train;
    p->epoch = INFINITY;
    int rc = train ? fv__cuda_note_frozen(p, optim) : 0;
    if (rc >= 0)
        rc = prepare(p);
    if (rc < 0)
        cuda_release(out);
    return rc;
}

/* Evaluation shares all of it. */
static int cuda_memory(struct fv_program *p, const struct fv_optim *optim, int evaluates,
                       struct fv_memory_use *out)
{
    const struct fv_lowered *l = p->infer->l;
    (void)optim;
    (void)evaluates;
    *out = (struct fv_memory_use){.weights = p->parameter_bytes,
                                  .activations = p->arena_bytes + p->scratch_bytes +
                                                 FV__CUDA_SLOTS * p->batch_bytes};
    for (int i = 0; i < FV_STATES; i++)
        if (p->state[i])
            out->states +=
                (l->elements + (i == FV_STATE_EMA ? l->stat_elements : 0)) * sizeof(float);
    return 0;
}

/* The borders: what needs a training program, and what a step held back must not be left behind by */

static int need_training(struct fv_program *p)
{
    if (!p->train)
        return fv_err(FV_EINVAL, "%s was compiled for inference only", p->net->arch);
    return fv__cuda_settle(p);
}

static int cuda_params_set(struct fv_program *p, const float *arena)
{
    FV_TRY(fv__cuda_settle(p));
    return fv__cuda_params_set(p, arena);
}

static int cuda_params_get(struct fv_program *p, float *arena)
{
    FV_TRY(fv__cuda_settle(p));
    return fv__cuda_params_get(p, arena);
}

static int cuda_state_set(struct fv_program *p, enum fv_state which, const float *v)
{
    FV_TRY(need_training(p));
    return fv__cuda_state_set(p, which, v);
}

static int cuda_state_get(struct fv_program *p, enum fv_state which, float *v)
{
    FV_TRY(need_training(p));
    return fv__cuda_state_get(p, which, v);
}

static int cuda_grads_get(struct fv_program *p, float *g)
{
    FV_TRY(need_training(p));
    return fv__cuda_grads_get(p, g);
}

static int cuda_step(struct fv_program *p, const struct fv_batch *b, const struct fv_optim *optim)
{
    FV_TRY(need_training(p));
    return fv__cuda_step(p, b, optim);
}

static int cuda_prefetch(struct fv_program *p, const struct fv_batch *b)
{
    FV_TRY(need_training(p));
    return fv__cuda_prefetch(p, b);
}

static int cuda_result(struct fv_program *p, struct fv_step_result *out)
{
    FV_TRY(need_training(p));
    return fv__cuda_result(p, out);
}

static int cuda_read_late(struct fv_program *p, int late)
{
    FV_TRY(need_training(p));
    p->late = late;
    return 0;
}

static int cuda_result_before(struct fv_program *p, struct fv_step_result *out)
{
    FV_TRY(need_training(p));
    return fv__cuda_result_before(p, out);
}

static int cuda_eval(struct fv_program *p, const uint8_t *pixels, int n, float *embedding,
                     float *logits)
{
    FV_TRY(fv__cuda_settle(p));
    return fv__cuda_eval(p, pixels, n, embedding, logits);
}

static void cuda_set_epoch(struct fv_program *p, double epoch)
{
    p->epoch = epoch;
}

static int cuda_set_comm(struct fv_program *p, struct fv_comm *comm, int sync_bn)
{
    FV_TRY(need_training(p));
    return fv__cuda_set_comm(p, comm, sync_bn);
}

static char *cuda_profile(struct fv_program *p)
{
    return fv__cuda_settle(p) < 0 ? NULL : fv__cuda_profile(p);
}

static int cuda_node_get(struct fv_program *p, int node, int gradient, float *out)
{
    FV_TRY(fv__cuda_settle(p));
    return fv__cuda_node_get(p, node, gradient, out);
}

const struct fv_backend fv_backend_cuda = {
    FV__CUDA_ROW,
    .open = cuda_open,
    .close = cuda_close,
    .info = cuda_info,
    .host_alloc = cuda_host_alloc,
    .host_free = cuda_host_free,
    .columns_open = fv__cuda_columns_open,
    .columns_times = fv__cuda_columns_times,
    .columns_close = fv__cuda_columns_close,
    .compile = cuda_compile,
    .release = cuda_release,
    .memory = cuda_memory,
    .params_set = cuda_params_set,
    .params_get = cuda_params_get,
    .state_set = cuda_state_set,
    .state_get = cuda_state_get,
    .grads_get = cuda_grads_get,
    .step = cuda_step,
    .prefetch = cuda_prefetch,
    .set_epoch = cuda_set_epoch,
    .result = cuda_result,
    .read_late = cuda_read_late,
    .result_before = cuda_result_before,
    .eval = cuda_eval,
    .set_comm = cuda_set_comm,
    .describe = fv__cuda_describe,
    .profile = cuda_profile,
    .find_bad = fv__cuda_find_bad,
    .node_get = cuda_node_get,
};
