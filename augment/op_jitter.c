/* SPDX-License-Identifier: MIT */
/* Changes brightness, contrast and saturation in a random order: torchvision's ColorJitter without hue.
 * The order is drawn first and always, so it does not depend on which of the three are in use. */
#include "augment/op.h"
#include "common/err.h"

enum { BRIGHTNESS, CONTRAST, SATURATION };

static int check(const double *value)
{
    if (value[BRIGHTNESS] > 0 || value[CONTRAST] > 0 || value[SATURATION] > 0)
        return FV_OK;
    return fv_err(FV_EUSAGE, "augmentation 'jitter' changes nothing: give brightness, contrast or "
                             "saturation, for example jitter(.2,.2,.2)");
}

static void decide(const double *value, struct fv_rng *r, struct fv_aug_frame *f)
{
    static const enum fv_step_kind kind[] = {FV_STEP_BRIGHTNESS, FV_STEP_CONTRAST,
                                             FV_STEP_SATURATION};
    int order[] = {BRIGHTNESS, CONTRAST, SATURATION};
    double factor[3] = {1, 1, 1};

    for (int i = 2; i > 0; i--) {
        const int j = (int)fv_rng_below(r, (uint32_t)i + 1), swap = order[i];
        order[i] = order[j];
        order[j] = swap;
    }
    for (int i = 0; i < 3; i++)
        if (value[i] > 0)
            factor[i] = fv_rng_uniform(r, value[i] < 1 ? 1 - value[i] : 0, 1 + value[i]);
    for (int i = 0; i < 3; i++)
        if (value[order[i]] > 0)
            fv__aug_colour(f->plan, kind[order[i]], factor[order[i]]);
}

const struct fv_aug_op fv_aug_op_jitter = {
    .name = "jitter",
    .help = "change brightness, contrast and saturation, each by a factor from 1-v to 1+v",
    .most = 1,
    .param = {{"brightness", 0, 0, 10, "v for the brightness"},
              {"contrast", 0, 0, 10, "v for the contrast"},
              {"saturation", 0, 0, 10, "v for the saturation"}},
    .check = check,
    .decide = decide,
};
