/* SPDX-License-Identifier: MIT */
/* The functions of cuDNN that fv calls: handles, and descriptors as records of attributes. Which attributes a kind of
 * descriptor has, of what type and how many, and which of them it cannot do without, is one table. */
#include "tests/cuda/standin/standin.h"
#include "tests/cuda/standin/standin_cudnn_graph.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LIVE = 0x5eed1e55, DEAD = 0x0dead000, HANDLE = 0x4a9d1e00 };
enum { NEED = 1, MAY = 2, ASK = 4 }; /* set it must be, it may be; it is asked for */
enum { ANY_OP = -1 };

static struct standin_desc *all; /* those that were made, so that the dead are not leaks */
static _Thread_local char last_error[400];

/* What attributes there are */

#define OP(n) CUDNN_BACKEND_OPERATION_##n##_DESCRIPTOR
#define OF(n) CUDNN_BACKEND_##n##_DESCRIPTOR
#define ROW(of, name, type, min, max, how)                                                         \
    {                                                                                              \
        of, CUDNN_ATTR_##name, #name, CUDNN_TYPE_##type, min, max, how, 0                          \
    }
#define REF(of, name, what, max, how)                                                              \
    {                                                                                              \
        of, CUDNN_ATTR_##name, #name, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, max, how, what             \
    }
#define TENSOR OF(TENSOR)
static const struct rule {
    int of, name;
    const char *text;
    int type, min, max, how, refers;
} rules[] = {
    ROW(OF(TENSOR), TENSOR_DATA_TYPE, DATA_TYPE, 1, 1, NEED),
    ROW(OF(TENSOR), TENSOR_DIMENSIONS, INT64, 1, CUDNN_DIM_MAX, NEED),
    ROW(OF(TENSOR), TENSOR_STRIDES, INT64, 1, CUDNN_DIM_MAX, NEED),
    ROW(OF(TENSOR), TENSOR_UNIQUE_ID, INT64, 1, 1, NEED),
    ROW(OF(TENSOR), TENSOR_BYTE_ALIGNMENT, INT64, 1, 1, NEED),
    ROW(OF(TENSOR), TENSOR_IS_VIRTUAL, BOOLEAN, 1, 1, MAY),
    ROW(OF(CONVOLUTION), CONVOLUTION_SPATIAL_DIMS, INT64, 1, 1, NEED),
    ROW(OF(CONVOLUTION), CONVOLUTION_COMP_TYPE, DATA_TYPE, 1, 1, NEED),
    ROW(OF(CONVOLUTION), CONVOLUTION_CONV_MODE, CONVOLUTION_MODE, 1, 1, NEED),
    ROW(OF(CONVOLUTION), CONVOLUTION_FILTER_STRIDES, INT64, 1, CUDNN_DIM_MAX, NEED),
    ROW(OF(CONVOLUTION), CONVOLUTION_PRE_PADDINGS, INT64, 1, CUDNN_DIM_MAX, NEED),
    ROW(OF(CONVOLUTION), CONVOLUTION_POST_PADDINGS, INT64, 1, CUDNN_DIM_MAX, NEED),
    ROW(OF(CONVOLUTION), CONVOLUTION_DILATIONS, INT64, 1, CUDNN_DIM_MAX, NEED),
    REF(OP(CONVOLUTION_FORWARD), OPERATION_CONVOLUTION_FORWARD_CONV_DESC, OF(CONVOLUTION), 1, NEED),
    REF(OP(CONVOLUTION_FORWARD), OPERATION_CONVOLUTION_FORWARD_X, TENSOR, 1, NEED),
    REF(OP(CONVOLUTION_FORWARD), OPERATION_CONVOLUTION_FORWARD_W, TENSOR, 1, NEED),
    REF(OP(CONVOLUTION_FORWARD), OPERATION_CONVOLUTION_FORWARD_Y, TENSOR, 1, NEED),
    ROW(OP(CONVOLUTION_FORWARD), OPERATION_CONVOLUTION_FORWARD_ALPHA, FLOAT, 1, 1, NEED),
    ROW(OP(CONVOLUTION_FORWARD), OPERATION_CONVOLUTION_FORWARD_BETA, FLOAT, 1, 1, NEED),
    REF(OP(CONVOLUTION_BACKWARD_DATA), OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC, OF(CONVOLUTION), 1,
        NEED),
    REF(OP(CONVOLUTION_BACKWARD_DATA), OPERATION_CONVOLUTION_BWD_DATA_W, TENSOR, 1, NEED),
    REF(OP(CONVOLUTION_BACKWARD_DATA), OPERATION_CONVOLUTION_BWD_DATA_DX, TENSOR, 1, NEED),
    REF(OP(CONVOLUTION_BACKWARD_DATA), OPERATION_CONVOLUTION_BWD_DATA_DY, TENSOR, 1, NEED),
    ROW(OP(CONVOLUTION_BACKWARD_DATA), OPERATION_CONVOLUTION_BWD_DATA_ALPHA, FLOAT, 1, 1, NEED),
    ROW(OP(CONVOLUTION_BACKWARD_DATA), OPERATION_CONVOLUTION_BWD_DATA_BETA, FLOAT, 1, 1, NEED),
    REF(OP(CONVOLUTION_BACKWARD_FILTER), OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC,
        OF(CONVOLUTION), 1, NEED),
    REF(OP(CONVOLUTION_BACKWARD_FILTER), OPERATION_CONVOLUTION_BWD_FILTER_X, TENSOR, 1, NEED),
    REF(OP(CONVOLUTION_BACKWARD_FILTER), OPERATION_CONVOLUTION_BWD_FILTER_DW, TENSOR, 1, NEED),
    REF(OP(CONVOLUTION_BACKWARD_FILTER), OPERATION_CONVOLUTION_BWD_FILTER_DY, TENSOR, 1, NEED),
    ROW(OP(CONVOLUTION_BACKWARD_FILTER), OPERATION_CONVOLUTION_BWD_FILTER_ALPHA, FLOAT, 1, 1, NEED),
    ROW(OP(CONVOLUTION_BACKWARD_FILTER), OPERATION_CONVOLUTION_BWD_FILTER_BETA, FLOAT, 1, 1, NEED),
    ROW(OF(POINTWISE), POINTWISE_MODE, POINTWISE_MODE, 1, 1, NEED),
    ROW(OF(POINTWISE), POINTWISE_MATH_PREC, DATA_TYPE, 1, 1, NEED),
    ROW(OF(POINTWISE), POINTWISE_RELU_LOWER_CLIP, DOUBLE, 1, 1, MAY),
    ROW(OF(POINTWISE), POINTWISE_RELU_UPPER_CLIP, DOUBLE, 1, 1, MAY),
    ROW(OF(POINTWISE), POINTWISE_RELU_LOWER_CLIP_SLOPE, DOUBLE, 1, 1, MAY),
    REF(OP(POINTWISE), OPERATION_POINTWISE_PW_DESCRIPTOR, OF(POINTWISE), 1, NEED),
    REF(OP(POINTWISE), OPERATION_POINTWISE_XDESC, TENSOR, 1, MAY),
    REF(OP(POINTWISE), OPERATION_POINTWISE_BDESC, TENSOR, 1, MAY),
    REF(OP(POINTWISE), OPERATION_POINTWISE_YDESC, TENSOR, 1, MAY),
    REF(OP(POINTWISE), OPERATION_POINTWISE_DXDESC, TENSOR, 1, MAY),
    REF(OP(POINTWISE), OPERATION_POINTWISE_DYDESC, TENSOR, 1, MAY),
    ROW(OP(POINTWISE), OPERATION_POINTWISE_ALPHA1, FLOAT, 1, 1, MAY),
    ROW(OP(POINTWISE), OPERATION_POINTWISE_ALPHA2, FLOAT, 1, 1, MAY),
    ROW(OP(GEN_STATS), OPERATION_GENSTATS_MODE, GENSTATS_MODE, 1, 1, NEED),
    ROW(OP(GEN_STATS), OPERATION_GENSTATS_MATH_PREC, DATA_TYPE, 1, 1, NEED),
    REF(OP(GEN_STATS), OPERATION_GENSTATS_XDESC, TENSOR, 1, NEED),
    REF(OP(GEN_STATS), OPERATION_GENSTATS_SUMDESC, TENSOR, 1, NEED),
    REF(OP(GEN_STATS), OPERATION_GENSTATS_SQSUMDESC, TENSOR, 1, NEED),
    ROW(OP(BN_BWD_WEIGHTS), OPERATION_BN_BWD_WEIGHTS_MATH_PREC, DATA_TYPE, 1, 1, NEED),
    REF(OP(BN_BWD_WEIGHTS), OPERATION_BN_BWD_WEIGHTS_X_DESC, TENSOR, 1, NEED),
    REF(OP(BN_BWD_WEIGHTS), OPERATION_BN_BWD_WEIGHTS_DY_DESC, TENSOR, 1, NEED),
    REF(OP(BN_BWD_WEIGHTS), OPERATION_BN_BWD_WEIGHTS_MEAN_DESC, TENSOR, 1, NEED),
    REF(OP(BN_BWD_WEIGHTS), OPERATION_BN_BWD_WEIGHTS_INVSTD_DESC, TENSOR, 1, NEED),
    REF(OP(BN_BWD_WEIGHTS), OPERATION_BN_BWD_WEIGHTS_BN_SCALE_DESC, TENSOR, 1, NEED),
    REF(OP(BN_BWD_WEIGHTS), OPERATION_BN_BWD_WEIGHTS_DBN_SCALE_DESC, TENSOR, 1, NEED),
    REF(OP(BN_BWD_WEIGHTS), OPERATION_BN_BWD_WEIGHTS_DBN_BIAS_DESC, TENSOR, 1, NEED),
    REF(OP(BN_BWD_WEIGHTS), OPERATION_BN_BWD_WEIGHTS_EQ_DY_SCALE_DESC, TENSOR, 1, NEED),
    REF(OP(BN_BWD_WEIGHTS), OPERATION_BN_BWD_WEIGHTS_EQ_X_SCALE_DESC, TENSOR, 1, NEED),
    REF(OP(BN_BWD_WEIGHTS), OPERATION_BN_BWD_WEIGHTS_EQ_BIAS, TENSOR, 1, NEED),
    REF(OF(OPERATIONGRAPH), OPERATIONGRAPH_OPS, ANY_OP, STANDIN_OPS, NEED),
    ROW(OF(OPERATIONGRAPH), OPERATIONGRAPH_HANDLE, HANDLE, 1, 1, NEED),
    REF(OF(ENGINEHEUR), ENGINEHEUR_OPERATION_GRAPH, OF(OPERATIONGRAPH), 1, NEED),
    ROW(OF(ENGINEHEUR), ENGINEHEUR_MODE, HEUR_MODE, 1, 1, NEED),
    REF(OF(ENGINEHEUR), ENGINEHEUR_RESULTS, OF(ENGINECFG), INT16_MAX, ASK),
    REF(OF(ENGINE), ENGINE_OPERATION_GRAPH, OF(OPERATIONGRAPH), 1, NEED),
    ROW(OF(ENGINE), ENGINE_GLOBAL_INDEX, INT64, 1, 1, NEED | ASK),
    ROW(OF(ENGINE), ENGINE_NUMERICAL_NOTE, NUMERICAL_NOTE, 0, INT16_MAX, ASK),
    ROW(OF(ENGINE), ENGINE_BEHAVIOR_NOTE, BEHAVIOR_NOTE, 0, INT16_MAX, ASK),
    ROW(OF(KNOB_CHOICE), KNOB_CHOICE_KNOB_TYPE, KNOB_TYPE, 1, 1, NEED | ASK),
    ROW(OF(KNOB_CHOICE), KNOB_CHOICE_KNOB_VALUE, INT64, 1, 1, NEED | ASK),
    REF(OF(ENGINECFG), ENGINECFG_ENGINE, OF(ENGINE), 1, NEED | ASK),
    REF(OF(ENGINECFG), ENGINECFG_KNOB_CHOICES, OF(KNOB_CHOICE), INT16_MAX, MAY | ASK),
    ROW(OF(EXECUTION_PLAN), EXECUTION_PLAN_HANDLE, HANDLE, 1, 1, NEED),
    REF(OF(EXECUTION_PLAN), EXECUTION_PLAN_ENGINE_CONFIG, OF(ENGINECFG), 1, NEED),
    ROW(OF(EXECUTION_PLAN), EXECUTION_PLAN_WORKSPACE_SIZE, INT64, 1, 1, ASK),
    ROW(OF(VARIANT_PACK), VARIANT_PACK_UNIQUE_IDS, INT64, 1, STANDIN_TENSORS, NEED),
    ROW(OF(VARIANT_PACK), VARIANT_PACK_DATA_POINTERS, VOID_PTR, 1, STANDIN_TENSORS, NEED),
    ROW(OF(VARIANT_PACK), VARIANT_PACK_WORKSPACE, VOID_PTR, 1, 1, NEED),
};
enum { RULES = sizeof rules / sizeof rules[0] };

static const char *const type_names[] = {
    [OF(TENSOR)] = "tensor",
    [OF(CONVOLUTION)] = "convolution",
    [OP(CONVOLUTION_FORWARD)] = "convolution forward",
    [OP(CONVOLUTION_BACKWARD_DATA)] = "convolution backward data",
    [OP(CONVOLUTION_BACKWARD_FILTER)] = "convolution backward filter",
    [OF(POINTWISE)] = "pointwise mode",
    [OP(POINTWISE)] = "pointwise operation",
    [OP(GEN_STATS)] = "generated statistics",
    [OP(BN_BWD_WEIGHTS)] = "batch norm backward weights",
    [OF(OPERATIONGRAPH)] = "operation graph",
    [OF(ENGINEHEUR)] = "heuristics",
    [OF(ENGINE)] = "engine",
    [OF(KNOB_CHOICE)] = "knob choice",
    [OF(ENGINECFG)] = "engine configuration",
    [OF(EXECUTION_PLAN)] = "execution plan",
    [OF(VARIANT_PACK)] = "variant pack",
};
enum { TYPES = sizeof type_names / sizeof type_names[0] };

const char *standin_cudnn_type_name(int t)
{
    return t >= 0 && t < TYPES && type_names[t] ? type_names[t] : "unknown";
}

static size_t element_bytes(int type)
{
    switch (type) {
    case CUDNN_TYPE_BOOLEAN:
        return sizeof(bool);
    case CUDNN_TYPE_INT64:
        return sizeof(int64_t);
    case CUDNN_TYPE_DOUBLE:
        return sizeof(double);
    case CUDNN_TYPE_FLOAT:
        return sizeof(float);
    case CUDNN_TYPE_HANDLE:
    case CUDNN_TYPE_VOID_PTR:
    case CUDNN_TYPE_BACKEND_DESCRIPTOR:
        return sizeof(void *);
    default:
        return sizeof(int); /* enumerations */
    }
}

static const struct rule *rule_of(const struct standin_desc *d, int name)
{
    for (int i = 0; i < RULES; i++)
        if (rules[i].of == (int)d->type && rules[i].name == name)
            return &rules[i];
    standin_fail("cuDNN: a descriptor of kind '%s' has no attribute %d",
                 standin_cudnn_type_name((int)d->type), name);
}

/* Descriptors */

/* The memory of a destroyed one is kept, so that it can be told. */
static struct standin_desc *made_desc(void *p, const char *what)
{
    struct standin_desc *d = p;
    if (!d || (d->magic != LIVE && d->magic != DEAD))
        standin_fail("cuDNN: %s: %p is no descriptor", what, p);
    if (d->magic == DEAD)
        standin_fail("cuDNN: %s: the descriptor (%s) was destroyed", what,
                     standin_cudnn_type_name((int)d->type));
    return d;
}

/* With all that it refers to. */
struct standin_desc *standin_cudnn_live_desc(void *p, const char *what)
{
    struct standin_desc *d = made_desc(p, what);
    for (int i = 0; i < d->attrs; i++)
        for (int64_t k = 0;
             d->attr[i].type == CUDNN_TYPE_BACKEND_DESCRIPTOR && k < d->attr[i].count; k++)
            standin_cudnn_live_desc(((void **)d->attr[i].value)[k], what);
    return d;
}

struct standin_handle *standin_cudnn_live_handle(const void *p)
{
    struct standin_handle *h = (struct standin_handle *)(uintptr_t)p;
    if (!h || h->magic != HANDLE)
        standin_fail("cuDNN: %p is no handle, or one that was destroyed", p);
    return h;
}

const struct standin_attr *standin_cudnn_find(const struct standin_desc *d, int name)
{
    for (int i = 0; i < d->attrs; i++)
        if (d->attr[i].name == name)
            return &d->attr[i];
    return NULL;
}

int64_t standin_cudnn_int64(const struct standin_desc *d, int name, int64_t i)
{
    return ((const int64_t *)standin_cudnn_find(d, name)->value)[i];
}

int standin_cudnn_enum(const struct standin_desc *d, int name)
{
    return *(const int *)standin_cudnn_find(d, name)->value;
}

double standin_cudnn_real(const struct standin_desc *d, int name, double otherwise)
{
    const struct standin_attr *a = standin_cudnn_find(d, name);
    return !a                             ? otherwise
           : a->type == CUDNN_TYPE_DOUBLE ? *(const double *)a->value
                                          : (double)*(const float *)a->value;
}

struct standin_desc *standin_cudnn_desc(const struct standin_desc *d, int name, int64_t i)
{
    const struct standin_attr *a = standin_cudnn_find(d, name);
    return a && i < a->count ? ((struct standin_desc *const *)a->value)[i] : NULL;
}

cudnnStatus_t standin_cudnn_refuse(cudnnStatus_t status, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(last_error, sizeof last_error, format, args);
    va_end(args);
    return status;
}

static void forget(struct standin_desc *d, int place)
{
    free(d->attr[place].value);
    d->attr[place] = d->attr[--d->attrs];
}

void standin_cudnn_keep(struct standin_desc *d, int name, int type, int64_t count,
                        const void *value)
{
    const size_t bytes = (size_t)count * element_bytes(type);
    for (int i = 0; i < d->attrs; i++)
        if (d->attr[i].name == name)
            forget(d, i);
    if (d->attrs == (int)(sizeof d->attr / sizeof d->attr[0]))
        standin_fail("cuDNN: the stand-in keeps no more than %d attributes", d->attrs);
    struct standin_attr *a = &d->attr[d->attrs++];
    *a = (struct standin_attr){name, type, count, malloc(bytes)};
    memcpy(a->value, value, bytes);
}

cudnnStatus_t cudnnBackendCreateDescriptor(cudnnBackendDescriptorType_t type,
                                           cudnnBackendDescriptor_t *out)
{
    if (!out)
        standin_fail("cuDNN: CreateDescriptor: no place for the descriptor");
    *out = NULL;
    if (type == CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR) /* as versions before 9.8 */
        return standin_cudnn_refuse(CUDNN_STATUS_NOT_SUPPORTED, "no descriptions of devices");
    if ((int)type < 0 || (int)type >= TYPES || !type_names[type])
        standin_fail("cuDNN: CreateDescriptor: the stand-in has no descriptor of kind %d",
                     (int)type);
    struct standin_desc *d = calloc(1, sizeof *d);
    *d = (struct standin_desc){.magic = LIVE, .type = type, .next = all};
    all = d;
    standin_cudnn.live++;
    *out = d;
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnBackendDestroyDescriptor(cudnnBackendDescriptor_t p)
{
    struct standin_desc *d = made_desc(p, "DestroyDescriptor");
    while (d->attrs > 0)
        forget(d, 0);
    standin_cudnn_drop_program(d->program);
    d->program = NULL;
    d->magic = DEAD;
    standin_cudnn.live--;
    return CUDNN_STATUS_SUCCESS;
}

static void check_referred(const struct rule *r, int64_t count, const void *value)
{
    for (int64_t i = 0; i < count; i++) {
        void *p = ((void *const *)value)[i];
        const struct standin_desc *d = standin_cudnn_live_desc(p, r->text);
        const int op = d->type == OP(POINTWISE) || d->type == OP(GEN_STATS) ||
                       d->type == OP(BN_BWD_WEIGHTS) || d->type == OP(CONVOLUTION_FORWARD) ||
                       d->type == OP(CONVOLUTION_BACKWARD_DATA) ||
                       d->type == OP(CONVOLUTION_BACKWARD_FILTER);
        if (r->refers == ANY_OP ? !op : r->refers != (int)d->type)
            standin_fail("cuDNN: %s is given a descriptor of kind '%s'", r->text,
                         standin_cudnn_type_name((int)d->type));
        if (!d->final)
            standin_fail("cuDNN: %s is given a %s that is not finalized", r->text,
                         standin_cudnn_type_name((int)d->type));
    }
}

static void check_shape_of_call(const struct rule *r, int type, int64_t count, const void *value)
{
    if (type != r->type)
        standin_fail("cuDNN: %s is of attribute type %d, not %d", r->text, r->type, type);
    if (count < r->min || count > r->max)
        standin_fail("cuDNN: %s has %d to %d elements, not %lld", r->text, r->min, r->max,
                     (long long)count);
    if (!value && count > 0)
        standin_fail("cuDNN: %s: no array of elements", r->text);
}

cudnnStatus_t cudnnBackendSetAttribute(cudnnBackendDescriptor_t p, cudnnBackendAttributeName_t name,
                                       cudnnBackendAttributeType_t type, int64_t count,
                                       const void *value)
{
    struct standin_desc *d = standin_cudnn_live_desc(p, "SetAttribute");
    const struct rule *r = rule_of(d, (int)name);
    if (d->final)
        standin_fail("cuDNN: %s is set after its %s was finalized", r->text,
                     standin_cudnn_type_name((int)d->type));
    if (!(r->how & (NEED | MAY)))
        standin_fail("cuDNN: %s cannot be set", r->text);
    check_shape_of_call(r, (int)type, count, value);
    if (type == CUDNN_TYPE_BACKEND_DESCRIPTOR)
        check_referred(r, count, value);
    if (type == CUDNN_TYPE_HANDLE)
        standin_cudnn_live_handle(*(void *const *)value);
    standin_cudnn_keep(d, (int)name, (int)type, count, value);
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnBackendFinalize(cudnnBackendDescriptor_t p)
{
    struct standin_desc *d = standin_cudnn_live_desc(p, "Finalize");
    if (d->final)
        standin_fail("cuDNN: a %s is finalized twice", standin_cudnn_type_name((int)d->type));
    for (int i = 0; i < RULES; i++)
        if (rules[i].of == (int)d->type && rules[i].how & NEED &&
            !standin_cudnn_find(d, rules[i].name))
            standin_fail("cuDNN: a %s is finalized without %s",
                         standin_cudnn_type_name((int)d->type), rules[i].text);
    standin_cudnn_judge(d);
    const cudnnStatus_t status = standin_cudnn_plan(d);
    d->final = status == CUDNN_STATUS_SUCCESS;
    return status;
}

/* What is asked of a descriptor comes from what was set, or from what the library knows of it. */
cudnnStatus_t cudnnBackendGetAttribute(cudnnBackendDescriptor_t p, cudnnBackendAttributeName_t name,
                                       cudnnBackendAttributeType_t type, int64_t asked,
                                       int64_t *count, void *out)
{
    struct standin_desc *d = standin_cudnn_live_desc(p, "GetAttribute");
    const struct rule *r = rule_of(d, (int)name);
    if (!(r->how & ASK))
        standin_fail("cuDNN: the stand-in is not asked for %s", r->text);
    if (!d->final)
        standin_fail("cuDNN: %s is asked of a %s that is not finalized", r->text,
                     standin_cudnn_type_name((int)d->type));
    if ((int)type != r->type || asked < 0 || (asked > 0 && !out) || (asked == 0 && !count))
        standin_fail("cuDNN: %s is asked for as attribute type %d, %lld elements", r->text,
                     (int)type, (long long)asked);
    for (int64_t i = 0; r->type == CUDNN_TYPE_BACKEND_DESCRIPTOR && i < asked; i++) {
        const struct standin_desc *to = standin_cudnn_live_desc(((void **)out)[i], r->text);
        if ((int)to->type != r->refers || to->final || to->attrs > 0)
            standin_fail("cuDNN: %s is written to new descriptors of its kind, not to a used %s",
                         r->text, standin_cudnn_type_name((int)to->type));
    }
    return standin_cudnn_answer(d, (int)name, asked, count, out);
}

/* Handles and words */

cudnnStatus_t cudnnCreate(cudnnHandle_t *out)
{
    *out = NULL;
    if (standin_cudnn.create != CUDNN_STATUS_SUCCESS)
        return standin_cudnn_refuse((cudnnStatus_t)standin_cudnn.create, "no handle today");
    struct standin_handle *h = calloc(1, sizeof *h);
    h->magic = HANDLE;
    standin_cudnn.live++;
    *out = (cudnnHandle_t)h;
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnDestroy(cudnnHandle_t handle)
{
    struct standin_handle *h = standin_cudnn_live_handle(handle);
    h->magic = DEAD;
    free(h);
    standin_cudnn.live--;
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnSetStream(cudnnHandle_t handle, cudaStream_t stream)
{
    standin_cudnn_live_handle(handle)->stream = stream;
    return CUDNN_STATUS_SUCCESS;
}

size_t cudnnGetVersion(void)
{
    return standin_cudnn.version;
}

const char *cudnnGetErrorString(cudnnStatus_t status)
{
    return status == CUDNN_STATUS_SUCCESS               ? "CUDNN_STATUS_SUCCESS"
           : status == CUDNN_STATUS_NOT_INITIALIZED     ? "CUDNN_STATUS_NOT_INITIALIZED"
           : CUDNN_STATUS_CATEGORY((int)status) == 2000 ? "CUDNN_STATUS_BAD_PARAM"
           : CUDNN_STATUS_CATEGORY((int)status) == 3000 ? "CUDNN_STATUS_NOT_SUPPORTED"
           : CUDNN_STATUS_CATEGORY((int)status) == 4000 ? "CUDNN_STATUS_INTERNAL_ERROR"
                                                        : "CUDNN_STATUS_EXECUTION_FAILED";
}

/* What was said is forgotten, as the library does. */
void cudnnGetLastErrorString(char *message, size_t max_size)
{
    if (!message || max_size == 0)
        return;
    snprintf(message, max_size, "%s", last_error);
    last_error[0] = 0;
}
