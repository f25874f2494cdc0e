/* SPDX-License-Identifier: MIT */
/* What the files of forward's lowering share: lower_forward.c and lower_forward_units.c. */
#ifndef FV_TRAINER_CUDA_LOWER_FORWARD_H
#define FV_TRAINER_CUDA_LOWER_FORWARD_H

#include "trainer/cuda/lower_build.h"

/* The node's value lies in this buffer. */
static inline void fv__low_finish_value(struct fv__low_build *b, int node, int buffer)
{
    b->value[node].buffer = buffer;
    b->value[node].part_of = node;
}

/* Whether the unit that ends at `node` is open and nothing but one node reads it. */
int fv__low_is_open(struct fv__low_build *b, int node);

void fv__low_forward_bn(struct fv__low_build *b, int node);
void fv__low_forward_relu(struct fv__low_build *b, int node);
void fv__low_forward_relu6(struct fv__low_build *b, int node);
void fv__low_forward_prelu(struct fv__low_build *b, int node);
void fv__low_forward_sigmoid(struct fv__low_build *b, int node);
void fv__low_forward_scale(struct fv__low_build *b, int node);
void fv__low_forward_add(struct fv__low_build *b, int node);

#endif
