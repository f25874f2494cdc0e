/* SPDX-License-Identifier: MIT */
/* Sorting of scores for the ROC (internal to trainer/eval). */
#ifndef FV_TRAINER_SORT_SCORES_H
#define FV_TRAINER_SORT_SCORES_H

#include "trainer/eval/metrics.h"

#include <stddef.h>
#include <stdint.h>

/* fv_roc_make by so many threads: the same vertices whatever their number. */
int fv__roc_make(struct fv_roc *out, const double *score, const uint8_t *same, size_t n,
                 int threads);

/* The following take finite scores. */

/* from (n) in descending order to another place. from is overwritten. */
void fv__sort_scores(double *from, double *to, size_t n);

/* Of n > 0 scores. */
void fv__scores_range(const double *v, size_t n, double *low, double *high);

/* Buckets by value, the highest first. (high - x) * scale never grows with x, whatever the rounding, so they are in
 * order, and equal scores share one. */
struct fv__deal {
    double high, scale;
    int last; /* bucket */
};
/* Zero where all are equal or too far apart for the arithmetic: then the one bucket is the first. */
int fv__deal_plan(struct fv__deal *d, double low, double high, size_t buckets);

static inline size_t fv__bucket_of(const struct fv__deal *d, double x)
{
    const int b = (int)((d->high - x) * d->scale);
    return (size_t)(b < d->last ? b : d->last);
}

#endif
