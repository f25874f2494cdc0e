/* SPDX-License-Identifier: MIT */
/* Gradients while backward is lowered, for its files: lower_backward.c (the walk, and how pieces of a gradient come
 * together), lower_backward_units.c (units of batch norm, product or sum), lower_backward_conv.c (convolutions and
 * matrix products). */
#ifndef FV_TRAINER_CUDA_LOWER_BACKWARD_H
#define FV_TRAINER_CUDA_LOWER_BACKWARD_H

#include "trainer/cuda/lower_build.h"

/* A buffer for the gradient by the node's value. */
static inline int fv__low_gradient(struct fv__low_build *b, int node, const char *what)
{
    return fv__low_image(b, node, b->value[node].dtype, what);
}

static inline int fv__low_needs_gradient(const struct fv__low_build *b, int node)
{
    return b->value[node].trains;
}

struct fv__low_incoming {
    int dy, dy2; /* buffers, -1: none */
};
/* The gradient by the value of `node`, as at most `most` (1 or 2) buffers. */
struct fv__low_incoming fv__low_collect(struct fv__low_build *b, int node, int most);
void fv__low_set_incoming(struct fv_low_op *op, struct fv__low_incoming in);
/* A node that reads `node` hands over its share of the gradient. */
void fv__low_give(struct fv__low_build *b, int node, int buffer);
/* The gradient of the product that waits at the image `node`: dy * s [+ dmean / (h * w)]. */
void fv__low_write_scaled(struct fv__low_build *b, int node, int dmean);

/* Operands of what makes the gradients of a batch norm's parameters from sums. */
struct fv__low_bn_sums {
    int gamma, dgamma, dbeta, coef;
};
struct fv__low_bn_sums fv__low_bn_gradients(struct fv__low_build *b, int bn);
void fv__low_set_bn_gradients(struct fv__low_build *b, struct fv_low_op *op, int bn,
                              struct fv__low_bn_sums s);

/* An activation alone, or that of a sum: the gradient by what goes into it. */
int fv__low_back_act(struct fv__low_build *b, int node, enum fv_low_act act);
void fv__low_back_unit(struct fv__low_build *b, int root);
void fv__low_back_conv(struct fv__low_build *b, int node);
void fv__low_back_fc(struct fv__low_build *b, int node);
void fv__low_back_cosine(struct fv__low_build *b, int node);

#endif
