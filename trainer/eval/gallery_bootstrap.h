/* SPDX-License-Identifier: MIT */
/* Confidence intervals for figures of a gallery's answers, by bootstrap over the people who are looked for.
 *
 * Probes of one person are not independent, so people are drawn, as many as there are and with replacement, each with
 * all its probes (the cluster bootstrap: Field and Welsh, JRSS B 69(3), 2007). The gallery stays: the interval is about
 * other people looked for in this one. Ends are percentiles of the replicates.
 *
 * A result is a function of the answers, the seed and the number of replicates.
 */
#ifndef FV_TRAINER_GALLERY_BOOTSTRAP_H
#define FV_TRAINER_GALLERY_BOOTSTRAP_H

#include "trainer/eval/gallery.h"
#include "trainer/eval/intervals.h"

struct fv_gallery_sample {
    const struct fv_answer *answer; /* (n) */
    const uint32_t *person;         /* (n) who is on the probe, below people */
    size_t n;
    uint32_t people;
};

/* Figures of answers, as many as the caller asks for. A figure may be NAN. */
typedef void fv_gallery_figures(const struct fv_answer *a, size_t n, void *ctx, double *figure);

/* out (figures), of s->replicates, s->level and s->seed: equal ends when all replicates are alike, NAN where there is
 * none. FV_EINVAL with fewer than 3 people, or a person out of range. */
int fv_gallery_bootstrap(const struct fv_gallery_sample *g, const struct fv_bootstrap_settings *s,
                         fv_gallery_figures *measure, void *ctx, int figures,
                         struct fv_interval *out);

#endif
