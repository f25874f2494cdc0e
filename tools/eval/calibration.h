/* SPDX-License-Identifier: MIT */
/* What a score means: a threshold, and how often people who are the same, or are not, score as high. Without pairs to
 * count on there is none, and that is said. */
#ifndef FV_TOOLS_CALIBRATION_H
#define FV_TOOLS_CALIBRATION_H

#include "common/opt.h"
#include "tools/eval/eval_net.h"
#include "tools/results.h"
#include "trainer/trainer.h"

struct calibration_settings {
    const char *pairs;
    double fmr, threshold;
    int64_t count, seed;
};
extern const struct fv_opt calibration_opts[];
void calibration_defaults(struct calibration_settings *s);

struct calibration {
    struct fv_roc roc; /* n = 0: not calibrated */
    double threshold;  /* NAN: none */
    char meaning[200];
};

/* Scores pairs of the data set: of the list, or of held-out identities. Without either, or without a data set, only a
 * threshold that is given counts. */
int calibration_open(struct calibration *c, const struct calibration_settings *s,
                     const struct eval_net *net);
void calibration_close(struct calibration *c);
/* Rows about a score: what it is worth, the threshold, the decision. */
void calibration_judge(struct results *r, const struct calibration *c, double score);

#endif
