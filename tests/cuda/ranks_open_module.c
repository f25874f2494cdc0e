/* SPDX-License-Identifier: MIT */
/* By way of a module whose device is the host: nets, batches and ranks' communicators go over its border. */
#include "tests/trainer/ranks_open.h"
#include "trainer/module.h"

int ranks_open_backend(const char *name, const struct fv_device_settings *s,
                       const struct fv_backend **backend, struct fv_device **device)
{
    const int rc = fv__module_open(backend, HOST_MODULE, name, "build it");
    return rc < 0 ? rc : (*backend)->open(device, s);
}
