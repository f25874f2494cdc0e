/* SPDX-License-Identifier: MIT */
/* Cross-validation over the folds of a protocol, as LFW's view 2 has it (Huang et al., Labeled Faces in the Wild, UMass
 * technical report 07-49): for each fold a threshold is chosen on all others and tested on it, and what is reported is
 * the mean over folds with its standard error, std(ddof = 1) / sqrt(folds). Every score is tried as threshold.
 */
#ifndef FV_TRAINER_FOLDS_H
#define FV_TRAINER_FOLDS_H

#include <stddef.h>
#include <stdint.h>

struct fv_fold_set {
    const double *score;
    const uint8_t *same;
    const uint16_t *fold; /* (n), below folds */
    size_t n;
    uint32_t folds;
};

enum fv_fold_order {
    FV_FOLDS_CONSECUTIVE, /* the n-th part of the list */
    FV_FOLDS_STRATIFIED,  /* the n-th part of its genuine and the n-th of its impostor pairs */
};

/* Divides a list without folds: consecutively, or, where a fold had pairs of one kind only, stratified; returns
 * which. FV_EINVAL when there are fewer genuine or impostor pairs than folds. */
int fv_folds_make(uint16_t *fold, const uint8_t *same, size_t n, uint32_t folds);

struct fv_fold_mean {
    double mean;
    double std_error;      /* std(ddof = 1) / sqrt(folds) */
    double std_population; /* std(ddof = 0): what InsightFace prints behind "+-" */
};
struct fv_fold_mean fv__fold_mean(const double *x, uint32_t n); /* internal to trainer/eval */

/* Consecutive parts whatever their kinds, the first n % folds of them one pair longer: scikit-learn's KFold. */
void fv_folds_consecutive(uint16_t *fold, size_t n, uint32_t folds);

/* Accuracy: the threshold with the most right decisions on the other folds, half way between two scores; of several
 * the highest. accuracy and threshold (folds) may be NULL. FV_EINVAL when a fold is empty or the others lack a kind. */
int fv_folds_accuracy(const struct fv_fold_set *s, struct fv_fold_mean *out, double *accuracy,
                      double *threshold);

/* FaceNet's VAL@FAR: the threshold is the other folds' fv_roc_tpr; VAL is the TPR that it has on this fold, FAR the
 * FMR that it has there. FV_EINVAL also when a fold lacks a kind. */
struct fv_fold_val {
    struct fv_fold_mean val;
    double far_mean;
};
int fv_folds_val(const struct fv_fold_set *s, double fmr, struct fv_fold_val *out);

#endif
