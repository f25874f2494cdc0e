/* SPDX-License-Identifier: MIT */
/* Blurs by a Gaussian of random width: torchvision's GaussianBlur, with a share of pictures that its users get from
 * RandomApply. */
#include "augment/op.h"
#include "common/err.h"

#include <math.h>

enum { KERNEL, SIGMA_MIN, SIGMA_MAX, P };

static int check(const double *value)
{
    if (fmod(value[KERNEL], 2) != 1)
        return fv_err(FV_EUSAGE, "augmentation 'blur': kernel is %g: it must be odd",
                      value[KERNEL]);
    return fv__aug_check_range("blur", "sigma", value[SIGMA_MIN], value[SIGMA_MAX]);
}

static void decide(const double *value, struct fv_rng *r, struct fv_aug_frame *f)
{
    if (fv_rng_unit(r) < value[P])
        fv__aug_blur(f->plan, fv_rng_uniform(r, value[SIGMA_MIN], value[SIGMA_MAX]),
                     (int)value[KERNEL]);
}

const struct fv_aug_op fv_aug_op_blur = {
    .name = "blur",
    .help = "blur by a Gaussian of random width",
    .example = "blur(5)",
    .param = {{"kernel", NAN, 3, FV_BLUR_MOST, "side of the kernel in pixels, odd", .whole = 1},
              {"sigma_min", 0.1, 0.01, 100, "least standard deviation in pixels", 0, NULL},
              {"sigma_max", 2, 0.01, 100, "largest", 0, NULL},
              {"p", 1, 0, 1, "how often", 0, NULL}},
    .check = check,
    .decide = decide,
};
