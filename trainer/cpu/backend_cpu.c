/* SPDX-License-Identifier: MIT */
/* The cpu backend: oneDNN on the processor's threads.
 *
 * Everything happens inside the calling thread: while it is in here its OpenMP team has the size that the device was
 * opened with, and before and after that the size it had. The same number of threads gives the same bytes.
 */
#include "trainer/cpu/backend_cpu.h"

#include "common/clock.h"
#include "common/err.h"
#include "trainer/cpu/backend_cpu_threads.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_THREADS = 1024 };

static const char *isa_name(void)
{
    static const struct {
        int isa;
        const char *name;
    } known[] = {{dnnl_cpu_isa_avx512_core, "AVX-512"},
                 {dnnl_cpu_isa_avx2, "AVX2"},
                 {dnnl_cpu_isa_avx, "AVX"},
                 {dnnl_cpu_isa_sse41, "SSE4.1"}};
    int isa = (int)dnnl_get_effective_cpu_isa();
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if ((isa & known[i].isa) == known[i].isa)
            return known[i].name;
    return "generic code";
}

static void cpu_close(struct fv_device **d)
{
    if (!d || !*d)
        return;
    if ((*d)->stream)
        dnnl_stream_destroy((*d)->stream);
    if ((*d)->engine)
        dnnl_engine_destroy((*d)->engine);
    free(*d);
    *d = NULL;
}

static int open_engine(struct fv_device *d)
{
    FV_TRY(fv__dnn_fail(dnnl_engine_create(&d->engine, dnnl_cpu, 0), "engine"));
    return fv__dnn_fail(dnnl_stream_create(&d->stream, d->engine, dnnl_stream_default_flags),
                        "stream");
}

static int cpu_open(struct fv_device **out, const struct fv_device_settings *s)
{
    const dnnl_version_t *version = dnnl_version();
    *out = NULL;
    if (s->threads < 0 || s->threads > MAX_THREADS)
        return fv_err(FV_EINVAL, "backend cpu: %d threads: 0 (all) .. %d are possible", s->threads,
                      MAX_THREADS);
    struct fv_device *d = *out = calloc(1, sizeof *d);
    if (!d)
        return fv_err(FV_ENOMEM, "backend cpu: out of memory");
    d->threads = s->threads ? s->threads : fv__threads_available();
    d->winograd = 1;
    int rc = open_engine(d);
    if (rc < 0)
        cpu_close(out);
    else
        snprintf(d->info, sizeof d->info, "oneDNN %d.%d.%d, %s, %d thread%s", version->major,
                 version->minor, version->patch, isa_name(), d->threads, d->threads > 1 ? "s" : "");
    return rc;
}

static const char *cpu_info(const struct fv_device *d)
{
    return d->info;
}

static void cpu_release(struct fv_program **out)
{
    if (!out || !*out)
        return;
    struct fv_program *p = *out;
    cpu_release(&p->infer);
    for (int i = 0; i < FV_CPU_PLANS; i++)
        fv__cpu_plan_free(&p->plan[i]);
    for (int i = 0; p->slot && i < p->slots; i++) {
        fv__dnn_md_free(&p->slot[i].plain);
        fv__dnn_md_free(&p->slot[i].packed);
    }
    free(p->slot);
    free(p->folded);
    free(p->frozen);
    free(p->needed);
    free(p->still);
    fv__cpu_drop_bad(p);
    free(p->weight);
    free(p->grad);
    for (int i = 0; i < FV_STATES; i++)
        free(p->vector[i]);
    free(p->square);
    free(p->plain);
    free(p);
    *out = NULL;
}

/* The plan in slot i, for n images. */
static int make_plan(struct fv_program *p, int i, int n)
{
    fv__cpu_plan_free(&p->plan[i]);
    FV_TRY(fv__cpu_plan_new(&p->plan[i], p, n, p->train));
    fv__cpu_lower_forward(p->plan[i]);
    if (p->train && !p->plan[i]->error)
        fv__cpu_lower_backward(p->plan[i]);
    FV_TRY(p->plan[i]->error);
    if (!p->weight)
        FV_TRY(fv__cpu_slots_place(p));
    return fv__cpu_plan_commit(p->plan[i]);
}

static unsigned char frozen_bits(const struct fv_program *p, const struct fv_optim *optim, int node)
{
    unsigned bits = fv_optim_is_frozen_bn(optim, p->net, node) ? FV_CPU_BY_RUNNING : 0;
    int trained = 0;
    for (int k = 0; k < 4; k++)
        trained |= fv_optim_trains(optim, p->net, p->net->node[node].tensor[k]);
    bits |= trained ? 0 : FV_CPU_STILL;
    return (unsigned char)(bits | (p->needed[node] ? 0 : FV_CPU_UNNEEDED));
}

/* Whether plans made so far are of other frozen tensors. */
static int note_frozen(struct fv_program *p, const struct fv_optim *optim)
{
    int changed = 0;
    fv_optim_find_needed(optim, p->net, p->needed);
    for (int i = 0; i < p->net->nodes; i++) {
        const unsigned char bits = frozen_bits(p, optim, i);
        changed |= bits != p->frozen[i];
        p->frozen[i] = bits;
    }
    for (int t = 0; t < p->net->tensors; t++)
        p->still[t] = !fv_optim_trains(optim, p->net, t);
    return changed;
}

static int compile(struct fv_device *d, const struct fv_net *net, int batch, int train,
                   const struct fv_optim *optim, struct fv_program **out)
{
    struct fv_program *p = *out = calloc(1, sizeof *p);
    if (!p)
        return fv_err(FV_ENOMEM, "backend cpu: out of memory");
    p->device = d;
    p->net = net;
    p->batch = batch;
    p->train = train;
    p->epoch = INFINITY;
    int rc = fv__cpu_slots_new(p);
    if (rc == 0 && train)
        note_frozen(p, optim);
    if (rc == 0)
        rc = make_plan(p, 0, batch);
    if (rc < 0)
        cpu_release(out);
    return rc;
}

static int cpu_compile(struct fv_device *d, const struct fv_net *net, int batch, int train,
                       const struct fv_optim *optim, struct fv_program **out)
{
    *out = NULL;
    if (batch < 1)
        return fv_err(FV_EINVAL, "%s: a batch of %d images", net->arch, batch);
    int before = fv__threads_set(d->threads);
    int rc = compile(d, net, batch, train, optim, out);
    fv__threads_set(before);
    return rc;
}

/* Runs `statement` with the device's number of threads. */
#define WITH_THREADS(p, statement)                                                                 \
    do {                                                                                           \
        int before_ = fv__threads_set((p)->device->threads);                                       \
        statement;                                                                                 \
        fv__threads_set(before_);                                                                  \
    } while (0)

static int cpu_params_set(struct fv_program *p, const float *arena)
{
    int rc;
    WITH_THREADS(p,
                 rc = p->train ? fv__cpu_pack(p, p->weight, arena) : fv__cpu_pack_folded(p, arena));
    p->infer_stale = 1;
    return rc;
}

static int cpu_params_get(struct fv_program *p, float *arena)
{
    int rc = 0;
    if (p->train)
        WITH_THREADS(p, rc = fv__cpu_unpack(p, p->weight, arena));
    else
        memcpy(arena, p->plain, (p->net->params + p->net->buffers) * sizeof *arena);
    return rc;
}

static int need_training(const struct fv_program *p)
{
    return p->train ? 0 : fv_err(FV_EINVAL, "%s was compiled for inference only", p->net->arch);
}

static int cpu_state_set(struct fv_program *p, enum fv_state which, const float *v)
{
    int rc;
    FV_TRY(need_training(p));
    WITH_THREADS(p, rc = fv__cpu_state_set(p, which, v));
    return rc;
}

static int cpu_state_get(struct fv_program *p, enum fv_state which, float *v)
{
    int rc;
    FV_TRY(need_training(p));
    WITH_THREADS(p, rc = fv__cpu_state_get(p, which, v));
    return rc;
}

static int cpu_grads_get(struct fv_program *p, float *g)
{
    int rc;
    FV_TRY(need_training(p));
    WITH_THREADS(p, rc = fv__cpu_unpack(p, p->grad, g));
    for (int t = 0; t < p->net->tensors; t++) /* one that shares a step with what is trained */
        if (p->still[t] && !p->net->tensor[t].buffer)
            memset(g + p->net->tensor[t].offset, 0, p->net->tensor[t].count * sizeof *g);
    return rc;
}

/* The plan for n images; the first place is that of full batches, the others of the latest sizes seen. */
static int find_plan(struct fv_program *p, int n, struct fv__cpu_plan **out)
{
    for (int i = 0; i < FV_CPU_PLANS; i++) {
        *out = p->plan[i];
        if (*out && (*out)->n == n)
            return 0;
    }
    struct fv__cpu_plan *oldest = p->plan[FV_CPU_PLANS - 1];
    for (int i = FV_CPU_PLANS - 1; i > 1; i--)
        p->plan[i] = p->plan[i - 1];
    p->plan[1] = oldest;
    if (p->last == oldest)
        p->last = NULL;
    int rc = make_plan(p, 1, n);
    if (rc < 0)
        fv__cpu_plan_free(&p->plan[1]);
    *out = p->plan[1];
    return rc;
}

int fv__cpu_plan_anew(struct fv_program *p)
{
    p->last = NULL;
    for (int i = 1; i < FV_CPU_PLANS; i++)
        fv__cpu_plan_free(&p->plan[i]);
    return make_plan(p, 0, p->batch);
}

/* The gradients of what is frozen from now on are 0, and no step writes them. */
static int follow_frozen(struct fv_program *p, const struct fv_optim *optim)
{
    if (!note_frozen(p, optim))
        return 0;
    memset(p->grad, 0, p->trained * sizeof *p->grad);
    return fv__cpu_plan_anew(p);
}

static int step(struct fv_program *p, const struct fv_batch *b, const struct fv_optim *optim)
{
    struct fv__cpu_plan *plan;
    struct fv__cpu_run run = {.program = p, .pixels = b->pixels, .n = b->n, .batch = b};
    FV_TRY(follow_frozen(p, optim));
    FV_TRY(find_plan(p, b->n, &plan));
    FV_TRY(fv__cpu_plan_run(plan, &run));
    uint64_t begin = fv_now_ns();
    p->last = plan;
    p->last_n = b->n;
    const struct fv_loss_result *loss = &p->loss.result;
    p->result = (struct fv_step_result){.loss = loss->loss,
                                        .correct = loss->correct,
                                        .active = loss->active,
                                        .distance = loss->distance,
                                        .n = b->n};
    memcpy(p->result.term, loss->term, sizeof loss->term);
    FV_TRY(fv__cpu_finish_step(p, plan, optim, isfinite(loss->loss)));
    if (!p->result.finite)
        fv__cpu_keep_bad(p, b);
    else if (p->bad.n > 0)
        fv__cpu_drop_bad(p);
    p->update_ns = fv_now_ns() - begin;
    return 0;
}

static int cpu_step(struct fv_program *p, const struct fv_batch *b, const struct fv_optim *optim)
{
    int rc;
    FV_TRY(need_training(p));
    FV_TRY(fv_backend_check_batch(p->net, p->batch, b));
    WITH_THREADS(p, rc = step(p, b, optim));
    return rc;
}

static void cpu_set_epoch(struct fv_program *p, double epoch)
{
    p->epoch = epoch;
}

static int cpu_result(struct fv_program *p, struct fv_step_result *out)
{
    if (p->result.n == 0)
        return fv_err(FV_EINVAL, "%s: no step was taken", p->net->arch);
    *out = p->result;
    return 0;
}

/* A training program evaluates through a program for inference, which it gives its weights when they have changed. */
static int make_infer(struct fv_program *p)
{
    if (p->infer)
        return 0;
    p->infer_stale = 1;
    return compile(p->device, p->net, p->batch, 0, NULL, &p->infer);
}

static int refresh_infer(struct fv_program *p)
{
    FV_TRY(make_infer(p));
    if (!p->infer_stale)
        return 0;
    FV_TRY(fv__cpu_unpack(p, p->weight, p->plain));
    FV_TRY(fv__cpu_pack_folded(p->infer, p->plain));
    p->infer_stale = 0;
    return 0;
}

static void copy_rows(const struct fv__cpu_plan *plan, int buffer, int n, int columns, float *out)
{
    memcpy(out, fv__cpu_address(plan, fv__cpu_in_buffer(buffer)),
           (size_t)n * (size_t)columns * sizeof *out);
}

static int eval(struct fv_program *p, const uint8_t *pixels, int n, float *embedding, float *logits)
{
    if (p->train) {
        FV_TRY(refresh_infer(p));
        FV_TRY(eval(p->infer, pixels, n, embedding, logits));
        p->last = p->infer->last;
        p->last_n = n;
        return 0;
    }
    struct fv__cpu_plan *plan = p->plan[0];
    struct fv__cpu_run run = {.program = p, .pixels = pixels, .n = n};
    FV_TRY(fv__cpu_plan_run(plan, &run));
    p->last = plan;
    p->last_n = n;
    if (embedding)
        copy_rows(plan, plan->embedding, n, p->net->embedding, embedding);
    if (logits)
        copy_rows(plan, plan->logits, n, p->net->classes, logits);
    return 0;
}

static int cpu_eval(struct fv_program *p, const uint8_t *pixels, int n, float *embedding,
                    float *logits)
{
    int rc;
    if (n < 1 || n > p->batch)
        return fv_err(FV_EINVAL, "%d images for a program of 1 .. %d", n, p->batch);
    FV_TRY(fv_backend_check_logits(p->net, logits));
    WITH_THREADS(p, rc = eval(p, pixels, n, embedding, logits));
    return rc;
}

static int measure_memory(struct fv_program *p, const struct fv_optim *optim, int evaluates,
                          struct fv_memory_use *out)
{
    if (p->train) {
        FV_TRY(follow_frozen(p, optim));
        FV_TRY(evaluates ? make_infer(p) : 0);
    }
    fv__cpu_memory(p, out);
    return 0;
}

static int cpu_memory(struct fv_program *p, const struct fv_optim *optim, int evaluates,
                      struct fv_memory_use *out)
{
    int rc;
    WITH_THREADS(p, rc = measure_memory(p, optim, evaluates, out));
    return rc;
}

static int cpu_set_comm(struct fv_program *p, struct fv_comm *comm, int sync_bn)
{
    FV_TRY(need_training(p));
    if (fv_comm_world(comm) == 1)
        return 0;
    p->comm = comm;
    p->sync_bn = sync_bn;
    return 0;
}

const struct fv_backend fv_backend_cpu = {
    .name = "cpu",
    .help = "oneDNN: the processor's vector units and all of its cores",
    .open = cpu_open,
    .close = cpu_close,
    .info = cpu_info,
    .compile = cpu_compile,
    .release = cpu_release,
    .memory = cpu_memory,
    .params_set = cpu_params_set,
    .params_get = cpu_params_get,
    .state_set = cpu_state_set,
    .state_get = cpu_state_get,
    .grads_get = cpu_grads_get,
    .step = cpu_step,
    .set_epoch = cpu_set_epoch,
    .result = cpu_result,
    .eval = cpu_eval,
    .set_comm = cpu_set_comm,
    .profile = fv__cpu_profile,
    .find_bad = fv__cpu_find_bad,
    .node_get = fv__cpu_node_get,
};
