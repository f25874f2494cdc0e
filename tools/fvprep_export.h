/* SPDX-License-Identifier: MIT */
#ifndef FV_TOOLS_FVPREP_EXPORT_H
#define FV_TOOLS_FVPREP_EXPORT_H

#include "common/opt.h"

extern const struct fv_command fvprep_export_cmd;
int fvprep_export(int argc, char **argv);

#endif
