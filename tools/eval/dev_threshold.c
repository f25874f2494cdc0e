/* SPDX-License-Identifier: MIT */
#include "tools/eval/dev_threshold.h"

#include "common/err.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

int dev_threshold_rule(const char *text, double *rate)
{
    char *end;

    *rate = -1;
    if (strcmp(text, "eer") == 0 || strcmp(text, "accuracy") == 0)
        return FV_OK;
    if (strncmp(text, "fmr=", 4) == 0) {
        *rate = strtod(text + 4, &end);
        if (end != text + 4 && !*end && *rate > 0 && *rate < 1)
            return FV_OK;
    }
    return fv_err(FV_EUSAGE,
                  "--dev-by: '%s' is none of eer, accuracy, fmr=0.001 (any rate between 0 and 1)",
                  text);
}

int dev_threshold_choose(double *threshold, const char *rule, const struct fv_roc *dev,
                         struct results *r)
{
    struct fv_eer eer;
    struct fv_best best;
    struct fv_tpr tpr;
    double rate;

    FV_TRY(dev_threshold_rule(rule, &rate));
    fv_roc_eer(dev, &eer);
    fv_roc_best(dev, &best);
    fv_roc_tpr(dev, rate, &tpr);
    *threshold = rate > 0                   ? tpr.threshold
                 : strcmp(rule, "eer") == 0 ? eer.threshold
                                            : best.threshold;
    if (rate > 0 && tpr.false_matches == 0 &&
        tpr.true_matches == 0) /* above all: no score, but a number */
        *threshold = nextafter(dev->point[1].threshold, INFINITY);
    results_string(r, "dev_by", rule);
    results_int(r, "dev_genuine", dev->genuine, NULL);
    results_int(r, "dev_impostor", dev->impostor, NULL);
    results_real(r, "dev_eer", eer.eer, "%.4f", eer.eer);
    return FV_OK;
}
