/* SPDX-License-Identifier: MIT */
/* The pairs that a net finds hardest, with their pictures. */
#ifndef FV_TOOLS_REPORT_PICTURES_H
#define FV_TOOLS_REPORT_PICTURES_H

#include "tools/report/verification.h"

/* Sections of the page: genuine pairs with the lowest scores, impostor pairs with the highest. */
int pictures_write(FILE *f, const struct report_verification *v);

#endif
