/* SPDX-License-Identifier: MIT */
#include "tools/eval_figures.h"

#include <inttypes.h>

static void add_tpr(struct results *r, const struct fv_roc *roc)
{
    static const struct {
        double fmr;
        const char *key;
    } at[] = {{0.1, "tpr_at_fmr_0.1"}, {0.01, "tpr_at_fmr_0.01"}, {0.001, "tpr_at_fmr_0.001"}};

    for (size_t i = 0; i < sizeof at / sizeof at[0]; i++) {
        struct fv_tpr t;
        fv_roc_tpr(roc, at[i].fmr, &t);
        results_real(r, at[i].key, t.tpr,
                     "%.4f (realised FMR %.5f, %" PRIu64 " of %" PRIu64 " impostors%s)", t.tpr,
                     t.fmr, t.false_matches, roc->impostor,
                     t.below_resolution ? "; below the resolution of the data"
                     : t.unreliable     ? "; fewer than 30: unreliable"
                                        : "");
    }
}

void eval_figures_add(struct results *r, const struct fv_roc *roc)
{
    struct fv_eer eer;
    struct fv_best best;

    fv_roc_eer(roc, &eer);
    fv_roc_best(roc, &best);
    results_int(r, "genuine", roc->genuine, NULL);
    results_int(r, "impostor", roc->impostor, NULL);
    results_real(r, "eer", eer.eer, "%.4f (threshold %.4f)", eer.eer, eer.threshold);
    results_real(r, "auc", fv_roc_auc(roc), "%.4f", fv_roc_auc(roc));
    add_tpr(r, roc);
    results_real(r, "best_accuracy", best.accuracy,
                 "%.4f (threshold %.4f, chosen on these pairs: optimistic)", best.accuracy,
                 best.threshold);
    results_real(r, "best_threshold", best.threshold, "%.4f", best.threshold);
}

void eval_figures_add_baseline(struct results *r, const char *auc_key, const char *eer_key,
                               const struct fv_roc *roc)
{
    struct fv_eer eer;

    fv_roc_eer(roc, &eer);
    results_real(r, auc_key, fv_roc_auc(roc), "%.4f", fv_roc_auc(roc));
    results_real(r, eer_key, eer.eer, "%.4f", eer.eer);
}
