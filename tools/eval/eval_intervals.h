/* SPDX-License-Identifier: MIT */
/* The rows that need more than a ROC: intervals over identities, folds, a threshold chosen elsewhere. */
#ifndef FV_TOOLS_EVAL_INTERVALS_H
#define FV_TOOLS_EVAL_INTERVALS_H

#include "tools/eval/eval_figures.h"

/* Figures with an interval: these, then TPR at each rate, then FMR and FNMR at a threshold chosen elsewhere. */
enum { EVAL_EER, EVAL_AUC, EVAL_TPR, EVAL_MOST = EVAL_TPR + EVAL_FPRS + 2 };

struct eval_intervals {
    int n; /* 0: none were asked for, or identities are unknown */
    uint32_t identities;
    int64_t replicates;
    double level;
    struct fv_bootstrap_interval of[EVAL_MOST];
};

int eval_intervals_make(struct eval_intervals *out, const struct eval_figures *f,
                        const struct eval_scores *s);
/* Nothing where there is none. */
void eval_intervals_add(struct results *r, const struct eval_intervals *in, int figure,
                        const char *key);
/* The interval of independent pairs, beside. */
void eval_delong_add(struct results *r, const struct fv_roc *roc, double level);
/* TPR by thresholds of the other folds: FaceNet's VAL@FAR. */
int eval_val_add(struct results *r, struct eval_figures *f, int rate, const struct eval_scores *s);
/* Accuracy over folds, where there are some, and what a threshold does that was chosen elsewhere. */
int eval_elsewhere_add(struct results *r, const struct eval_intervals *in,
                       const struct eval_figures *f, const struct fv_roc *roc,
                       const struct eval_scores *s);

#endif
