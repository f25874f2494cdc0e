/* SPDX-License-Identifier: MIT */
#include "tests/trainer/ranks_open.h"

extern const struct fv_backend fv_backend_cuda;

int ranks_open_backend(const char *name, const struct fv_device_settings *s,
                       const struct fv_backend **backend, struct fv_device **device)
{
    (void)name;
    *backend = &fv_backend_cuda;
    return fv_backend_cuda.open(device, s);
}
