/* SPDX-License-Identifier: MIT */
/* The row of `fvprep preview` in the table of subcommands. */
#ifndef FV_TOOLS_FVPREP_PREVIEW_H
#define FV_TOOLS_FVPREP_PREVIEW_H

#include "common/opt.h"

extern const struct fv_command fvprep_preview_cmd;
int fvprep_preview(int argc, char **argv);

#endif
