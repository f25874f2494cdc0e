/* SPDX-License-Identifier: MIT */
/* From counts and the highest scores to a ROC in two parts, and what the coarser one leaves open. */
#include "trainer/eval/allpairs_counts.h"

#include "common/err.h"

#include <math.h>
#include <stdlib.h>

enum { HALF = FV_ALLPAIRS_BINS / 2 };

/* The lowest edge of a bin from which all scores are known as they are; above the last one: none. */
static int exact_bin(const struct fv__allpairs_counts *c)
{
    const float floor = c->high[0].floor > c->high[1].floor ? c->high[0].floor : c->high[1].floor;

    if (floor == -INFINITY)
        return 0;
    const double edge = ceil((double)floor * HALF) + HALF;
    return edge < 0 ? 0 : edge >= FV_ALLPAIRS_BINS - 1 ? FV_ALLPAIRS_BINS : (int)edge;
}

static void add_exact(struct fv_allpairs *out, const struct fv__allpairs_counts *c, double from)
{
    const struct fv_highest *h = c->high;
    struct fv_roc_point p = out->roc.point[0];
    size_t i = 0, g = 0;

    for (;;) {
        const double si = i < h[0].n ? (double)h[0].x[i] : -INFINITY,
                     sg = g < h[1].n ? (double)h[1].x[g] : -INFINITY;
        p.threshold = si > sg ? si : sg;
        if (p.threshold < from || p.threshold == -INFINITY)
            return;
        for (; i < h[0].n && (double)h[0].x[i] == p.threshold; i++)
            p.fp++;
        for (; g < h[1].n && (double)h[1].x[g] == p.threshold; g++)
            p.tp++;
        out->roc.point[out->roc.n++] = p;
    }
}

/* Bins below `exact`. Returns twice the area that they leave open, in pairs of a genuine and an impostor. */
static double add_bins(struct fv_allpairs *out, const struct fv__allpairs_counts *c, int exact)
{
    struct fv_roc_point p = out->roc.point[out->roc.n - 1];
    double open = 0;

    for (int b = exact - 1; b >= 0; b--) {
        const uint64_t fp = c->count[0][b], tp = c->count[1][b];
        if (fp + tp == 0)
            continue;
        p.fp += fp;
        p.tp += tp;
        p.threshold = b ? (double)(b - HALF) / HALF : -1 - FV_ALLPAIRS_WIDTH;
        out->roc.point[out->roc.n++] = p;
        open += (double)fp * (double)tp;
    }
    return open;
}

static void find_eer_bounds(struct fv_allpairs *out)
{
    const struct fv_roc *r = &out->roc;
    const double ni = (double)r->impostor, ng = (double)r->genuine;
    struct fv_eer eer;
    size_t k = 1;

    fv_roc_eer(r, &eer);
    out->eer_low = out->eer_high = eer.eer;
    while (k + 1 < r->n && (double)(r->genuine - r->point[k].tp) / ng > (double)r->point[k].fp / ni)
        k++;
    if (r->point[k].threshold >= out->exact_from)
        return;
    const struct fv_roc_point *a = &r->point[k - 1], *b = &r->point[k];
    out->eer_low = fmax((double)a->fp / ni, (double)(r->genuine - b->tp) / ng);
    out->eer_high = fmin((double)b->fp / ni, (double)(r->genuine - a->tp) / ng);
}

int fv__allpairs_roc(struct fv_allpairs *out, const struct fv__allpairs_counts *c)
{
    const size_t most = c->high[0].n + c->high[1].n + FV_ALLPAIRS_BINS + 1;
    const int exact = exact_bin(c);
    struct fv_roc *r = &out->roc;

    r->impostor = c->scores[0];
    r->genuine = c->scores[1];
    out->comparisons = r->impostor + r->genuine;
    if (!r->impostor || !r->genuine)
        return fv_err(FV_EINVAL, "no %s pairs among %llu comparisons: a ROC needs both kinds",
                      r->genuine ? "impostor" : "genuine", (unsigned long long)out->comparisons);
    r->point = malloc(most * sizeof *r->point);
    if (!r->point)
        return fv_err(FV_ENOMEM, "out of memory for a ROC of %zu points", most);
    r->point[r->n++] = (struct fv_roc_point){.threshold = INFINITY};
    out->exact_from = exact ? (double)(exact - HALF) / HALF : -INFINITY;
    if (exact < FV_ALLPAIRS_BINS)
        add_exact(out, c, out->exact_from);
    out->exact_fmr = (double)r->point[r->n - 1].fp / (double)r->impostor;
    const double open = add_bins(out, c, exact) / 2 / (double)r->genuine / (double)r->impostor;
    const double auc = fv_roc_auc(r);
    out->auc_low = auc - open;
    out->auc_high = auc + open;
    find_eer_bounds(out);
    return FV_OK;
}
