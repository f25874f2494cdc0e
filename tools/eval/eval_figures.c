/* SPDX-License-Identifier: MIT */
/* The rows of the ROC itself; those of intervals, folds and a threshold from elsewhere are in eval_intervals.c. */
#include "tools/eval/eval_figures.h"

#include "common/err.h"
#include "tools/eval/eval_intervals.h"

#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *const eer_kinds[] = {"crossing", "midpoint", NULL};
static const char *const tpr_kinds[] = {"step", "interp", "nearest", "corners", "val", NULL};
static const char *const interval_kinds[] = {"bca", "percentile", NULL};

#define FIELD(f) offsetof(struct eval_figures, f)
/* clang-format off */
const struct fv_opt eval_figures_opts[] = {
    {"fpr", 0, FV_OPT_STRING, 0, FIELD(fpr), "LIST", "false match rates at which TPR is told (8 at most)", 0, 0, NULL},
    {"tpr", 0, FV_OPT_CHOICE, 0, FIELD(tpr), "RULE", "how: step: never above that rate; interp: between two "
     "thresholds; nearest: the nearest rate, may be above; corners: InsightFace's IJB; val: threshold from the other "
     "folds", 0, 0, tpr_kinds},
    {"eer", 0, FV_OPT_CHOICE, 0, FIELD(eer), "RULE", "crossing: of the ROC and TPR = 1 - FPR; midpoint: of FVC's "
     "interval", 0, 0, eer_kinds},
    {"folds", 0, FV_OPT_INT, 0, FIELD(folds), "N", "divide a list without folds; 0: as the list has them", 0, 1000,
     NULL},
    {"bootstrap", 0, FV_OPT_INT, 0, FIELD(bootstrap), "N", "replicates for intervals over identities; 0: none; "
     "-1: 2000, or 200 for over a million pairs", -1, 1e6, NULL},
    {"interval", 0, FV_OPT_CHOICE, 0, FIELD(interval), "KIND", "bca: bias-corrected and accelerated; or percentile",
     0, 0, interval_kinds},
    {"level", 0, FV_OPT_REAL, 0, FIELD(level), "X", "confidence of the intervals", 0.5, 0.9999, NULL},
    {.name = NULL},
};
/* clang-format on */
#undef FIELD

void eval_figures_defaults(struct eval_figures *f)
{
    *f = (struct eval_figures){.eer = "crossing",
                               .fpr = "0.1,0.01,0.001",
                               .tpr = "step",
                               .interval = "bca",
                               .bootstrap = -1,
                               .seed = 1,
                               .level = 0.95};
}

static int add_rate(struct eval_figures *f, const char *text, size_t n)
{
    char copy[32], *end = copy;
    double rate = 0;

    if (n > 0 && n < sizeof copy) {
        memcpy(copy, text, n);
        copy[n] = 0;
        rate = strtod(copy, &end);
    }
    if (end == copy || *end || !(rate > 0 && rate < 1))
        return fv_err(FV_EUSAGE,
                      "--fpr: '%.*s' is no rate between 0 and 1; a list looks like 1e-4,1e-3,0.01",
                      (int)(n < 40 ? n : 40), text);
    if (f->rates == EVAL_FPRS)
        return fv_err(FV_EUSAGE, "--fpr: more than %d rates; ask in several runs", EVAL_FPRS);
    for (int i = 0; i < f->rates; i++)
        if (f->rate[i] == rate)
            return fv_err(FV_EUSAGE, "--fpr: %g stands there twice", rate);
    snprintf(f->key[f->rates][0], sizeof f->key[0][0], "tpr_at_fmr_%g", rate);
    snprintf(f->key[f->rates][1], sizeof f->key[0][1], "tpr_at_fmr_%g_details", rate);
    snprintf(f->key[f->rates][2], sizeof f->key[0][2], "tpr_at_fmr_%g_interval", rate);
    f->rate[f->rates++] = rate;
    return FV_OK;
}

int eval_figures_check(struct eval_figures *f)
{
    f->rates = 0;
    f->rule = NULL;
    for (const struct fv_tpr_rule *r = fv_tpr_rules; r->name; r++)
        if (strcmp(r->name, f->tpr) == 0)
            f->rule = r;
    for (const char *p = f->fpr;; p++) {
        const size_t n = strcspn(p, ",");
        FV_TRY(add_rate(f, p, n));
        p += n;
        if (!*p)
            return FV_OK;
    }
}

/* --- rows ---------------------------------------------------------------------------------------- */

static void add_details(struct results *r, const char *key, const char *rule,
                        const struct fv_tpr *t, const struct fv_roc *roc, double level)
{
    const struct fv_interval w = fv_rate_wilson(t->true_matches, roc->genuine, level);
    const struct fv_interval e = fv_rate_exact(t->false_matches, roc->impostor, level);

    results_json(r, key,
                 json_pack("{ss sf sf sI sI sI sb sb s[ff] s[ff]}", "rule", rule, "fmr_asked",
                           t->asked, "fmr", t->fmr, "false_matches", (json_int_t)t->false_matches,
                           "true_matches", (json_int_t)t->true_matches, "impostor",
                           (json_int_t)roc->impostor, "below_resolution", t->below_resolution,
                           "unreliable", t->unreliable, "wilson", w.low, w.high,
                           "fmr_clopper_pearson", e.low, e.high));
}

static void add_tpr(struct results *r, struct eval_figures *f, int i, const struct fv_roc *roc)
{
    struct fv_tpr t;
    char bound[64] = "";

    f->rule->at(roc, f->rate[i], &t);
    if (t.false_matches == 0)
        snprintf(bound, sizeof bound, "; none seen: FMR below %.2g at %g %%",
                 fv_rate_none_seen(roc->impostor, f->level), 100 * f->level);
    results_real(r, f->key[i][0], t.tpr,
                 "%.4f (%s%srealised FMR %.5f, %" PRIu64 " of %" PRIu64 " impostors%s%s)", t.tpr,
                 f->rule == fv_tpr_rules ? "" : f->rule->name, f->rule == fv_tpr_rules ? "" : ": ",
                 t.fmr, t.false_matches, roc->impostor,
                 t.below_resolution ? "; below the resolution of the data"
                 : t.unreliable     ? "; fewer than 30: unreliable"
                                    : "",
                 bound);
    add_details(r, f->key[i][1], f->rule->name, &t, roc, f->level);
}

static void add_eer(struct results *r, const struct eval_figures *f, const struct fv_roc *roc)
{
    struct fv_eer e;

    fv_roc_eer(roc, &e);
    if (strcmp(f->eer, "midpoint") == 0)
        results_real(r, "eer", e.midpoint, "%.4f (middle of %.4f to %.4f; threshold %.4f)",
                     e.midpoint, e.low, e.high, e.threshold);
    else
        results_real(r, "eer", e.eer, "%.4f (threshold %.4f)", e.eer, e.threshold);
    results_json(r, "eer_details",
                 json_pack("{ss sf sf sf sf sf}", "rule", f->eer, "crossing", e.eer, "low", e.low,
                           "high", e.high, "midpoint", e.midpoint, "threshold", e.threshold));
}

/* s: NULL when only the ROC is known. */
static int add_rows(struct results *r, struct eval_figures *f, const struct fv_roc *roc,
                    const struct eval_scores *s)
{
    struct eval_intervals intervals = {.n = 0};
    struct fv_best best;

    if (s)
        FV_TRY(eval_intervals_make(&intervals, f, s));
    fv_roc_best(roc, &best);
    results_int(r, "genuine", roc->genuine, NULL);
    results_int(r, "impostor", roc->impostor, NULL);
    add_eer(r, f, roc);
    eval_intervals_add(r, &intervals, EVAL_EER, "eer_interval");
    results_real(r, "auc", fv_roc_auc(roc), "%.4f", fv_roc_auc(roc));
    eval_intervals_add(r, &intervals, EVAL_AUC, "auc_interval");
    eval_delong_add(r, roc, f->level);
    for (int i = 0; i < f->rates; i++) {
        if (f->rule)
            add_tpr(r, f, i, roc);
        else
            FV_TRY(eval_val_add(r, f, i, s));
        if (f->rule)
            eval_intervals_add(r, &intervals, EVAL_TPR + i, f->key[i][2]);
    }
    results_real(r, "best_accuracy", best.accuracy,
                 "%.4f (threshold %.4f, chosen on these pairs: optimistic)", best.accuracy,
                 best.threshold);
    results_real(r, "best_threshold", best.threshold, "%.4f", best.threshold);
    return s ? eval_elsewhere_add(r, &intervals, f, roc, s) : FV_OK;
}

int eval_figures_add_all(struct results *r, struct eval_figures *f, const struct fv_roc *roc,
                         const struct eval_scores *s)
{
    return add_rows(r, f, roc, s);
}

void eval_figures_add_baseline(struct results *r, const char *auc_key, const char *eer_key,
                               const struct fv_roc *roc)
{
    struct fv_eer eer;

    fv_roc_eer(roc, &eer);
    results_real(r, auc_key, fv_roc_auc(roc), "%.4f", fv_roc_auc(roc));
    results_real(r, eer_key, eer.eer, "%.4f", eer.eer);
}
