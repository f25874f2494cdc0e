/* SPDX-License-Identifier: MIT */
/* Residual nets after He et al. (arXiv 1512.03385), as torchvision lays them out: the parts in the order in
 * which its modules are created, so that the tensors come in the order of its state_dict.
 *
 * The stem of ImageNet takes a quarter of the width before the first stage, which leaves nothing of a small
 * image. Up to 64 px a 3x3 convolution without pooling replaces it, and the first stage then works on at most
 * 32x32 pixels: stride 2 above 32 px, 1 up to there.
 */
#include "trainer/net/arch_resnet.h"

#include "common/err.h"

#include <stdio.h>
#include <string.h>

int fv__resnet_choose_stem(struct fv__resnet_stem *out, const struct fv_arch_settings *s)
{
    int small = s->size <= 64;
    if (strcmp(s->stem, "7x7") == 0)
        small = 0;
    else if (strcmp(s->stem, "3x3") == 0)
        small = 1;
    else if (strcmp(s->stem, "auto") != 0)
        return fv_err(FV_EINVAL, "there is no stem '%s'; valid: auto, 7x7, 3x3", s->stem);
    *out = small ? (struct fv__resnet_stem){.window = 3, .stride = s->size > 32 ? 2 : 1}
                 : (struct fv__resnet_stem){.window = 7, .stride = 2, .pool = 1};
    return 0;
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

int fv__resnet_basic_block(struct fv_net *n, const char *name, int in, int out_c, int stride)
{
    int around = in;
    int changes = stride != 1 || (in >= 0 && n->node[in].c != out_c);
    int x = fv_net_relu(n, conv_bn(n, name, "conv1", "bn1", in, out_c, 3, stride));
    x = conv_bn(n, name, "conv2", "bn2", x, out_c, 3, 1);
    if (changes)
        around = conv_bn(n, name, "downsample.0", "downsample.1", in, out_c, 1, stride);
    return fv_net_relu(n, fv_net_add(n, x, around));
}

int fv__resnet_stage(struct fv_net *n, const char *name, int in, int out_c, int stride, int blocks)
{
    char block[32];
    for (int i = 0; i < blocks; i++) {
        snprintf(block, sizeof block, "%s.%d", name, i);
        in = fv__resnet_basic_block(n, block, in, out_c, i == 0 ? stride : 1);
    }
    return in;
}
