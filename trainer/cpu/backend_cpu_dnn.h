/* SPDX-License-Identifier: MIT */
/* How oneDNN's primitives are made, behind functions of ours. Only this part of its C API differs between 2.x and
 * 3.x, which did away with operation descriptors and made memory descriptors opaque; so a descriptor is opaque here
 * too. What runs primitives (dnnl_memory_t, dnnl_exec_arg_t, dnnl_primitive_execute) is used as it is.
 *
 * backend_cpu_dnn2.c makes them with 2.6 and 2.7, backend_cpu_dnn3.c with 3.x; backend_cpu_dnn.c is the same for any
 * version. Everything is fp32. Functions return 0, or FV_EUNSUPPORTED when the library has no implementation for
 * the request and FV_EBACKEND when it fails.
 */
#ifndef FV_TRAINER_BACKEND_CPU_DNN_H
#define FV_TRAINER_BACKEND_CPU_DNN_H

#include <oneapi/dnnl/dnnl.h>
#include <stddef.h>

enum fv__dnn_layout {
    FV_DNN_ANY,   /* the library chooses */
    FV_DNN_PLAIN, /* row-major in the order of the dimensions: (N,C,H,W), (O,I,H,W), (G,O,I,H,W) */
    FV_DNN_CHANNELS_LAST, /* (N,H,W,C): four dimensions */
};

/* A shape and how it lies in memory. */
struct fv__dnn_md;
int fv__dnn_md_new(struct fv__dnn_md **out, int ndim, const int *dim, enum fv__dnn_layout layout);
void fv__dnn_md_free(struct fv__dnn_md **md); /* accepts NULL */
int fv__dnn_md_equal(const struct fv__dnn_md *a, const struct fv__dnn_md *b);
size_t fv__dnn_md_bytes(const struct fv__dnn_md *md);
/* What a scratchpad of this descriptor has to be given. */
size_t fv__dnn_scratchpad_bytes(const struct fv__dnn_md *scratchpad);
/* How many channels of a pixel lie side by side, where a 4-d (N,C,H,W) lies as (N, C / lanes, H, W, lanes), C rounded
 * up: 1 for the plain layout, C for (N,H,W,C), the block of a blocked one. 0: it lies otherwise. */
size_t fv__dnn_md_lanes(const struct fv__dnn_md *md);
/* A memory object without storage. */
int fv__dnn_memory_new(dnnl_memory_t *out, dnnl_engine_t engine, const struct fv__dnn_md *md);

/* A primitive and the descriptor that it was made from; backward passes are made with that of their forward
 * pass. Scratchpads belong to the caller. */
struct fv__dnn_op {
    dnnl_primitive_desc_t desc;
    dnnl_primitive_t primitive;
};
void fv__dnn_op_free(struct fv__dnn_op *op); /* accepts a zeroed op */
/* A descriptor of the primitive's: its layouts, once made from FV_DNN_ANY; the caller frees it. A query for
 * something that the primitive lacks (a scratchpad, a workspace) gives a descriptor of 0 bytes. */
int fv__dnn_op_md(struct fv__dnn_md **out, const struct fv__dnn_op *op, dnnl_query_t what);
/* Of the implementation: "jit:avx512_core". */
const char *fv__dnn_op_name(const struct fv__dnn_op *op);

struct fv__dnn_conv {
    int stride, pad;
    int winograd; /* by Winograd's minimal filtering where the library can, else directly */
    int training;
    int sum;     /* post-operations of inference: add what dst holds, */
    float limit; /* then a ReLU up to this; 0: none */
};
/* bias may be NULL. */
int fv__dnn_conv_forward(struct fv__dnn_op *op, dnnl_engine_t e, const struct fv__dnn_conv *c,
                         const struct fv__dnn_md *src, const struct fv__dnn_md *weights,
                         const struct fv__dnn_md *bias, const struct fv__dnn_md *dst);
int fv__dnn_conv_backward_data(struct fv__dnn_op *op, dnnl_engine_t e, const struct fv__dnn_conv *c,
                               const struct fv__dnn_md *src, const struct fv__dnn_md *weights,
                               const struct fv__dnn_md *dst, const struct fv__dnn_op *forward);
int fv__dnn_conv_backward_weights(struct fv__dnn_op *op, dnnl_engine_t e,
                                  const struct fv__dnn_conv *c, const struct fv__dnn_md *src,
                                  const struct fv__dnn_md *weights, const struct fv__dnn_md *bias,
                                  const struct fv__dnn_md *dst, const struct fv__dnn_op *forward);

/* A pass of a convolution, for what differs between the versions: by the one algorithm or the other. */
struct fv__dnn_conv_pass {
    enum { FV_DNN_FORWARD, FV_DNN_BACKWARD_DATA, FV_DNN_BACKWARD_WEIGHTS } kind;
    const struct fv__dnn_conv *conv;
    const struct fv__dnn_md *src, *weights, *bias, *dst; /* bias may be NULL */
    const struct fv__dnn_op *forward;                    /* NULL of the forward pass itself */
};
int fv__dnn_conv_by(struct fv__dnn_op *op, dnnl_engine_t e, const struct fv__dnn_conv_pass *p,
                    dnnl_alg_kind_t alg);

struct fv__dnn_bn {
    float eps;
    int training; /* 0: by given statistics */
    int given;    /* in training too */
    int relu;     /* followed by a ReLU; its mask is the workspace in training */
};
int fv__dnn_bn_forward(struct fv__dnn_op *op, dnnl_engine_t e, const struct fv__dnn_bn *b,
                       const struct fv__dnn_md *data);
int fv__dnn_bn_backward(struct fv__dnn_op *op, dnnl_engine_t e, const struct fv__dnn_bn *b,
                        const struct fv__dnn_md *data, const struct fv__dnn_op *forward);
/* Whether DNNL_ARG_SHIFT is an argument of the backward pass: executing it with one too many fails, as does one
 * too few. */
int fv__dnn_bn_backward_takes_shift(void);

struct fv__dnn_pool {
    int window_h, window_w, stride, pad;
    int mean; /* 0: maximum */
    int training;
};
int fv__dnn_pool_forward(struct fv__dnn_op *op, dnnl_engine_t e, const struct fv__dnn_pool *p,
                         const struct fv__dnn_md *src, const struct fv__dnn_md *dst);
int fv__dnn_pool_backward(struct fv__dnn_op *op, dnnl_engine_t e, const struct fv__dnn_pool *p,
                          const struct fv__dnn_md *src, const struct fv__dnn_md *dst,
                          const struct fv__dnn_op *forward);

/* (N,C) by (O,C); bias may be NULL. */
int fv__dnn_fc_forward(struct fv__dnn_op *op, dnnl_engine_t e, int training,
                       const struct fv__dnn_md *src, const struct fv__dnn_md *weights,
                       const struct fv__dnn_md *bias, const struct fv__dnn_md *dst);
int fv__dnn_fc_backward_data(struct fv__dnn_op *op, dnnl_engine_t e, const struct fv__dnn_md *src,
                             const struct fv__dnn_md *weights, const struct fv__dnn_md *dst,
                             const struct fv__dnn_op *forward);
int fv__dnn_fc_backward_weights(struct fv__dnn_op *op, dnnl_engine_t e,
                                const struct fv__dnn_md *src, const struct fv__dnn_md *weights,
                                const struct fv__dnn_md *bias, const struct fv__dnn_md *dst,
                                const struct fv__dnn_op *forward);

int fv__dnn_reorder(struct fv__dnn_op *op, dnnl_engine_t e, const struct fv__dnn_md *from,
                    const struct fv__dnn_md *to);

/* What of a layout fv__dnn_md_lanes looks at. */
struct fv__dnn_blocking {
    int ndim, blocks; /* inner blocks */
    const dnnl_dim_t *dim, *padded, *stride, *block, *blocked_dim;
};
size_t fv__dnn_lanes(const struct fv__dnn_blocking *b);

/* Whatever the version: the sentence for a status; a layout's tag; the attribute every primitive has; the end of every
 * creation, which takes over `attr` and turns a descriptor into a primitive; oneDNN's words for the requests above. */
int fv__dnn_fail(dnnl_status_t status, const char *what);
dnnl_format_tag_t fv__dnn_tag(int ndim, enum fv__dnn_layout layout);
int fv__dnn_attr_new(dnnl_primitive_attr_t *out);
int fv__dnn_op_finish(struct fv__dnn_op *op, dnnl_status_t desc_status, dnnl_primitive_attr_t attr,
                      const char *what);
struct fv__dnn_window {
    dnnl_dims_t stride, window, pad;
};
struct fv__dnn_window fv__dnn_window(int h, int w, int stride, int pad);
dnnl_prop_kind_t fv__dnn_forward_kind(int training);
unsigned fv__dnn_bn_flags(const struct fv__dnn_bn *b);
dnnl_alg_kind_t fv__dnn_pool_alg(const struct fv__dnn_pool *p);
dnnl_alg_kind_t fv__dnn_relu_alg(float limit);

#endif
