/* SPDX-License-Identifier: MIT */
/* Verification metrics from scores: pure functions, exact counts.
 *
 * Terms of ISO/IEC 19795-1. A comparison is a match iff score >= T. FMR(T) = impostors >= T / impostors;
 * FNMR(T) = genuine < T / genuine; TPR = 1 - FNMR. Equal scores are one point of the ROC: it has a vertex
 * after each complete group of ties, and starts at (0, 0) with T = +inf (scikit-learn's roc_curve).
 */
#ifndef FV_TRAINER_METRICS_H
#define FV_TRAINER_METRICS_H

#include <stddef.h>
#include <stdint.h>

struct fv_roc_point {
    double threshold; /* +inf at the first */
    uint64_t fp, tp;
};

struct fv_roc {
    struct fv_roc_point *point; /* (n), ascending in fp and tp */
    size_t n;
    uint64_t genuine, impostor;
};

/* Sorts and groups. FV_EINVAL when a score is not finite or a class is empty (the sentence says which). */
int fv_roc_make(struct fv_roc *out, const double *score, const uint8_t *same, size_t n);
void fv_roc_free(struct fv_roc *r);

/* P(genuine > impostor) + P(equal) / 2: the trapezoid over tie groups, summed in integers. */
double fv_roc_auc(const struct fv_roc *r);

/* Standard error of the AUC over samples of independent pairs (DeLong et al., Biometrics 44(3), 1988). NAN with fewer
 * than two pairs of a kind. */
double fv_roc_auc_error(const struct fv_roc *r);

struct fv_eer {
    double eer;       /* crossing of the piecewise-linear ROC with TPR = 1 - FPR */
    double threshold; /* finite */
    /* The discrete interval around the crossing and its middle (Maio et al., FVC2000, PAMI 24(3), 2002; pyeer): the
     * rates, smaller first, of the vertex before or after it, whichever has the smaller sum. */
    double low, high, midpoint;
};
void fv_roc_eer(const struct fv_roc *r, struct fv_eer *out);

struct fv_tpr {
    double asked; /* FMR asked for */
    double tpr;   /* largest TPR whose FMR does not exceed it (conservative step) */
    double fmr;   /* realised */
    uint64_t false_matches, true_matches;
    double threshold;
    int below_resolution; /* asked * impostors < 1: the data cannot tell */
    int unreliable;       /* fewer than 30 false matches: the rule of 30 */
};
void fv_roc_tpr(const struct fv_roc *r, double fmr, struct fv_tpr *out);

/* Other readings of "TPR at FMR f", by name; the first is fv_roc_tpr. Of "interp" fmr is f and threshold lies between
 * those of the vertices, while counts and flags are of the vertex before it: no threshold need give that TPR. */
struct fv_tpr_rule {
    const char *name, *help;
    void (*at)(const struct fv_roc *r, double fmr, struct fv_tpr *out);
};
extern const struct fv_tpr_rule fv_tpr_rules[]; /* ends with name == NULL */

struct fv_best {
    double accuracy, threshold; /* chosen on the same scores: optimistic, and named so in reports */
};
void fv_roc_best(const struct fv_roc *r, struct fv_best *out);

#endif
