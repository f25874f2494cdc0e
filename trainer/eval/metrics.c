/* SPDX-License-Identifier: MIT */
/* All counts are integers and every rate is one division of two of them, so nothing here depends on the
 * order of the input or on rounding along the way. */
#include "trainer/eval/metrics.h"

#include <math.h>
#include <stddef.h>

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

/* Of each genuine pair the share of impostors that it beats, and of each impostor the share of genuine that beat it:
 * the variance of the AUC is that of either mean. */
double fv_roc_auc_error(const struct fv_roc *r)
{
    const double ng = (double)r->genuine, ni = (double)r->impostor, auc = fv_roc_auc(r);
    double of_genuine = 0, of_impostor = 0;

    if (r->genuine < 2 || r->impostor < 2)
        return NAN;
    for (size_t k = 1; k < r->n; k++) {
        const struct fv_roc_point *a = &r->point[k - 1], *b = &r->point[k];
        const double g = (double)(b->tp - a->tp), i = (double)(b->fp - a->fp);
        const double beats = ((double)(r->impostor - b->fp) + i / 2) / ni - auc;
        const double beaten = ((double)a->tp + g / 2) / ng - auc;
        of_genuine += g * beats * beats;
        of_impostor += i * beaten * beaten;
    }
    return sqrt(of_genuine / (ng - 1) / ng + of_impostor / (ni - 1) / ni);
}

/* FMR - FNMR and FMR + FNMR in units of 1 / (genuine * impostor): exact. */
static __int128 error_difference(const struct fv_roc *r, const struct fv_roc_point *p)
{
    return (__int128)p->fp * (__int128)r->genuine -
           (__int128)(r->genuine - p->tp) * (__int128)r->impostor;
}

static __int128 sum_of_errors(const struct fv_roc *r, const struct fv_roc_point *p)
{
    return (__int128)p->fp * (__int128)r->genuine +
           (__int128)(r->genuine - p->tp) * (__int128)r->impostor;
}

void fv_roc_eer(const struct fv_roc *r, struct fv_eer *out)
{
    const double ni = (double)r->impostor, ng = (double)r->genuine;
    size_t before = 0, k = r->n - 1;

    /* The first vertex with FNMR <= FMR. The last vertex always is one (FNMR 0, FMR 1) and the first never is. */
    while (k - before > 1) {
        const size_t middle = before + (k - before) / 2;
        if (error_difference(r, &r->point[middle]) < 0)
            before = middle;
        else
            k = middle;
    }
    const struct fv_roc_point *a = &r->point[k - 1], *b = &r->point[k];
    const double fmr0 = (double)a->fp / ni, fnmr0 = (double)(r->genuine - a->tp) / ng;
    const double fmr1 = (double)b->fp / ni, fnmr1 = (double)(r->genuine - b->tp) / ng;
    const double above = fnmr0 - fmr0, below = fmr1 - fnmr1;
    const double t = above / (above + below);

    out->eer = fmr0 + t * (fmr1 - fmr0);
    out->threshold =
        isfinite(a->threshold) ? a->threshold + t * (b->threshold - a->threshold) : b->threshold;
    /* Before the crossing FNMR is the larger of the two rates, after it FMR is. Of two equal sums the lower
     * threshold's, as FVC has it. */
    const int exact = error_difference(r, b) == 0,
              after = exact || sum_of_errors(r, b) <= sum_of_errors(r, a);
    out->low = after ? fnmr1 : fmr0;
    out->high = after ? fmr1 : fnmr0;
    out->midpoint = (out->low + out->high) / 2;
}

/* --- TPR at a fixed FMR ------------------------------------------------------------------------------- */

static void fill_tpr(const struct fv_roc *r, size_t k, double asked, struct fv_tpr *out)
{
    const struct fv_roc_point *p = &r->point[k];
    *out = (struct fv_tpr){
        .asked = asked,
        .tpr = (double)p->tp / (double)r->genuine,
        .fmr = (double)p->fp / (double)r->impostor,
        .false_matches = p->fp,
        .true_matches = p->tp,
        .threshold = p->threshold,
        .below_resolution = asked < 1 / (double)r->impostor,
        .unreliable = p->fp < 30,
    };
}

/* The last vertex whose FMR does not exceed it. By division, so that 29 of 100 is the 0.29 asked for: 0.29 * 100 is
 * less than 29. */
static size_t last_within(const struct fv_roc *r, double fmr)
{
    size_t low = 0, high = r->n; /* low is within, high is not */

    while (high - low > 1) {
        const size_t middle = low + (high - low) / 2;
        if ((double)r->point[middle].fp / (double)r->impostor <= fmr)
            low = middle;
        else
            high = middle;
    }
    return low;
}

void fv_roc_tpr(const struct fv_roc *r, double fmr, struct fv_tpr *out)
{
    fill_tpr(r, last_within(r, fmr), fmr, out);
}

static void tpr_interpolated(const struct fv_roc *r, double fmr, struct fv_tpr *out)
{
    const size_t k = last_within(r, fmr);

    fill_tpr(r, k, fmr, out);
    if (k + 1 == r->n || out->fmr == fmr)
        return;
    const struct fv_roc_point *a = &r->point[k], *b = &r->point[k + 1];
    const double fmr1 = (double)b->fp / (double)r->impostor,
                 tpr1 = (double)b->tp / (double)r->genuine;
    const double t = (fmr - out->fmr) / (fmr1 - out->fmr);
    out->tpr += t * (tpr1 - out->tpr);
    out->fmr = fmr;
    out->threshold =
        isfinite(a->threshold) ? a->threshold + t * (b->threshold - a->threshold) : b->threshold;
}

static void tpr_nearest(const struct fv_roc *r, double fmr, struct fv_tpr *out)
{
    size_t k = last_within(r, fmr);

    if (k + 1 < r->n) { /* the other candidate: the highest vertex of the next FMR */
        const size_t above = last_within(r, (double)r->point[k + 1].fp / (double)r->impostor);
        const double under = fmr - (double)r->point[k].fp / (double)r->impostor;
        const double over = (double)r->point[above].fp / (double)r->impostor - fmr;
        k = over <= under ? above : k;
    }
    fill_tpr(r, k, fmr, out);
}

/* What roc_curve leaves out unless told otherwise: vertices between two steps that are the same. The first after (0, 0)
 * and the last always stay. */
static int is_corner(const struct fv_roc *r, size_t k)
{
    const struct fv_roc_point *p = &r->point[k];

    return k <= 1 || k + 1 == r->n || p[1].fp - p->fp != p->fp - p[-1].fp ||
           p[1].tp - p->tp != p->tp - p[-1].tp;
}

static void tpr_of_corner(const struct fv_roc *r, double fmr, struct fv_tpr *out)
{
    const double ni = (double)r->impostor;
    size_t k = last_within(r, fmr), next = k + 1;

    while (!is_corner(r, k))
        k--;
    while (next < r->n && !is_corner(r, next))
        next++;
    if (next < r->n) { /* the highest corner of that FMR */
        size_t above = last_within(r, (double)r->point[next].fp / ni);
        while (!is_corner(r, above))
            above--;
        k = (double)r->point[above].fp / ni - fmr <= fmr - (double)r->point[k].fp / ni ? above : k;
    }
    fill_tpr(r, k, fmr, out);
}

const struct fv_tpr_rule fv_tpr_rules[] = {
    {"step", "the largest TPR whose FMR does not exceed it (conservative)", fv_roc_tpr},
    {"interp",
     "on the straight line between the vertices around it (numpy.interp, SciPy's interp1d)",
     tpr_interpolated},
    {"nearest", "of the vertex whose FMR is nearest, of two the larger; FMR may exceed it",
     tpr_nearest},
    {"corners", "the same of the vertices that scikit-learn's roc_curve keeps (InsightFace's IJB)",
     tpr_of_corner},
    {NULL, NULL, NULL},
};

/* --- accuracy ----------------------------------------------------------------------------------------- */

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
