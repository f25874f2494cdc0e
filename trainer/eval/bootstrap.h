/* SPDX-License-Identifier: MIT */
/* Replicates of a sample of pairs: a number of draws for each pair and one sweep over them make a ROC of counts, so
 * whatever can be said of a ROC can be said of a replicate (internal to trainer/eval). */
#ifndef FV_TRAINER_BOOTSTRAP_H
#define FV_TRAINER_BOOTSTRAP_H

#include "trainer/eval/intervals.h"

#include <stdatomic.h>

struct fv__boot_entry { /* of the pairs in descending order of scores */
    double score;
    uint32_t a, b;
    uint8_t same, last; /* of its group of ties */
};

/* What is drawn; GROUPS leaves out one group of identities, and draws nothing. */
enum fv__draw {
    FV__DRAW_IDENTITIES,
    FV__DRAW_PAIRS,
    FV__DRAW_PAIRS_OF_TWO, /* identities: those alone */
    FV__DRAW_GROUPS,
    FV__DRAWS
};

struct fv__boot {
    struct fv__boot_entry *entry;
    size_t n;
    uint32_t identities, groups;
    uint32_t *place; /* (identities of the sample) in these; UINT32_MAX: no pair has it */
    const struct fv_bootstrap_settings *s;
    fv_roc_figures *measure;
    void *ctx;
    int figures;
    /* of one run */
    enum fv__draw draw;
    int64_t rows;
    double *row; /* (rows, figures) */
    atomic_llong next;
    atomic_int failed;
};

enum { FV__BOOT_GROUPS = 200 }; /* at most */

/* Of a sample whose scores are finite; what to measure is set beforehand. After a failure too it is to be closed. */
int fv__boot_open(struct fv__boot *j, const struct fv_pair_sample *p);
void fv__boot_close(struct fv__boot *j);
/* Rows of figures, by as many threads as can be had; NAN where pairs of one kind were drawn alone. (rows, figures), for
 * the caller to free. */
int fv__boot_run(struct fv__boot *j, enum fv__draw draw, int64_t rows, double **row);

#endif
