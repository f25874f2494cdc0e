/* SPDX-License-Identifier: MIT */
/* From scores to the vertices of the ROC: genuine and impostor scores are sorted apart and merged, so a label needs no
 * room beside its score. The merge has no branch that data decides: half of those would be mispredicted.
 */
#include "common/err.h"
#include "trainer/eval/metrics.h"
#include "trainer/eval/sort_scores.h"

#include <math.h>
#include <stdlib.h>

static int check_scores(const double *score, const uint8_t *same, size_t n, struct fv_roc *out)
{
    size_t bad = 0, genuine = 0;

    for (size_t i = 0; i < n; i++) {
        genuine += same[i] != 0;
        bad += !isfinite(score[i]);
    }
    for (size_t i = 0; bad && i < n; i++)
        if (!isfinite(score[i]))
            return fv_err(FV_EINVAL, "score %zu of %zu is not finite", i + 1, n);
    out->genuine = genuine;
    out->impostor = n - genuine;
    if (out->genuine == 0 || out->impostor == 0)
        return fv_err(FV_EINVAL, "no %s pairs among %zu scores: a ROC needs both kinds",
                      out->genuine == 0 ? "genuine" : "impostor", n);
    return FV_OK;
}

/* By kind: genuine in g, impostor in m, both in descending order with -inf behind. */
static void sort_kinds(const double *score, const uint8_t *same, size_t n, double *g, double *m,
                       double *scratch)
{
    size_t ng = 0, nm = 0;

    for (size_t i = 0; i < n;
         i++) { /* the other one's place is written too, and again by the next */
        g[ng] = score[i];
        m[nm] = score[i];
        ng += same[i] != 0;
        nm += same[i] == 0;
    }
    fv__sort_scores(g, scratch, ng);
    fv__sort_scores(m, scratch, nm);
    g[ng] = m[nm] = -INFINITY;
}

static size_t merge(const double *g, const double *m, struct fv_roc_point *point)
{
    struct fv_roc_point p = {.threshold = INFINITY};
    size_t k = 0;

    for (;;) {
        const double x = g[p.tp], y = m[p.fp], next = x > y ? x : y;
        point[k] = p;
        k += next != p.threshold; /* the group of ties is complete */
        if (next == -INFINITY)
            return k;
        p.threshold = next;
        p.tp += x == next;
        p.fp += y == next;
    }
}

int fv_roc_make(struct fv_roc *out, const double *score, const uint8_t *same, size_t n)
{
    *out = (struct fv_roc){0};
    FV_TRY(check_scores(score, same, n, out));
    double *g = malloc((n + 2) * sizeof *g);
    out->point = g ? malloc((n + 1) * sizeof *out->point) : NULL;
    if (!out->point) {
        free(g);
        fv_roc_free(out);
        return fv_err(FV_ENOMEM, "out of memory for %zu scores", n);
    }
    double *m = g + out->genuine + 1;
    /* Sorting is over before the first vertex is written. */
    sort_kinds(score, same, n, g, m, (double *)(void *)out->point);
    out->n = merge(g, m, out->point);
    free(g);
    return FV_OK;
}

void fv_roc_free(struct fv_roc *r)
{
    free(r->point);
    *r = (struct fv_roc){0};
}
