/* SPDX-License-Identifier: MIT */
/* The subcommand fvbench step. */
#ifndef FV_TOOLS_FVBENCH_STEP_H
#define FV_TOOLS_FVBENCH_STEP_H

#include "common/opt.h"

extern const struct fv_command fvbench_step_cmd;
int fvbench_step(int argc, char **argv);

#endif
