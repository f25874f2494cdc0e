/* SPDX-License-Identifier: MIT */
/* What scores say, as the rows that every command of fveval prints alike. */
#ifndef FV_TOOLS_EVAL_FIGURES_H
#define FV_TOOLS_EVAL_FIGURES_H

#include "tools/results.h"
#include "trainer/trainer.h"

/* Counts, EER, AUC, TPR at fixed FMR, the best threshold. */
void eval_figures_add(struct results *r, const struct fv_roc *roc);
/* AUC and EER alone, of what the net is held against. */
void eval_figures_add_baseline(struct results *r, const char *auc_key, const char *eer_key,
                               const struct fv_roc *roc);

#endif
