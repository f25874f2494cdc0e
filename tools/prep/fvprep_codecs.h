/* SPDX-License-Identifier: MIT */
/* The row of `fvprep codecs` in the table of subcommands. */
#ifndef FV_TOOLS_FVPREP_CODECS_H
#define FV_TOOLS_FVPREP_CODECS_H

#include "common/opt.h"

extern const struct fv_command fvprep_codecs_cmd;
int fvprep_codecs(int argc, char **argv);

#endif
