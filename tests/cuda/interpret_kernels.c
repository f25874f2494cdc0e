/* SPDX-License-Identifier: MIT */
/* The interpreter with the backend's kernels: each op that has one goes the way it goes on a device, through the same
 * dispatch, to the kernel in the emulator. Convolutions and matrix products are cuDNN's and cuBLAS's on a device, loss
 * and update have their tests with the backend: those stay loops here. */
#include "common/err.h"
#include "tests/cuda/interpret.h"
#include "trainer/cuda/dispatch.h"

#include <stdlib.h>
#include <string.h>

enum { GUARD = 256 };

static int is_elsewhere(enum fv_low_kind kind)
{
    switch (kind) {
    case FV_LOW_CONV:
    case FV_LOW_CONV_DGRAD:
    case FV_LOW_CONV_WGRAD:
    case FV_LOW_FC:
    case FV_LOW_FC_DGRAD:
    case FV_LOW_FC_WGRAD:
    case FV_LOW_LOSS:
    case FV_LOW_BUCKET:
    case FV_LOW_CHECK:
    case FV_LOW_OPTIM:
    case FV_LOW_RUNNING_UPDATE:
    case FV_LOW_DROPOUT: /* no kernel yet */
        return 1;
    default:
        return 0;
    }
}

int interp_by_kernel(struct interp_call *c)
{
    if (is_elsewhere(c->op->kind))
        return 0;
    size_t bytes = fv_dispatch_scratch(c->l, 1);
    unsigned char *scratch = aligned_alloc(256, (bytes + 255) / 256 * 256 + GUARD);
    if (!scratch)
        abort();
    memset(scratch, 0xff, bytes + GUARD); /* what an earlier op left there is gone */
    struct fv_dispatch d = {.l = c->l, .scratch = scratch};
    int rc = fv_dispatch_run_on(&d, (int)(c->op - c->l->op), c->arg);
    if (rc < 0)
        interp_fault(c->interp, "op %td (%s): %s", c->op - c->l->op, fv_low_kinds[c->op->kind].name,
                     fv_err_text());
    for (size_t i = bytes; i < bytes + GUARD; i++)
        if (scratch[i] != 0xff)
            interp_fault(c->interp, "op %td (%s) writes beyond its scratch memory",
                         c->op - c->l->op, fv_low_kinds[c->op->kind].name);
    free(scratch);
    return 1;
}
