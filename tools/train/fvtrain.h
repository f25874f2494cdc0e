/* SPDX-License-Identifier: MIT */
/* What fvtrain does beside training: one file each, one row each in fvtrain.c. */
#ifndef FV_TOOLS_FVTRAIN_H
#define FV_TOOLS_FVTRAIN_H

#include "common/opt.h"

extern const struct fv_command fvtrain_ls_cmd, fvtrain_compare_cmd, fvtrain_export_cmd;

int fvtrain_ls(int argc, char **argv);
int fvtrain_compare(int argc, char **argv);
int fvtrain_export(int argc, char **argv);

#endif
