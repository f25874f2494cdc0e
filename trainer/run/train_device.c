/* SPDX-License-Identifier: MIT */
#include "trainer/run/train_device.h"

#include "trainer/run/ranks.h"

#include "common/err.h"

#include <stdlib.h>

int fv_train_device_open(struct fv_train_device **out, const struct fv_train_settings *s,
                         const struct fv_comm *comm)
{
    struct fv_train_device *d = *out = calloc(1, sizeof *d);
    if (!d)
        return fv_err(FV_ENOMEM, "out of memory");
    const struct fv_device_settings ds = {.threads = fv__ranks_threads(s, comm),
                                          .index = comm ? comm->local_rank : 0,
                                          .dtype = s->dtype,
                                          .no_graph = s->no_graph,
                                          .passed_over = d->passed_over};
    const int rc = fv_backend_open(s->backend, &ds, &d->backend, &d->device);
    if (rc < 0) {
        free(d);
        *out = NULL;
    }
    return rc;
}

void fv_train_device_close(struct fv_train_device **d)
{
    if (!d || !*d)
        return;
    (*d)->backend->close(&(*d)->device);
    free(*d);
    *d = NULL;
}

void *fv_train_device_alloc(void *device, size_t bytes)
{
    const struct fv_train_device *d = device;
    return d->backend->host_alloc ? d->backend->host_alloc(d->device, bytes)
                                  : aligned_alloc(64, (bytes + 63) / 64 * 64);
}

void fv_train_device_free(void *device, void *p, size_t bytes)
{
    const struct fv_train_device *d = device;
    (void)bytes;
    if (d->backend->host_alloc)
        d->backend->host_free(d->device, p);
    else
        free(p);
}
