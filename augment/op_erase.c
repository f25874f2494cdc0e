/* SPDX-License-Identifier: MIT */
/* Fills a box of random area and shape with a colour or with noise: torchvision's RandomErasing, whose values are
 * those after normalisation. Its usual 0 is the mean colour there: r=127, g=127, b=127 comes near to that. Its
 * 'random' is standard normal there: see augment/render_erase.c. */
#include "augment/op.h"
#include "common/err.h"

enum { P, AREA_MIN, AREA_MAX, RATIO_MIN, RATIO_MAX, RED, GREEN, BLUE, NOISE };

static int check(const double *value)
{
    FV_TRY(fv__aug_check_range("erase", "area", value[AREA_MIN], value[AREA_MAX]));
    FV_TRY(fv__aug_check_range("erase", "ratio", value[RATIO_MIN], value[RATIO_MAX]));
    if (value[NOISE] > 0 && (value[RED] > 0 || value[GREEN] > 0 || value[BLUE] > 0))
        return fv_err(FV_EUSAGE,
                      "augmentation 'erase': give a colour (r, g, b) or noise=1, not both");
    return FV_OK;
}

static void decide(const double *value, struct fv_rng *r, struct fv_aug_frame *f)
{
    const struct fv_aug_box rule = {.scale = {value[AREA_MIN], value[AREA_MAX]},
                                    .ratio = {value[RATIO_MIN], value[RATIO_MAX]},
                                    .tall = 1,
                                    .strict = 1};
    struct fv_erase e = {.rgb = {(uint8_t)value[RED], (uint8_t)value[GREEN], (uint8_t)value[BLUE]},
                         .noise = value[NOISE] > 0};

    if (fv_rng_unit(r) >= value[P] || !fv__aug_draw_box(&rule, r, f->out_h, f->out_w, &e.box))
        return;
    if (e.noise)
        e.key = fv_rng_u64(r);
    fv__aug_erase(f->plan, &e);
}

const struct fv_aug_op fv_aug_op_erase = {
    .name = "erase",
    .help = "fill a box of random area and shape with a colour or with noise",
    .most = FV_PLAN_ERASES,
    .param = {{"p", 0.5, 0, 1, "how often", 0, NULL},
              {"area_min", 0.02, 0, 1, "least share of the picture's area", 0, NULL},
              {"area_max", 0.33, 0, 1, "largest share", 0, NULL},
              {"ratio_min", 0.3, 0.01, 100, "least height : width", 0, NULL},
              {"ratio_max", 3.3, 0.01, 100, "largest height : width", 0, NULL},
              {"r", 0, 0, 255, "red of the fill", .whole = 1},
              {"g", 0, 0, 255, "green of the fill", .whole = 1},
              {"b", 0, 0, 255, "blue of the fill", .whole = 1},
              {"noise", 0, 0, 1, "1: normal noise instead of a colour", .whole = 1}},
    .check = check,
    .decide = decide,
};
