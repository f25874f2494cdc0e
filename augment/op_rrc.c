/* SPDX-License-Identifier: MIT */
/* Cuts out a box of random area and shape and resizes it: torchvision's RandomResizedCrop, with its ten
 * tries and its fallback to the largest centred box of a permitted shape. */
#include "augment/op.h"
#include "common/err.h"

#include <math.h>

enum { AREA_MIN, AREA_MAX, RATIO_MIN, RATIO_MAX };

static int check(const double *value)
{
    FV_TRY(fv__aug_check_range("rrc", "area", value[AREA_MIN], value[AREA_MAX]));
    return fv__aug_check_range("rrc", "ratio", value[RATIO_MIN], value[RATIO_MAX]);
}

static struct fv_rect centred(int h, int w, double ratio_min, double ratio_max)
{
    const double ratio = (double)w / h;
    struct fv_rect box = {.w = w, .h = h};

    if (ratio < ratio_min)
        box.h = (int)nearbyint(w / ratio_min);
    else if (ratio > ratio_max)
        box.w = (int)nearbyint(h * ratio_max);
    /* torchvision lets a very flat picture give an empty box, and fails later */
    box.h = box.h < 1 ? 1 : box.h;
    box.w = box.w < 1 ? 1 : box.w;
    box.y = (h - box.h) / 2;
    box.x = (w - box.w) / 2;
    return box;
}

static void decide(const double *value, struct fv_rng *r, struct fv_aug_frame *f)
{
    const struct fv_aug_box rule = {.scale = {value[AREA_MIN], value[AREA_MAX]},
                                    .ratio = {value[RATIO_MIN], value[RATIO_MAX]}};
    struct fv_rect box;

    if (!fv__aug_draw_box(&rule, r, f->h, f->w, &box))
        box = centred(f->h, f->w, value[RATIO_MIN], value[RATIO_MAX]);
    fv__aug_crop(f, box.y, box.x, box.h, box.w);
}

const struct fv_aug_op fv_aug_op_rrc = {
    .name = "rrc",
    .help = "cut out a box of random area and shape and resize it",
    .param = {{"area_min", 0.08, 0, 1, "least share of the picture's area", 0, NULL},
              {"area_max", 1, 0, 1, "largest share", 0, NULL},
              {"ratio_min", 3.0 / 4.0, 0.01, 100, "least width : height", 0, NULL},
              {"ratio_max", 4.0 / 3.0, 0.01, 100, "largest width : height", 0, NULL}},
    .check = check,
    .decide = decide,
};
