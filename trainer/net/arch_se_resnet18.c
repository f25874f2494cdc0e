/* SPDX-License-Identifier: MIT */
/* ResNet-18 with squeeze and excitation; names and shapes are those of timm's seresnet18. */
#include "trainer/net/arch_resnet.h"

static int build(struct fv_net *n, const struct fv_arch_settings *s)
{
    return fv__resnet_build(n, s, &(struct fv__resnet){FV_RESNET_BASIC, {2, 2, 2, 2}, 1});
}

const struct fv_arch fv__arch_se_resnet18 = {
    .name = "se-resnet18",
    .help = "squeeze and excitation, as in timm's seresnet18",
    .stems = fv__resnet_stems,
    .build = build,
};
