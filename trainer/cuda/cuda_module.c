/* SPDX-License-Identifier: MIT */
/* The module's side of trainer/module.h. Which device is in it, CUDA's or a test's, is for who links it to say. */
#include "trainer/module.h"

#include "common/api.h"
#include "common/err.h"

extern const struct fv_backend fv_backend_cuda; /* backend_cuda.c's */

FV_API extern const struct fv_module fv_module;
const struct fv_module fv_module = {fv__module_key, &fv_backend_cuda, fv__err_share};
