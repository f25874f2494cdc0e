/* SPDX-License-Identifier: MIT */
/* All counts are integers and every rate is one division of two of them, so nothing here depends on the
 * order of the input or on rounding along the way. */
#include "trainer/eval/metrics.h"
#include "common/err.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct scored {
    double score;
    uint8_t same;
};

static int descending(const void *a, const void *b)
{
    const double x = ((const struct scored *)a)->score, y = ((const struct scored *)b)->score;
    return (x < y) - (x > y);
}

static int check_scores(const double *score, const uint8_t *same, size_t n, struct fv_roc *out)
{
    for (size_t i = 0; i < n; i++) {
        if (!isfinite(score[i]))
            return fv_err(FV_EINVAL, "score %zu of %zu is not finite", i + 1, n);
        if (same[i])
            out->genuine++;
        else
            out->impostor++;
    }
    if (out->genuine == 0 || out->impostor == 0)
        return fv_err(FV_EINVAL, "no %s pairs among %zu scores: a ROC needs both kinds",
                      out->genuine == 0 ? "genuine" : "impostor", n);
    return FV_OK;
}

int fv_roc_make(struct fv_roc *out, const double *score, const uint8_t *same, size_t n)
{
    *out = (struct fv_roc){0};
    FV_TRY(check_scores(score, same, n, out));
    struct scored *s = malloc(n * sizeof *s);
    out->point = malloc((n + 1) * sizeof *out->point);
    if (!s || !out->point) {
        free(s);
        fv_roc_free(out);
        return fv_err(FV_ENOMEM, "out of memory for %zu scores", n);
    }
    for (size_t i = 0; i < n; i++)
        s[i] = (struct scored){score[i], same[i]};
    qsort(s, n, sizeof *s, descending);
    struct fv_roc_point p = {.threshold = INFINITY};
    out->point[out->n++] = p;
    for (size_t i = 0; i < n; i++) {
        p.threshold = s[i].score;
        if (s[i].same)
            p.tp++;
        else
            p.fp++;
        if (i + 1 == n || s[i + 1].score != s[i].score)
            out->point[out->n++] = p;
    }
    free(s);
    return FV_OK;
}

void fv_roc_free(struct fv_roc *r)
{
    free(r->point);
    *r = (struct fv_roc){0};
}

double fv_roc_auc(const struct fv_roc *r)
{
    /* Twice the area in units of one genuine times one impostor pair. */
    unsigned __int128 twice = 0;

    for (size_t k = 1; k < r->n; k++) {
        const struct fv_roc_point *a = &r->point[k - 1], *b = &r->point[k];
        twice += (unsigned __int128)(b->fp - a->fp) * (a->tp + b->tp);
    }
    return (double)twice / (2.0 * (double)r->genuine * (double)r->impostor);
}

void fv_roc_eer(const struct fv_roc *r, struct fv_eer *out)
{
    const double ni = (double)r->impostor, ng = (double)r->genuine;
    size_t k = 1;

    /* The first vertex with FNMR <= FMR, compared exactly: (G - tp) / G <= fp / I. The last vertex always
     * is one (FNMR 0, FMR 1) and the first never is. */
    while ((unsigned __int128)(r->genuine - r->point[k].tp) * r->impostor >
           (unsigned __int128)r->point[k].fp * r->genuine)
        k++;
    const struct fv_roc_point *a = &r->point[k - 1], *b = &r->point[k];
    const double fmr0 = (double)a->fp / ni, fnmr0 = (double)(r->genuine - a->tp) / ng;
    const double fmr1 = (double)b->fp / ni, fnmr1 = (double)(r->genuine - b->tp) / ng;
    const double above = fnmr0 - fmr0, below = fmr1 - fnmr1;
    const double t = above / (above + below);

    out->eer = fmr0 + t * (fmr1 - fmr0);
    out->threshold =
        isfinite(a->threshold) ? a->threshold + t * (b->threshold - a->threshold) : b->threshold;
    /* Before the crossing FNMR is the larger of the two rates, after it FMR is. */
    const double low0 = fmr0, high0 = fnmr0, low1 = fnmr1, high1 = fmr1;
    const int first = low0 + high0 <= low1 + high1;
    out->low = first ? low0 : low1;
    out->high = first ? high0 : high1;
}

void fv_roc_tpr(const struct fv_roc *r, double fmr, struct fv_tpr *out)
{
    const double ni = (double)r->impostor;
    size_t k = 0;

    /* By division, so that 29 of 100 is the 0.29 asked for: 0.29 * 100 is less than 29. */
    while (k + 1 < r->n && (double)r->point[k + 1].fp / ni <= fmr)
        k++;
    const struct fv_roc_point *p = &r->point[k];
    *out = (struct fv_tpr){
        .asked = fmr,
        .tpr = (double)p->tp / (double)r->genuine,
        .fmr = (double)p->fp / ni,
        .false_matches = p->fp,
        .true_matches = p->tp,
        .threshold = p->threshold,
        .below_resolution = fmr < 1 / ni,
        .unreliable = p->fp < 30,
    };
}

/* Above `low` even where no number lies between them. */
static double half_way(double high, double low)
{
    const double middle = high / 2 + low / 2;
    return middle > low && middle <= high ? middle : high;
}

void fv_roc_best(const struct fv_roc *r, struct fv_best *out)
{
    uint64_t best = 0;
    size_t at = 0;

    for (size_t k = 0; k < r->n; k++) {
        const uint64_t right = r->point[k].tp + (r->impostor - r->point[k].fp);
        if (right > best) {
            best = right;
            at = k;
        }
    }
    out->accuracy = (double)best / (double)(r->genuine + r->impostor);
    /* Half way to the next lower score: the threshold is as far from both as it can be. */
    const double t = r->point[at].threshold;
    if (at + 1 >= r->n)
        out->threshold = t;
    else if (!isfinite(t))
        out->threshold = nextafter(r->point[at + 1].threshold, INFINITY);
    else
        out->threshold = half_way(t, r->point[at + 1].threshold);
}
