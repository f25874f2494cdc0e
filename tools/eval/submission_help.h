/* SPDX-License-Identifier: MIT */
/* --help of the commands that write a file to hand in: it lists the layouts. */
#ifndef FV_TOOLS_SUBMISSION_HELP_H
#define FV_TOOLS_SUBMISSION_HELP_H

#include "common/opt.h"

/* Prints the help of cmd with notes made of `before`, the layouts whose kind (enum fv_submission_kind) is a bit of
 * `kinds`, their names padded to `width`, and `after`. */
int submission_help(const struct fv_command *cmd, const struct fv_opt_group *groups, int n,
                    const char *before, unsigned kinds, int width, const char *after);

#endif
