/* SPDX-License-Identifier: MIT */
/* ResNet-34 with squeeze and excitation; names and shapes are those of timm's seresnet34. */
#include "trainer/net/arch_resnet.h"

static int build(struct fv_net *n, const struct fv_arch_settings *s)
{
    return fv__resnet_build(n, s, &(struct fv__resnet){FV_RESNET_BASIC, {3, 4, 6, 3}, 1});
}

const struct fv_arch fv__arch_se_resnet34 = {
    .name = "se-resnet34",
    .help = "squeeze and excitation, as in timm's seresnet34",
    .stems = fv__resnet_stems,
    .build = build,
};
