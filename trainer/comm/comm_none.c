/* SPDX-License-Identifier: MIT */
/* A process by itself. */
#include "trainer/comm/comm.h"

#include "common/err.h"

#include <stdlib.h>

static int none_open(struct fv_comm **out, const struct fv_comm_settings *s)
{
    (void)s;
    *out = calloc(1, sizeof **out);
    if (!*out)
        return fv_err(FV_ENOMEM, "out of memory");
    (*out)->world = 1;
    return 0;
}

static void none_close(struct fv_comm *c, const char *why)
{
    (void)why;
    free(c);
}

const struct fv_comm_kind fv__comm_none = {
    .name = "none", .help = "a process by itself", .open = none_open, .close = none_close};
