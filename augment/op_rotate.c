/* SPDX-License-Identifier: MIT */
/* Turns the picture about its centre: torchvision's RandomRotation, but always bilinear. What comes from
 * outside the source is black. */
#include "augment/op.h"

#include <math.h>

static void decide(const double *value, struct fv_rng *r, struct fv_aug_frame *f)
{
    fv__aug_rotate(f, fv_rng_uniform(r, -value[0], value[0]));
}

const struct fv_aug_op fv_aug_op_rotate = {
    .name = "rotate",
    .help = "turn about the centre by an angle from -degrees to degrees",
    .example = "rotate(10)",
    .param = {{"degrees", NAN, 0, 180, "largest angle, either way", 0, NULL}},
    .decide = decide,
};
