/* SPDX-License-Identifier: MIT */
/* The table of backends for a test of training: the cuda backend alone, on the device that is the host. */
#include "trainer/backend.h"

extern const struct fv_backend fv_backend_cuda;
const struct fv_backend *const fv_backends[] = {&fv_backend_cuda, NULL};
