/* SPDX-License-Identifier: MIT */
/* Cross-validation as FaceNet's and InsightFace's scripts do it: squared distances of unit vectors, 2 - 2 cosine,
 * against thresholds 0, step, 2 step, ...; a pair matches when its distance is strictly below the threshold. Published
 * accuracies of LFW, CFP-FP, AgeDB-30, CALFW and CPLFW are of this kind (verification.py: calculate_roc,
 * calculate_val).
 */
#ifndef FV_TRAINER_GRID_H
#define FV_TRAINER_GRID_H

#include "trainer/eval/folds.h"

struct fv_grid {
    double step;
    uint32_t steps;
};
/* 400 thresholds below 4 for accuracy, 4,000 for VAL. */
extern const struct fv_grid fv_grid_insightface, fv_grid_insightface_val;

/* Each fold's accuracy at the threshold that is best on the others, the lowest of several. Errors as
 * fv_folds_accuracy. */
int fv_grid_accuracy(const struct fv_fold_set *s, const struct fv_grid *g,
                     struct fv_fold_mean *out);
/* VAL@FAR: the threshold is interpolated where the FAR of the other folds passes `far`; 0 where it never does. Errors
 * as fv_folds_val. */
int fv_grid_val(const struct fv_fold_set *s, const struct fv_grid *g, double far,
                struct fv_fold_val *out);

#endif
