/* SPDX-License-Identifier: MIT */
/* What scores say, as the rows that every command of fveval prints alike. */
#ifndef FV_TOOLS_EVAL_FIGURES_H
#define FV_TOOLS_EVAL_FIGURES_H

#include "common/opt.h"
#include "tools/results.h"
#include "trainer/trainer.h"

enum { EVAL_FPRS = 8 };

/* Which figures, by which convention, with which intervals. */
struct eval_figures {
    const char *eer, *fpr, *tpr, *interval;
    int64_t folds, bootstrap, seed; /* seed: the command's own option, if it has one */
    double level;
    /* filled in by eval_figures_check */
    double rate[EVAL_FPRS];
    int rates;
    const struct fv_tpr_rule *rule; /* NULL: VAL over folds */
    char key[EVAL_FPRS][3][48];     /* names of the rows of each rate */
};
extern const struct fv_opt eval_figures_opts[];
void eval_figures_defaults(struct eval_figures *f);
/* After parsing: FV_EUSAGE for a list of rates that is none. */
int eval_figures_check(struct eval_figures *f);

/* Scores with what is known of their pairs. */
struct eval_scores {
    const double *score;
    const uint8_t *same;
    size_t n;
    const uint32_t *a, *b; /* identities; NULL: unknown, and no intervals */
    uint32_t identities;
    const uint16_t *fold; /* with folds > 0: of the list */
    uint32_t folds;
    const char *fold_origin; /* for people; NULL: of the list */
    const double *threshold; /* chosen elsewhere; NULL: none */
    int threads;
};

/* Everything; f must outlive r. s: NULL when the ROC is all there is. */
int eval_figures_add_all(struct results *r, struct eval_figures *f, const struct fv_roc *roc,
                         const struct eval_scores *s);

/* AUC and EER alone, of what the net is held against. */
void eval_figures_add_baseline(struct results *r, const char *auc_key, const char *eer_key,
                               const struct fv_roc *roc);

#endif
