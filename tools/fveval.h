/* SPDX-License-Identifier: MIT */
/* The subcommands of fveval: one file each, one row each in fveval.c. */
#ifndef FV_TOOLS_FVEVAL_H
#define FV_TOOLS_FVEVAL_H

#include "common/opt.h"

extern const struct fv_command fveval_pairs_cmd;

int fveval_pairs(int argc, char **argv);

#endif
