/* SPDX-License-Identifier: MIT */
/* Who of a gallery is this? Identification, closed set and open set, after ISO/IEC 19795-1 and NIST's terms.
 *
 * The score of a probe with an identity is the highest cosine with any of its images (or with the one mean template
 * that fv_gallery_mean makes of them). A probe whose identity is in the gallery is mated; others are strangers.
 *
 *   rank      of a mated probe: 1 + identities that score strictly higher than its own; pessimistic: those that
 *             score the same count too
 *   CMC(R)    mated probes of rank <= R / mated probes; rank-1 is CMC(1)
 *   FPIR(T)   strangers whose highest score is >= T / strangers
 *   TPIR(T)   mated probes of rank 1 that score >= T / mated probes
 *   accuracy  with rejection at T: (mated probes of rank 1 that score >= T + strangers that score < T) / probes
 */
#ifndef FV_TRAINER_GALLERY_H
#define FV_TRAINER_GALLERY_H

#include "trainer/eval/metrics.h"

#include <stddef.h>
#include <stdint.h>

struct fv_gallery {
    const float *v;        /* (n, dim) unit vectors */
    const uint32_t *label; /* (n) below identities */
    size_t n;
    uint32_t identities; /* each has an image */
    int dim;
};

#define FV_PROBE_UNKNOWN UINT32_MAX        /* nobody says who it is */
#define FV_PROBE_STRANGER (UINT32_MAX - 1) /* not in the gallery */

struct fv_answer {
    uint32_t truth;         /* an identity, or one of the above */
    uint32_t best;          /* the identity of the highest score, the first of several */
    float score;            /* that one */
    float mate;             /* mated: with its own identity */
    uint32_t better, equal; /* mated: other identities that score higher, or the same */
};

/* One mean template an identity: the mean of its vectors, of unit length. v: (identities, dim), label: (identities).
 * FV_EINVAL when an identity has no image, or vectors cancel. */
int fv_gallery_mean(const struct fv_gallery *g, float *v, uint32_t *label);
/* Fills in all but the truth of each of n answers, from probe (n, dim). */
int fv_gallery_search(const struct fv_gallery *g, const float *probe, size_t n,
                      struct fv_answer *answer);
/* The same with scores that a device computes, of a backend that has columns (trainer/backend.h). */
struct fv_backend;
struct fv_device;
int fv_gallery_search_on(const struct fv_backend *backend, struct fv_device *device,
                         const struct fv_gallery *g, const float *probe, size_t n,
                         struct fv_answer *answer);

struct fv_probes {
    uint64_t mated, strangers, unknown;
};
struct fv_probes fv_gallery_count(const struct fv_answer *a, size_t n);
/* CMC at a rank; 0 without mated probes. */
double fv_gallery_cmc(const struct fv_answer *a, size_t n, uint32_t rank, int pessimistic);
/* TPIR against FPIR as a ROC of strangers and mated probes, for fv_roc_tpr at rates below 1. FV_EINVAL when there are
 * none of one kind. */
int fv_gallery_roc(struct fv_roc *out, const struct fv_answer *a, size_t n, int pessimistic);
/* With rejection below a threshold; -INFINITY: of none. */
double fv_gallery_accuracy(const struct fv_answer *a, size_t n, double threshold);
/* The threshold of the highest accuracy, half way between scores; the lowest of several. Chosen on the probes that are
 * given: good for others, optimistic for these. -INFINITY when it is best to reject nobody. */
int fv_gallery_threshold(const struct fv_answer *a, size_t n, double *threshold, double *accuracy);

#endif
