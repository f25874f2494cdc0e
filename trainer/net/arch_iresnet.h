/* SPDX-License-Identifier: MIT */
/* InsightFace's residual nets. */
#ifndef FV_TRAINER_ARCH_IRESNET_H
#define FV_TRAINER_ARCH_IRESNET_H

#include "trainer/net/net.h"

extern const char *const fv__iresnet_stems[]; /* "auto" */
int fv__iresnet_build(struct fv_net *n, const struct fv_arch_settings *s, const int blocks[4]);

#endif
