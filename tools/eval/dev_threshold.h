/* SPDX-License-Identifier: MIT */
/* A threshold that is chosen on a development list, to be applied to another one. */
#ifndef FV_TOOLS_DEV_THRESHOLD_H
#define FV_TOOLS_DEV_THRESHOLD_H

#include "tools/results.h"
#include "trainer/trainer.h"

/* The rate of "fmr=RATE"; -1: by EER or accuracy. FV_EUSAGE. */
int dev_threshold_rule(const char *text, double *rate);
/* By that rule, with rows about the list that it rests on. */
int dev_threshold_choose(double *threshold, const char *rule, const struct fv_roc *dev,
                         struct results *r);

#endif
