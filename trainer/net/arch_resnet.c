/* SPDX-License-Identifier: MIT */
/* Residual nets after He et al. (arXiv 1512.03385), as torchvision lays them out: the parts in the order in
 * which its modules are created, so that the tensors come in the order of its state_dict.
 *
 * The stem of ImageNet takes a quarter of the width before the first stage, which leaves nothing of a small
 * image. Up to 64 px a 3x3 convolution without pooling replaces it, and the first stage then works on at most
 * 32x32 pixels: stride 2 above 32 px, 1 up to there.
 *
 * Squeeze and excitation (Hu et al., arXiv 1709.01507) has the names, shapes and initial weights of timm's seresnet18,
 * 34 and 50, the most used of the published ones: "se.fc1" and "se.fc2" are 1x1 convolutions with biases, the layer
 * between them has a 16th of the channels, rounded to a multiple of 8, and the last batch norm of a block begins at
 * zero.
 */
#include "trainer/net/arch_resnet.h"

#include "trainer/net/arch_head.h"

#include <stdio.h>
#include <string.h>

const char *const fv__resnet_stems[] = {"auto", "7x7", "3x3", NULL};

struct fv__resnet_stem fv__resnet_choose_stem(const struct fv_arch_settings *s)
{
    int small = strcmp(s->stem, "auto") == 0 ? s->size <= 64 : strcmp(s->stem, "3x3") == 0;
    return small ? (struct fv__resnet_stem){.window = 3, .stride = s->size > 32 ? 2 : 1}
                 : (struct fv__resnet_stem){.window = 7, .stride = 2, .pool = 1};
}

int fv__resnet_add_stem(struct fv_net *n, int in, int out_c, const struct fv__resnet_stem *stem)
{
    int x = fv_net_conv(n, "conv1", in, out_c, stem->window, stem->stride, stem->window / 2, 1, 0);
    x = fv_net_relu(n, fv_net_bn(n, "bn1", x));
    return stem->pool ? fv_net_maxpool(n, x, 3, 2, 1) : x;
}

/* Convolution without bias, and its batch norm: "<block>.<conv>", "<block>.<bn>". */
static int conv_bn(struct fv_net *n, const char *block, const char *conv, const char *bn, int in,
                   int out_c, int window, int stride)
{
    char name[64];
    snprintf(name, sizeof name, "%s.%s", block, conv);
    int x = fv_net_conv(n, name, in, out_c, window, stride, window / 2, 1, 0);
    snprintf(name, sizeof name, "%s.%s", block, bn);
    return fv_net_bn(n, name, x);
}

/* Every channel times a number between 0 and 1 that all channels' means decide on. */
static int squeeze(struct fv_net *n, const char *block, int x)
{
    char name[64];
    int channels = x < 0 ? 1 : n->node[x].c, fewer = (channels / 16 + 4) / 8 * 8;
    snprintf(name, sizeof name, "%s.se.fc1", block);
    int y = fv_net_conv(n, name, fv_net_gap(n, x), fewer < 8 ? 8 : fewer, 1, 1, 0, 1, 1);
    snprintf(name, sizeof name, "%s.se.fc2", block);
    y = fv_net_conv(n, name, fv_net_relu(n, y), channels, 1, 1, 0, 1, 1);
    return fv_net_scale(n, x, fv_net_sigmoid(n, y));
}

static int add_block(struct fv_net *n, const char *name, int in, int width, int stride,
                     const struct fv__resnet *r)
{
    int bottleneck = r->block == FV_RESNET_BOTTLENECK, out_c = bottleneck ? 4 * width : width;
    int changes = stride != 1 || (in >= 0 && n->node[in].c != out_c), around = in, x;
    if (bottleneck) {
        x = fv_net_relu(n, conv_bn(n, name, "conv1", "bn1", in, width, 1, 1));
        x = fv_net_relu(n, conv_bn(n, name, "conv2", "bn2", x, width, 3, stride));
        x = conv_bn(n, name, "conv3", "bn3", x, out_c, 1, 1);
    } else {
        x = fv_net_relu(n, conv_bn(n, name, "conv1", "bn1", in, width, 3, stride));
        x = conv_bn(n, name, "conv2", "bn2", x, out_c, 3, 1);
    }
    if (r->squeeze) {
        fv_net_set_init(n, x, 0, FV_INIT_ZERO, 0);
        x = squeeze(n, name, x);
    }
    if (changes)
        around = conv_bn(n, name, "downsample.0", "downsample.1", in, out_c, 1, stride);
    return fv_net_relu(n, fv_net_add(n, x, around));
}

int fv__resnet_stage(struct fv_net *n, const char *name, int in, int width, int stride, int blocks,
                     const struct fv__resnet *r)
{
    char block[32];
    for (int i = 0; i < blocks; i++) {
        snprintf(block, sizeof block, "%s.%d", name, i);
        in = add_block(n, block, in, width, i == 0 ? stride : 1, r);
    }
    return in;
}

int fv__resnet_build(struct fv_net *n, const struct fv_arch_settings *s, const struct fv__resnet *r)
{
    static const char *const name[4] = {"layer1", "layer2", "layer3", "layer4"};
    const struct fv__resnet_stem stem = fv__resnet_choose_stem(s);
    int x = fv_net_input(n, s->size, s->mean, s->std);
    x = fv__resnet_add_stem(n, x, 64, &stem);
    for (int i = 0; i < 4; i++)
        x = fv__resnet_stage(n, name[i], x, 64 << i, i == 0 ? 1 : 2, r->blocks[i], r);
    fv__arch_head(n, s, "fc", fv__arch_neck(n, s, fv_net_gap(n, x)));
    return 0;
}
