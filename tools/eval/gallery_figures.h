/* SPDX-License-Identifier: MIT */
/* What the answers of a gallery are worth, as rows: closed set, open set, rejection, with intervals. */
#ifndef FV_TOOLS_GALLERY_FIGURES_H
#define FV_TOOLS_GALLERY_FIGURES_H

#include "tools/eval/gallery_hunt.h"
#include "tools/results.h"

/* Chooses h->threshold on the way, by the settings or on the dev set. */
int gallery_figures_add(struct gallery_hunt *h, struct results *r);

#endif
