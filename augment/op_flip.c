/* SPDX-License-Identifier: MIT */
/* Mirrors the picture left to right: torchvision's RandomHorizontalFlip. */
#include "augment/op.h"

static void decide(const double *value, struct fv_rng *r, struct fv_aug_frame *f)
{
    if (fv_rng_unit(r) < value[0])
        fv__aug_mirror(f);
}

const struct fv_aug_op fv_aug_op_flip = {
    .name = "flip",
    .help = "mirror left to right",
    .param = {{"p", 0.5, 0, 1, "how often", 0, NULL}},
    .decide = decide,
};
