/* SPDX-License-Identifier: MIT */
/* ResNet-50 with squeeze and excitation; names and shapes are those of timm's seresnet50. */
#include "trainer/net/arch_resnet.h"

static int build(struct fv_net *n, const struct fv_arch_settings *s)
{
    return fv__resnet_build(n, s, &(struct fv__resnet){FV_RESNET_BOTTLENECK, {3, 4, 6, 3}, 1});
}

const struct fv_arch fv__arch_se_resnet50 = {
    .name = "se-resnet50",
    .help = "squeeze and excitation, as in timm's seresnet50",
    .stems = fv__resnet_stems,
    .build = build,
};
