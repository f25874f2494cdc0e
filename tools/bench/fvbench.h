/* SPDX-License-Identifier: MIT */
/* The subcommands of fvbench: one file each, one row each in fvbench.c. */
#ifndef FV_TOOLS_FVBENCH_H
#define FV_TOOLS_FVBENCH_H

#include "common/opt.h"

extern const struct fv_command fvbench_read_cmd, fvbench_decode_cmd, fvbench_augment_cmd,
    fvbench_ring_cmd, fvbench_loader_cmd, fvbench_step_cmd, fvbench_e2e_cmd, fvbench_doctor_cmd,
    fvbench_plan_cmd, fvbench_parity_cmd;

int fvbench_read(int argc, char **argv);
int fvbench_decode(int argc, char **argv);
int fvbench_augment(int argc, char **argv);
int fvbench_ring(int argc, char **argv);
int fvbench_loader(int argc, char **argv);
int fvbench_step(int argc, char **argv);
int fvbench_e2e(int argc, char **argv);
int fvbench_doctor(int argc, char **argv);
int fvbench_plan(int argc, char **argv);
int fvbench_parity(int argc, char **argv);

#endif
