/* SPDX-License-Identifier: MIT */
/* Takes the colour out: torchvision's RandomGrayscale, three equal channels. */
#include "augment/op.h"

static void decide(const double *value, struct fv_rng *r, struct fv_aug_frame *f)
{
    if (fv_rng_unit(r) < value[0])
        fv__aug_colour(f->plan, FV_STEP_GRAY, 0);
}

const struct fv_aug_op fv_aug_op_gray = {
    .name = "gray",
    .help = "take the colour out",
    .param = {{"p", 0.1, 0, 1, "how often", 0, NULL}},
    .decide = decide,
};
