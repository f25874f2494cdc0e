/* SPDX-License-Identifier: MIT */
/* Convolutions as operation graphs of cuDNN's backend API, for a GPU of this machine or for one that is only described.
 *
 * A graph is what cuDNN plans for: a convolution forward, one of its two gradients, or one of them together with the
 * parts of batch norms around it. All tensors are NHWC in one storage type, sums and the numbers of batch norms are
 * fp32. Whether a graph can be had depends on device, type and shape, so it is asked (cudnn_plan.h) and never assumed.
 *
 * Graph API: the cuDNN 9 reference, "cudnnBackend" descriptors. The fused graphs are those of the field's fastest
 * ResNet: their names in cuDNN's documentation stand beside each.
 */
#ifndef FV_TRAINER_CUDA_CUDNN_GRAPH_H
#define FV_TRAINER_CUDA_CUDNN_GRAPH_H

#include <stddef.h>
#include <stdint.h>

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
/* Bytes of an argument; 0 if the graph has none of that role. */
size_t fv_conv_role_bytes(const struct fv_conv_key *k, enum fv_conv_role role);

/* Where graphs are planned for. */
struct fv_cudnn {
    void *handle;      /* cudnnHandle_t, or NULL for a described device */
    void *description; /* the described device's descriptor, or NULL */
    size_t version;    /* cudnnGetVersion() */
    char device[128];  /* "NVIDIA H200, sm_90, 132 SMs": keys the cache */
};
/* A device as cuDNN's JSON describes it (CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION); plans are made for it and cannot
 * be run. FV_EUNSUPPORTED where this cuDNN takes no descriptions, FV_ECORRUPT for text that is none. */
int fv_cudnn_describe(struct fv_cudnn **out, const char *json);
/* The current CUDA device; `device` names it. */
int fv_cudnn_open(struct fv_cudnn **out, const char *device);
void fv_cudnn_close(struct fv_cudnn **c); /* accepts NULL */

/* Internal to the cudnn_*.c files. */

typedef void *fv__cudnn_desc; /* cudnnBackendDescriptor_t */

struct fv__cudnn_graph {
    fv__cudnn_desc all[160], op[10], graph;
    int count, ops;
    int error; /* the first failure; its sentence is recorded */
};
int fv__cudnn_graph_make(struct fv__cudnn_graph *g, const struct fv_cudnn *c,
                         const struct fv_conv_key *key);
void fv__cudnn_graph_free(struct fv__cudnn_graph *g);
/* More descriptors that live as long as the graph; of cudnnBackend...Type_t and ..._Name_t. Each does nothing once
 * g->error is set. */
fv__cudnn_desc fv__cudnn_make(struct fv__cudnn_graph *g, int type);
void fv__cudnn_set(struct fv__cudnn_graph *g, fv__cudnn_desc d, int name, int type, int64_t count,
                   const void *value);
void fv__cudnn_finish(struct fv__cudnn_graph *g, fv__cudnn_desc d, const char *what);
/* FV_EBACKEND with cuDNN's own words, unless status is 0. */
int fv__cudnn_check(int status, const char *what);

#endif
