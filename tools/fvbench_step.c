/* SPDX-License-Identifier: MIT */
/* fvbench step: whole training steps (forward, loss, backward, update) on one batch of noise that stays in
 * memory: what the backend alone can do, whatever feeds it. */
#include "tools/fvbench_step.h"
#include "common/clock.h"
#include "common/err.h"
#include "common/rng.h"
#include "tools/results.h"
#include "trainer/trainer.h"

#include <stdlib.h>

struct step_settings {
    const char *arch, *stem, *backend;
    int64_t size, batch, classes, threads;
    double seconds;
    int profile, json;
};

#define FIELD(f) offsetof(struct step_settings, f)
/* clang-format off */
static const struct fv_opt step_opts[] = {
    {"arch", 'a', FV_OPT_STRING, 0, FIELD(arch), "NAME", "the net", 0, 0, NULL},
    {"stem", 0, FV_OPT_STRING, 0, FIELD(stem), "NAME", "its first layers: auto, 7x7, 3x3", 0, 0, NULL},
    {"size", 's', FV_OPT_INT, 0, FIELD(size), "PX", "pixels a side", 1, 1024, NULL},
    {"batch", 'b', FV_OPT_INT, 0, FIELD(batch), "N", "images in a batch", 1, 4096, NULL},
    {"classes", 0, FV_OPT_INT, 0, FIELD(classes), "N", "classes of the head", 2, 1e7, NULL},
    {"backend", 0, FV_OPT_STRING, 0, FIELD(backend), "NAME", "what computes", 0, 0, NULL},
    {"threads", 'j', FV_OPT_INT, 0, FIELD(threads), "N", "threads; 0: one per processor", 0, 4096, NULL},
    {"seconds", 0, FV_OPT_REAL, 0, FIELD(seconds), "S", "how long to measure, after two steps", 0.1, 3600, NULL},
    {"profile", 0, FV_OPT_FLAG, 0, FIELD(profile), NULL, "also print the time of each node", 0, 0, NULL},
    {"json", 0, FV_OPT_FLAG, 0, FIELD(json), NULL, "print the result as JSON", 0, 0, NULL},
    {.name = NULL},
};
/* clang-format on */
#undef FIELD

const struct fv_command fvbench_step_cmd = {
    .name = "fvbench step",
    .summary = "Measures training steps of a net on one backend, without data.",
    .usage = "[options]",
    .notes = "  fvbench step --size 112 --batch 32 --classes 500",
};

/* Noise pixels and labels in turn: the work of a step does not depend on either. */
static int make_batch(struct fv_batch *b, const struct step_settings *s)
{
    const size_t n = (size_t)s->batch, bytes = n * (size_t)s->size * (size_t)s->size * 3;
    struct fv_rng r = fv_rng_at(1, 0, 0, FV_RNG_TEST);

    *b = (struct fv_batch){.n = (int)n,
                           .capacity = (int)n,
                           .height = (int)s->size,
                           .width = (int)s->size,
                           .pixels = malloc(bytes),
                           .label = malloc(n * sizeof *b->label),
                           .lambda = malloc(n * sizeof *b->lambda),
                           .image = calloc(n, sizeof *b->image)};
    if (!b->pixels || !b->label || !b->lambda || !b->image)
        return fv_err(FV_ENOMEM, "out of memory for a batch of %zu images", n);
    b->label_mix = b->label;
    for (size_t i = 0; i < bytes; i++)
        b->pixels[i] = (uint8_t)fv_rng_u32(&r);
    for (size_t i = 0; i < n; i++) {
        b->label[i] = (int32_t)(i % (size_t)s->classes);
        b->lambda[i] = 1;
    }
    return FV_OK;
}

static void free_batch(struct fv_batch *b)
{
    free(b->pixels);
    free(b->label);
    free(b->lambda);
    free(b->image);
}

/* A learning rate of 1e-4 keeps the loss finite on noise for any number of steps. */
static int one_step(const struct fv_backend *be, struct fv_program *p, const struct fv_batch *b)
{
    const struct fv_optim optim = {
        .lr = 1e-4f, .momentum = 0.9f, .weight_decay = 5e-4f, .decay_all = 1};
    struct fv_step_result result;

    FV_TRY(be->step(p, b, &optim));
    FV_TRY(be->result(p, &result));
    return result.finite ? FV_OK : fv_err(FV_EBACKEND, "the loss of a step is not finite");
}

static int print_profile(const struct fv_backend *be, struct fv_program *p)
{
    char *text = be->profile ? be->profile(p) : NULL;

    if (!text)
        return fv_err(FV_EUNSUPPORTED, "--profile: the backend %s keeps no times of nodes",
                      be->name);
    fputs(text, stdout);
    free(text);
    return FV_OK;
}

static int measure(const struct fv_backend *be, struct fv_device *d, struct fv_program *p,
                   const struct fv_net *net, const struct step_settings *s)
{
    struct results r = {0};
    struct fv_batch b = {0};
    uint64_t steps = 0, begin = 0, now = 0;
    int rc = make_batch(&b, s);

    for (int warm = 0; warm < 2 && rc >= 0; warm++)
        rc = one_step(be, p, &b);
    begin = now = fv_now_ns();
    for (; rc >= 0 && (double)(now - begin) * 1e-9 < s->seconds; steps++) {
        rc = one_step(be, p, &b);
        now = fv_now_ns();
    }
    if (rc >= 0) {
        const double seconds = (double)(now - begin) * 1e-9,
                     per_s = (double)steps * (double)s->batch / seconds;
        results_string(&r, "backend", be->info(d));
        results_int(&r, "steps", steps, NULL);
        results_real(&r, "images_per_s", per_s, "%8.1f", per_s);
        results_real(&r, "step_ms", 1e3 * seconds / (double)steps, "%8.2f",
                     1e3 * seconds / (double)steps);
        /* Backward costs about twice the multiply-adds of forward. */
        const double gflops = per_s * 6 * (double)fv_net_macs(net) * 1e-9;
        results_real(&r, "gflop_per_s", gflops,
                     "%8.1f (counting 6 per multiply-add of a forward pass)", gflops);
        results_print(&r, net->arch, s->json);
        if (s->profile)
            rc = print_profile(be, p);
    }
    free_batch(&b);
    return rc;
}

static int with_net(const struct step_settings *s, const struct fv_net *net)
{
    const struct fv_device_settings ds = {.threads = (int)s->threads};
    const struct fv_backend *be;
    struct fv_device *d = NULL;
    struct fv_program *p = NULL;
    float *arena = malloc((net->params + net->buffers) * sizeof *arena);

    if (!arena)
        return fv_err(FV_ENOMEM, "out of memory for the net");
    fv_net_init(net, 1, arena);
    int rc = fv_backend_open(s->backend, &ds, &be, &d);
    if (rc >= 0)
        rc = be->compile(d, net, (int)s->batch, 1, &p);
    if (rc >= 0)
        rc = be->params_set(p, arena);
    if (rc >= 0)
        rc = measure(be, d, p, net, s);
    if (p)
        be->release(&p);
    if (d)
        be->close(&d);
    free(arena);
    return rc;
}

int fvbench_step(int argc, char **argv)
{
    struct step_settings s = {.arch = "resnet18",
                              .stem = "auto",
                              .backend = "auto",
                              .size = 112,
                              .batch = 32,
                              .classes = 500,
                              .seconds = 5};
    const struct fv_opt_group group = {"options", step_opts, &s};
    struct fv_net *net = NULL;
    struct fv_args args;

    FV_TRY(fv_opt_parse(&fvbench_step_cmd, &group, 1, argc, argv, &args));
    if (args.help) {
        fv_opt_help(&fvbench_step_cmd, &group, 1, stdout);
        return FV_OK;
    }
    if (s.profile && s.json)
        return fv_err(FV_EUSAGE, "--profile is text: leave out --json");
    const struct fv_arch_settings a = {.size = (int)s.size,
                                       .classes = (int)s.classes,
                                       .stem = s.stem,
                                       .mean = {0.5f, 0.5f, 0.5f},
                                       .std = {0.5f, 0.5f, 0.5f}};
    int rc = fv_net_build(&net, s.arch, &a);
    if (rc >= 0)
        rc = with_net(&s, net);
    fv_net_free(&net);
    return rc;
}
