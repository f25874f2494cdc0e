/* SPDX-License-Identifier: MIT */
/* Changes brightness, contrast, saturation and hue in a random order: torchvision's ColorJitter. The order of all
 * four is drawn first and always, so it does not depend on which of them are in use. */
#include "augment/op.h"
#include "common/err.h"

enum { BRIGHTNESS, CONTRAST, SATURATION, HUE, KINDS };

static int check(const double *value)
{
    for (int i = 0; i < KINDS; i++)
        if (value[i] > 0)
            return FV_OK;
    return fv_err(FV_EUSAGE,
                  "augmentation 'jitter' changes nothing: give brightness, contrast, saturation or "
                  "hue, for example jitter(.2,.2,.2,.05)");
}

static double draw(double value, int kind, struct fv_rng *r)
{
    if (kind == HUE)
        return fv_rng_uniform(r, -value, value);
    return fv_rng_uniform(r, value < 1 ? 1 - value : 0, 1 + value);
}

static void decide(const double *value, struct fv_rng *r, struct fv_aug_frame *f)
{
    static const enum fv_step_kind kind[] = {FV_STEP_BRIGHTNESS, FV_STEP_CONTRAST,
                                             FV_STEP_SATURATION, FV_STEP_HUE};
    int order[] = {BRIGHTNESS, CONTRAST, SATURATION, HUE};
    double amount[KINDS];

    for (int i = KINDS - 1; i > 0; i--) {
        const int j = (int)fv_rng_below(r, (uint32_t)i + 1), swap = order[i];
        order[i] = order[j];
        order[j] = swap;
    }
    for (int i = 0; i < KINDS; i++)
        if (value[i] > 0)
            amount[i] = draw(value[i], i, r);
    for (int i = 0; i < KINDS; i++)
        if (value[order[i]] > 0)
            fv__aug_colour(f->plan, kind[order[i]], amount[order[i]]);
}

const struct fv_aug_op fv_aug_op_jitter = {
    .name = "jitter",
    .help = "change brightness, contrast and saturation by a factor from 1-v to 1+v, turn the hue",
    .most = 1,
    .param = {{"brightness", 0, 0, 10, "v for the brightness", 0, NULL},
              {"contrast", 0, 0, 10, "v for the contrast", 0, NULL},
              {"saturation", 0, 0, 10, "v for the saturation", 0, NULL},
              {"hue", 0, 0, 0.5, "largest turn of the hue, either way, as a part of the circle", 0,
               NULL}},
    .check = check,
    .decide = decide,
};
