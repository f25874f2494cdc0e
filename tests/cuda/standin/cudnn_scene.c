/* SPDX-License-Identifier: MIT */
#include "tests/cuda/standin/cudnn_scene.h"

#include "tests/cuda/standin/standin_cudnn.h"

#include "tests/cmocka_all.h"

struct scene scene;

struct tensor scene_nhwc(int64_t id, int64_t n, int64_t c, int64_t h, int64_t w, int is_virtual)
{
    return (struct tensor){id,
                           {n, c, h, w},
                           {c * h * w, 1, w * c, c},
                           16,
                           is_virtual ? CUDNN_DATA_FLOAT : CUDNN_DATA_HALF,
                           is_virtual,
                           4};
}

int scene_begin(void **state)
{
    (void)state;
    standin_cudnn_reset();
    scene = (struct scene){.stride = {1, 1},
                           .pre = {1, 1},
                           .post = {1, 1},
                           .dilation = {1, 1},
                           .spatial = 2,
                           .sizes = 2,
                           .add = CUDNN_POINTWISE_ADD,
                           .add_b = SHIFT,
                           .add_y = SHIFTED,
                           .scale_y = SCALED,
                           .stats_x = Y,
                           .engine = 30,
                           .pack = SCALED,
                           .workspace = 70000};
    scene.t[X] = scene_nhwc(10, 2, 8, 6, 6, 0);
    scene.t[W] = scene_nhwc(11, 16, 8, 3, 3, 0);
    scene.t[Y] = scene_nhwc(12, 2, 16, 6, 6, 0);
    scene.t[SUM] = scene_nhwc(13, 1, 16, 1, 1, 0);
    scene.t[SQUARES] = scene_nhwc(14, 1, 16, 1, 1, 0);
    scene.t[SCALE] = scene_nhwc(15, 1, 8, 1, 1, 0);
    scene.t[SHIFT] = scene_nhwc(16, 1, 8, 1, 1, 0);
    scene.t[SUM].type = scene.t[SQUARES].type = CUDNN_DATA_FLOAT;
    for (int i = SCALED; i < TENSORS; i++)
        scene.t[i] = scene_nhwc(10 + i, 2, 8, 6, 6, 1);
    for (int i = 0; i < TENSORS; i++)
        scene.pack_id[i] = scene.t[i].id;
    scene.conv_type = scene.pw_type = scene.stats_type = CUDNN_DATA_FLOAT;
    return 0;
}

desc scene_make(cudnnBackendDescriptorType_t type)
{
    desc d;
    assert_int_equal(cudnnBackendCreateDescriptor(type, &d), CUDNN_STATUS_SUCCESS);
    return d;
}

void scene_set(desc d, cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type,
               int64_t count, const void *value)
{
    assert_int_equal(cudnnBackendSetAttribute(d, name, type, count, value), CUDNN_STATUS_SUCCESS);
}

void scene_refer(desc d, cudnnBackendAttributeName_t name, desc to)
{
    scene_set(d, name, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &to);
}

desc scene_finish(desc d)
{
    assert_int_equal(cudnnBackendFinalize(d), CUDNN_STATUS_SUCCESS);
    return d;
}

desc scene_tensor(int i)
{
    const struct tensor *t = &scene.t[i];
    desc d = scene_make(OF(TENSOR));
    scene_set(d, CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &t->type);
    scene_set(d, CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, t->dims, t->dim);
    scene_set(d, CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, t->dims, t->stride);
    scene_set(d, CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, 1, &t->id);
    scene_set(d, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, CUDNN_TYPE_INT64, 1, &t->align);
    scene_set(d, CUDNN_ATTR_TENSOR_IS_VIRTUAL, CUDNN_TYPE_BOOLEAN, 1, &t->is_virtual);
    return scene_finish(d);
}

desc scene_pointwise(int mode, int x, int b, int y)
{
    desc pw = scene_make(OF(POINTWISE)), op = scene_make(OP(POINTWISE));
    scene_set(pw, CUDNN_ATTR_POINTWISE_MODE, CUDNN_TYPE_POINTWISE_MODE, 1, &mode);
    scene_set(pw, CUDNN_ATTR_POINTWISE_MATH_PREC, CUDNN_TYPE_DATA_TYPE, 1, &scene.pw_type);
    scene_refer(op, CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, scene_finish(pw));
    scene_refer(op, CUDNN_ATTR_OPERATION_POINTWISE_XDESC, scene_tensor(x));
    if (b >= 0)
        scene_refer(op, CUDNN_ATTR_OPERATION_POINTWISE_BDESC, scene_tensor(b));
    if (y >= 0)
        scene_refer(op, CUDNN_ATTR_OPERATION_POINTWISE_YDESC, scene_tensor(y));
    return scene_finish(op);
}

static desc conv_mode(cudnnConvolutionMode_t mode)
{
    desc c = scene_make(OF(CONVOLUTION));
    scene_set(c, CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, CUDNN_TYPE_INT64, 1, &scene.spatial);
    scene_set(c, CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &scene.conv_type);
    scene_set(c, CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_TYPE_CONVOLUTION_MODE, 1, &mode);
    scene_set(c, CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, CUDNN_TYPE_INT64, scene.sizes,
              scene.stride);
    scene_set(c, CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, CUDNN_TYPE_INT64, scene.sizes, scene.pre);
    scene_set(c, CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, CUDNN_TYPE_INT64, scene.sizes, scene.post);
    scene_set(c, CUDNN_ATTR_CONVOLUTION_DILATIONS, CUDNN_TYPE_INT64, scene.sizes, scene.dilation);
    return scene_finish(c);
}

desc scene_forward(int x, cudnnConvolutionMode_t mode, float alpha, float beta)
{
    desc op = scene_make(OP(CONVOLUTION_FORWARD));
    scene_refer(op, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC, conv_mode(mode));
    scene_refer(op, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X, scene_tensor(x));
    scene_refer(op, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W, scene_tensor(W));
    scene_refer(op, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y, scene_tensor(Y));
    scene_set(op, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA, CUDNN_TYPE_FLOAT, 1, &alpha);
    scene_set(op, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA, CUDNN_TYPE_FLOAT, 1, &beta);
    return scene_finish(op);
}

static desc stats(void)
{
    const cudnnGenStatsMode_t mode = CUDNN_GENSTATS_SUM_SQSUM;
    desc op = scene_make(OP(GEN_STATS));
    scene_set(op, CUDNN_ATTR_OPERATION_GENSTATS_MODE, CUDNN_TYPE_GENSTATS_MODE, 1, &mode);
    scene_set(op, CUDNN_ATTR_OPERATION_GENSTATS_MATH_PREC, CUDNN_TYPE_DATA_TYPE, 1,
              &scene.stats_type);
    scene_refer(op, CUDNN_ATTR_OPERATION_GENSTATS_XDESC, scene_tensor(scene.stats_x));
    scene_refer(op, CUDNN_ATTR_OPERATION_GENSTATS_SUMDESC, scene_tensor(SUM));
    scene_refer(op, CUDNN_ATTR_OPERATION_GENSTATS_SQSUMDESC, scene_tensor(SQUARES));
    return scene_finish(op);
}

desc scene_batch_norm(int dy, int mean, cudnnDataType_t math)
{
    desc op = scene_make(OP(BN_BWD_WEIGHTS));
    scene_set(op, CUDNN_ATTR_OPERATION_BN_BWD_WEIGHTS_MATH_PREC, CUDNN_TYPE_DATA_TYPE, 1, &math);
    for (int n = CUDNN_ATTR_OPERATION_BN_BWD_WEIGHTS_MEAN_DESC;
         n <= CUDNN_ATTR_OPERATION_BN_BWD_WEIGHTS_EQ_BIAS; n++)
        scene_refer(op, (cudnnBackendAttributeName_t)n,
                    scene_tensor(n == CUDNN_ATTR_OPERATION_BN_BWD_WEIGHTS_X_DESC    ? X
                                 : n == CUDNN_ATTR_OPERATION_BN_BWD_WEIGHTS_DY_DESC ? dy
                                                                                    : mean));
    return scene_finish(op);
}

desc scene_graph_of(cudnnHandle_t h, int64_t count, desc *ops)
{
    desc g = scene_make(OF(OPERATIONGRAPH));
    scene_set(g, CUDNN_ATTR_OPERATIONGRAPH_OPS, CUDNN_TYPE_BACKEND_DESCRIPTOR, count, ops);
    scene_set(g, CUDNN_ATTR_OPERATIONGRAPH_HANDLE, CUDNN_TYPE_HANDLE, 1, &h);
    return scene_finish(g);
}

desc scene_graph(cudnnHandle_t h)
{
    desc ops[5];
    ops[0] = scene_pointwise(CUDNN_POINTWISE_MUL, X, SCALE, scene.scale_y);
    ops[1] = scene_pointwise(scene.add, SCALED, scene.add_b, scene.add_y);
    ops[2] = scene_pointwise(CUDNN_POINTWISE_RELU_FWD, SHIFTED, -1, ACTIVE);
    ops[3] = scene_forward(ACTIVE, CUDNN_CROSS_CORRELATION, 1, 0);
    ops[4] = stats();
    return scene_graph_of(h, 5, ops);
}

desc scene_plan(cudnnHandle_t h, desc g, int64_t index)
{
    desc engine = scene_make(OF(ENGINE)), config = scene_make(OF(ENGINECFG)),
         plan = scene_make(OF(EXECUTION_PLAN));
    scene_refer(engine, CUDNN_ATTR_ENGINE_OPERATION_GRAPH, g);
    scene_set(engine, CUDNN_ATTR_ENGINE_GLOBAL_INDEX, CUDNN_TYPE_INT64, 1, &index);
    scene_refer(config, CUDNN_ATTR_ENGINECFG_ENGINE, scene_finish(engine));
    scene_set(plan, CUDNN_ATTR_EXECUTION_PLAN_HANDLE, CUDNN_TYPE_HANDLE, 1, &h);
    scene_refer(plan, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, scene_finish(config));
    return scene_finish(plan);
}

static desc pack(void)
{
    void *workspace = scene.at[TENSORS];
    desc p = scene_make(OF(VARIANT_PACK));
    scene_set(p, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64, scene.pack, scene.pack_id);
    scene_set(p, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, scene.pack, scene.at);
    scene_set(p, CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, 1, &workspace);
    return scene_finish(p);
}

cudnnHandle_t scene_opened(void)
{
    cudnnHandle_t h;
    assert_int_equal(cudnnCreate(&h), CUDNN_STATUS_SUCCESS);
    return h;
}

void scene_place(void)
{
    for (int i = 0; i <= TENSORS; i++) {
        const struct tensor *t = &scene.t[i];
        const int64_t count = i < TENSORS ? t->dim[0] * t->dim[1] * t->dim[2] * t->dim[3] : 0;
        void *p = NULL;
        assert_int_equal(cudaMalloc(&p, i < TENSORS ? (size_t)count * 4 : scene.workspace), 0);
        scene.at[i] = p;
    }
}

void scene_execute(cudnnHandle_t h, desc plan)
{
    assert_int_equal(cudnnBackendExecute(h, plan, pack()), CUDNN_STATUS_SUCCESS);
    cudaStreamSynchronize(NULL);
}

void scene_play(void)
{
    cudnnHandle_t h = scene_opened();
    desc plan = scene_plan(h, scene_graph(h), scene.engine);
    if (!scene.at[0])
        scene_place();
    scene_execute(h, plan);
}
