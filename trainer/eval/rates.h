/* SPDX-License-Identifier: MIT */
/* What k events in n say of their rate, had they been independent. Pairs share people, so for them these intervals are
 * too narrow (trainer/eval/intervals.h has the others); they stand beside for comparison, and where nothing else is
 * known.
 */
#ifndef FV_TRAINER_RATES_H
#define FV_TRAINER_RATES_H

#include <stdint.h>

struct fv_interval {
    double low, high;
};

/* level: 0.95 for 95 %. n > 0, k <= n. */
struct fv_interval fv_rate_wilson(uint64_t k, uint64_t n, double level);
/* Clopper and Pearson's: covers at least `level`. */
struct fv_interval fv_rate_exact(uint64_t k, uint64_t n, double level);
/* The largest rate at which no event in n is no rarer than 1 - level: 1 - (1 - level)^(1/n), at 95 % about 3/n (the
 * rule of 3). */
double fv_rate_none_seen(uint64_t n, double level);

/* Standard normal distribution and its inverse, 0 < p < 1. */
double fv_normal_below(double z);
double fv_normal_quantile(double p);

#endif
