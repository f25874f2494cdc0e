/* SPDX-License-Identifier: MIT */
/* A graph of cuDNN, for tests of the stand-in for it: y = conv(relu(x scale + shift), w) and its sums. It is made of a
 * record that a test changes first; every step must succeed. */
#ifndef FV_TESTS_CUDNN_SCENE_H
#define FV_TESTS_CUDNN_SCENE_H

#include <cudnn.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define OF(n) CUDNN_BACKEND_##n##_DESCRIPTOR
#define OP(n) CUDNN_BACKEND_OPERATION_##n##_DESCRIPTOR
typedef cudnnBackendDescriptor_t desc;

enum { X, W, Y, SUM, SQUARES, SCALE, SHIFT, SCALED, SHIFTED, ACTIVE, TENSORS };
struct tensor {
    int64_t id, dim[4], stride[4], align;
    cudnnDataType_t type;
    bool is_virtual;
    int dims;
};
extern struct scene {
    struct tensor t[TENSORS];
    int64_t stride[2], pre[2], post[2], dilation[2], spatial;
    int sizes; /* elements of those */
    cudnnDataType_t conv_type, pw_type, stats_type;
    int add;          /* the mode of the pointwise that adds */
    int add_b, add_y; /* its tensors; -1: none */
    int scale_y;
    int stats_x;
    int64_t engine, knob;
    int pack; /* tensors in the variant pack */
    int64_t pack_id[TENSORS];
    size_t workspace;
    char *at[TENSORS + 1];
} scene;

struct tensor scene_nhwc(int64_t id, int64_t n, int64_t c, int64_t h, int64_t w, int is_virtual);
int scene_begin(void **state); /* as it is when nothing was changed */

desc scene_make(cudnnBackendDescriptorType_t type);
void scene_set(desc d, cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type,
               int64_t count, const void *value);
void scene_refer(desc d, cudnnBackendAttributeName_t name, desc to);
desc scene_finish(desc d);

/* Tensors are named by their place. */
desc scene_tensor(int i);
desc scene_pointwise(int mode, int x, int b, int y);
desc scene_forward(int x, cudnnConvolutionMode_t mode, float alpha, float beta);
/* Its x is X; all vectors are the one given. */
desc scene_batch_norm(int dy, int vector, cudnnDataType_t math);
desc scene_graph_of(cudnnHandle_t h, int64_t count, desc *ops);
desc scene_graph(cudnnHandle_t h);
desc scene_plan(cudnnHandle_t h, desc graph, int64_t engine);
cudnnHandle_t scene_opened(void);

void scene_place(void);                         /* memory for all of it */
void scene_execute(cudnnHandle_t h, desc plan); /* and waits */
void scene_play(void);                          /* all of that */

#endif
