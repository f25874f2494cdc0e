/* SPDX-License-Identifier: MIT */
/* Pairs are counted by the first threshold that lets them match, so that each fold costs one pass over the pairs and
 * one over the thresholds. Counts of the other folds are those of all less its own. */
#include "trainer/eval/grid.h"

#include "common/err.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const struct fv_grid fv_grid_insightface = {0.01, 400}, fv_grid_insightface_val = {0.001, 4000};

enum { IMPOSTOR, GENUINE, KINDS };

struct counts {
    uint64_t *match[KINDS]; /* (steps) at each threshold */
    uint64_t all[KINDS];
};

struct sweep {
    const struct fv_fold_set *s;
    const struct fv_grid *g;
    struct counts total, own;
    uint64_t *memory;
};

static double distance_of(double score)
{
    return 2 - 2 * score;
}

static double threshold_of(const struct fv_grid *g, size_t i)
{
    return (double)i * g->step;
}

/* Of the first threshold above the distance; steps: none is. */
static size_t first_match(const struct fv_grid *g, double distance)
{
    const double at = distance / g->step;
    size_t i = at <= 0 ? 0 : at >= g->steps ? g->steps : (size_t)at;

    while (i > 0 && distance < threshold_of(g, i - 1))
        i--;
    while (i < g->steps && !(distance < threshold_of(g, i)))
        i++;
    return i;
}

/* Of one fold, or of all for fold == folds. */
static void count(const struct sweep *w, uint32_t fold, struct counts *c)
{
    const struct fv_fold_set *s = w->s;

    for (int k = 0; k < KINDS; k++) {
        memset(c->match[k], 0, w->g->steps * sizeof *c->match[k]);
        c->all[k] = 0;
    }
    for (size_t i = 0; i < s->n; i++) {
        if (fold < s->folds && s->fold[i] != fold)
            continue;
        const size_t first = first_match(w->g, distance_of(s->score[i]));
        const int kind = s->same[i] != 0;
        c->all[kind]++;
        if (first < w->g->steps)
            c->match[kind][first]++;
    }
    for (int k = 0; k < KINDS; k++)
        for (uint32_t i = 1; i < w->g->steps; i++)
            c->match[k][i] += c->match[k][i - 1];
}

static uint64_t others(const struct sweep *w, int kind, size_t i)
{
    return w->total.match[kind][i] - w->own.match[kind][i];
}

static uint64_t others_all(const struct sweep *w, int kind)
{
    return w->total.all[kind] - w->own.all[kind];
}

static int open_sweep(struct sweep *w, const struct fv_fold_set *s, const struct fv_grid *g)
{
    *w = (struct sweep){.s = s, .g = g, .memory = malloc(4 * g->steps * sizeof *w->memory)};
    if (!w->memory)
        return fv_err(FV_ENOMEM, "out of memory for %u thresholds", g->steps);
    for (size_t i = 0; i < s->n; i++)
        if (!isfinite(s->score[i])) {
            free(w->memory);
            return fv_err(FV_EINVAL, "score %zu of %zu is not finite", i + 1, s->n);
        }
    for (int k = 0; k < KINDS; k++) {
        w->total.match[k] = w->memory + (size_t)k * g->steps;
        w->own.match[k] = w->memory + (size_t)(KINDS + k) * g->steps;
    }
    count(w, s->folds, &w->total);
    return FV_OK;
}

/* What is asked of every fold: a number, and another one for what VAL tells beside. */
typedef int visit_fold(struct sweep *w, uint32_t fold, double far, double *out, double *beside);

static int each_fold(const struct fv_fold_set *s, const struct fv_grid *g, visit_fold *visit,
                     double far, double *out, double *beside)
{
    struct sweep w;
    int rc = FV_OK;

    FV_TRY(open_sweep(&w, s, g));
    for (uint32_t f = 0; f < s->folds && rc >= 0; f++) {
        count(&w, f, &w.own);
        if (others_all(&w, IMPOSTOR) == 0 || others_all(&w, GENUINE) == 0)
            rc = fv_err(FV_EINVAL, "the folds other than %u of %u lack %s pairs", f + 1, s->folds,
                        others_all(&w, IMPOSTOR) == 0 ? "impostor" : "genuine");
        else
            rc = visit(&w, f, far, &out[f], &beside[f]);
    }
    free(w.memory);
    return rc;
}

/* --- accuracy ------------------------------------------------------------------------------------- */

static int visit_accuracy(struct sweep *w, uint32_t fold, double far, double *out, double *beside)
{
    const struct counts *own = &w->own;
    const uint64_t n = own->all[GENUINE] + own->all[IMPOSTOR];
    uint64_t most = 0;
    size_t best = 0;

    (void)far;
    if (n == 0)
        return fv_err(FV_EINVAL, "fold %u of %u has no pairs", fold + 1, w->s->folds);
    for (size_t i = 0; i < w->g->steps; i++) {
        const uint64_t right =
            others(w, GENUINE, i) + (others_all(w, IMPOSTOR) - others(w, IMPOSTOR, i));
        if (i == 0 || right > most) {
            most = right;
            best = i;
        }
    }
    *out = (double)(own->match[GENUINE][best] + (own->all[IMPOSTOR] - own->match[IMPOSTOR][best])) /
           (double)n;
    *beside = threshold_of(w->g, best);
    return FV_OK;
}

/* --- VAL ------------------------------------------------------------------------------------------ */

static double others_far(const struct sweep *w, size_t i)
{
    return (double)others(w, IMPOSTOR, i) / (double)others_all(w, IMPOSTOR);
}

/* scipy.interpolate.interp1d of thresholds over FAR, which at the end of a flat piece takes its last threshold. */
static double threshold_at(const struct sweep *w, double far)
{
    const size_t last = w->g->steps - 1;
    size_t k = 0;

    if (others_far(w, last) < far)
        return 0;
    while (k < last && others_far(w, k + 1) <= far)
        k++;
    const double below = others_far(w, k), t = threshold_of(w->g, k);
    if (k == last || below >= far) /* above: thresholds do not reach down to that FAR */
        return t;
    return t + (far - below) / (others_far(w, k + 1) - below) * (threshold_of(w->g, k + 1) - t);
}

static int visit_val(struct sweep *w, uint32_t fold, double far, double *out, double *beside)
{
    const struct fv_fold_set *s = w->s;
    const double threshold = threshold_at(w, far);
    uint64_t match[KINDS] = {0, 0};

    if (w->own.all[IMPOSTOR] == 0 || w->own.all[GENUINE] == 0)
        return fv_err(FV_EINVAL, "fold %u of %u has no %s pairs: VAL@FAR needs both kinds in each",
                      fold + 1, s->folds, w->own.all[IMPOSTOR] == 0 ? "impostor" : "genuine");
    for (size_t i = 0; i < s->n; i++)
        if (s->fold[i] == fold)
            match[s->same[i] != 0] += distance_of(s->score[i]) < threshold;
    *out = (double)match[GENUINE] / (double)w->own.all[GENUINE];
    *beside = (double)match[IMPOSTOR] / (double)w->own.all[IMPOSTOR];
    return FV_OK;
}

/* --- means ---------------------------------------------------------------------------------------- */

static int mean_of(const struct fv_fold_set *s, const struct fv_grid *g, visit_fold *visit,
                   double far, struct fv_fold_mean *mean, double *beside_mean)
{
    double *out = calloc(2 * (size_t)s->folds + 1, sizeof *out);
    int rc = out ? each_fold(s, g, visit, far, out, out + s->folds)
                 : fv_err(FV_ENOMEM, "out of memory for %u folds", s->folds);

    if (rc >= 0) {
        *mean = fv__fold_mean(out, s->folds);
        *beside_mean = fv__fold_mean(out + s->folds, s->folds).mean;
    }
    free(out);
    return rc;
}

int fv_grid_accuracy(const struct fv_fold_set *s, const struct fv_grid *g, struct fv_fold_mean *out)
{
    double threshold;

    return mean_of(s, g, visit_accuracy, 0, out, &threshold);
}

int fv_grid_val(const struct fv_fold_set *s, const struct fv_grid *g, double far,
                struct fv_fold_val *out)
{
    return mean_of(s, g, visit_val, far, &out->val, &out->far_mean);
}
