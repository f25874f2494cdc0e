/* SPDX-License-Identifier: MIT */
/* What a descriptor must be to be finalized: tensors that lie in memory without overlap, operations whose tensors fit
 * each other, graphs whose virtual tensors are made inside and used inside. A finished graph becomes a program. */
#include "tests/cuda/standin/standin.h"
#include "tests/cuda/standin/standin_cudnn_graph.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define OP(n) CUDNN_BACKEND_OPERATION_##n##_DESCRIPTOR

/* Tensors */

static struct standin_tensor tensor_of(const struct standin_desc *d)
{
    const struct standin_attr *is_virtual = standin_cudnn_find(d, CUDNN_ATTR_TENSOR_IS_VIRTUAL);
    struct standin_tensor t = {
        .id = standin_cudnn_int64(d, CUDNN_ATTR_TENSOR_UNIQUE_ID, 0),
        .align = standin_cudnn_int64(d, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, 0),
        .type = (cudnnDataType_t)standin_cudnn_enum(d, CUDNN_ATTR_TENSOR_DATA_TYPE),
        .is_virtual = is_virtual && *(const bool *)is_virtual->value,
        .made_by = -1};
    for (int i = 0; i < 4; i++) {
        t.dim[i] = standin_cudnn_int64(d, CUDNN_ATTR_TENSOR_DIMENSIONS, i);
        t.stride[i] = standin_cudnn_int64(d, CUDNN_ATTR_TENSOR_STRIDES, i);
    }
    return t;
}

static int same_tensor(const struct standin_tensor *a, const struct standin_tensor *b)
{
    return a->align == b->align && a->type == b->type && a->is_virtual == b->is_virtual &&
           memcmp(a->dim, b->dim, sizeof a->dim) == 0 &&
           memcmp(a->stride, b->stride, sizeof a->stride) == 0;
}

static void judge_tensor(const struct standin_desc *d)
{
    const int64_t dims = standin_cudnn_find(d, CUDNN_ATTR_TENSOR_DIMENSIONS)->count;
    if (dims != standin_cudnn_find(d, CUDNN_ATTR_TENSOR_STRIDES)->count || dims != 4)
        standin_fail("cuDNN: a tensor's dims and strides are four each (the stand-in's are)");
    const struct standin_tensor t = tensor_of(d);
    const int64_t item = standin_cudnn_item(t.type);
    if (item == 0)
        standin_fail("cuDNN: a tensor of data type %d: the stand-in has none", (int)t.type);
    if (t.align < item || (t.align & (t.align - 1)) != 0)
        standin_fail("cuDNN: tensor %lld: an alignment of %lld bytes", (long long)t.id,
                     (long long)t.align);
    for (int i = 0; i < 4; i++) {
        if (t.dim[i] < 1 || t.stride[i] < 1)
            standin_fail("cuDNN: tensor %lld: dims and strides are positive", (long long)t.id);
        for (int j = 0; j < 4;
             j++) /* a dimension of larger stride steps over all of a smaller one */
            if (j != i && t.dim[i] > 1 && t.dim[j] > 1 && t.stride[j] >= t.stride[i] &&
                t.stride[j] < t.stride[i] * t.dim[i])
                standin_fail("cuDNN: tensor %lld: its strides make elements overlap",
                             (long long)t.id);
    }
}

int64_t standin_cudnn_extent(const struct standin_tensor *t)
{
    int64_t last = 0;
    for (int i = 0; i < 4; i++)
        last += (t->dim[i] - 1) * t->stride[i];
    return (last + 1) * standin_cudnn_item(t->type);
}

/* Operations */

static void judge_convolution(const struct standin_desc *d)
{
    static const struct {
        int name, least;
    } each[] = {{CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, 1},
                {CUDNN_ATTR_CONVOLUTION_DILATIONS, 1},
                {CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, 0},
                {CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, 0}};
    if (standin_cudnn_int64(d, CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, 0) != 2)
        standin_fail("cuDNN: a convolution of other than two spatial dims is not played");
    if (standin_cudnn_enum(d, CUDNN_ATTR_CONVOLUTION_COMP_TYPE) != CUDNN_DATA_FLOAT)
        standin_fail("cuDNN: a convolution computes in float");
    for (int i = 0; i < 4; i++) {
        if (standin_cudnn_find(d, each[i].name)->count != 2)
            standin_fail("cuDNN: a convolution's attribute %d has as many elements as there are "
                         "spatial dims",
                         each[i].name);
        for (int k = 0; k < 2; k++)
            if (standin_cudnn_int64(d, each[i].name, k) < each[i].least)
                standin_fail("cuDNN: a convolution's attribute %d is at least %d", each[i].name,
                             each[i].least);
    }
}

static const int conv_names[3][6] = {
    /* conv, alpha, beta, two inputs, output */
    {CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC,
     CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA,
     CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W,
     CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y},
    {CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC,
     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA,
     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY,
     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX},
    {CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC,
     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA,
     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA,
     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY,
     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW},
};

static int conv_of(cudnnBackendDescriptorType_t type)
{
    return type == OP(CONVOLUTION_FORWARD)           ? 0
           : type == OP(CONVOLUTION_BACKWARD_DATA)   ? 1
           : type == OP(CONVOLUTION_BACKWARD_FILTER) ? 2
                                                     : -1;
}

static void judge_conv_op(const struct standin_desc *d)
{
    const int which = conv_of(d->type), *name = conv_names[which];
    const struct standin_desc *conv = standin_cudnn_desc(d, name[0], 0);
    struct standin_tensor t[3];
    for (int i = 0; i < 3; i++)
        t[i] = tensor_of(standin_cudnn_desc(d, name[3 + i], 0));
    const struct standin_tensor *x = &t[which == 1 ? 2 : 0], *w = &t[which == 2 ? 2 : 1],
                                *y = &t[which == 0   ? 2
                                        : which == 1 ? 0
                                                     : 1];
    if (x->dim[0] != y->dim[0] || y->dim[1] != w->dim[0] || x->dim[1] % w->dim[1] != 0 ||
        w->dim[0] % (x->dim[1] / w->dim[1]) != 0)
        standin_fail("cuDNN: a convolution's images or channels do not fit: x %lld images of %lld, "
                     "w %lld of %lld, y %lld of %lld",
                     (long long)x->dim[0], (long long)x->dim[1], (long long)w->dim[0],
                     (long long)w->dim[1], (long long)y->dim[0], (long long)y->dim[1]);
    for (int i = 0; i < 2; i++) {
        const int64_t reach =
            standin_cudnn_int64(conv, CUDNN_ATTR_CONVOLUTION_DILATIONS, i) * (w->dim[2 + i] - 1) +
            1;
        const int64_t room = x->dim[2 + i] +
                             standin_cudnn_int64(conv, CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, i) +
                             standin_cudnn_int64(conv, CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, i);
        const int64_t out =
            room < reach
                ? 0
                : 1 + (room - reach) /
                          standin_cudnn_int64(conv, CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, i);
        if (out != y->dim[2 + i])
            standin_fail("cuDNN: a convolution's output is %lld in spatial dim %d and y has %lld",
                         (long long)out, i, (long long)y->dim[2 + i]);
    }
}

static void judge_pointwise_mode(const struct standin_desc *d)
{
    const int mode = standin_cudnn_enum(d, CUDNN_ATTR_POINTWISE_MODE);
    if (mode != CUDNN_POINTWISE_ADD && mode != CUDNN_POINTWISE_SUB && mode != CUDNN_POINTWISE_MUL &&
        mode != CUDNN_POINTWISE_RELU_FWD && mode != CUDNN_POINTWISE_RELU_BWD &&
        mode != CUDNN_POINTWISE_IDENTITY && mode != CUDNN_POINTWISE_MAX &&
        mode != CUDNN_POINTWISE_MIN && mode != CUDNN_POINTWISE_DIV)
        standin_fail("cuDNN: the stand-in has no pointwise mode %d", mode);
    if (standin_cudnn_enum(d, CUDNN_ATTR_POINTWISE_MATH_PREC) != CUDNN_DATA_FLOAT)
        standin_fail("cuDNN: a pointwise operation computes in float");
}

/* The tensors of a pointwise operation of that mode: names of inputs, then of the output; 0: no more. */
static const int *pointwise_names(int mode)
{
    static const int one[4] = {CUDNN_ATTR_OPERATION_POINTWISE_XDESC,
                               CUDNN_ATTR_OPERATION_POINTWISE_YDESC},
                     two[4] = {CUDNN_ATTR_OPERATION_POINTWISE_XDESC,
                               CUDNN_ATTR_OPERATION_POINTWISE_BDESC,
                               CUDNN_ATTR_OPERATION_POINTWISE_YDESC},
                     backward[4] = {CUDNN_ATTR_OPERATION_POINTWISE_XDESC,
                                    CUDNN_ATTR_OPERATION_POINTWISE_DYDESC,
                                    CUDNN_ATTR_OPERATION_POINTWISE_DXDESC};
    return mode == CUDNN_POINTWISE_RELU_BWD                                       ? backward
           : mode == CUDNN_POINTWISE_RELU_FWD || mode == CUDNN_POINTWISE_IDENTITY ? one
                                                                                  : two;
}

static void judge_pointwise(const struct standin_desc *d)
{
    const struct standin_desc *pw =
        standin_cudnn_desc(d, CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, 0);
    const int mode = standin_cudnn_enum(pw, CUDNN_ATTR_POINTWISE_MODE);
    const int *name = pointwise_names(mode);
    int count = 0, set = 0;
    for (; count < 4 && name[count]; count++)
        if (!standin_cudnn_find(d, name[count]))
            standin_fail("cuDNN: a pointwise operation of mode %d is finalized without its tensor "
                         "%d",
                         mode, name[count]);
    for (int n = CUDNN_ATTR_OPERATION_POINTWISE_XDESC; n <= CUDNN_ATTR_OPERATION_POINTWISE_TDESC;
         n++)
        set += n != CUDNN_ATTR_OPERATION_POINTWISE_ALPHA1 &&
               n != CUDNN_ATTR_OPERATION_POINTWISE_ALPHA2 && standin_cudnn_find(d, n) != NULL;
    if (set != count)
        standin_fail("cuDNN: a pointwise operation of mode %d has %d tensors and not %d", mode,
                     count, set);
    const struct standin_tensor y = tensor_of(standin_cudnn_desc(d, name[count - 1], 0));
    for (int i = 0; i < count - 1; i++) {
        const struct standin_tensor t = tensor_of(standin_cudnn_desc(d, name[i], 0));
        for (int k = 0; k < 4; k++)
            if (t.dim[k] != y.dim[k] && (t.dim[k] != 1 || mode == CUDNN_POINTWISE_RELU_BWD))
                standin_fail("cuDNN: a pointwise operation's tensor %lld has %lld in dim %d, where "
                             "its output has %lld",
                             (long long)t.id, (long long)t.dim[k], k, (long long)y.dim[k]);
    }
}

/* (1, C, 1, 1) in float, of an x with C channels */
static void judge_vector(const struct standin_desc *d, int name, const struct standin_tensor *x)
{
    const struct standin_tensor v = tensor_of(standin_cudnn_desc(d, name, 0));
    if (v.dim[0] != 1 || v.dim[1] != x->dim[1] || v.dim[2] != 1 || v.dim[3] != 1)
        standin_fail("cuDNN: attribute %d is a tensor of 1 x %lld x 1 x 1", name,
                     (long long)x->dim[1]);
    if (v.type != CUDNN_DATA_FLOAT)
        standin_fail("cuDNN: attribute %d is a tensor of float", name);
}

static void judge_stats(const struct standin_desc *d)
{
    const struct standin_tensor x =
        tensor_of(standin_cudnn_desc(d, CUDNN_ATTR_OPERATION_GENSTATS_XDESC, 0));
    if (standin_cudnn_enum(d, CUDNN_ATTR_OPERATION_GENSTATS_MODE) != CUDNN_GENSTATS_SUM_SQSUM ||
        standin_cudnn_enum(d, CUDNN_ATTR_OPERATION_GENSTATS_MATH_PREC) != CUDNN_DATA_FLOAT)
        standin_fail("cuDNN: statistics are sums and sums of squares, in float");
    judge_vector(d, CUDNN_ATTR_OPERATION_GENSTATS_SUMDESC, &x);
    judge_vector(d, CUDNN_ATTR_OPERATION_GENSTATS_SQSUMDESC, &x);
}

#define BN(n) CUDNN_ATTR_OPERATION_BN_BWD_WEIGHTS_##n
static const int bn_in[STANDIN_INPUTS] = {BN(X_DESC), BN(DY_DESC), BN(MEAN_DESC), BN(INVSTD_DESC),
                                          BN(BN_SCALE_DESC)};
static const int bn_out[STANDIN_OUTPUTS] = {BN(DBN_SCALE_DESC), BN(DBN_BIAS_DESC),
                                            BN(EQ_DY_SCALE_DESC), BN(EQ_X_SCALE_DESC), BN(EQ_BIAS)};

static void judge_bn(const struct standin_desc *d)
{
    const struct standin_tensor x = tensor_of(standin_cudnn_desc(d, BN(X_DESC), 0)),
                                dy = tensor_of(standin_cudnn_desc(d, BN(DY_DESC), 0));
    if (standin_cudnn_enum(d, BN(MATH_PREC)) != CUDNN_DATA_FLOAT)
        standin_fail("cuDNN: the backward of a batch norm computes in float");
    if (memcmp(x.dim, dy.dim, sizeof x.dim) != 0)
        standin_fail("cuDNN: the backward of a batch norm: x and dy are of one shape");
    for (int i = 2; i < STANDIN_INPUTS; i++)
        judge_vector(d, bn_in[i], &x);
    for (int i = 0; i < STANDIN_OUTPUTS; i++)
        judge_vector(d, bn_out[i], &x);
}

/* Graphs */

/* The place of a tensor, which is known by its id. */
static int place_of(struct standin_program *p, const struct standin_desc *d)
{
    const struct standin_tensor t = tensor_of(d);
    for (int i = 0; i < p->tensors; i++)
        if (p->tensor[i].id == t.id) {
            if (!same_tensor(&p->tensor[i], &t))
                standin_fail("cuDNN: two tensors of a graph have the id %lld", (long long)t.id);
            return i;
        }
    if (p->tensors == STANDIN_TENSORS)
        standin_fail("cuDNN: the stand-in's graphs have no more than %d tensors", STANDIN_TENSORS);
    p->tensor[p->tensors] = t;
    return p->tensors++;
}

static void take_conv(struct standin_program *p, struct standin_op *op,
                      const struct standin_desc *d)
{
    const int *name = conv_names[conv_of(d->type)];
    const struct standin_desc *conv = standin_cudnn_desc(d, name[0], 0);
    op->mode = standin_cudnn_enum(conv, CUDNN_ATTR_CONVOLUTION_CONV_MODE);
    op->alpha = standin_cudnn_real(d, name[1], 1);
    op->beta = standin_cudnn_real(d, name[2], 0);
    for (int i = 0; i < 2; i++) {
        op->step[i] = standin_cudnn_int64(conv, CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, i);
        op->dilation[i] = standin_cudnn_int64(conv, CUDNN_ATTR_CONVOLUTION_DILATIONS, i);
        op->pre[i] = standin_cudnn_int64(conv, CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, i);
        op->post[i] = standin_cudnn_int64(conv, CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, i);
        op->in[op->ins++] = place_of(p, standin_cudnn_desc(d, name[3 + i], 0));
    }
    op->out[op->outs++] = place_of(p, standin_cudnn_desc(d, name[5], 0));
}

static void take_pointwise(struct standin_program *p, struct standin_op *op,
                           const struct standin_desc *d)
{
    const struct standin_desc *pw =
        standin_cudnn_desc(d, CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, 0);
    op->mode = standin_cudnn_enum(pw, CUDNN_ATTR_POINTWISE_MODE);
    op->alpha = standin_cudnn_real(d, CUDNN_ATTR_OPERATION_POINTWISE_ALPHA1, 1);
    op->beta = standin_cudnn_real(d, CUDNN_ATTR_OPERATION_POINTWISE_ALPHA2, 1);
    op->lower = standin_cudnn_real(pw, CUDNN_ATTR_POINTWISE_RELU_LOWER_CLIP, 0);
    op->upper = standin_cudnn_real(pw, CUDNN_ATTR_POINTWISE_RELU_UPPER_CLIP, HUGE_VAL);
    op->slope = standin_cudnn_real(pw, CUDNN_ATTR_POINTWISE_RELU_LOWER_CLIP_SLOPE, 0);
    const int *name = pointwise_names(op->mode);
    for (; name[1]; name++)
        op->in[op->ins++] = place_of(p, standin_cudnn_desc(d, name[0], 0));
    op->out[op->outs++] = place_of(p, standin_cudnn_desc(d, name[0], 0));
}

static void take(struct standin_program *p, const struct standin_desc *d)
{
    struct standin_op *op = &p->op[p->ops++];
    op->kind = d->type;
    if (conv_of(d->type) >= 0) {
        take_conv(p, op, d);
    } else if (d->type == OP(POINTWISE)) {
        take_pointwise(p, op, d);
    } else if (d->type == OP(GEN_STATS)) {
        op->in[op->ins++] =
            place_of(p, standin_cudnn_desc(d, CUDNN_ATTR_OPERATION_GENSTATS_XDESC, 0));
        op->out[op->outs++] =
            place_of(p, standin_cudnn_desc(d, CUDNN_ATTR_OPERATION_GENSTATS_SUMDESC, 0));
        op->out[op->outs++] =
            place_of(p, standin_cudnn_desc(d, CUDNN_ATTR_OPERATION_GENSTATS_SQSUMDESC, 0));
    } else {
        for (int i = 0; i < STANDIN_INPUTS; i++)
            op->in[op->ins++] = place_of(p, standin_cudnn_desc(d, bn_in[i], 0));
        for (int i = 0; i < STANDIN_OUTPUTS; i++)
            op->out[op->outs++] = place_of(p, standin_cudnn_desc(d, bn_out[i], 0));
    }
}

/* Who makes a tensor: one operation, or the caller. */
static void find_makers(struct standin_program *p)
{
    for (int i = 0; i < p->ops; i++) {
        for (int k = 0; k < p->op[i].ins; k++)
            p->tensor[p->op[i].in[k]].uses++;
        for (int k = 0; k < p->op[i].outs; k++) {
            struct standin_tensor *t = &p->tensor[p->op[i].out[k]];
            if (t->made_by >= 0)
                standin_fail("cuDNN: tensor %lld is made by two operations", (long long)t->id);
            t->made_by = i;
        }
    }
    for (int i = 0; i < p->tensors; i++)
        if (p->tensor[i].is_virtual && (p->tensor[i].made_by < 0 || p->tensor[i].uses == 0))
            standin_fail("cuDNN: virtual tensor %lld is not %s by an operation of the graph",
                         (long long)p->tensor[i].id, p->tensor[i].made_by < 0 ? "made" : "used");
}

/* Puts each operation behind those that make its inputs; the caller may have named them in any order. */
static void sort(struct standin_program *p)
{
    struct standin_op sorted[STANDIN_OPS];
    int done[STANDIN_OPS] = {0}, count = 0;
    for (int found = 1; found;) {
        found = 0;
        for (int i = 0; i < p->ops; i++) {
            int ready = !done[i];
            for (int k = 0; k < p->op[i].ins && ready; k++) {
                const int maker = p->tensor[p->op[i].in[k]].made_by;
                ready = maker < 0 || done[maker];
            }
            if (ready) {
                done[i] = found = 1;
                sorted[count++] = p->op[i];
            }
        }
    }
    if (count != p->ops)
        standin_fail("cuDNN: a graph's operations wait for each other");
    memcpy(p->op, sorted, sizeof p->op[0] * (size_t)count);
}

static void judge_graph(struct standin_desc *d)
{
    const int64_t ops = standin_cudnn_find(d, CUDNN_ATTR_OPERATIONGRAPH_OPS)->count;
    struct standin_program *p = d->program = calloc(1, sizeof *p);
    p->refs = 1;
    for (int64_t i = 0; i < ops; i++)
        take(p, standin_cudnn_desc(d, CUDNN_ATTR_OPERATIONGRAPH_OPS, i));
    find_makers(p);
    sort(p);
    for (int i = 0; i < p->ops; i++)
        if (conv_of(p->op[i].kind) >= 0) /* w, or dy */
            p->io = p->tensor[p->op[i].in[1]].type;
    p->pattern = standin_cudnn_pattern(p);
}

static void judge_pack(const struct standin_desc *d)
{
    const struct standin_attr *ids = standin_cudnn_find(d, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS);
    if (ids->count != standin_cudnn_find(d, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS)->count)
        standin_fail("cuDNN: a variant pack has as many pointers as ids");
    for (int64_t i = 0; i < ids->count; i++)
        for (int64_t k = 0; k < i; k++)
            if (((const int64_t *)ids->value)[i] == ((const int64_t *)ids->value)[k])
                standin_fail("cuDNN: a variant pack has the id %lld twice",
                             (long long)((const int64_t *)ids->value)[i]);
}

void standin_cudnn_judge(struct standin_desc *d)
{
    if (d->type == CUDNN_BACKEND_TENSOR_DESCRIPTOR)
        judge_tensor(d);
    else if (d->type == CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR)
        judge_convolution(d);
    else if (conv_of(d->type) >= 0)
        judge_conv_op(d);
    else if (d->type == CUDNN_BACKEND_POINTWISE_DESCRIPTOR)
        judge_pointwise_mode(d);
    else if (d->type == OP(POINTWISE))
        judge_pointwise(d);
    else if (d->type == OP(GEN_STATS))
        judge_stats(d);
    else if (d->type == OP(BN_BWD_WEIGHTS))
        judge_bn(d);
    else if (d->type == CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR)
        judge_graph(d);
    else if (d->type == CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR)
        judge_pack(d);
}
