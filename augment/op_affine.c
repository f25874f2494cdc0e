/* SPDX-License-Identifier: MIT */
/* Turns, shifts, scales and shears the picture about its centre: torchvision's RandomAffine, but always bilinear.
 * A positive angle turns clockwise here, as there, while rotate turns counter-clockwise. Shifts are whole pixels
 * of the picture as it stands. What comes from outside the source is black. */
#include "augment/op.h"
#include "common/err.h"

#include <math.h>

enum { DEGREES, SHIFT_X, SHIFT_Y, SCALE_MIN, SCALE_MAX, SHEAR_X, SHEAR_Y };

static int check(const double *value)
{
    FV_TRY(fv__aug_check_range("affine", "scale", value[SCALE_MIN], value[SCALE_MAX]));
    if (value[DEGREES] > 0 || value[SHIFT_X] > 0 || value[SHIFT_Y] > 0 || value[SCALE_MIN] != 1 ||
        value[SCALE_MAX] != 1 || value[SHEAR_X] > 0 || value[SHEAR_Y] > 0)
        return FV_OK;
    return fv_err(FV_EUSAGE,
                  "augmentation 'affine' changes nothing: give an angle, a shift, a scale or a "
                  "shear, for example affine(10,.1,.1)");
}

/* Nearest, halves to even, as Python's round. */
static double shift(double share, int side, struct fv_rng *r)
{
    return nearbyint(fv_rng_uniform(r, -share * side, share * side));
}

static void decide(const double *value, struct fv_rng *r, struct fv_aug_frame *f)
{
    struct fv_aug_affine a;

    a.degrees = fv_rng_uniform(r, -value[DEGREES], value[DEGREES]);
    a.shift_x = shift(value[SHIFT_X], f->w, r);
    a.shift_y = shift(value[SHIFT_Y], f->h, r);
    a.scale = fv_rng_uniform(r, value[SCALE_MIN], value[SCALE_MAX]);
    a.shear_x = fv_rng_uniform(r, -value[SHEAR_X], value[SHEAR_X]);
    a.shear_y = fv_rng_uniform(r, -value[SHEAR_Y], value[SHEAR_Y]);
    fv__aug_affine(f, &a);
}

const struct fv_aug_op fv_aug_op_affine = {
    .name = "affine",
    .help = "turn, shift, scale and shear about the centre",
    .example = "affine(10,.1,.1)",
    .param = {{"degrees", NAN, 0, 180, "largest angle, either way", 0, NULL},
              {"translate_x", 0, 0, 1, "largest shift, either way, as a share of the width", 0,
               NULL},
              {"translate_y", 0, 0, 1, "the same of the height", 0, NULL},
              {"scale_min", 1, 0.01, 100, "least scale", 0, NULL},
              {"scale_max", 1, 0.01, 100, "largest scale", 0, NULL},
              {"shear_x", 0, 0, 80, "largest angle of the shear along x, either way, in degrees", 0,
               NULL},
              {"shear_y", 0, 0, 80, "the same along y", 0, NULL}},
    .check = check,
    .decide = decide,
};
