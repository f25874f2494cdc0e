/* SPDX-License-Identifier: MIT */
/* MobileNetV2 (Sandler et al., arXiv 1801.04381) of width 1, with torchvision's names, shapes and initial weights.
 *
 * The published net halves its maps five times, which is made for 224 px. The stem "small" leaves out two of them: the
 * first convolution has stride 1 up to 32 px, and the second stage has stride 1, so that the stage of 24 channels works
 * on at most 32x32 pixels and the last on 4x4. It is what "auto" takes up to 64 px.
 */
#include "trainer/net/arch_head.h"

#include <stdio.h>
#include <string.h>

/* Of one stage: how much wider a block is inside, channels, blocks, stride of the first. */
static const struct stage {
    int expand, channels, blocks, stride;
} stages[] = {{1, 16, 1, 1}, {6, 24, 2, 2},  {6, 32, 3, 2}, {6, 64, 4, 2},
              {6, 96, 3, 1}, {6, 160, 3, 2}, {6, 320, 1, 1}};
enum { STAGES = sizeof stages / sizeof stages[0] };

/* Convolution without bias and batch norm: "<block><conv>", "<block><bn>". */
static int conv_bn(struct fv_net *n, const char *block, const char *conv, const char *bn, int in,
                   int out_c, int window, int stride, int groups)
{
    char name[64];
    snprintf(name, sizeof name, "%s%s", block, conv);
    int x = fv_net_conv(n, name, in, out_c, window, stride, window / 2, groups, 0);
    snprintf(name, sizeof name, "%s%s", block, bn);
    return fv_net_bn(n, name, x);
}

/* Widens, filters each channel by itself, narrows. */
static int inverted_residual(struct fv_net *n, int index, int in, int out_c, int stride, int expand)
{
    char block[32];
    int in_c = in < 0 ? 1 : n->node[in].c, wide = in_c * expand, x = in;
    snprintf(block, sizeof block, "features.%d.conv.", index);
    if (expand == 1) {
        x = fv_net_relu6(n, conv_bn(n, block, "0.0", "0.1", x, wide, 3, stride, wide));
        x = conv_bn(n, block, "1", "2", x, out_c, 1, 1, 1);
    } else {
        x = fv_net_relu6(n, conv_bn(n, block, "0.0", "0.1", x, wide, 1, 1, 1));
        x = fv_net_relu6(n, conv_bn(n, block, "1.0", "1.1", x, wide, 3, stride, wide));
        x = conv_bn(n, block, "2", "3", x, out_c, 1, 1, 1);
    }
    return stride == 1 && in_c == out_c ? fv_net_add(n, in, x) : x;
}

static int build(struct fv_net *n, const struct fv_arch_settings *s)
{
    int small = strcmp(s->stem, "auto") == 0 ? s->size <= 64 : strcmp(s->stem, "small") == 0;
    int x = fv_net_input(n, s->size, s->mean, s->std), index = 1;
    x = conv_bn(n, "features.0.", "0", "1", x, 32, 3, small && s->size <= 32 ? 1 : 2, 1);
    x = fv_net_relu6(n, x);
    for (int i = 0; i < STAGES; i++) {
        int stride = small && i == 1 ? 1 : stages[i].stride;
        for (int k = 0; k < stages[i].blocks; k++)
            x = inverted_residual(n, index++, x, stages[i].channels, k == 0 ? stride : 1,
                                  stages[i].expand);
    }
    x = fv_net_relu6(n, conv_bn(n, "features.18.", "0", "1", x, 1280, 1, 1, 1));
    x = fv_net_dropout(n, fv__arch_neck(n, s, fv_net_gap(n, x)), 0.2);
    x = fv__arch_head(n, s, "classifier.1", x);
    fv_net_set_init(n, x, 0, FV_INIT_NORMAL, 0.01);
    fv_net_set_init(n, x, 1, FV_INIT_ZERO, 0);
    return 0;
}

static const char *const stems[] = {"auto", "original", "small", NULL};

const struct fv_arch fv__arch_mobilenet_v2 = {
    .name = "mobilenet-v2",
    .help = "MobileNetV2 as in torchvision, dropout 0.2",
    .stems = stems,
    .build = build,
};
