/* SPDX-License-Identifier: MIT */
#include "tools/eval/eval_intervals.h"

#include "common/err.h"

#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* --- intervals ----------------------------------------------------------------------------------- */

struct wanted {
    const struct eval_figures *f;
    const double *threshold;
};

/* Matches at a threshold: those of the last vertex at or above it. */
static struct fv_roc_point at_threshold(const struct fv_roc *roc, double threshold)
{
    size_t low = 0, high = roc->n;

    while (high - low > 1) {
        const size_t middle = low + (high - low) / 2;
        if (roc->point[middle].threshold >= threshold)
            low = middle;
        else
            high = middle;
    }
    return roc->point[low];
}

static void measure(const struct fv_roc *roc, void *ctx, double *figure)
{
    const struct wanted *w = ctx;
    struct fv_eer e;

    fv_roc_eer(roc, &e);
    figure[EVAL_EER] = strcmp(w->f->eer, "midpoint") == 0 ? e.midpoint : e.eer;
    figure[EVAL_AUC] = fv_roc_auc(roc);
    for (int i = 0; i < w->f->rates; i++) {
        struct fv_tpr t = {.tpr = NAN};
        if (w->f->rule)
            w->f->rule->at(roc, w->f->rate[i], &t);
        figure[EVAL_TPR + i] = t.tpr;
    }
    if (w->threshold) {
        const struct fv_roc_point p = at_threshold(roc, *w->threshold);
        figure[EVAL_TPR + w->f->rates] = (double)p.fp / (double)roc->impostor;
        figure[EVAL_TPR + w->f->rates + 1] = (double)(roc->genuine - p.tp) / (double)roc->genuine;
    }
}

static uint32_t count_identities(const struct eval_scores *s, uint8_t *seen)
{
    uint32_t n = 0;

    for (size_t i = 0; i < s->n; i++)
        for (int side = 0; side < 2; side++) {
            const uint32_t id = side ? s->b[i] : s->a[i];
            n += !seen[id];
            seen[id] = 1;
        }
    return n;
}

int eval_intervals_make(struct eval_intervals *out, const struct eval_figures *f,
                        const struct eval_scores *s)
{
    enum { MANY_PAIRS = 1000000, FEW_IDENTITIES = 3 };
    const struct fv_pair_sample sample = {s->score, s->same, s->a, s->b, s->n, s->identities};
    struct fv_bootstrap_settings b;
    struct wanted w = {f, s->threshold};

    *out = (struct eval_intervals){.level = f->level};
    if (f->bootstrap == 0 || !s->a)
        return FV_OK;
    uint8_t *seen = calloc(s->identities, 1);
    if (!seen)
        return fv_err(FV_ENOMEM, "out of memory for %u identities", s->identities);
    out->identities = count_identities(s, seen);
    free(seen);
    if (out->identities < FEW_IDENTITIES)
        return FV_OK;
    fv_bootstrap_defaults(&b);
    b.seed = (uint64_t)f->seed;
    b.replicates = f->bootstrap > 0 ? f->bootstrap : s->n > MANY_PAIRS ? 200 : b.replicates;
    b.level = f->level;
    b.bca = strcmp(f->interval, "bca") == 0;
    b.threads = s->threads;
    out->replicates = b.replicates;
    out->n = EVAL_TPR + f->rates + (s->threshold ? 2 : 0);
    return fv_bootstrap_pairs(&sample, &b, measure, &w, out->n, out->of);
}

/* Without a single error among the pairs, or with nothing but errors, every replicate is the same: that is no interval
 * of no width but none. */
void eval_intervals_add(struct results *r, const struct eval_intervals *in, int figure,
                        const char *key)
{
    char text[160];

    if (figure >= in->n)
        return;
    const struct fv_bootstrap_interval *i = &in->of[figure];
    const int none = i->std_error == 0;
    if (none)
        snprintf(text, sizeof text, "no interval: all replicates are alike");
    else
        snprintf(text, sizeof text,
                 "%.4f to %.4f (%g %% over %u identities; pairs one by one: %.4f to %.4f)",
                 i->over.low, i->over.high, 100 * in->level, in->identities, i->naive.low,
                 i->naive.high);
    results_heading(r, "", text);
    results_json(r, key,
                 none ? json_null()
                      : json_pack("{sf sf sf sf sf sf sI sI}", "low", i->over.low, "high",
                                  i->over.high, "std_error", i->std_error, "naive_low",
                                  i->naive.low, "naive_high", i->naive.high, "level", in->level,
                                  "identities", (json_int_t)in->identities, "replicates",
                                  (json_int_t)in->replicates));
}

void eval_delong_add(struct results *r, const struct fv_roc *roc, double level)
{
    const double auc = fv_roc_auc(roc),
                 half = fv_normal_quantile(0.5 + level / 2) * fv_roc_auc_error(roc);

    if (isfinite(half))
        results_json(r, "auc_delong",
                     json_pack("{sf sf sf}", "low", fmax(0, auc - half), "high",
                               fmin(1, auc + half), "std_error", fv_roc_auc_error(roc)));
}

/* --- folds --------------------------------------------------------------------------------------- */

struct folds {
    struct fv_fold_set set;
    uint16_t *made;
    const char *origin;
};

/* folds == 0: there are none. */
static int find_folds(struct folds *out, const struct eval_figures *f, const struct eval_scores *s)
{
    *out = (struct folds){.set = {s->score, s->same, s->fold, s->n, s->fold ? s->folds : 0},
                          .origin = s->fold_origin ? s->fold_origin : "of the list"};
    if (f->folds == 0)
        return FV_OK;
    out->made = malloc(s->n * sizeof *out->made);
    if (!out->made)
        return fv_err(FV_ENOMEM, "out of memory for %zu pairs", s->n);
    const int order = fv_folds_make(out->made, s->same, s->n, (uint32_t)f->folds);
    if (order < 0) {
        free(out->made);
        return fv_err(FV_EUSAGE, "--folds: %s", fv_err_text());
    }
    out->set.fold = out->made;
    out->set.folds = (uint32_t)f->folds;
    out->origin = order == FV_FOLDS_CONSECUTIVE ? "of consecutive pairs"
                                                : "of consecutive pairs of each kind";
    return FV_OK;
}

static int add_fold_accuracy(struct results *r, const struct eval_figures *f,
                             const struct eval_scores *s)
{
    struct folds folds;
    struct fv_fold_mean m;

    FV_TRY(find_folds(&folds, f, s));
    if (folds.set.folds < 2) {
        free(folds.made);
        return FV_OK;
    }
    const int rc = fv_folds_accuracy(&folds.set, &m, NULL, NULL);
    if (rc >= 0) {
        const struct result_number number[] = {
            {"mean", m.mean}, {"std_error", m.std_error}, {"std_population", m.std_population}};
        results_object(r, "fold_accuracy", number, 3,
                       "%.4f +- %.4f (%u folds %s; threshold from the others; standard error. "
                       "InsightFace's +-, the "
                       "population's std: %.4f)",
                       m.mean, m.std_error, folds.set.folds, folds.origin, m.std_population);
    }
    free(folds.made);
    return rc;
}

int eval_val_add(struct results *r, struct eval_figures *f, int rate, const struct eval_scores *s)
{
    struct folds folds = {.made = NULL};
    struct fv_fold_val v;

    if (s)
        FV_TRY(find_folds(&folds, f, s));
    if (folds.set.folds < 2) {
        free(folds.made);
        return fv_err(
            FV_EUSAGE,
            "--tpr val takes thresholds from other folds, and this list has none: give --folds 10");
    }
    const int rc = fv_folds_val(&folds.set, f->rate[rate], &v);
    if (rc >= 0) {
        results_real(r, f->key[rate][0], v.val.mean,
                     "%.4f +- %.4f (VAL over %u folds; mean FAR %.5f; standard error. The "
                     "population's std: %.4f)",
                     v.val.mean, v.val.std_error, folds.set.folds, v.far_mean,
                     v.val.std_population);
        results_json(r, f->key[rate][1],
                     json_pack("{ss sf sf sf sf sI}", "rule", "val", "fmr_asked", f->rate[rate],
                               "fmr", v.far_mean, "std_error", v.val.std_error, "std_population",
                               v.val.std_population, "folds", (json_int_t)folds.set.folds));
    }
    free(folds.made);
    return rc;
}

/* --- a threshold chosen elsewhere ---------------------------------------------------------------- */

static void add_rates(struct results *r, const struct eval_intervals *in,
                      const struct eval_figures *f, const struct fv_roc *roc, double threshold)
{
    const struct fv_roc_point p = at_threshold(roc, threshold);
    const uint64_t missed = roc->genuine - p.tp, right = p.tp + (roc->impostor - p.fp);
    const struct fv_interval fmr = fv_rate_wilson(p.fp, roc->impostor, f->level);
    const struct fv_interval fnmr = fv_rate_wilson(missed, roc->genuine, f->level);
    const double accuracy = (double)right / (double)(roc->genuine + roc->impostor);

    results_real(r, "dev_threshold", threshold, "%.4f", threshold);
    results_real(r, "fmr", (double)p.fp / (double)roc->impostor,
                 "%.5f (%" PRIu64 " of %" PRIu64 " impostors; Wilson %.5f to %.5f)",
                 (double)p.fp / (double)roc->impostor, p.fp, roc->impostor, fmr.low, fmr.high);
    eval_intervals_add(r, in, EVAL_TPR + f->rates, "fmr_interval");
    results_real(r, "fnmr", (double)missed / (double)roc->genuine,
                 "%.5f (%" PRIu64 " of %" PRIu64 " genuine; Wilson %.5f to %.5f)",
                 (double)missed / (double)roc->genuine, missed, roc->genuine, fnmr.low, fnmr.high);
    eval_intervals_add(r, in, EVAL_TPR + f->rates + 1, "fnmr_interval");
    results_real(r, "accuracy", accuracy, "%.4f (at that threshold)", accuracy);
}

int eval_elsewhere_add(struct results *r, const struct eval_intervals *in,
                       const struct eval_figures *f, const struct fv_roc *roc,
                       const struct eval_scores *s)
{
    FV_TRY(add_fold_accuracy(r, f, s));
    if (s->threshold)
        add_rates(r, in, f, roc, *s->threshold);
    return FV_OK;
}
