/* SPDX-License-Identifier: MIT */
/* What is counted of all pairs (internal to trainer/eval). */
#ifndef FV_TRAINER_ALLPAIRS_COUNTS_H
#define FV_TRAINER_ALLPAIRS_COUNTS_H

#include "trainer/eval/allpairs.h"
#include "trainer/eval/highest.h"

struct fv__allpairs_counts {
    uint64_t *count[2]; /* (bins) of impostors, genuine */
    struct fv_highest high[2];
    uint64_t scores[2];
};

/* All but the number of threads; after a failure too, fv_allpairs_free is to be called. */
int fv__allpairs_roc(struct fv_allpairs *out, const struct fv__allpairs_counts *c);

#endif
