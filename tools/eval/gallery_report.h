/* SPDX-License-Identifier: MIT */
/* What a report of identification needs of a search. */
#ifndef FV_TOOLS_GALLERY_REPORT_H
#define FV_TOOLS_GALLERY_REPORT_H

#include "common/opt.h"
#include "tools/eval/gallery_hunt.h"
#include "tools/report/identification.h"

/* Writes the page that the settings ask for, after gallery_figures_add. rows: report_rows of the figures. */
int gallery_report_write(const struct gallery_hunt *h, const char *checkpoint, const char *rows,
                         const struct fv_opt *opts);

#endif
