/* SPDX-License-Identifier: MIT */
/* What the subcommands of fvbench share: options, how long and how often is measured, percentiles, and the
 * evidence beside the figures.
 *
 * Things that are compared run in turns, round after round, so that a busy neighbour or a slower clock meets all of
 * them; a figure is the median of its rounds. Rates "per core" divide by the processor time of the whole process. */
#ifndef FV_TOOLS_FVBENCH_MEASURE_H
#define FV_TOOLS_FVBENCH_MEASURE_H

#include "common/opt.h"
#include "tools/command.h"
#include "tools/results.h"

#include <stddef.h>
#include <stdint.h>

enum { BENCH_ROUNDS_MAX = 100, BENCH_GROUPS_MAX = 6 };

struct bench {
    const struct fv_command *cmd;
    const char *db, *cpu;
    double seconds;
    int64_t rounds;
    int json;
    struct tool_trace trace;
    /* filled in by bench_parse */
    int argc;
    char **argv;
    struct fv_opt_group groups[BENCH_GROUPS_MAX];
    int ngroups;
};
extern const struct fv_opt bench_db_opts[]; /* --db */
/* Five seconds in five rounds. */
struct bench bench_defaults(const struct fv_command *cmd);
/* Parses the given groups and, behind them, what all commands have; obeys --cpu-mask and starts --trace. 1 when
 * --help or --aug list was asked for and printed. */
int bench_parse(struct bench *b, const struct fv_opt_group *groups, int n, int argc, char **argv);

/* One thing to be measured. */
struct bench_job {
    const char *name; /* of its raw samples */
    /* Does some of the work, a small part of a round. Returns how many items that were, or an error. */
    int (*run)(void *ctx);
    void *ctx;
    struct bench_round {
        uint64_t items;
        double wall_s, cpu_s; /* cpu: of all threads of the process */
    } round[BENCH_ROUNDS_MAX];
    int rounds;
};
/* Warms each job up for a fifth of its time, then runs all of them in turns. */
int bench_run(const struct bench *b, struct bench_job *job, int jobs);
/* One round of one job, appended to its rounds. */
int bench_round(struct bench_job *job, double seconds);
/* From now on SIGINT and SIGTERM end the command where it can still write its trace; the second one ends it at once.
 * bench_parse has done so. */
void bench_stop_on_signals(void);
/* FV_EINTR once the user has asked to end: for whatever measures outside of rounds, which look for themselves. */
int bench_go_on(void);
/* Medians over the rounds. */
double bench_per_s(const struct bench_job *job);
double bench_per_cpu_s(const struct bench_job *job);
double bench_cores(const struct bench_job *job); /* processor time to time */
/* Median over the rounds of how much faster a is than b, by processor time. */
double bench_ratio(const struct bench_job *a, const struct bench_job *b);

/* Durations, of which percentiles are wanted. */
struct bench_times {
    double *s;
    size_t n, room;
};
int bench_times_add(struct bench_times *t, double seconds);
/* By nearest rank, 0 to 100; 0 without any. Sorts. */
double bench_times_percentile(struct bench_times *t, double percent);
void bench_times_free(struct bench_times *t);
double bench_median(double *value, int n); /* sorts */

/* Prints the figures; as JSON with the evidence, the raw samples of the jobs included. Frees r. */
void bench_print(const struct bench *b, struct results *r, const char *title,
                 const struct bench_job *job, int jobs, const char *backend);

#endif
