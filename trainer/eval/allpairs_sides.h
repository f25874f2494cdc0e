/* SPDX-License-Identifier: MIT */
/* Rows in order of whom they show (internal to trainer/eval). */
#ifndef FV_TRAINER_ALLPAIRS_SIDES_H
#define FV_TRAINER_ALLPAIRS_SIDES_H

#include "trainer/eval/allpairs.h"

/* Copies, to be freed after a failure too: v (n, dim), label (n), ascending, equal ones as they came. */
int fv__allpairs_sort(const struct fv_allpairs_side *a, int dim, float **v, uint32_t **label);
/* The place of the first of n sorted labels that is >= what. */
uint32_t fv__allpairs_lower(const uint32_t *label, size_t n, uint64_t what);

#endif
