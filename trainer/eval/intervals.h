/* SPDX-License-Identifier: MIT */
/* Confidence intervals for figures of scores of pairs, by bootstrap over identities.
 *
 * Two pairs that share a person are not independent, so pairs must not be drawn one by one. Identities are drawn, as
 * many as there are and with replacement; a pair counts as often as the identities of its two sides were drawn: once
 * for each draw of its one identity (genuine), or the product of two numbers of draws (impostor). That is the
 * bootstrap of vertices (Snijders and Borgatti, Connections 22(2), 1999), and for error rates of one-to-one matching
 * the one with coverage near what it promises (Fogliato, Patil, Perona, "Confidence Intervals for Error Rates in 1:1
 * Matching Tasks", IJCV 132, 2024; the subsets of Bolle, Ratha, Pankanti, CVIU 93(1), 2004, cluster by one side only).
 *
 * A product of two draws varies too much: noise that is a pair's own comes out three times as large (Owen, "The
 * pigeonhole bootstrap", AOAS 1(2), 2007). On lists in which a person meets few others that noise is most of the
 * variance. It is measured by drawing such pairs one by one, twice it is taken off, and replicates are drawn in to the
 * estimate accordingly; for a mean that gives the variance robust to dyads (Aronow, Samii, Assenova, Political Analysis
 * 23(4), 2015).
 *
 * A result is a function of the sample, the seed and the number of replicates: threads don't change it.
 */
#ifndef FV_TRAINER_INTERVALS_H
#define FV_TRAINER_INTERVALS_H

#include "trainer/eval/metrics.h"
#include "trainer/eval/rates.h"

#include <stddef.h>
#include <stdint.h>

struct fv_pair_sample {
    const double *score;
    const uint8_t *same;
    const uint32_t *a, *b; /* (n) identities of the two sides, below identities */
    size_t n;
    uint32_t identities;
};

struct fv_bootstrap_settings {
    uint64_t seed;
    int64_t replicates; /* (2000) */
    double level;       /* (0.95) */
    int threads;        /* 0: one per processor */
    /* Bias-corrected and accelerated (Efron, JASA 82, 1987), the acceleration by leaving out identities (in at most 200
     * groups); else percentiles. */
    int bca;
};
void fv_bootstrap_defaults(struct fv_bootstrap_settings *s);

/* Figures of one ROC, as many as the caller asks for; called from several threads. A figure may be NAN. */
typedef void fv_roc_figures(const struct fv_roc *r, void *ctx, double *figure);

struct fv_bootstrap_interval {
    double value;             /* of the sample itself */
    double std_error;         /* over identities */
    struct fv_interval over;  /* identities */
    struct fv_interval naive; /* percentiles with pairs drawn one by one, as if independent */
};

/* out (figures). FV_EINVAL as fv_roc_make, with an identity out of range, or with fewer than 3 identities in
 * pairs. */
int fv_bootstrap_pairs(const struct fv_pair_sample *p, const struct fv_bootstrap_settings *s,
                       fv_roc_figures *measure, void *ctx, int figures,
                       struct fv_bootstrap_interval *out);

#endif
