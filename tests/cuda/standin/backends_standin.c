/* SPDX-License-Identifier: MIT */
/* The table of backends of a program on the stand-in: ref, and the cuda backend itself instead of the way to its
 * module. */
#include "trainer/backend.h"

extern const struct fv_backend fv_backend_ref, fv_backend_cuda;
const struct fv_backend *const fv_backends[] = {&fv_backend_ref, &fv_backend_cuda, NULL};
