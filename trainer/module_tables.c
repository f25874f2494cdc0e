/* SPDX-License-Identifier: MIT */
/* Tables of a module: empty, since the program has chosen. So a module links neither the other backends nor MPI. */
#include "trainer/backend.h"

const struct fv_backend *const fv_backends[] = {NULL};
const struct fv_comm_kind *const fv_comm_kinds[] = {NULL};
