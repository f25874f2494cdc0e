/* SPDX-License-Identifier: MIT */
/* The answers that are most wrong, with pictures: the probe, whom it was taken for, and whom it shows. */
#ifndef FV_TOOLS_REPORT_MISSES_H
#define FV_TOOLS_REPORT_MISSES_H

#include "tools/report/identification.h"

/* Sections of the page: people taken for others, strangers taken for somebody, people rejected. One without any is left
 * out. */
int misses_write(FILE *f, const struct report_identification *r);

#endif
