/* SPDX-License-Identifier: MIT */
/* IResNet-18, with InsightFace's names and shapes. */
#include "trainer/net/arch_iresnet.h"

static int build(struct fv_net *n, const struct fv_arch_settings *s)
{
    return fv__iresnet_build(n, s, (const int[4]){2, 2, 2, 2});
}

const struct fv_arch fv__arch_iresnet18 = {
    .name = "iresnet18",
    .help = "IResNet-18 as in InsightFace, for 112 px",
    .stems = fv__iresnet_stems,
    .build = build,
};
