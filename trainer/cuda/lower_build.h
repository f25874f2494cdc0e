/* SPDX-License-Identifier: MIT */
/* A lowered program while it is being made, for the files of the lowering. */
#ifndef FV_TRAINER_CUDA_LOWER_BUILD_H
#define FV_TRAINER_CUDA_LOWER_BUILD_H

#include "trainer/cuda/lower.h"

/* Nodes that one kernel computes: y = act(base [+ r]), where base is a batch norm, a product or a sum. The value
 * belongs to the last of them, the root. A unit stays open until somebody reads it: a batch norm may gain a
 * residual, then an activation, and in the end a convolution may apply it while reading, so that y is never
 * written. */
enum fv__low_unit_kind { FV__LOW_NO_UNIT, FV__LOW_UNIT_BN, FV__LOW_UNIT_SCALE, FV__LOW_UNIT_ADD };
struct fv__low_unit {
    enum fv__low_unit_kind kind;
    int base;     /* node: the BN, the scale, the addition */
    int bn2;      /* BN whose output is the residual, -1: none */
    int r;        /* node that is the residual as it stands, -1: none */
    int act_node; /* -1: none */
    enum fv_low_act act;
    int written; /* y exists; else those who read it recompute it */
    int reduced; /* backward: dz, the masked gradient, and the sums for the batch norm exist */
};

enum { FV__LOW_PIECES = 8 };
struct fv__low_value {
    enum fv_low_dtype dtype;
    int live;    /* the loss or the embedding depends on it */
    int tail;    /* 1x1 pixels and only on the way to the loss: fp32 */
    int trains;  /* a tensor of it, or of what it is made from, gets a gradient */
    int uses;    /* live nodes that read it, each time counted */
    int buffer;  /* -1 while the unit is open, or fused away */
    int cast;    /* the same in the other type, -1 */
    int pad;     /* channels with padding */
    int part_of; /* the root of the unit that computes it; itself where it is one; -1 */
    struct fv__low_unit unit;
    /* CONV whose graph gives the sums, and BN */
    int stat0, stat1, scale, shift, mean, rstd, finalize, coef;
    int index; /* MAXPOOL */
    int open;  /* a unit of a batch norm with a residual: bits of what passed its activation */
    int unit_x, norm_x, unit_w, norm_w; /* COSINE: rows of length 1, and what they were */
    /* backward: buffers whose sum is the gradient, once `left` nodes have given theirs */
    int piece[FV__LOW_PIECES], pieces, left;
    int scaled, scaled_dy; /* SCALE node whose gradient by this value is still to be computed, -1 */
    int pool;              /* MAXPOOL node that applies this unit itself, -1: none */
    int pool_dy, pool_dy2; /* backward: the gradient by the pool's output, -1 */
};

struct fv__low_build {
    struct fv_lowered *l;
    const struct fv_net *net;
    const struct fv_lower_settings *s;
    int error; /* the first failure; all that follows is skipped */
    struct fv__low_value *value;
    int *work, *master, *grad; /* buffers by tensor, -1: not yet made */
    int *stat;                 /* buffers by tensor: batch statistics */
    int label, label_mix, lambda, control, items, hits, loss_embedding;
};

static inline struct fv__low_value *fv__low_val(struct fv__low_build *b, int node)
{
    return &b->value[node];
}

int fv__low_fail(struct fv__low_build *b, int code);
static inline int fv__low_pad(int channels)
{
    return (channels + 7) / 8 * 8;
}
/* All give an index, or -1 once the build has failed. */
int fv__low_buffer(struct fv__low_build *b, enum fv_low_space space, enum fv_low_dtype t,
                   size_t count, int node, const char *what);
/* In a space that is not the arena, at an element or byte of it. */
int fv__low_view(struct fv__low_build *b, enum fv_low_space space, enum fv_low_dtype t,
                 size_t count, size_t byte, int node, const char *what);
/* An activation-shaped buffer of the node's output (or gradient). */
int fv__low_image(struct fv__low_build *b, int node, enum fv_low_dtype t, const char *what);
int fv__low_vector(struct fv__low_build *b, int node,
                   const char *what); /* fp32, channels of node */
/* Appends an op. Its address is valid until the next one; NULL once the build has failed. */
struct fv_low_op *fv__low_op(struct fv__low_build *b, enum fv_low_kind kind, int node);
/* The weights as kernels read them, the masters, the gradient of a tensor; -1 where tensor is. */
int fv__low_weight(struct fv__low_build *b, int tensor);
int fv__low_master(struct fv__low_build *b, int tensor);
int fv__low_grad(struct fv__low_build *b, int tensor);
int fv__low_batch_stat(struct fv__low_build *b, int tensor);
/* Whether the caller's device can run this graph for the convolution `node`. */
int fv__low_can(struct fv__low_build *b, enum fv_low_graph graph, int node, int add);
#define FV__LOW_NORM_EPS 1e-12f
/* rows by columns, of NORMALISE. */
struct fv_low_shape fv__low_matrix(int rows, int columns);
struct fv_low_shape fv__low_shape(const struct fv__low_build *b, int node);
/* How many groups of the convolution become one: all, but of a depthwise one. */
int fv__low_merged(const struct fv_net *net, int node);
/* A convolution of one pixel is a product of matrices. */
int fv__low_is_product(const struct fv_net *net, int node);
/* The op's view of what every step has: loss, flags, ticket. */
int fv__low_control(struct fv__low_build *b);
/* A batch norm that works by its running statistics in training too. */
int fv__low_is_frozen_bn(const struct fv__low_build *b, int node);
/* Whether a batch norm's scale is trained; one that is not is 1. */
int fv__low_learns_scale(const struct fv_net *net, const struct fv_node *bn);
int fv__low_is_depthwise(const struct fv_net *net, int node);

/* lower_params.c */
int fv__low_slots(struct fv__low_build *b);   /* before the ops */
int fv__low_buckets(struct fv__low_build *b); /* after backward: inserts the BUCKET ops */
void fv__low_update(struct fv__low_build *b);
/* lower_forward.c, lower_forward_units.c */
void fv__low_forward(struct fv__low_build *b);
/* The node's value as a buffer of this type: written now if its unit is still open, converted if need be. */
int fv__low_read(struct fv__low_build *b, int node, enum fv_low_dtype t);
int fv__low_convert(struct fv__low_build *b, int buffer, int node, enum fv_low_dtype t,
                    const char *what);
/* x times the node's factors, forward and backward. */
int fv__low_dropout(struct fv__low_build *b, int node, int x);
/* lower_backward.c */
void fv__low_backward(struct fv__low_build *b);
/* lower_memory.c */
int fv__low_place(struct fv_lowered *l, int keep);

#endif
