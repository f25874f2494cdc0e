/* SPDX-License-Identifier: MIT */
/* Sorting of scores for the ROC (internal to trainer/eval). */
#ifndef FV_TRAINER_SORT_SCORES_H
#define FV_TRAINER_SORT_SCORES_H

#include <stddef.h>

/* v (n) in descending order; all finite. scratch (n) is overwritten. */
void fv__sort_scores(double *v, double *scratch, size_t n);

#endif
