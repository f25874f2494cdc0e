/* SPDX-License-Identifier: MIT */
/* The residual nets of ArcFace (Deng et al., arXiv 1801.07698, "IR" of its section 3.1) with the names, shapes and
 * initial weights of InsightFace's arcface_torch, whose published backbones fit at 112 px: a first convolution of
 * stride 1, a batch norm before each block, PReLU, a stride of 2 in every stage, and an embedding made by a fully
 * connected layer over the whole last map, so that its size depends on the image's. Its batch norm "features" has a
 * scale that stays 1. The classes are not part of InsightFace's nets: they are "head", after its first weights.
 */
#include "trainer/net/arch_iresnet.h"

#include "trainer/net/arch_head.h"

#include <stdio.h>

enum { EMBEDDING = 512 };

const char *const fv__iresnet_stems[] = {"auto", NULL};

static int conv(struct fv_net *n, const char *block, const char *what, int in, int out_c,
                int window, int stride)
{
    char name[64];
    snprintf(name, sizeof name, "%s%s", block, what);
    int x = fv_net_conv(n, name, in, out_c, window, stride, window / 2, 1, 0);
    fv_net_set_init(n, x, 0, FV_INIT_NORMAL, 0.1);
    return x;
}

static int bn(struct fv_net *n, const char *block, const char *what, int in)
{
    char name[64];
    snprintf(name, sizeof name, "%s%s", block, what);
    return fv_net_bn(n, name, in);
}

static int add_block(struct fv_net *n, const char *block, int in, int out_c, int stride)
{
    char name[64];
    int around = in, x = conv(n, block, "conv1", bn(n, block, "bn1", in), out_c, 3, 1);
    snprintf(name, sizeof name, "%sprelu", block);
    x = fv_net_prelu(n, name, bn(n, block, "bn2", x));
    x = bn(n, block, "bn3", conv(n, block, "conv2", x, out_c, 3, stride));
    if (stride != 1) {
        around = conv(n, block, "downsample.0", in, out_c, 1, stride);
        around = bn(n, block, "downsample.1", around);
    }
    return fv_net_add(n, x, around);
}

int fv__iresnet_build(struct fv_net *n, const struct fv_arch_settings *s, const int blocks[4])
{
    char block[32];
    int x = conv(n, "", "conv1", fv_net_input(n, s->size, s->mean, s->std), 64, 3, 1);
    x = fv_net_prelu(n, "prelu", fv_net_bn(n, "bn1", x));
    for (int i = 0; i < 4; i++) {
        for (int k = 0; k < blocks[i]; k++) {
            snprintf(block, sizeof block, "layer%d.%d.", i + 1, k);
            x = add_block(n, block, x, 64 << i, k == 0 ? 2 : 1);
        }
    }
    x = fv_net_fc(n, "fc", fv_net_bn(n, "bn2", x), s->embedding ? s->embedding : EMBEDDING, 1);
    x = n->embedding_node = fv_net_bn_unit_scale(n, "features", x);
    x = fv__arch_head(n, s, "head", x);
    fv_net_set_init(n, x, 0, FV_INIT_NORMAL, 0.01);
    fv_net_set_init(n, x, 1, FV_INIT_ZERO, 0);
    return 0;
}
