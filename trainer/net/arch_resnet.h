/* SPDX-License-Identifier: MIT */
/* What residual nets have in common. Names are torchvision's. */
#ifndef FV_TRAINER_ARCH_RESNET_H
#define FV_TRAINER_ARCH_RESNET_H

#include "trainer/net/net.h"

/* How images enter: by the 7x7 convolution of stride 2 and a 3x3 max-pool, or by a 3x3 convolution. */
struct fv__resnet_stem {
    int window, stride, pool;
};
extern const char *const fv__resnet_stems[]; /* "auto", "7x7", "3x3" */
struct fv__resnet_stem fv__resnet_choose_stem(const struct fv_arch_settings *s);
int fv__resnet_add_stem(struct fv_net *n, int in, int out_c, const struct fv__resnet_stem *stem);

enum fv__resnet_block {
    FV_RESNET_BASIC,      /* two 3x3 convolutions */
    FV_RESNET_BOTTLENECK, /* 1x1, 3x3 with the stride, 1x1 to four times the width */
};
struct fv__resnet {
    enum fv__resnet_block block;
    int blocks[4];
    int squeeze; /* channels are gated by squeeze and excitation, through a layer of a 16th of them */
};
/* `blocks` blocks, "<name>.0" and on, of that width; the first has the stride. Each has a path around it, which is a
 * 1x1 convolution where the shape changes. */
int fv__resnet_stage(struct fv_net *n, const char *name, int in, int width, int stride, int blocks,
                     const struct fv__resnet *r);
/* The whole net: stem, four stages of 64 .. 512, mean, neck, head "fc". */
int fv__resnet_build(struct fv_net *n, const struct fv_arch_settings *s,
                     const struct fv__resnet *r);

#endif
