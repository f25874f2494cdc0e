/* SPDX-License-Identifier: MIT */
/* The interpreter without kernels: every op by the plain loops. */
#include "tests/cuda/interpret.h"

int interp_by_kernel(struct interp_call *c)
{
    (void)c;
    return 0;
}
