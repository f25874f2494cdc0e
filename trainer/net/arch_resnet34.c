/* SPDX-License-Identifier: MIT */
/* ResNet-34, with torchvision's names and shapes: its pretrained weights fit wherever the stem and the number of
 * classes do. The embedding is what the head reads: 512 numbers, the means over the last maps. */
#include "trainer/net/arch_resnet.h"

static int build(struct fv_net *n, const struct fv_arch_settings *s)
{
    return fv__resnet_build(n, s, &(struct fv__resnet){FV_RESNET_BASIC, {3, 4, 6, 3}, 0});
}

const struct fv_arch fv__arch_resnet34 = {
    .name = "resnet34",
    .help = "ResNet-34 as in torchvision",
    .stems = fv__resnet_stems,
    .build = build,
};
