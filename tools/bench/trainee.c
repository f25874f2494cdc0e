/* SPDX-License-Identifier: MIT */
#include "tools/bench/trainee.h"

#include "common/clock.h"
#include "common/err.h"
#include "common/fs.h"
#include "common/trace.h"
#include "trainer/trainer.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

static const char *const dtypes[] = {"auto", "fp32", "bf16", "fp16", NULL};

#define FIELD(f) offsetof(struct trainee_settings, f)
/* clang-format off */
const struct fv_opt trainee_opts[] = {
    {"arch", 'a', FV_OPT_STRING, 0, FIELD(arch), "NAME", "the net", 0, 0, NULL},
    {"stem", 0, FV_OPT_STRING, 0, FIELD(stem), "NAME", "its first layers, as of fvtrain", 0, 0, NULL},
    {"loss", 0, FV_OPT_STRING, 0, FIELD(loss), "SUM", "what is made small, as of fvtrain", 0, 0, NULL},
    {"backend", 0, FV_OPT_STRING, 0, FIELD(backend), "NAME", "what computes", 0, 0, NULL},
    {"dtype", 0, FV_OPT_CHOICE, 0, FIELD(dtype), NULL, "what a GPU keeps weights and activations in", 0, 0, dtypes},
    {"no-graph", 0, FV_OPT_FLAG, 0, FIELD(no_graph), NULL, "on a GPU, launch a step piece by piece", 0, 0, NULL},
    {"threads", 0, FV_OPT_INT, 0, FIELD(threads), "N", "threads that compute; 0: one per processor", 0, 4096, NULL},
    {"step-ms", 0, FV_OPT_REAL, 0, FIELD(step_ms), "MS",
     "no net: a step takes so long and no processor, as on a GPU; 0: train", 0, 60000, NULL},
    {.name = NULL},
};
/* clang-format on */
#undef FIELD

void trainee_defaults(struct trainee_settings *s)
{
    *s = (struct trainee_settings){
        .arch = "resnet18", .stem = "auto", .loss = "ce", .backend = "auto", .dtype = "auto"};
}

/* Steps whose result is asked for together: a device that works by itself need not wait for us after each. */
enum { READ_EVERY = 8 };

struct trainee {
    int unread;
    double step_ms;
    struct fv_net *net;
    const struct fv_backend *backend;
    struct fv_device *device;
    struct fv_program *program;
    struct fv_allocator memory; /* of the device's */
    char *info;
};

static void *take_memory(void *ctx, size_t bytes)
{
    const struct trainee *t = ctx;
    return t->backend->host_alloc(t->device, bytes);
}

static void give_memory(void *ctx, void *p, size_t bytes)
{
    const struct trainee *t = ctx;
    (void)bytes;
    t->backend->host_free(t->device, p);
}

static int open_net(struct trainee *t, const struct trainee_settings *s, int batch, int size,
                    int classes)
{
    const struct fv_arch_settings a = {.size = size,
                                       .classes = classes,
                                       .stem = s->stem,
                                       .mean = {0.5f, 0.5f, 0.5f},
                                       .std = {0.5f, 0.5f, 0.5f},
                                       .loss = s->loss};
    const struct fv_device_settings d = {
        .threads = (int)s->threads, .dtype = s->dtype, .no_graph = s->no_graph};

    FV_TRY(fv_net_build(&t->net, s->arch, &a));
    FV_TRY(fv_backend_open(s->backend, &d, &t->backend, &t->device));
    FV_TRY(t->backend->compile(t->device, t->net, batch, 1, NULL, &t->program));
    float *arena = malloc((t->net->params + t->net->buffers) * sizeof *arena);
    if (!arena)
        return fv_err(FV_ENOMEM, "out of memory for the net");
    fv_net_init(t->net, 1, arena);
    const int rc = t->backend->params_set(t->program, arena);
    free(arena);
    FV_TRY(rc);
    t->info =
        fv_format("%s on %s (%s)", t->net->arch, t->backend->name, t->backend->info(t->device));
    return t->info ? FV_OK : fv_err(FV_ENOMEM, "out of memory");
}

int trainee_open(struct trainee **out, const struct trainee_settings *s, int batch, int size,
                 int classes)
{
    *out = NULL;
    struct trainee *t = calloc(1, sizeof *t);
    if (!t)
        return fv_err(FV_ENOMEM, "out of memory");
    t->step_ms = s->step_ms;
    t->memory = (struct fv_allocator){t, take_memory, give_memory};
    int rc = FV_OK;
    if (s->step_ms > 0)
        t->info = fv_format("a step of %g ms", s->step_ms);
    else
        rc = open_net(t, s, batch, size, classes);
    if (rc >= 0 && !t->info)
        rc = fv_err(FV_ENOMEM, "out of memory");
    if (rc < 0)
        trainee_close(&t);
    *out = t;
    return rc;
}

void trainee_close(struct trainee **trainee)
{
    struct trainee *t = *trainee;

    if (!t)
        return;
    if (t->program)
        t->backend->release(&t->program);
    if (t->device)
        t->backend->close(&t->device);
    fv_net_free(&t->net);
    free(t->info);
    free(t);
    *trainee = NULL;
}

/* To a moment, not for a while: what the calls around it cost is part of the step. */
static void sleep_until(uint64_t ns)
{
    const struct timespec t = {(time_t)(ns / 1000000000u), (long)(ns % 1000000000u)};

    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR)
        ;
}

/* A learning rate of 1e-4 keeps the loss finite for any number of steps, on noise too. */
static int train(struct trainee *t, const struct fv_batch *b)
{
    const struct fv_optim optim = {.lr = 1e-4, .momentum = 0.9, .weight_decay = 5e-4};
    struct fv_step_result result;

    FV_TRY(t->backend->step(t->program, b, &optim));
    if (++t->unread < READ_EVERY)
        return FV_OK;
    t->unread = 0;
    FV_TRY(t->backend->result(t->program, &result));
    return result.finite ? FV_OK : fv_err(FV_EBACKEND, "the loss of a step is not finite");
}

int trainee_step(struct trainee *t, const struct fv_batch *b)
{
    const uint64_t begin = fv_now_ns(), span = fv_trace_begin("step");
    int rc = FV_OK;

    if (t->net)
        rc = train(t, b);
    else
        sleep_until(begin + (uint64_t)(t->step_ms * 1e6));
    fv_trace_end("step", span);
    return rc;
}

const char *trainee_info(const struct trainee *t)
{
    return t->info;
}

const struct fv_allocator *trainee_memory(const struct trainee *t)
{
    return t->net && t->backend->host_alloc ? &t->memory : NULL;
}

int trainee_is_simulated(const struct trainee *t)
{
    return t->net == NULL;
}

uint64_t trainee_macs(const struct trainee *t)
{
    return t->net ? fv_net_macs(t->net) : 0;
}

char *trainee_profile(struct trainee *t)
{
    char *text = t->net && t->backend->profile ? t->backend->profile(t->program) : NULL;

    if (!text)
        fv_err(FV_EUNSUPPORTED, "--profile: %s%s keeps no times of nodes",
               t->net ? "the backend " : "", t->net ? t->backend->name : "a simulated step");
    return text;
}
