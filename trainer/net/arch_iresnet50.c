/* SPDX-License-Identifier: MIT */
/* IResNet-50, with InsightFace's names and shapes. */
#include "trainer/net/arch_iresnet.h"

static int build(struct fv_net *n, const struct fv_arch_settings *s)
{
    return fv__iresnet_build(n, s, (const int[4]){3, 4, 14, 3});
}

const struct fv_arch fv__arch_iresnet50 = {
    .name = "iresnet50",
    .help = "IResNet-50 as in InsightFace, for 112 px",
    .stems = fv__iresnet_stems,
    .build = build,
};
