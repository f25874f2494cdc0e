/* SPDX-License-Identifier: MIT */
/* What residual nets have in common. Names are torchvision's. */
#ifndef FV_TRAINER_ARCH_RESNET_H
#define FV_TRAINER_ARCH_RESNET_H

#include "trainer/net/net.h"

/* How images enter: by the 7x7 convolution of stride 2 and a 3x3 max-pool, or by a 3x3 convolution. */
struct fv__resnet_stem {
    int window, stride, pool;
};
/* Chooses by fv_arch_settings.stem and size; FV_EINVAL lists the valid names. */
int fv__resnet_choose_stem(struct fv__resnet_stem *out, const struct fv_arch_settings *s);
int fv__resnet_add_stem(struct fv_net *n, int in, int out_c, const struct fv__resnet_stem *stem);

/* Two 3x3 convolutions with a path around them, which is a 1x1 convolution where the shape changes. */
int fv__resnet_basic_block(struct fv_net *n, const char *name, int in, int out_c, int stride);
/* `blocks` basic blocks, "<name>.0" and on; the first has the stride. */
int fv__resnet_stage(struct fv_net *n, const char *name, int in, int out_c, int stride, int blocks);

#endif
