/* SPDX-License-Identifier: MIT */
/* The rows of `fvprep export`, `filter`, `merge` and `append` in the table of subcommands. */
#ifndef FV_TOOLS_FVPREP_MOVE_H
#define FV_TOOLS_FVPREP_MOVE_H

#include "common/opt.h"

extern const struct fv_command fvprep_export_cmd, fvprep_filter_cmd, fvprep_merge_cmd,
    fvprep_append_cmd;
int fvprep_export(int argc, char **argv);
int fvprep_filter(int argc, char **argv);
int fvprep_merge(int argc, char **argv);
int fvprep_append(int argc, char **argv);

#endif
