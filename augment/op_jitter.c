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

static float factor(double value, struct fv_rng *r)
{
    if (value <= 0)
        return 1.0f;
    return (float)fv_rng_uniform(r, value < 1 ? 1 - value : 0, 1 + value);
}

static void decide(const double *value, struct fv_rng *r, struct fv_aug_frame *f)
{
    struct fv_plan *plan = f->plan;

    for (int i = 2; i > 0; i--) {
        const int j = (int)fv_rng_below(r, (uint32_t)i + 1);
        const uint8_t swap = plan->colour_order[i];
        plan->colour_order[i] = plan->colour_order[j];
        plan->colour_order[j] = swap;
    }
    plan->brightness = factor(value[BRIGHTNESS], r);
    plan->contrast = factor(value[CONTRAST], r);
    plan->saturation = factor(value[SATURATION], r);
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
