/* SPDX-License-Identifier: MIT */
/* Fills a box of random area and shape with one grey: torchvision's RandomErasing. torchvision's usual
 * recipe erases with 0 after normalisation, which is the mean colour: level=127 comes near to that. */
#include "augment/op.h"
#include "common/err.h"

#include <string.h>

enum { P, AREA_MIN, AREA_MAX, RATIO_MIN, RATIO_MAX, LEVEL };

static int check(const double *value)
{
    FV_TRY(fv__aug_check_range("erase", "area", value[AREA_MIN], value[AREA_MAX]));
    return fv__aug_check_range("erase", "ratio", value[RATIO_MIN], value[RATIO_MAX]);
}

static void decide(const double *value, struct fv_rng *r, struct fv_aug_frame *f)
{
    const struct fv_aug_box rule = {.scale = {value[AREA_MIN], value[AREA_MAX]},
                                    .ratio = {value[RATIO_MIN], value[RATIO_MAX]},
                                    .tall = 1,
                                    .strict = 1};
    struct fv_erase e;

    if (fv_rng_unit(r) >= value[P])
        return;
    if (fv__aug_draw_box(&rule, r, f->out_h, f->out_w, &e.box)) {
        memset(e.rgb, (int)value[LEVEL], 3);
        fv__aug_erase(f->plan, &e);
    }
}

const struct fv_aug_op fv_aug_op_erase = {
    .name = "erase",
    .help = "fill a box of random area and shape with one grey",
    .most = FV_PLAN_ERASES,
    .param = {{"p", 0.5, 0, 1, "how often"},
              {"area_min", 0.02, 0, 1, "least share of the picture's area"},
              {"area_max", 0.33, 0, 1, "largest share"},
              {"ratio_min", 0.3, 0.01, 100, "least height : width"},
              {"ratio_max", 3.3, 0.01, 100, "largest height : width"},
              {"level", 0, 0, 255, "grey level of the fill"}},
    .check = check,
    .decide = decide,
};
