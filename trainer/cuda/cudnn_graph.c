/* SPDX-License-Identifier: MIT */
#include "trainer/cuda/cudnn_graph.h"

#include "common/err.h"

#include <cudnn.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static const cudnnDataType_t storage[FV_CUDNN_TYPES] = {CUDNN_DATA_FLOAT, CUDNN_DATA_BFLOAT16,
                                                        CUDNN_DATA_HALF};

int fv__cudnn_check(int status, const char *what)
{
    char text[400] = "";
    if (status == CUDNN_STATUS_SUCCESS)
        return 0;
    cudnnGetLastErrorString(text, sizeof text);
    return fv_err(FV_EBACKEND, "cuDNN: %s: %s%s%s", what,
                  cudnnGetErrorString((cudnnStatus_t)status), text[0] ? ": " : "", text);
}

/* Descriptors: each call does nothing once one has failed. */

static void note(struct fv__cudnn_graph *g, cudnnStatus_t status, const char *what)
{
    if (!g->error && status != CUDNN_STATUS_SUCCESS)
        g->error = fv__cudnn_check((int)status, what);
}

fv__cudnn_desc fv__cudnn_make(struct fv__cudnn_graph *g, int type)
{
    fv__cudnn_desc d = NULL;
    if (!g->error && g->count == (int)(sizeof g->all / sizeof g->all[0]))
        g->error = fv_err(FV_EBACKEND, "cuDNN: a graph of too many parts");
    if (g->error)
        return NULL;
    note(g, cudnnBackendCreateDescriptor((cudnnBackendDescriptorType_t)type, &d), "a descriptor");
    if (d)
        g->all[g->count++] = d;
    return d;
}

void fv__cudnn_set(struct fv__cudnn_graph *g, fv__cudnn_desc d, int name, int type, int64_t count,
                   const void *value)
{
    if (!g->error)
        note(g,
             cudnnBackendSetAttribute(d, (cudnnBackendAttributeName_t)name,
                                      (cudnnBackendAttributeType_t)type, count, value),
             "an attribute");
}

static void set_desc(struct fv__cudnn_graph *g, fv__cudnn_desc d, cudnnBackendAttributeName_t name,
                     fv__cudnn_desc value)
{
    if (value)
        fv__cudnn_set(g, d, name, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &value);
}

void fv__cudnn_finish(struct fv__cudnn_graph *g, fv__cudnn_desc d, const char *what)
{
    if (!g->error)
        note(g, cudnnBackendFinalize(d), what);
}

/* Tensors. Those that pass from one operation to the next have ids behind all roles and no memory. */

enum { VIRTUAL_ID = 100, ALIGNMENT = 16 };

static fv__cudnn_desc tensor(struct fv__cudnn_graph *g, int64_t id, cudnnDataType_t type,
                             const int64_t nchw[4])
{
    const int64_t c = nchw[1], h = nchw[2], w = nchw[3], align = ALIGNMENT;
    const int64_t stride[4] = {h * w * c, 1, w * c, c};
    const bool is_virtual = id >= VIRTUAL_ID;
    fv__cudnn_desc d = fv__cudnn_make(g, CUDNN_BACKEND_TENSOR_DESCRIPTOR);
    fv__cudnn_set(g, d, CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &type);
    fv__cudnn_set(g, d, CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, 4, nchw);
    fv__cudnn_set(g, d, CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, 4, stride);
    fv__cudnn_set(g, d, CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, 1, &id);
    fv__cudnn_set(g, d, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, CUDNN_TYPE_INT64, 1, &align);
    fv__cudnn_set(g, d, CUDNN_ATTR_TENSOR_IS_VIRTUAL, CUDNN_TYPE_BOOLEAN, 1, &is_virtual);
    fv__cudnn_finish(g, d, "a tensor");
    return d;
}

static fv__cudnn_desc input(struct fv__cudnn_graph *g, const struct fv_conv_key *k, int64_t id,
                            cudnnDataType_t type)
{
    return tensor(g, id, type, (const int64_t[4]){k->n, k->c, k->h, k->w});
}

static fv__cudnn_desc output(struct fv__cudnn_graph *g, const struct fv_conv_key *k)
{
    return tensor(
        g, FV_CONV_Y, storage[k->type],
        (const int64_t[4]){k->n, k->k, fv_conv_out_size(k, k->h), fv_conv_out_size(k, k->w)});
}

static fv__cudnn_desc weight(struct fv__cudnn_graph *g, const struct fv_conv_key *k)
{
    return tensor(g, FV_CONV_W, storage[k->type],
                  (const int64_t[4]){k->k, k->c, k->window, k->window});
}

static fv__cudnn_desc vector(struct fv__cudnn_graph *g, int64_t id, cudnnDataType_t type, int n)
{
    return tensor(g, id, type, (const int64_t[4]){1, n, 1, 1});
}

/* Operations */

static void add_op(struct fv__cudnn_graph *g, fv__cudnn_desc op, const char *what)
{
    fv__cudnn_finish(g, op, what);
    if (!g->error)
        g->op[g->ops++] = op;
}

static fv__cudnn_desc convolution(struct fv__cudnn_graph *g, const struct fv_conv_key *k)
{
    const int64_t dims = 2, stride[2] = {k->stride, k->stride}, pad[2] = {k->pad, k->pad};
    const int64_t dilation[2] = {1, 1};
    const cudnnDataType_t f32 = CUDNN_DATA_FLOAT;
    const cudnnConvolutionMode_t mode = CUDNN_CROSS_CORRELATION;
    fv__cudnn_desc d = fv__cudnn_make(g, CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR);
    fv__cudnn_set(g, d, CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, CUDNN_TYPE_INT64, 1, &dims);
    fv__cudnn_set(g, d, CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &f32);
    fv__cudnn_set(g, d, CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_TYPE_CONVOLUTION_MODE, 1, &mode);
    fv__cudnn_set(g, d, CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, CUDNN_TYPE_INT64, 2, stride);
    fv__cudnn_set(g, d, CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, CUDNN_TYPE_INT64, 2, pad);
    fv__cudnn_set(g, d, CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, CUDNN_TYPE_INT64, 2, pad);
    fv__cudnn_set(g, d, CUDNN_ATTR_CONVOLUTION_DILATIONS, CUDNN_TYPE_INT64, 2, dilation);
    fv__cudnn_finish(g, d, "a convolution");
    return d;
}

#define CONV_OP(K) CUDNN_BACKEND_OPERATION_CONVOLUTION_##K##_DESCRIPTOR
#define CONV_AT(A) CUDNN_ATTR_OPERATION_CONVOLUTION_##A
static const struct {
    cudnnBackendDescriptorType_t type;
    cudnnBackendAttributeName_t x, w, y, conv, alpha, beta;
} conv_ops[3] = {
    {CONV_OP(FORWARD), CONV_AT(FORWARD_X), CONV_AT(FORWARD_W), CONV_AT(FORWARD_Y),
     CONV_AT(FORWARD_CONV_DESC), CONV_AT(FORWARD_ALPHA), CONV_AT(FORWARD_BETA)},
    {CONV_OP(BACKWARD_DATA), CONV_AT(BWD_DATA_DX), CONV_AT(BWD_DATA_W), CONV_AT(BWD_DATA_DY),
     CONV_AT(BWD_DATA_CONV_DESC), CONV_AT(BWD_DATA_ALPHA), CONV_AT(BWD_DATA_BETA)},
    {CONV_OP(BACKWARD_FILTER), CONV_AT(BWD_FILTER_X), CONV_AT(BWD_FILTER_DW),
     CONV_AT(BWD_FILTER_DY), CONV_AT(BWD_FILTER_CONV_DESC), CONV_AT(BWD_FILTER_ALPHA),
     CONV_AT(BWD_FILTER_BETA)},
};

/* which: 0 forward, 1 data gradient, 2 weight gradient */
static void op_conv(struct fv__cudnn_graph *g, const struct fv_conv_key *k, int which,
                    fv__cudnn_desc x, fv__cudnn_desc w, fv__cudnn_desc y)
{
    const float alpha = 1, beta = 0;
    fv__cudnn_desc conv = convolution(g, k), op = fv__cudnn_make(g, conv_ops[which].type);
    set_desc(g, op, conv_ops[which].conv, conv);
    set_desc(g, op, conv_ops[which].x, x);
    set_desc(g, op, conv_ops[which].w, w);
    set_desc(g, op, conv_ops[which].y, y);
    fv__cudnn_set(g, op, conv_ops[which].alpha, CUDNN_TYPE_FLOAT, 1, &alpha);
    fv__cudnn_set(g, op, conv_ops[which].beta, CUDNN_TYPE_FLOAT, 1, &beta);
    add_op(g, op, "the convolution");
}

static void op_stats(struct fv__cudnn_graph *g, const struct fv_conv_key *k, fv__cudnn_desc y)
{
    const cudnnDataType_t f32 = CUDNN_DATA_FLOAT;
    const cudnnGenStatsMode_t mode = CUDNN_GENSTATS_SUM_SQSUM;
    fv__cudnn_desc op = fv__cudnn_make(g, CUDNN_BACKEND_OPERATION_GEN_STATS_DESCRIPTOR);
    fv__cudnn_set(g, op, CUDNN_ATTR_OPERATION_GENSTATS_MODE, CUDNN_TYPE_GENSTATS_MODE, 1, &mode);
    fv__cudnn_set(g, op, CUDNN_ATTR_OPERATION_GENSTATS_MATH_PREC, CUDNN_TYPE_DATA_TYPE, 1, &f32);
    set_desc(g, op, CUDNN_ATTR_OPERATION_GENSTATS_XDESC, y);
    set_desc(g, op, CUDNN_ATTR_OPERATION_GENSTATS_SUMDESC, vector(g, FV_CONV_SUM, f32, k->k));
    set_desc(g, op, CUDNN_ATTR_OPERATION_GENSTATS_SQSUMDESC, vector(g, FV_CONV_SQUARES, f32, k->k));
    add_op(g, op, "the statistics");
}

static fv__cudnn_desc pointwise(struct fv__cudnn_graph *g, cudnnPointwiseMode_t mode)
{
    const cudnnDataType_t f32 = CUDNN_DATA_FLOAT;
    fv__cudnn_desc d = fv__cudnn_make(g, CUDNN_BACKEND_POINTWISE_DESCRIPTOR);
    fv__cudnn_set(g, d, CUDNN_ATTR_POINTWISE_MODE, CUDNN_TYPE_POINTWISE_MODE, 1, &mode);
    fv__cudnn_set(g, d, CUDNN_ATTR_POINTWISE_MATH_PREC, CUDNN_TYPE_DATA_TYPE, 1, &f32);
    fv__cudnn_finish(g, d, "a pointwise mode");
    return d;
}

/* y = x mode b; b may be NULL. Returns y. */
static fv__cudnn_desc op_pointwise(struct fv__cudnn_graph *g, cudnnPointwiseMode_t mode,
                                   fv__cudnn_desc x, fv__cudnn_desc b, fv__cudnn_desc y)
{
    fv__cudnn_desc pw = pointwise(g, mode),
                   op = fv__cudnn_make(g, CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR);
    set_desc(g, op, CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, pw);
    set_desc(g, op, CUDNN_ATTR_OPERATION_POINTWISE_XDESC, x);
    set_desc(g, op, CUDNN_ATTR_OPERATION_POINTWISE_BDESC, b);
    set_desc(g, op, CUDNN_ATTR_OPERATION_POINTWISE_YDESC, y);
    add_op(g, op, "a pointwise operation");
    return y;
}

/* dx = dy where x > 0 */
static void op_relu_backward(struct fv__cudnn_graph *g, fv__cudnn_desc dy, fv__cudnn_desc x,
                             fv__cudnn_desc dx)
{
    fv__cudnn_desc pw = pointwise(g, CUDNN_POINTWISE_RELU_BWD),
                   op = fv__cudnn_make(g, CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR);
    set_desc(g, op, CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, pw);
    set_desc(g, op, CUDNN_ATTR_OPERATION_POINTWISE_XDESC, x);
    set_desc(g, op, CUDNN_ATTR_OPERATION_POINTWISE_DYDESC, dy);
    set_desc(g, op, CUDNN_ATTR_OPERATION_POINTWISE_DXDESC, dx);
    add_op(g, op, "the gradient of the activation");
}

/* Whole graphs */

/* relu(x * scale + shift), of the prologue */
static fv__cudnn_desc normalised(struct fv__cudnn_graph *g, const struct fv_conv_key *k)
{
    const cudnnDataType_t f32 = CUDNN_DATA_FLOAT, t = storage[k->type];
    fv__cudnn_desc x = input(g, k, FV_CONV_X, t);
    fv__cudnn_desc scaled = op_pointwise(
        g, CUDNN_POINTWISE_MUL, x, vector(g, FV_CONV_SCALE, t, k->c), input(g, k, VIRTUAL_ID, f32));
    fv__cudnn_desc shifted =
        op_pointwise(g, CUDNN_POINTWISE_ADD, scaled, vector(g, FV_CONV_SHIFT, t, k->c),
                     input(g, k, VIRTUAL_ID + 1, f32));
    return op_pointwise(g, CUDNN_POINTWISE_RELU_FWD, shifted, NULL, input(g, k, VIRTUAL_ID + 2, t));
}

static void op_bn_backward(struct fv__cudnn_graph *g, const struct fv_conv_key *k, fv__cudnn_desc x,
                           fv__cudnn_desc dy, const fv__cudnn_desc bn[3])
{
    const cudnnDataType_t f32 = CUDNN_DATA_FLOAT;
#define BN_AT(A) CUDNN_ATTR_OPERATION_BN_BWD_WEIGHTS_##A
    const struct {
        cudnnBackendAttributeName_t name;
        enum fv_conv_role role;
    } made[] = {{BN_AT(DBN_SCALE_DESC), FV_CONV_DGAMMA},
                {BN_AT(DBN_BIAS_DESC), FV_CONV_DBETA},
                {BN_AT(EQ_DY_SCALE_DESC), FV_CONV_EQ_DY},
                {BN_AT(EQ_X_SCALE_DESC), FV_CONV_EQ_X},
                {BN_AT(EQ_BIAS), FV_CONV_EQ_B}};
    fv__cudnn_desc op = fv__cudnn_make(g, CUDNN_BACKEND_OPERATION_BN_BWD_WEIGHTS_DESCRIPTOR);
    fv__cudnn_set(g, op, BN_AT(MATH_PREC), CUDNN_TYPE_DATA_TYPE, 1, &f32);
    set_desc(g, op, BN_AT(X_DESC), x);
    set_desc(g, op, BN_AT(DY_DESC), dy);
    set_desc(g, op, BN_AT(MEAN_DESC), bn[0]);
    set_desc(g, op, BN_AT(INVSTD_DESC), bn[1]);
    set_desc(g, op, BN_AT(BN_SCALE_DESC), bn[2]);
    for (size_t i = 0; i < sizeof made / sizeof made[0]; i++)
        set_desc(g, op, made[i].name, vector(g, made[i].role, f32, k->c));
    add_op(g, op, "the backward of the batch norm");
#undef BN_AT
}

static void build_dgrad_bn(struct fv__cudnn_graph *g, const struct fv_conv_key *k)
{
    const cudnnDataType_t f32 = CUDNN_DATA_FLOAT, t = storage[k->type];
    fv__cudnn_desc dx = input(g, k, VIRTUAL_ID, f32), x = input(g, k, FV_CONV_X, t);
    const fv__cudnn_desc bn[3] = {vector(g, FV_CONV_MEAN, f32, k->c),
                                  vector(g, FV_CONV_RSTD, f32, k->c),
                                  vector(g, FV_CONV_GAMMA, f32, k->c)};
    op_conv(g, k, 1, dx, weight(g, k), output(g, k));
    fv__cudnn_desc v =
        op_pointwise(g, CUDNN_POINTWISE_SUB, x, bn[0], input(g, k, VIRTUAL_ID + 1, f32));
    v = op_pointwise(g, CUDNN_POINTWISE_MUL, v, bn[1], input(g, k, VIRTUAL_ID + 2, f32));
    v = op_pointwise(g, CUDNN_POINTWISE_MUL, v, bn[2], input(g, k, VIRTUAL_ID + 3, f32));
    v = op_pointwise(g, CUDNN_POINTWISE_ADD, v, vector(g, FV_CONV_BETA, f32, k->c),
                     input(g, k, VIRTUAL_ID + 4, f32));
    fv__cudnn_desc masked = input(g, k, FV_CONV_G, t);
    op_relu_backward(g, dx, v, masked);
    op_bn_backward(g, k, x, masked, bn);
}

static void build(struct fv__cudnn_graph *g, const struct fv_conv_key *k)
{
    const cudnnDataType_t t = storage[k->type];
    fv__cudnn_desc x, y;
    switch (k->graph) {
    case FV_CONV_FORWARD:
    case FV_CONV_DGRAD:
    case FV_CONV_WGRAD:
        x = input(g, k, FV_CONV_X, t);
        op_conv(g, k, (int)k->graph - FV_CONV_FORWARD, x, weight(g, k), output(g, k));
        break;
    case FV_CONV_FORWARD_STATS:
    case FV_CONV_BN_FORWARD_STATS:
        x = k->graph == FV_CONV_FORWARD_STATS ? input(g, k, FV_CONV_X, t) : normalised(g, k);
        y = output(g, k);
        op_conv(g, k, 0, x, weight(g, k), y);
        op_stats(g, k, y);
        break;
    case FV_CONV_BN_WGRAD:
        x = normalised(g, k);
        op_conv(g, k, 2, x, weight(g, k), output(g, k));
        break;
    case FV_CONV_DGRAD_BN:
        build_dgrad_bn(g, k);
        break;
    default:
        g->error = fv_err(FV_EINVAL, "cuDNN: there is no graph %d", (int)k->graph);
    }
}

int fv__cudnn_graph_make(struct fv__cudnn_graph *g, const struct fv_cudnn *c,
                         const struct fv_conv_key *key)
{
    *g = (struct fv__cudnn_graph){0};
    build(g, key);
    g->graph = fv__cudnn_make(g, CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
    fv__cudnn_set(g, g->graph, CUDNN_ATTR_OPERATIONGRAPH_OPS, CUDNN_TYPE_BACKEND_DESCRIPTOR, g->ops,
                  g->op);
    if (c->handle)
        fv__cudnn_set(g, g->graph, CUDNN_ATTR_OPERATIONGRAPH_HANDLE, CUDNN_TYPE_HANDLE, 1,
                      &c->handle);
    fv__cudnn_finish(g, g->graph, "the graph");
    int rc = g->error;
    if (rc < 0)
        fv__cudnn_graph_free(g);
    return rc;
}

void fv__cudnn_graph_free(struct fv__cudnn_graph *g)
{
    for (int i = g->count - 1; i >= 0; i--)
        cudnnBackendDestroyDescriptor(g->all[i]);
    *g = (struct fv__cudnn_graph){0};
}
