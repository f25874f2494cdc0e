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

#include "trainer/cuda/conv_key.h"

#include <stddef.h>
#include <stdint.h>

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
