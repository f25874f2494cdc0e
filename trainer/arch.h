/* SPDX-License-Identifier: MIT */
/* The rows of the table in arch.c. */
#ifndef FV_TRAINER_ARCH_H
#define FV_TRAINER_ARCH_H

#include "trainer/net.h"

extern const struct fv_arch fv__arch_resnet18, fv__arch_tiny;

#endif
