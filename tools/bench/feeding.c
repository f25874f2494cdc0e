/* SPDX-License-Identifier: MIT */
#include "tools/bench/feeding.h"

#include "common/clock.h"
#include "common/cpu.h"
#include "common/err.h"
#include "common/report.h"
#include "common/trace.h"

#include <stdlib.h>

enum { REPLAYED_BATCHES = 4 };

/* --- the three jobs: a step each ------------------------------------------------------------------ */

static int step_from(struct feeding *f, const struct fv_batch_source *src)
{
    const struct fv_batch *b;
    const uint64_t begin = fv_now_ns(), span = fv_trace_begin("wait for batch");
    int rc = src->next(src->ctx, &b);

    fv_trace_end("wait for batch", span);
    FV_TRY(rc);
    const uint64_t got = fv_now_ns();
    const int n = b->n;
    rc = trainee_step(f->trainee, b);
    src->release(src->ctx);
    FV_TRY(rc);
    f->now.steps++;
    f->now.wait_s += (double)(got - begin) * 1e-9;
    f->now.step_s += (double)(fv_now_ns() - got) * 1e-9;
    return n;
}

static int step_fed(void *ctx)
{
    struct feeding *f = ctx;
    const struct feed_round before = f->now;
    const int n = step_from(f, fv_loader_source(f->loader));

    FV_TRY(n);
    FV_TRY(bench_times_add(&f->wait, f->now.wait_s - before.wait_s));
    FV_TRY(bench_times_add(&f->step, f->now.step_s - before.step_s));
    return n;
}

static int step_replayed(void *ctx)
{
    struct feeding *f = ctx;

    return step_from(f, replay_source(f->replay));
}

static int take_batch(void *ctx)
{
    struct feeding *f = ctx;
    const struct fv_batch_source *src = fv_loader_source(f->loader);
    const struct fv_batch *b;

    FV_TRY(src->next(src->ctx, &b));
    const int n = b->n;
    src->release(src->ctx);
    return n;
}

/* --- rounds --------------------------------------------------------------------------------------- */

/* As many turns as the ring has slots, and some, go uncounted: until then it is still being filled, or emptied of
 * what was made before anybody waited. */
static int settle(struct feeding *f, int (*run)(void *))
{
    f->now = (struct feed_round){0};
    for (int64_t i = 0; i < f->set.slots + 2; i++)
        FV_TRY(run(f));
    f->now = (struct feed_round){0};
    return FV_OK;
}

static int round_of(struct feeding *f, enum feed which, double seconds)
{
    struct bench_job *job = &f->job[which];
    struct fv_loader_stats from = {0}, to = {0};
    int rc = FV_OK;

    if (which != REPLAYED) /* and closed again: its threads must not compete with replayed steps */
        FV_TRY(fv_loader_open(&f->loader, f->store, &f->set));
    const size_t waits = f->wait.n;
    rc = settle(f, job->run);
    f->wait.n = f->step.n = waits;
    if (which != REPLAYED)
        fv_loader_stats(f->loader, &from);
    if (rc >= 0)
        rc = bench_round(job, seconds);
    if (which != REPLAYED)
        fv_loader_stats(f->loader, &to);
    if (which == LOADER_ALONE) {
        f->stages.images += to.images - from.images;
        f->stages.decode_ns += to.decode_ns - from.decode_ns;
        f->stages.warp_ns += to.warp_ns - from.warp_ns;
        f->stages.colour_ns += to.colour_ns - from.colour_ns;
        f->stages.erase_ns += to.erase_ns - from.erase_ns;
        f->stages.mix_ns += to.mix_ns - from.mix_ns;
    }
    if (rc >= 0 && which != LOADER_ALONE)
        (which == FED ? f->fed : f->replayed)[job->rounds - 1] = f->now;
    fv_loader_close(&f->loader);
    return rc;
}

static int measure(struct feeding *f, const struct bench *b)
{
    for (int64_t k = 0; k < b->rounds; k++)
        for (int which = 0; which < FEEDS; which++)
            FV_TRY(round_of(f, (enum feed)which, b->seconds / (double)b->rounds));
    return FV_OK;
}

/* --- what came of it ------------------------------------------------------------------------------ */

static double wall_per_step(const struct bench_job *job, const struct feed_round *sum, int i)
{
    return job->round[i].wall_s / (double)sum[i].steps;
}

double feeding_stall(const struct feeding *f)
{
    double share[BENCH_ROUNDS_MAX];
    const int n = f->job[FED].rounds;

    for (int i = 0; i < n; i++)
        share[i] = f->fed[i].wait_s / f->job[FED].round[i].wall_s;
    return bench_median(share, n);
}

double feeding_gain(const struct feeding *f)
{
    double share[BENCH_ROUNDS_MAX];
    const int n = f->job[FED].rounds;

    for (int i = 0; i < n; i++)
        share[i] = 1 - wall_per_step(&f->job[REPLAYED], f->replayed, i) /
                           wall_per_step(&f->job[FED], f->fed, i);
    return bench_median(share, n);
}

double feeding_sharing(const struct feeding *f)
{
    double share[BENCH_ROUNDS_MAX];
    const int n = f->job[FED].rounds;

    for (int i = 0; i < n; i++)
        share[i] = (f->fed[i].step_s / (double)f->fed[i].steps -
                    f->replayed[i].step_s / (double)f->replayed[i].steps) /
                   wall_per_step(&f->job[FED], f->fed, i);
    return bench_median(share, n);
}

/* --- open, close ---------------------------------------------------------------------------------- */

static int open_all(struct feeding *f, const char *db, const struct trainee_settings *trainee)
{
    FV_TRY(fv_store_open(&f->store, db));
    FV_TRY(fv_loader_open(&f->loader, f->store, &f->set));
    const struct fv_batch_source *src = fv_loader_source(f->loader);
    if (src->height != src->width)
        return fv_err(FV_EINVAL, "%s: a net takes square images, these are %d x %d", db,
                      src->height, src->width);
    struct fv_loader_stats stats;
    fv_loader_stats(f->loader, &stats);
    f->threads = (int)stats.threads;
    FV_TRY(replay_open(&f->replay, src, REPLAYED_BATCHES));
    FV_TRY(trainee_open(&f->trainee, trainee, src->batch, src->height,
                        src->classes > 2 ? src->classes : 2));
    fv_loader_close(&f->loader);
    f->set.allocator = trainee_memory(f->trainee); /* of the loaders that are measured */
    return FV_OK;
}

static int open_jobs(struct feeding *f, const char *db, const struct fv_loader_settings *loader,
                     const struct trainee_settings *trainee)
{
    static const struct {
        const char *name;
        int (*run)(void *);
    } jobs[FEEDS] = {[FED] = {"fed by the loader", step_fed},
                     [REPLAYED] = {"replayed", step_replayed},
                     [LOADER_ALONE] = {"loader alone", take_batch}};

    f->set = *loader;
    for (int i = 0; i < FEEDS; i++)
        f->job[i] = (struct bench_job){.name = jobs[i].name, .run = jobs[i].run, .ctx = f};
    return open_all(f, db, trainee);
}

static void close_all(struct feeding *f)
{
    fv_loader_close(&f->loader);
    replay_close(&f->replay);
    trainee_close(&f->trainee);
    bench_times_free(&f->wait);
    bench_times_free(&f->step);
    fv_store_close(&f->store);
}

int feeding_command(const struct fv_command *cmd, int argc, char **argv,
                    int (*print)(const struct bench *b, struct feeding *f))
{
    struct bench b = bench_defaults(cmd);
    struct fv_loader_settings set;
    struct trainee_settings t;
    const struct fv_opt_group groups[] = {
        {"data", bench_db_opts, &b}, {"loader", fv_loader_opts, &set}, {"net", trainee_opts, &t}};

    fv_loader_defaults(&set);
    trainee_defaults(&t);
    b.rounds = 3;
    int rc = bench_parse(&b, groups, 3, argc, argv);
    if (rc)
        return rc < 0 ? rc : FV_OK;
    set.report = fv_console_report(cmd->name, 2);
    struct feeding *f = calloc(1, sizeof *f);
    if (!f)
        return fv_err(FV_ENOMEM, "out of memory");
    rc = open_jobs(f, b.db, &set, &t);
    if (rc >= 0)
        rc = measure(f, &b);
    if (rc >= 0)
        rc = print(&b, f);
    close_all(f);
    free(f);
    return rc;
}
