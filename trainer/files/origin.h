/* SPDX-License-Identifier: MIT */
/* How the net that foreign weights come from saw its images, where the file gives that away (internal to trainer/).
 *
 * Nothing in a .pth says what colours a net was trained on; fine-tuning on others costs accuracy and says nothing. Two
 * families are known by what is in the file, and what they were trained on is published.
 */
#ifndef FV_TRAINER_ORIGIN_H
#define FV_TRAINER_ORIGIN_H

#include "trainer/files/weights.h"
#include "trainer/net/net.h"

struct fv_origin {
    const char *name;
    const char *mean, *std; /* as --mean and --std have it */
    float mean_of[3], std_of[3];
};

/* NULL: not known, or a checkpoint of fvtrain, which says it itself. All that are known see red first. */
const struct fv_origin *fv__origin_of(const struct fv_weights *w, const char *arch);

/* 1, with a sentence, if a net that sees images by `mean` and `std` (0 .. 1), its weights' colours changed about or
 * not, does not see them as these weights did. */
int fv__origin_differs(const struct fv_origin *o, const char *path, const float mean[3],
                       const float std[3], int bgr, char *text, size_t n);

#endif
