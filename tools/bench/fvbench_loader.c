/* SPDX-License-Identifier: MIT */
/* fvbench loader: how fast batches are made when nobody holds the loader up, what each stage of an image costs, and
 * how that grows with threads. Each round has a loader of its own: the first batch is timed apart, and as many batches
 * as the ring holds are thrown away, since they were made while nobody was counting. */
#include "tools/bench/fvbench.h"

#include "augment/augment.h"
#include "common/clock.h"
#include "common/cpu.h"
#include "common/err.h"
#include "common/report.h"
#include "common/trace.h"
#include "tools/bench/fvbench_measure.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const struct fv_command fvbench_loader_cmd = {
    .name = "fvbench loader",
    .summary = "Measures how fast batches are made and what each stage of an image costs.",
    .usage = "--db FILE [options]",
    .notes =
        "  fvbench loader --db faces.lmdb --aug 'rrc(0.8,1),flip,rotate(10),jitter(.2,.2,.2)'\n"
        "  fvbench loader --db faces.lmdb --scaling 1,2,4,8",
};

enum { CASES_MAX = 16 };

struct loader_settings {
    const char *scaling;
    int trace_cost;
};

#define FIELD(f) offsetof(struct loader_settings, f)
/* clang-format off */
static const struct fv_opt compare_opts[] = {
    {"scaling", 0, FV_OPT_STRING, 0, FIELD(scaling), "1,2,...",
     "measure with so many threads each, instead of --loader-threads", 0, 0, NULL},
    {"trace-cost", 0, FV_OPT_FLAG, 0, FIELD(trace_cost), NULL,
     "measure without a trace and with one, in turns: what tracing costs", 0, 0, NULL},
    {.name = NULL},
};
/* clang-format on */
#undef FIELD

/* One number of threads, or one way of tracing. */
struct loader_case {
    struct fv_loader_settings set;
    char name[32];
    int traced; /* its rounds, into a file that is thrown away */
    struct fv_loader *loader;
    struct bench_times first, between; /* to the first batch; from one to the next */
    uint64_t last_ns;
    struct fv_loader_stats sum; /* of the rounds that counted */
};

struct work {
    struct fv_store *store;
    int cases;
    struct loader_case one[CASES_MAX];
    struct bench_job job[CASES_MAX];
};

static int take_batch(struct loader_case *c)
{
    const struct fv_batch_source *src = fv_loader_source(c->loader);
    const struct fv_batch *b;

    FV_TRY(src->next(src->ctx, &b));
    const int n = b->n;
    src->release(src->ctx);
    return n;
}

static int take_and_time(void *ctx)
{
    struct loader_case *c = ctx;
    const int n = take_batch(c);

    FV_TRY(n);
    const uint64_t now = fv_now_ns();
    FV_TRY(bench_times_add(&c->between, (double)(now - c->last_ns) * 1e-9));
    c->last_ns = now;
    return n;
}

static void add_stats(struct fv_loader_stats *sum, const struct fv_loader_stats *from,
                      const struct fv_loader_stats *to)
{
    sum->images += to->images - from->images;
    sum->batches += to->batches - from->batches;
    sum->decode_ns += to->decode_ns - from->decode_ns;
    sum->warp_ns += to->warp_ns - from->warp_ns;
    sum->colour_ns += to->colour_ns - from->colour_ns;
    sum->erase_ns += to->erase_ns - from->erase_ns;
    sum->mix_ns += to->mix_ns - from->mix_ns;
    sum->consumer_wait_ns += to->consumer_wait_ns - from->consumer_wait_ns;
}

/* Under a trace that nobody wants to see. */
static int traced_round(struct bench_job *job, double seconds)
{
    const char *folder = getenv("TMPDIR");
    char path[512];

    snprintf(path, sizeof path, "%s/fvbench-XXXXXX", folder && *folder ? folder : "/tmp");
    const int fd = mkstemp(path);
    if (fd < 0)
        return fv_err_errno(FV_EIO, "%s: cannot create", path);
    close(fd);
    int rc = fv_trace_start(path);
    if (rc >= 0) {
        rc = bench_round(job, seconds);
        const int stopped = fv_trace_stop();
        rc = rc < 0 ? rc : stopped;
    }
    unlink(path);
    return rc;
}

/* A whole round: open, first batch, throw away, count, close. */
static int one_round(struct work *w, int k, double seconds)
{
    struct loader_case *c = &w->one[k];
    struct fv_loader_stats from, to;
    const uint64_t begin = fv_now_ns();

    FV_TRY(fv_loader_open(&c->loader, w->store, &c->set));
    if (w->job[k].rounds == 0 && !c->traced)
        fv_loader_say_threads(c->loader);
    int rc = take_batch(c);
    if (rc >= 0)
        rc = bench_times_add(&c->first, (double)(fv_now_ns() - begin) * 1e-9);
    for (int64_t i = 0; rc >= 0 && i < c->set.slots; i++)
        rc = take_batch(c);
    fv_loader_stats(c->loader, &from);
    c->last_ns = fv_now_ns();
    if (rc >= 0)
        rc = (c->traced ? traced_round : bench_round)(&w->job[k], seconds);
    fv_loader_stats(c->loader, &to);
    add_stats(&c->sum, &from, &to);
    fv_loader_close(&c->loader);
    return rc;
}

static int measure(const struct bench *b, struct work *w)
{
    for (int64_t r = 0; r < b->rounds; r++)
        for (int k = 0; k < w->cases; k++)
            FV_TRY(one_round(w, k, b->seconds / (double)b->rounds));
    return FV_OK;
}

/* --- results -------------------------------------------------------------------------------------- */

static void add_stage(struct results *r, const char *key, uint64_t ns, uint64_t images)
{
    const double us = images ? (double)ns / 1e3 / (double)images : 0;

    results_real(r, key, us, "%8.2f us an image", us);
}

static void add_case(struct results *r, struct loader_case *c, const struct bench_job *job)
{
    const struct fv_loader_stats *s = &c->sum;
    double wall = 0;
    const double first = bench_times_percentile(&c->first, 50) * 1e3;
    const double p50 = bench_times_percentile(&c->between, 50) * 1e3;
    const double p99 = bench_times_percentile(&c->between, 99) * 1e3;

    for (int i = 0; i < job->rounds; i++)
        wall += job->round[i].wall_s;
    const double waited = (double)s->consumer_wait_ns * 1e-9 / wall;
    results_int(r, "images", s->images, NULL);
    results_real(r, "images_per_s", bench_per_s(job), "%8.0f", bench_per_s(job));
    results_real(r, "images_per_s_per_core", bench_per_cpu_s(job), "%8.0f", bench_per_cpu_s(job));
    results_real(r, "cores_used", bench_cores(job), "%8.2f", bench_cores(job));
    results_real(r, "consumer_waited", waited, "%8.1f %% of the time", waited * 100);
    results_real(r, "first_batch_ms", first, "%8.2f (opening included)", first);
    results_real(r, "batch_p50_ms", p50, "%8.2f from one batch to the next", p50);
    results_real(r, "batch_p99_ms", p99, "%8.2f", p99);
    add_stage(r, "decode_us", s->decode_ns, s->images);
    add_stage(r, "warp_us", s->warp_ns, s->images);
    add_stage(r, "colour_us", s->colour_ns, s->images);
    add_stage(r, "erase_us", s->erase_ns, s->images);
    add_stage(r, "mix_us", s->mix_ns, s->images);
}

/* What threads bring, each against the first number of them. By processor time means: had each thread had a
 * processor to itself. */
static void add_scaling(struct results *r, struct work *w)
{
    const struct bench_job *base = &w->job[0];

    results_heading(r, "",
                    "img/s   img/s a core   cores    scaling   by processor time   "
                    "first batch   p50 batch   p99 batch");
    for (int k = 0; k < w->cases; k++) {
        struct loader_case *c = &w->one[k];
        const struct bench_job *job = &w->job[k];
        const double per_s = bench_per_s(job), per_core = bench_per_cpu_s(job);
        const double threads = (double)c->set.threads / (double)w->one[0].set.threads;
        const double scaling = per_s / bench_per_s(base);
        const double by_cpu = threads * bench_ratio(job, base);
        const double first = bench_times_percentile(&c->first, 50) * 1e3;
        const double p50 = bench_times_percentile(&c->between, 50) * 1e3;
        const double p99 = bench_times_percentile(&c->between, 99) * 1e3;
        results_object(r, c->name,
                       (const struct result_number[]){{"threads", (double)c->set.threads},
                                                      {"images_per_s", per_s},
                                                      {"images_per_s_per_core", per_core},
                                                      {"cores_used", bench_cores(job)},
                                                      {"scaling", scaling},
                                                      {"scaling_by_processor_time", by_cpu},
                                                      {"first_batch_ms", first},
                                                      {"batch_p50_ms", p50},
                                                      {"batch_p99_ms", p99}},
                       9,
                       "%5.0f   %12.0f   %5.2f    %6.2fx   %16.2fx   %8.2f ms   %6.2f ms   "
                       "%6.2f ms",
                       per_s, per_core, bench_cores(job), scaling, by_cpu, first, p50, p99);
    }
}

static void add_trace_cost(struct results *r, const struct work *w)
{
    const double without = bench_per_cpu_s(&w->job[0]), with = bench_per_cpu_s(&w->job[1]);
    const double cost = 1 - bench_ratio(&w->job[1], &w->job[0]);

    results_real(r, "images_per_s_per_core", without, "%8.0f without a trace", without);
    results_real(r, "images_per_s_per_core_traced", with, "%8.0f with one", with);
    results_real(r, "trace_cost", cost, "%8.2f %% of the processor time, the median of %d pairs",
                 cost * 100, w->job[0].rounds);
}

/* --- the command ---------------------------------------------------------------------------------- */

static int parse_cases(struct work *w, const struct fv_loader_settings *set,
                       const struct loader_settings *s)
{
    const char *scaling = s->scaling;

    if (s->trace_cost) {
        w->cases = 2;
        w->one[0].set = w->one[1].set = *set;
        w->one[1].traced = 1;
        return FV_OK;
    }
    if (!scaling) {
        w->cases = 1;
        w->one[0].set = *set;
        return FV_OK;
    }
    for (const char *p = scaling;; p++) {
        char *end;
        const long n = strtol(p, &end, 10);
        if (end == p || n < 1 || n > 1024 || (*end && *end != ',') || w->cases == CASES_MAX)
            return fv_err(FV_EUSAGE,
                          "--scaling '%s': up to %d numbers of threads from 1 to 1024, as in 1,2,4",
                          scaling, CASES_MAX);
        w->one[w->cases].set = *set;
        w->one[w->cases++].set.threads = n;
        if (!*(p = end))
            return FV_OK;
    }
}

static void name_jobs(struct work *w)
{
    for (int k = 0; k < w->cases; k++) {
        struct loader_case *c = &w->one[k];
        if (w->one[1].traced)
            snprintf(c->name, sizeof c->name, "%s", c->traced ? "traced" : "not traced");
        else if (c->set.threads)
            snprintf(c->name, sizeof c->name, "threads %d", (int)c->set.threads);
        else
            snprintf(c->name, sizeof c->name, "loader");
        w->job[k] = (struct bench_job){.name = c->name, .run = take_and_time, .ctx = c};
    }
}

static int run(const struct bench *b, struct work *w, const struct loader_settings *s)
{
    struct results r = {0};

    FV_TRY(fv_store_open(&w->store, b->db));
    FV_TRY(measure(b, w));
    if (s->trace_cost)
        add_trace_cost(&r, w);
    else if (s->scaling)
        add_scaling(&r, w);
    else
        add_case(&r, &w->one[0], &w->job[0]);
    bench_print(b, &r, b->db, w->job, w->cases, NULL);
    return FV_OK;
}

int fvbench_loader(int argc, char **argv)
{
    struct bench b = bench_defaults(&fvbench_loader_cmd);
    struct fv_loader_settings set;
    struct loader_settings s = {0};
    const struct fv_opt_group groups[] = {{"data", bench_db_opts, &b},
                                          {"loader", fv_loader_opts, &set},
                                          {"comparing", compare_opts, &s}};

    fv_loader_defaults(&set);
    int rc = bench_parse(&b, groups, 3, argc, argv);
    if (rc)
        return rc < 0 ? rc : FV_OK;
    if (s.trace_cost && (s.scaling || b.trace.file))
        return fv_err(FV_EUSAGE, "--trace-cost compares with and without a trace: leave out %s",
                      s.scaling ? "--scaling" : "--trace");
    set.report = fv_console_report(fvbench_loader_cmd.name, 2);
    struct work *w = calloc(1, sizeof *w);
    rc = w ? parse_cases(w, &set, &s) : fv_err(FV_ENOMEM, "out of memory");
    if (rc >= 0) {
        name_jobs(w);
        rc = run(&b, w, &s);
    }
    for (int k = 0; w && k < w->cases; k++) {
        bench_times_free(&w->one[k].first);
        bench_times_free(&w->one[k].between);
    }
    if (w)
        fv_store_close(&w->store);
    free(w);
    return rc;
}
