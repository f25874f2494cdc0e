/* SPDX-License-Identifier: MIT */
/* A convolution as cuDNN is asked for it: graph, storage type, shape, and which operand of a lowered op is which of the
 * graph's arguments. Plain C, without cuDNN, so that every op of every lowered net can be checked against it anywhere.
 */
#ifndef FV_TRAINER_CUDA_CONV_KEY_H
#define FV_TRAINER_CUDA_CONV_KEY_H

#include "trainer/cuda/lower.h"

enum fv_cudnn_type { FV_CUDNN_F32, FV_CUDNN_BF16, FV_CUDNN_F16, FV_CUDNN_TYPES };
extern const char *const fv_cudnn_type_names[FV_CUDNN_TYPES]; /* "fp32", "bf16", "fp16" */

enum fv_conv_graph {
    FV_CONV_FORWARD, /* y = conv(x, w) */
    FV_CONV_DGRAD,   /* dx = conv'(dy, w) */
    FV_CONV_WGRAD,   /* dw = conv'(dy, x) */
    /* y, and per channel of y its sum and its sum of squares (ConvFprop + GenStats) */
    FV_CONV_FORWARD_STATS,
    /* a = relu(x * scale + shift), never written; y = conv(a, w) and its sums (ConvBNfprop) */
    FV_CONV_BN_FORWARD_STATS,
    /* a as above; dw = conv'(dy, a) (ConvBNwgrad) */
    FV_CONV_BN_WGRAD,
    /* g = conv'(dy, w) where relu((x - mean) * rstd * gamma + beta) is open, and all of that batch norm's backward
     * but one pass: dgamma, dbeta, and eq_* such that the gradient of x is eq_dy * g + eq_x * x + eq_b
     * (DgradDreluBNBwdWeight) */
    FV_CONV_DGRAD_BN,
    FV_CONV_GRAPHS
};
extern const char *const fv_conv_graph_names[FV_CONV_GRAPHS];

/* What an argument of a graph is. X and Y are the convolution's input and output, or the gradients by them. */
enum fv_conv_role {
    FV_CONV_X,
    FV_CONV_W,
    FV_CONV_Y,
    FV_CONV_SUM,
    FV_CONV_SQUARES,
    FV_CONV_SCALE, /* of the prologue; in the storage type */
    FV_CONV_SHIFT,
    FV_CONV_MEAN,
    FV_CONV_RSTD,
    FV_CONV_GAMMA,
    FV_CONV_BETA,
    FV_CONV_G,
    FV_CONV_DGAMMA,
    FV_CONV_DBETA,
    FV_CONV_EQ_DY,
    FV_CONV_EQ_X,
    FV_CONV_EQ_B,
    FV_CONV_ROLES
};

/* One graph of one shape. The window is square, without groups or dilation. With FV_CONV_DGRAD_BN, x is the input of
 * the batch norm whose activated output is the convolution's input. */
struct fv_conv_key {
    enum fv_conv_graph graph;
    enum fv_cudnn_type type;
    int n, h, w, c; /* x */
    int k, window, stride, pad;
};
/* "forward bf16 256x28x28x64 -> 64, 3x3/1 pad 1": names a shape to people and in the cache. */
void fv_conv_key_text(const struct fv_conv_key *k, char *out, size_t size);
static inline int fv_conv_out_size(const struct fv_conv_key *k, int size)
{
    return (size + 2 * k->pad - k->window) / k->stride + 1;
}
/* Bytes of an argument; 0 if the graph has none of that role. */
size_t fv_conv_role_bytes(const struct fv_conv_key *k, enum fv_conv_role role);

/* The key of an op or a query; 0 if there is no such graph: a convolution of groups, or a graph that only engines
 * compiled at run time have. */
int fv_conv_key_of(struct fv_conv_key *key, enum fv_low_kind kind, enum fv_low_graph graph,
                   enum fv_low_dtype type, const struct fv_low_shape *shape);
/* Which operand of the op is that argument of the graph; FV_LOW_ROLES: none (EQ_*: nobody asks for them). */
enum fv_low_role fv_conv_operand(const struct fv_conv_key *key, enum fv_conv_role role);

#endif
