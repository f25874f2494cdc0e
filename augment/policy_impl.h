/* SPDX-License-Identifier: MIT */
/* What a parsed policy is: shared by the parser and the planner, hidden from everyone else. */
#ifndef FV_AUGMENT_POLICY_IMPL_H
#define FV_AUGMENT_POLICY_IMPL_H

#include "augment/op.h"

enum { FV_POLICY_STEPS = 16, FV_POLICY_TEXT = 4096 };

struct fv_policy {
    int steps;
    struct fv_policy_step {
        const struct fv_aug_op *op;
        double value[FV_AUG_PARAMS];
    } step[FV_POLICY_STEPS];
    char text[FV_POLICY_TEXT]; /* canonical: a value takes at most 25 bytes, so all fit */
};

#endif
