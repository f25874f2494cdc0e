/* SPDX-License-Identifier: MIT */
/* MixUp (Zhang et al., ICLR 2018) with torchvision's rules: one share for the whole batch; item k is mixed with item
 * k-1, and so are the labels. */
#include "augment/op.h"

enum { ALPHA, P };

static void decide_batch(const double *value, struct fv_rng *r, int h, int w, struct fv_mix *mix)
{
    (void)h, (void)w;
    mix->kind = FV_MIX_MIXUP;
    mix->lambda = (float)fv_rng_beta(r, value[ALPHA], value[ALPHA]);
}

const struct fv_aug_op fv_aug_op_mixup = {
    .name = "mixup",
    .help = "blend with another image of the batch, and mix the labels",
    .most = 1,
    .param = {{"alpha", 1, 0.01, 100, "the share of the image is drawn from Beta(alpha, alpha)", 0,
               NULL},
              {"p", 1, 0, 1, "share of the batches", 0, NULL}},
    .share = P,
    .decide_batch = decide_batch,
};
