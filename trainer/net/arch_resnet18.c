/* SPDX-License-Identifier: MIT */
/* ResNet-18, with torchvision's names and shapes: its pretrained weights fit wherever the stem and the number of
 * classes do. The embedding is what the head reads: 512 numbers, the means over the last maps. */
#include "trainer/net/arch_resnet.h"

#include "common/err.h"

static int build(struct fv_net *n, const struct fv_arch_settings *s)
{
    static const char *const name[4] = {"layer1", "layer2", "layer3", "layer4"};
    struct fv__resnet_stem stem;
    FV_TRY(fv__resnet_choose_stem(&stem, s));
    int x = fv_net_input(n, s->size, s->mean, s->std);
    x = fv__resnet_add_stem(n, x, 64, &stem);
    for (int i = 0; i < 4; i++)
        x = fv__resnet_stage(n, name[i], x, 64 << i, i == 0 ? 1 : 2, 2);
    x = n->embedding_node = fv_net_gap(n, x);
    fv_net_loss(n, fv_net_fc(n, "fc", x, s->classes, 1));
    return 0;
}

const struct fv_arch fv__arch_resnet18 = {
    .name = "resnet18",
    .help = "ResNet-18 as in torchvision, 11.2 M parameters and the head, 512-d embedding",
    .build = build,
};
