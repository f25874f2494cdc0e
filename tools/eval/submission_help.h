/* SPDX-License-Identifier: MIT */
/* --help of the commands that write a file to hand in: it lists the layouts. */
#ifndef FV_TOOLS_SUBMISSION_HELP_H
#define FV_TOOLS_SUBMISSION_HELP_H

#include <stdio.h>

/* A line for each layout whose kind (enum fv_submission_kind) is a bit of `kinds`, their names padded to `width`. */
void submission_list(FILE *to, unsigned kinds, int width);

#endif
