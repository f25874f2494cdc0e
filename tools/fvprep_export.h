/* SPDX-License-Identifier: MIT */
/* The row of `fvprep export` in the table of subcommands. */
#ifndef FV_TOOLS_FVPREP_EXPORT_H
#define FV_TOOLS_FVPREP_EXPORT_H

#include "common/opt.h"

extern const struct fv_command fvprep_export_cmd;
int fvprep_export(int argc, char **argv);

#endif
