/* SPDX-License-Identifier: MIT */
/* Every image against every other one: the ROC of n (n - 1) / 2 comparisons in memory that does not grow with their
 * number.
 *
 * Scores are inner products of unit vectors in float32. They are counted into bins of width FV_ALLPAIRS_WIDTH, and the
 * highest of each kind are kept as they are. So the ROC that comes out is that of the scores themselves above some
 * score, `exact_from`, and below it that of scores rounded down to a multiple of the width: each of its vertices is a
 * vertex of the exact ROC's staircase, which lacks those in between. Hence the bounds.
 */
#ifndef FV_TRAINER_ALLPAIRS_H
#define FV_TRAINER_ALLPAIRS_H

#include "common/report.h"
#include "trainer/eval/metrics.h"

#include <stddef.h>
#include <stdint.h>

enum { FV_ALLPAIRS_BINS = 1 << 16 };
#define FV_ALLPAIRS_WIDTH (2.0 / FV_ALLPAIRS_BINS) /* 2^-15 */

struct fv_allpairs_side {
    const float *v;        /* (n, dim) unit vectors */
    const uint32_t *label; /* (n) who they show */
    size_t n;
};

struct fv_backend;
struct fv_device;

struct fv_allpairs_settings {
    int threads; /* 0: all processors that may be used */
    /* What computes the inner products, of a backend that has columns (trainer/backend.h), while the processors count:
     * each thread takes 16 MB then. NULL: the processors. */
    const struct fv_backend *backend;
    struct fv_device *device;
    size_t keep; /* scores of each kind that are kept; 0: 2^18 */
    const struct fv_report *report;
};

struct fv_allpairs {
    struct fv_roc roc;
    double exact_from;        /* scores from here on are as they are; -inf: all are */
    double exact_fmr;         /* FMR at exact_from: TPR at this FMR and below is exact */
    double eer_low, eer_high; /* the EER of the scores themselves lies between */
    double auc_low, auc_high; /* their AUC too */
    uint64_t comparisons;
    int threads;
};

/* All of a among each other, no image with itself; or, when b is given, all of a against all of b. The same result for
 * any number of threads. FV_EINVAL when there are no pairs of one kind. */
int fv_allpairs_run(struct fv_allpairs *out, int dim, const struct fv_allpairs_side *a,
                    const struct fv_allpairs_side *b, const struct fv_allpairs_settings *s);
void fv_allpairs_free(struct fv_allpairs *p);

#endif
