/* SPDX-License-Identifier: MIT */
/* How test_ranks gets its backend: the build's own, or the cuda backend on a device that is the host (tests/cuda/). */
#ifndef FV_TESTS_RANKS_OPEN_H
#define FV_TESTS_RANKS_OPEN_H

#include "trainer/backend.h"

int ranks_open_backend(const char *name, const struct fv_device_settings *s,
                       const struct fv_backend **backend, struct fv_device **device);

#endif
