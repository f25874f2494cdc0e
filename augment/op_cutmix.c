/* SPDX-License-Identifier: MIT */
/* CutMix (Yun et al., ICCV 2019) with torchvision's rules: one box for the whole batch; item k takes it
 * from item k-1, and the labels are mixed by the area that the clipped box really has. */
#include "augment/op.h"

#include <math.h>

enum { ALPHA, P };

void fv__cutmix_box(double lambda, int centre_x, int centre_y, int h, int w, struct fv_mix *mix)
{
    const double r = 0.5 * sqrt(1.0 - lambda);
    const int half_w = (int)(r * w), half_h = (int)(r * h);

    mix->kind = FV_MIX_CUTMIX;
    mix->x1 = centre_x > half_w ? centre_x - half_w : 0;
    mix->y1 = centre_y > half_h ? centre_y - half_h : 0;
    mix->x2 = centre_x + half_w < w ? centre_x + half_w : w;
    mix->y2 = centre_y + half_h < h ? centre_y + half_h : h;
    mix->lambda =
        (float)(1.0 - (double)(mix->x2 - mix->x1) * (mix->y2 - mix->y1) / ((double)w * h));
}

static void decide_batch(const double *value, struct fv_rng *r, int h, int w, struct fv_mix *mix)
{
    const double lambda = fv_rng_beta(r, value[ALPHA], value[ALPHA]);
    const int x = (int)fv_rng_below(r, (uint32_t)w), y = (int)fv_rng_below(r, (uint32_t)h);

    fv__cutmix_box(lambda, x, y, h, w, mix);
}

const struct fv_aug_op fv_aug_op_cutmix = {
    .name = "cutmix",
    .help = "replace a box by the same box of another image of the batch, and mix the labels",
    .most = 1,
    .param = {{"alpha", 1, 0.01, 100, "the box's share is drawn from Beta(alpha, alpha)", 0, NULL},
              {"p", 1, 0, 1, "share of the batches", 0, NULL}},
    .share = P,
    .decide_batch = decide_batch,
};
