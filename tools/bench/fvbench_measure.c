/* SPDX-License-Identifier: MIT */
#include "tools/bench/fvbench_measure.h"

#include "augment/augment.h"
#include "common/clock.h"
#include "common/cpu.h"
#include "common/err.h"
#include "common/report.h"
#include "store/limit.h"
#include "tools/bench/evidence.h"

#include <jansson.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

/* --- options -------------------------------------------------------------------------------------- */

#define FIELD(f) offsetof(struct bench, f)
/* clang-format off */
const struct fv_opt bench_db_opts[] = {
    {"db", 'd', FV_OPT_STRING, FV_OPT_REQUIRED, FIELD(db), "FILE", "the data set", 0, 0, NULL},
    {.name = NULL},
};
static const struct fv_opt bench_opts[] = {
    {"seconds", 0, FV_OPT_REAL, 0, FIELD(seconds), "S",
     "how long each thing is measured, after a warm-up of a fifth of it", 0.01, 3600, NULL},
    {"rounds", 0, FV_OPT_INT, 0, FIELD(rounds), "N",
     "turns that the time is divided into; figures are their medians", 1, BENCH_ROUNDS_MAX, NULL},
    {"cpu-mask", 0, FV_OPT_STRING, 0, FIELD(cpu), "SETS",
     "use no instruction sets but these: c, or avx2, or avx2+avx512", 0, 0, NULL},
    {"json", 0, FV_OPT_FLAG, 0, FIELD(json), NULL,
     "print the result as JSON, with the evidence: machine, versions, options, samples", 0, 0, NULL},
    {.name = NULL},
};
/* clang-format on */
#undef FIELD

struct bench bench_defaults(const struct fv_command *cmd)
{
    return (struct bench){.cmd = cmd, .seconds = 5, .rounds = 5};
}

static volatile sig_atomic_t stopped;

static void on_signal(int number)
{
    (void)number;
    stopped = 1;
}

void bench_stop_on_signals(void)
{
    struct sigaction act = {.sa_handler = on_signal, .sa_flags = SA_RESTART | SA_RESETHAND};

    sigemptyset(&act.sa_mask);
    sigaction(SIGINT, &act, NULL);
    sigaction(SIGTERM, &act, NULL);
}

/* Figures by processor time stand up to other work; those by the clock do not. */
static void warn_when_busy(const struct bench *b)
{
    double load = 0;
    FILE *f = fopen("/proc/loadavg", "re");

    if (f && fscanf(f, "%lf", &load) == 1 && load >= fv_cpu_count())
        fv_say(fv_console_report(b->cmd->name, 1), FV_LEVEL_WARN,
               "this machine has other work (load average %.1f on %d processors): what is measured "
               "by the clock will be too slow",
               load, fv_cpu_count());
    if (f)
        fclose(f);
}

/* Where the loader's options are among the command's. */
static int lists_policies(const struct bench *b)
{
    for (int i = 0; i < b->ngroups; i++)
        if (b->groups[i].opts == fv_loader_opts)
            return strcmp(((struct fv_loader_settings *)b->groups[i].settings)->policy, "list") ==
                   0;
    return 0;
}

int bench_parse(struct bench *b, const struct fv_opt_group *groups, int n, int argc, char **argv)
{
    struct fv_args args;
    unsigned mask;

    if (n)
        memcpy(b->groups, groups, (size_t)n * sizeof *groups);
    b->ngroups = n;
    b->groups[b->ngroups++] = (struct fv_opt_group){"measuring", bench_opts, b};
    b->groups[b->ngroups++] = (struct fv_opt_group){"tracing", tool_trace_opts, &b->trace};
    b->argc = argc;
    b->argv = argv;
    const int rc = tool_parse(b->cmd, b->groups, b->ngroups, argc, argv, &args);
    if (rc)
        return rc;
    if (lists_policies(b)) {
        fv_policy_help(stdout);
        return 1;
    }
    if (b->cpu) {
        FV_TRY(fv_cpu_parse_mask(b->cpu, &mask));
        fv_cpu_set_mask(mask);
    }
    warn_when_busy(b);
    bench_stop_on_signals();
    return tool_trace_start(&b->trace);
}

/* --- interrupting --------------------------------------------------------------------------------- */

int bench_go_on(void)
{
    return stopped ? fv_err(FV_EINTR, "interrupted: nothing was measured to the end") : FV_OK;
}

/* --- rounds --------------------------------------------------------------------------------------- */

static int run_for(struct bench_job *job, double seconds, struct bench_round *out)
{
    const uint64_t begin = fv_now_ns(), end = begin + (uint64_t)(seconds * 1e9);
    const uint64_t cpu = fv_process_ns();
    uint64_t now;

    *out = (struct bench_round){0};
    do {
        const int n = job->run(job->ctx);
        FV_TRY(n);
        FV_TRY(bench_go_on());
        out->items += (uint64_t)n;
        now = fv_now_ns();
    } while (now < end);
    out->wall_s = (double)(now - begin) * 1e-9;
    out->cpu_s = (double)(fv_process_ns() - cpu) * 1e-9;
    return FV_OK;
}

int bench_round(struct bench_job *job, double seconds)
{
    FV_TRY(run_for(job, seconds, &job->round[job->rounds]));
    job->rounds++;
    return FV_OK;
}

int bench_run(const struct bench *b, struct bench_job *job, int jobs)
{
    struct bench_round warm;

    for (int i = 0; i < jobs; i++)
        FV_TRY(run_for(&job[i], b->seconds / 5, &warm));
    for (int64_t k = 0; k < b->rounds; k++)
        for (int i = 0; i < jobs; i++)
            FV_TRY(bench_round(&job[i], b->seconds / (double)b->rounds));
    return FV_OK;
}

static int by_size(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double bench_median(double *value, int n)
{
    if (n == 0)
        return 0;
    qsort(value, (size_t)n, sizeof *value, by_size);
    return n % 2 ? value[n / 2] : (value[n / 2 - 1] + value[n / 2]) / 2;
}

static double over_rounds(const struct bench_job *job, double (*figure)(const struct bench_round *))
{
    double value[BENCH_ROUNDS_MAX];

    for (int i = 0; i < job->rounds; i++)
        value[i] = figure(&job->round[i]);
    return bench_median(value, job->rounds);
}

static double per_s(const struct bench_round *r)
{
    return (double)r->items / r->wall_s;
}

static double per_cpu_s(const struct bench_round *r)
{
    return (double)r->items / r->cpu_s;
}

static double cores(const struct bench_round *r)
{
    return r->cpu_s / r->wall_s;
}

double bench_per_s(const struct bench_job *job)
{
    return over_rounds(job, per_s);
}

double bench_per_cpu_s(const struct bench_job *job)
{
    return over_rounds(job, per_cpu_s);
}

double bench_cores(const struct bench_job *job)
{
    return over_rounds(job, cores);
}

double bench_ratio(const struct bench_job *a, const struct bench_job *b)
{
    double ratio[BENCH_ROUNDS_MAX];

    for (int i = 0; i < a->rounds; i++)
        ratio[i] = per_cpu_s(&a->round[i]) / per_cpu_s(&b->round[i]);
    return bench_median(ratio, a->rounds);
}

/* --- durations ------------------------------------------------------------------------------------ */

int bench_times_add(struct bench_times *t, double seconds)
{
    if (t->n == t->room) {
        const size_t room = t->room ? 2 * t->room : 1024;
        double *s = realloc(t->s, room * sizeof *s);
        if (!s)
            return fv_err(FV_ENOMEM, "out of memory for %zu durations", room);
        t->s = s;
        t->room = room;
    }
    t->s[t->n++] = seconds;
    return FV_OK;
}

double bench_times_percentile(struct bench_times *t, double percent)
{
    if (t->n == 0)
        return 0;
    qsort(t->s, t->n, sizeof *t->s, by_size);
    const size_t rank = (size_t)ceil(percent / 100 * (double)t->n); /* from 1 */
    return t->s[rank > 0 ? rank - 1 : 0];
}

void bench_times_free(struct bench_times *t)
{
    free(t->s);
    *t = (struct bench_times){0};
}

/* --- results -------------------------------------------------------------------------------------- */

static json_t *samples(const struct bench_job *job, int jobs)
{
    json_t *all = json_object();

    for (int j = 0; j < jobs; j++) {
        json_t *list = json_array();
        for (int i = 0; i < job[j].rounds; i++) {
            const struct bench_round *r = &job[j].round[i];
            json_array_append_new(list, json_pack("{s:I, s:f, s:f}", "items", (json_int_t)r->items,
                                                  "wall_s", r->wall_s, "cpu_s", r->cpu_s));
        }
        json_object_set_new(all, job[j].name, list);
    }
    return all;
}

void bench_print(const struct bench *b, struct results *r, const char *title,
                 const struct bench_job *job, int jobs, const char *backend)
{
    const struct evidence e = {.name = b->cmd->name,
                               .argc = b->argc,
                               .argv = b->argv,
                               .groups = b->groups,
                               .ngroups = b->ngroups,
                               .libraries = fv_store_libraries(),
                               .backend = backend};
    results_json(r, "samples", samples(job, jobs));
    results_json(r, "evidence", evidence_make(&e));
    results_print(r, title, b->json);
}
