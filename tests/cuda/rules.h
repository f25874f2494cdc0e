/* SPDX-License-Identifier: MIT */
/* Two updates with nearly all that an update can have, for tests of the cuda backend. */
#ifndef FV_TESTS_CUDA_RULES_H
#define FV_TESTS_CUDA_RULES_H

#include "trainer/backend.h"

static const struct fv_optim sgd = {
    .kind = FV_OPTIM_SGD, .lr = 0.05, .momentum = 0.9, .nesterov = 1, .weight_decay = 1e-3};
static const struct fv_optim adamw = {.kind = FV_OPTIM_ADAMW,
                                      .lr = 0.01,
                                      .beta1 = 0.9,
                                      .beta2 = 0.99,
                                      .eps = 1e-6,
                                      .weight_decay = 0.1,
                                      .clip_norm = 0.5,
                                      .ema_decay = 0.9};

#endif
