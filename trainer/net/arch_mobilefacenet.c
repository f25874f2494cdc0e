/* SPDX-License-Identifier: MIT */
/* MobileFaceNet (Chen et al., arXiv 1804.07573) as InsightFace's arcface_torch has it ("mbf": twice the paper's width,
 * 1, 4, 6 and 2 blocks), with its names, shapes and initial weights.
 *
 * Its last convolution filters each channel over the whole last map: 7x7 at 112 px, and whatever the map is at another
 * size. The stem "small" has a first convolution of stride 1, so that images of up to 64 px, where "auto" takes it,
 * keep maps of that kind. The classes are not part of InsightFace's net: they are "head", after its first weights.
 */
#include "trainer/net/arch_head.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { EMBEDDING = 512, WIDTH = 128 };

/* "<name>.layers.0", ".1" and, unless it is linear, ".2": convolution, batch norm, PReLU. */
static int conv_block(struct fv_net *n, const char *name, int in, int out_c, int window, int stride,
                      int groups, int linear)
{
    char full[96];
    snprintf(full, sizeof full, "%s.layers.0", name);
    int x = fv_net_conv(n, full, in, out_c, window, stride, window / 2, groups, 0);
    snprintf(full, sizeof full, "%s.layers.1", name);
    x = fv_net_bn(n, full, x);
    snprintf(full, sizeof full, "%s.layers.2", name);
    return linear ? x : fv_net_prelu(n, full, x);
}

/* Widens to `wide` channels, filters each by itself, narrows. */
static int depthwise(struct fv_net *n, const char *name, int in, int out_c, int wide, int stride)
{
    char full[64];
    snprintf(full, sizeof full, "%s.layers.0", name);
    int x = conv_block(n, full, in, wide, 1, 1, 1, 0);
    snprintf(full, sizeof full, "%s.layers.1", name);
    x = conv_block(n, full, x, wide, 3, stride, wide, 0);
    snprintf(full, sizeof full, "%s.layers.2", name);
    return conv_block(n, full, x, out_c, 1, 1, 1, 1);
}

static int residual(struct fv_net *n, const char *name, int x, int blocks, int wide)
{
    char full[48];
    for (int i = 0; i < blocks; i++) {
        snprintf(full, sizeof full, "%s.layers.%d", name, i);
        x = fv_net_add(n, x, depthwise(n, full, x, x < 0 ? 1 : n->node[x].c, wide, 1));
    }
    return x;
}

/* From the last map to the embedding: each channel over the whole of it, then a layer over the channels. */
static int features(struct fv_net *n, const struct fv_arch_settings *s, int x)
{
    int length = s->embedding ? s->embedding : EMBEDDING, side = x < 0 ? 1 : n->node[x].h;
    x = fv_net_conv(n, "features.layers.0.layers.0", x, 512, side, 1, 0, 512, 0);
    x = fv_net_bn(n, "features.layers.0.layers.1", x);
    x = fv_net_fc(n, "features.layers.2", x, length, 0);
    fv_net_set_init(n, x, 0, FV_INIT_NORMAL, sqrt(2.0 / length));
    return n->embedding_node = fv_net_bn(n, "features.layers.3", x);
}

static int build(struct fv_net *n, const struct fv_arch_settings *s)
{
    int small = strcmp(s->stem, "auto") == 0 ? s->size <= 64 : strcmp(s->stem, "small") == 0;
    int x = fv_net_input(n, s->size, s->mean, s->std);
    x = conv_block(n, "layers.0", x, WIDTH, 3, small ? 1 : 2, 1, 0);
    x = conv_block(n, "layers.1", x, WIDTH, 3, 1, 64, 0);
    x = depthwise(n, "layers.2", x, WIDTH, 128, 2);
    x = residual(n, "layers.3", x, 4, 128);
    x = depthwise(n, "layers.4", x, 2 * WIDTH, 256, 2);
    x = residual(n, "layers.5", x, 6, 256);
    x = depthwise(n, "layers.6", x, 2 * WIDTH, 512, 2);
    x = residual(n, "layers.7", x, 2, 256);
    x = features(n, s, conv_block(n, "conv_sep", x, 512, 1, 1, 1, 0));
    x = fv__arch_head(n, s, "head", x);
    fv_net_set_init(n, x, 0, FV_INIT_NORMAL, 0.01);
    fv_net_set_init(n, x, 1, FV_INIT_ZERO, 0);
    return 0;
}

static const char *const stems[] = {"auto", "original", "small", NULL};

const struct fv_arch fv__arch_mobilefacenet = {
    .name = "mobilefacenet",
    .help = "MobileFaceNet as in InsightFace, for 112 px",
    .stems = stems,
    .build = build,
};
