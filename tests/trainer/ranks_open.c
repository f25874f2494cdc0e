/* SPDX-License-Identifier: MIT */
#include "tests/trainer/ranks_open.h"

int ranks_open_backend(const char *name, const struct fv_device_settings *s,
                       const struct fv_backend **backend, struct fv_device **device)
{
    return fv_backend_open(name, s, backend, device);
}
