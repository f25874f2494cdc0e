/* SPDX-License-Identifier: MIT */
/* Training steps fed by the loader, the same steps fed by replayed batches, and the loader with nothing to feed: in
 * turns, so that what is compared was measured under the same conditions. fvbench e2e prints it, fvbench doctor
 * judges it. */
#ifndef FV_TOOLS_FEEDING_H
#define FV_TOOLS_FEEDING_H

#include "augment/augment.h"
#include "tools/bench/fvbench_measure.h"
#include "tools/bench/replay.h"
#include "tools/bench/trainee.h"

enum feed { FED, REPLAYED, LOADER_ALONE, FEEDS };

struct feeding {
    struct fv_store *store;
    struct fv_loader_settings set;
    struct fv_loader *loader; /* open during rounds of FED and LOADER_ALONE */
    struct trainee *trainee;
    struct replay *replay;
    struct bench_job job[FEEDS];
    struct feed_round { /* sums of a round of FED or REPLAYED */
        uint64_t steps;
        double wait_s, step_s;
    } fed[BENCH_ROUNDS_MAX], replayed[BENCH_ROUNDS_MAX];
    struct feed_round now;
    struct bench_times wait, step; /* each one, of FED */
    struct fv_loader_stats stages; /* of LOADER_ALONE */
    int threads;                   /* of the loader */
};

/* The whole of a command: its options, the measuring, and `print` for what comes of it. The loader's batches decide
 * what the net takes. */
int feeding_command(const struct fv_command *cmd, int argc, char **argv,
                    int (*print)(const struct bench *b, struct feeding *f));

/* Medians over the rounds, of one training step with the loader as the whole: */
double feeding_stall(const struct feeding *f); /* share of the time spent waiting for a batch */
double feeding_gain(const struct feeding *f);  /* share of the time that free data would save */
/* Share by which the steps themselves are longer than when fed for free: the loader has taken processors from them.
 * May be a little below 0: noise. */
double feeding_sharing(const struct feeding *f);

#endif
