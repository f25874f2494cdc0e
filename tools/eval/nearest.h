/* SPDX-License-Identifier: MIT */
/* Who looks most like a photo: the people of a data set by their nearest images. */
#ifndef FV_TOOLS_NEAREST_H
#define FV_TOOLS_NEAREST_H

#include "tools/eval/eval_images.h"

enum { NEAREST_TOP_MAX = 32 }; /* that are shown */

/* An identity by its nearest image. */
struct nearest {
    double score;
    uint64_t label, image;
};

/* near (labels of the data set), the most like first; those without an image in the splits come last, with -inf. emb:
 * of eval_images_embed; photo (dim). */
int nearest_rank(struct nearest *near, const struct eval_images *im, const float *emb,
                 const float *photo, int dim);

#endif
