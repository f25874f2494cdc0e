/* SPDX-License-Identifier: MIT */
/* The files that a search of a gallery leaves, each whole or not at all. */
#ifndef FV_TOOLS_GALLERY_OUTPUT_H
#define FV_TOOLS_GALLERY_OUTPUT_H

#include "tools/eval/gallery_hunt.h"

/* Every probe with its answer, who is nearest, the score, and the rank of the right one where it is known: CSV. */
int gallery_output_answers(const struct gallery_hunt *h);
/* The file to hand in. */
int gallery_output_submission(const struct gallery_hunt *h);

#endif
