/* SPDX-License-Identifier: MIT */
/* Moves the four corners inwards, each by whole pixels of its own: torchvision's RandomPerspective. */
#include "augment/op.h"

enum { DISTORTION, P };

static void decide(const double *value, struct fv_rng *r, struct fv_aug_frame *f)
{
    const int w = f->w, h = f->h;
    const int most_x = (int)(value[DISTORTION] * (w / 2)),
              most_y = (int)(value[DISTORTION] * (h / 2));
    double corner[4][2];

    if (fv_rng_unit(r) >= value[P])
        return;
    for (int i = 0; i < 4;
         i++) { /* clockwise from the top left; counted from the lower end of the range */
        const int right = i == 1 || i == 2, bottom = i >= 2;
        corner[i][0] = (right ? w - 1 - most_x : 0) + (int)fv_rng_below(r, (uint32_t)most_x + 1);
        corner[i][1] = (bottom ? h - 1 - most_y : 0) + (int)fv_rng_below(r, (uint32_t)most_y + 1);
    }
    fv__aug_perspective(f, corner);
}

const struct fv_aug_op fv_aug_op_perspective = {
    .name = "perspective",
    .help = "move each corner inwards",
    .param = {{"distortion", 0.5, 0, 1, "how far at most, as a share of half a side", 0, NULL},
              {"p", 0.5, 0, 1, "how often", 0, NULL}},
    .decide = decide,
};
