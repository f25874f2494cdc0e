/* SPDX-License-Identifier: MIT */
/* fvbench step: whole training steps (forward, loss, backward, update) on one batch of noise that stays in
 * memory: what the backend alone can do, whatever feeds it. */
#include "tools/bench/fvbench.h"

#include "common/clock.h"
#include "common/err.h"
#include "tools/bench/batch_memory.h"
#include "tools/bench/fvbench_measure.h"
#include "tools/bench/trainee.h"

#include <stdlib.h>

struct step_settings {
    int64_t size, batch, classes;
    int profile;
};

#define FIELD(f) offsetof(struct step_settings, f)
/* clang-format off */
static const struct fv_opt step_opts[] = {
    {"size", 's', FV_OPT_INT, 0, FIELD(size), "PX", "pixels a side", 1, 1024, NULL},
    {"batch", 'b', FV_OPT_INT, 0, FIELD(batch), "N", "images in a batch", 1, 4096, NULL},
    {"classes", 0, FV_OPT_INT, 0, FIELD(classes), "N", "classes of the head", 2, 1e7, NULL},
    {"profile", 0, FV_OPT_FLAG, 0, FIELD(profile), NULL, "also print the time of each node", 0, 0, NULL},
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

struct work {
    struct trainee *trainee;
    struct fv_batch batch;
    struct bench_times times;
};

static int step_once(void *ctx)
{
    struct work *w = ctx;
    const uint64_t begin = fv_now_ns();

    FV_TRY(trainee_step(w->trainee, &w->batch));
    FV_TRY(bench_times_add(&w->times, (double)(fv_now_ns() - begin) * 1e-9));
    return w->batch.n;
}

static uint64_t steps_of(const struct bench_job *job, int batch)
{
    uint64_t items = 0;

    for (int i = 0; i < job->rounds; i++)
        items += job->round[i].items;
    return items / (uint64_t)batch;
}

static void print(const struct bench *b, struct work *w, const struct bench_job *job)
{
    const double per_s = bench_per_s(job), cores = bench_cores(job);
    const double p50 = bench_times_percentile(&w->times, 50) * 1e3;
    const double p99 = bench_times_percentile(&w->times, 99) * 1e3;
    struct results r = {0};

    results_string(&r, "backend", trainee_info(w->trainee));
    results_int(&r, "steps", steps_of(job, w->batch.n), NULL);
    results_real(&r, "images_per_s", per_s, "%8.1f", per_s);
    results_real(&r, "step_ms", p50, "%8.2f, the median", p50);
    results_real(&r, "step_p99_ms", p99, "%8.2f", p99);
    results_real(&r, "cores_used", cores, "%8.2f", cores);
    if (trainee_macs(w->trainee)) {
        /* Backward costs about twice the multiply-adds of forward. */
        const double gflops = per_s * 6 * (double)trainee_macs(w->trainee) * 1e-9;
        results_real(&r, "gflop_per_s", gflops,
                     "%8.1f (counting 6 per multiply-add of a forward pass)", gflops);
    }
    bench_print(b, &r, "training step", job, 1, trainee_info(w->trainee));
}

/* Two steps warm up: the first one may set things up, whatever time it takes. */
static int measure(const struct bench *b, struct work *w, struct bench_job *job, int profile)
{
    for (int i = 0; i < 2; i++)
        FV_TRY(step_once(w));
    w->times.n = 0;
    for (int64_t k = 0; k < b->rounds; k++)
        FV_TRY(bench_round(job, b->seconds / (double)b->rounds));
    print(b, w, job);
    if (!profile)
        return FV_OK;
    char *text = trainee_profile(w->trainee);
    if (!text)
        return FV_EUNSUPPORTED;
    fputs(text, stdout);
    free(text);
    return FV_OK;
}

int fvbench_step(int argc, char **argv)
{
    struct bench b = bench_defaults(&fvbench_step_cmd);
    struct step_settings s = {.size = 112, .batch = 32, .classes = 500};
    struct trainee_settings t;
    const struct fv_opt_group groups[] = {{"step", step_opts, &s}, {"net", trainee_opts, &t}};
    struct work w = {0};
    struct bench_job job = {.name = "step", .run = step_once, .ctx = &w};

    trainee_defaults(&t);
    int rc = bench_parse(&b, groups, 2, argc, argv);
    if (rc)
        return rc < 0 ? rc : FV_OK;
    if (s.profile && b.json)
        return fv_err(FV_EUSAGE, "--profile is text: leave out --json");
    rc = trainee_open(&w.trainee, &t, (int)s.batch, (int)s.size, (int)s.classes);
    if (rc >= 0)
        rc = batch_alloc(&w.batch, (int)s.batch, (int)s.size, (int)s.size);
    if (rc >= 0) {
        batch_fill_noise(&w.batch, (int)s.classes);
        rc = measure(&b, &w, &job, s.profile);
    }
    batch_free(&w.batch);
    bench_times_free(&w.times);
    trainee_close(&w.trainee);
    return rc;
}
