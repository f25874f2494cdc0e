/* SPDX-License-Identifier: MIT */
/* Inside standin_cudnn*.c: descriptors as records of attributes, and a finished graph as tensors and operations. */
#ifndef FV_TESTS_STANDIN_CUDNN_GRAPH_H
#define FV_TESTS_STANDIN_CUDNN_GRAPH_H

#include "tests/cuda/standin/standin_cudnn.h"

struct standin_attr {
    int name, type;
    int64_t count;
    void *value;
};
struct standin_desc {
    uint32_t magic;
    cudnnBackendDescriptorType_t type;
    int final;
    struct standin_attr attr[16];
    int attrs;
    struct standin_program *program;     /* of a graph, and of what is made for it */
    const struct standin_engine *engine; /* of an engine and of what is made with it */
    const struct standin_config *config; /* of a configuration that the heuristics gave */
    struct standin_desc *next;
};
struct standin_handle {
    uint32_t magic;
    cudaStream_t stream;
};

/* NULL: not set. */
const struct standin_attr *standin_cudnn_find(const struct standin_desc *d, int name);
/* The value of an attribute that there is. */
int64_t standin_cudnn_int64(const struct standin_desc *d, int name, int64_t i);
int standin_cudnn_enum(const struct standin_desc *d, int name);
double standin_cudnn_real(const struct standin_desc *d, int name, double otherwise);
struct standin_desc *standin_cudnn_desc(const struct standin_desc *d, int name, int64_t i);
/* Checks that it is a descriptor that was made and not destroyed, and so is all that it refers to. */
struct standin_desc *standin_cudnn_live_desc(void *d, const char *what);
struct standin_handle *standin_cudnn_live_handle(const void *h);
void standin_cudnn_keep(struct standin_desc *d, int name, int type, int64_t count,
                        const void *value);
const char *standin_cudnn_type_name(int descriptor);
/* The status, with a sentence for cudnnGetLastErrorString. */
cudnnStatus_t standin_cudnn_refuse(cudnnStatus_t status, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Of Finalize: whether tensors, operations and graphs are what they may be. */
void standin_cudnn_judge(struct standin_desc *d);
/* Of engines, configurations, plans, heuristics: may refuse. */
cudnnStatus_t standin_cudnn_plan(struct standin_desc *d);
cudnnStatus_t standin_cudnn_answer(struct standin_desc *d, int name, int64_t asked, int64_t *count,
                                   void *out);

/* How long a run of a plan takes. */
double standin_cudnn_us(const struct standin_desc *plan);

/* A graph, taken from its descriptors. */
enum { STANDIN_TENSORS = 48, STANDIN_OPS = 16, STANDIN_INPUTS = 5, STANDIN_OUTPUTS = 5 };
struct standin_tensor {
    int64_t id, dim[4], stride[4], align;
    cudnnDataType_t type;
    int is_virtual, made_by, uses; /* made_by: an operation's place; -1: the caller */
};
struct standin_op {
    cudnnBackendDescriptorType_t kind;
    int in[STANDIN_INPUTS], out[STANDIN_OUTPUTS], ins, outs; /* places of tensors */
    double alpha, beta;                                      /* of a pointwise: alpha1, alpha2 */
    int mode;                                                /* of a pointwise or a convolution */
    double lower, upper, slope;
    int64_t pre[2], post[2], step[2], dilation[2];
};
struct standin_program {
    int refs;
    struct standin_tensor tensor[STANDIN_TENSORS];
    struct standin_op op[STANDIN_OPS]; /* each behind what makes its inputs */
    int tensors, ops;
    enum standin_pattern pattern;
    cudnnDataType_t io;
};
void standin_cudnn_drop_program(struct standin_program *p);
/* Whether a graph is one of the fused ones, and in the types that those demand. */
enum standin_pattern standin_cudnn_pattern(const struct standin_program *p);

/* Bytes that a tensor reaches over. */
int64_t standin_cudnn_extent(const struct standin_tensor *t);
int64_t standin_cudnn_item(cudnnDataType_t t); /* bytes; 0: a type that is not played */
/* Rounds to a type, ties to even. */
void standin_cudnn_round(float *v, size_t count, cudnnDataType_t t);
void standin_cudnn_round_bits(float *v, size_t count, int mantissa_bits);
/* Between memory, by strides, and n, d2, d3, d1 in order: NHWC of an NCHW tensor. */
void standin_cudnn_load(const struct standin_tensor *t, const void *from, float *to);
void standin_cudnn_store(const struct standin_tensor *t, const float *from, void *to);
/* One operation over values in that order; in[i] and out[i] as op->in and op->out. */
void standin_cudnn_evaluate(const struct standin_program *p, const struct standin_op *op,
                            float *const in[], float *const out[]);
void standin_cudnn_convolve(const struct standin_program *p, const struct standin_op *op,
                            float *const in[], float *out);

#endif
