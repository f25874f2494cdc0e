/* SPDX-License-Identifier: MIT */
/* Finds a backend by name, and checks batches for all of them. The table itself is written by the build. */
#include "trainer/backend.h"

#include "common/err.h"

#include <math.h>
#include <string.h>

static int open_best(const struct fv_device_settings *s, const struct fv_backend **backend,
                     struct fv_device **device)
{
    int rc = fv_err(FV_ENOTFOUND, "this build has no backend");
    for (int i = 0; fv_backends[i]; i++) {
        rc = fv_backends[i]->open(device, s);
        if (rc == 0) {
            *backend = fv_backends[i];
            break;
        }
    }
    return rc;
}

int fv_backend_open(const char *name, const struct fv_device_settings *s,
                    const struct fv_backend **backend, struct fv_device **device)
{
    char valid[256] = "auto";
    *backend = NULL;
    *device = NULL;
    if (strcmp(name, "auto") == 0)
        return open_best(s, backend, device);
    for (int i = 0; fv_backends[i]; i++) {
        if (strcmp(fv_backends[i]->name, name) == 0) {
            FV_TRY(fv_backends[i]->open(device, s));
            *backend = fv_backends[i];
            return 0;
        }
        strncat(valid, ", ", sizeof valid - strlen(valid) - 1);
        strncat(valid, fv_backends[i]->name, sizeof valid - strlen(valid) - 1);
    }
    return fv_err(FV_ENOTFOUND, "there is no backend '%s' in this build; valid: %s", name, valid);
}

static int check_item(const struct fv_net *net, const struct fv_batch *b, int i)
{
    if (b->label[i] < 0 || b->label[i] >= net->classes || b->label_mix[i] < 0 ||
        b->label_mix[i] >= net->classes)
        return fv_err(FV_EINVAL, "batch item %d has the labels %d and %d, the net %d classes", i,
                      (int)b->label[i], (int)b->label_mix[i], net->classes);
    if (!(b->lambda[i] >= 0 && b->lambda[i] <= 1))
        return fv_err(FV_EINVAL, "batch item %d has a lambda of %g, not within 0 .. 1", i,
                      (double)b->lambda[i]);
    return 0;
}

int fv_backend_check_batch(const struct fv_net *net, int capacity, const struct fv_batch *b)
{
    if (b->n < 1 || b->n > capacity)
        return fv_err(FV_EINVAL, "a batch of %d images for a program of 1 .. %d", b->n, capacity);
    if (b->height != net->size || b->width != net->size)
        return fv_err(FV_EINVAL, "images of %dx%d px for a net of %d px", b->width, b->height,
                      net->size);
    for (int i = 0; i < b->n; i++)
        FV_TRY(check_item(net, b, i));
    for (int i = 0; i < net->nodes; i++) {
        const struct fv_node *node = &net->node[i];
        if (node->kind == FV_NODE_BN && b->n == 1 && node->h == 1 && node->w == 1)
            return fv_err(FV_EINVAL,
                          "%s: one value a channel has no variance: train with larger batches",
                          node->name);
    }
    return 0;
}

int fv_backend_sum_result(struct fv_comm *comm, struct fv_step_result *r)
{
    double sum[4] = {r->finite ? r->loss * r->n : 0, r->correct, r->n, !r->finite};
    if (fv_comm_world(comm) == 1)
        return 0;
    FV_TRY(fv_comm_sum_doubles(comm, sum, 4));
    r->n = (int)sum[2];
    r->correct = sum[1];
    r->finite = sum[3] == 0;
    r->loss = r->finite ? sum[0] / sum[2] : NAN;
    return 0;
}
