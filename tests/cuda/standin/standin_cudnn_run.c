/* SPDX-License-Identifier: MIT */
/* Execute: whether the pointers are what the plan needs, and, in the stream's turn, the operations one after another.
 * Pointers are copied when Execute is called, as a captured graph keeps them; what the plan is made of may be destroyed
 * before it has run. */
#include "tests/cuda/standin/standin.h"
#include "tests/cuda/standin/standin_cudnn_graph.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct run {
    struct standin_program *program;
    const struct standin_engine *engine;
    char *address[STANDIN_TENSORS]; /* NULL: virtual */
    char *workspace;
    int64_t workspace_bytes;
    double us;
    int wide;
};

/* Operations but the convolution */

static size_t count_of(const struct standin_tensor *t)
{
    return (size_t)(t->dim[0] * t->dim[1] * t->dim[2] * t->dim[3]);
}

static float pointwise(const struct standin_op *op, float x, float b)
{
    const float p = (float)op->alpha * x, q = (float)op->beta * b;
    switch (op->mode) {
    case CUDNN_POINTWISE_ADD:
        return p + q;
    case CUDNN_POINTWISE_SUB:
        return p - q;
    case CUDNN_POINTWISE_MUL:
        return p * q;
    case CUDNN_POINTWISE_DIV:
        return p / q;
    case CUDNN_POINTWISE_MAX:
        return fmaxf(p, q);
    case CUDNN_POINTWISE_MIN:
        return fminf(p, q);
    case CUDNN_POINTWISE_RELU_FWD:
        return isnan(p)                ? p
               : (double)p < op->lower ? (float)(op->lower + op->slope * ((double)p - op->lower))
               : (double)p > op->upper ? (float)op->upper
                                       : p;
    case CUDNN_POINTWISE_RELU_BWD: /* alpha1 is of dy, which is b, and alpha2 of x */
        return (float)op->beta * x > (float)op->lower && (float)op->beta * x < (float)op->upper
                   ? (float)op->alpha * b
               : (float)op->beta * x <= (float)op->lower ? (float)(op->slope * op->alpha) * b
                                                         : 0;
    default:
        return p;
    }
}

/* How far apart elements of a tensor lie that meet neighbours of another of those dims; 0 where it is spread. */
static void spread(const int64_t dim[4], int64_t step[4])
{
    const int64_t natural[4] = {dim[2] * dim[3] * dim[1], 1, dim[3] * dim[1], dim[1]};
    for (int i = 0; i < 4; i++)
        step[i] = dim[i] == 1 ? 0 : natural[i];
}

static void evaluate_pointwise(const struct standin_program *p, const struct standin_op *op,
                               float *const in[], float *out)
{
    const int64_t *dim = p->tensor[op->out[0]].dim;
    const int two = op->ins > 1;
    int64_t a[4], b[4] = {0}, at = 0;
    spread(p->tensor[op->in[0]].dim, a);
    if (two)
        spread(p->tensor[op->in[1]].dim, b);
    for (int64_t n = 0; n < dim[0]; n++)
        for (int64_t y = 0; y < dim[2]; y++)
            for (int64_t x = 0; x < dim[3]; x++) {
                const float *pa = in[0] + n * a[0] + y * a[2] + x * a[3],
                            *pb = two ? in[1] + n * b[0] + y * b[2] + x * b[3] : NULL;
                for (int64_t c = 0; c < dim[1]; c++, at++)
                    out[at] = pointwise(op, pa[c * a[1]], two ? pb[c * b[1]] : 0);
            }
}

static void evaluate_stats(const struct standin_tensor *t, const float *x, float *sum,
                           float *squares)
{
    const size_t c = (size_t)t->dim[1], count = count_of(t);
    double *s = calloc(2 * c, sizeof *s);
    for (size_t i = 0; i < count; i += c)
        for (size_t k = 0; k < c; k++) {
            s[k] += (double)x[i + k];
            s[c + k] += (double)x[i + k] * (double)x[i + k];
        }
    for (size_t k = 0; k < c; k++) {
        sum[k] = (float)s[k];
        squares[k] = (float)s[c + k];
    }
    free(s);
}

/* dscale, dbias, and a, b, c of dx = a dy + b x + c: the derivative of scale (x - mean) invstd + bias by an x that
 * mean and invstd are made of. */
static void evaluate_bn(const struct standin_tensor *t, float *const in[], float *const out[])
{
    const size_t c = (size_t)t->dim[1], count = count_of(t);
    const double m = (double)(count / c);
    for (size_t k = 0; k < c; k++) {
        const double mean = (double)in[2][k], rstd = (double)in[3][k], scale = (double)in[4][k];
        double product = 0, sum = 0;
        for (size_t i = k; i < count; i += c) {
            product += (double)in[1][i] * (((double)in[0][i] - mean) * rstd);
            sum += (double)in[1][i];
        }
        const double a = scale * rstd, b = -a * rstd * product / m;
        out[0][k] = (float)product;
        out[1][k] = (float)sum;
        out[2][k] = (float)a;
        out[3][k] = (float)b;
        out[4][k] = (float)(-a * sum / m - b * mean);
    }
}

void standin_cudnn_evaluate(const struct standin_program *p, const struct standin_op *op,
                            float *const in[], float *const out[])
{
    switch (op->kind) {
    case CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR:
        evaluate_pointwise(p, op, in, out[0]);
        break;
    case CUDNN_BACKEND_OPERATION_GEN_STATS_DESCRIPTOR:
        evaluate_stats(&p->tensor[op->in[0]], in[0], out[0], out[1]);
        break;
    case CUDNN_BACKEND_OPERATION_BN_BWD_WEIGHTS_DESCRIPTOR:
        evaluate_bn(&p->tensor[op->in[0]], in, out);
        break;
    default:
        standin_cudnn_convolve(p, op, in, out[0]);
    }
}

/* A run */

static void check_place(const struct run *r, int i, const char *when)
{
    const struct standin_tensor *t = &r->program->tensor[i];
    const int64_t extent = standin_cudnn_extent(t);
    const size_t room = standin_room_at(r->address[i]);
    if (room < (size_t)extent)
        standin_fail("cuDNN: Execute%s: tensor %lld reaches over %lld bytes, of which %zu are the "
                     "device's",
                     when, (long long)t->id, (long long)extent, room);
}

static void check_workspace(const struct run *r, const char *when)
{
    if (r->workspace_bytes > 0 && standin_room_at(r->workspace) < (size_t)r->workspace_bytes)
        standin_fail("cuDNN: Execute%s: a workspace of %zu bytes of the device's, and the plan "
                     "wants %lld",
                     when, standin_room_at(r->workspace), (long long)r->workspace_bytes);
}

static void evaluate_op(const struct run *r, const struct standin_op *op, float *const value[])
{
    const struct standin_program *p = r->program;
    float *in[STANDIN_INPUTS] = {0}, *out[STANDIN_OUTPUTS] = {0};
    for (int i = 0; i < op->ins; i++)
        in[i] = value[op->in[i]];
    for (int i = 0; i < op->outs; i++)
        out[i] = value[op->out[i]];
    const int conv = op->kind == CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR ||
                     op->kind == CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR ||
                     op->kind == CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR;
    for (int i = 0; conv && r->engine->mantissa_bits && i < op->ins; i++)
        standin_cudnn_round_bits(in[i], count_of(&p->tensor[op->in[i]]), r->engine->mantissa_bits);
    standin_cudnn_evaluate(p, op, in, out);
    for (int i = 0; i < op->outs && !r->wide; i++)
        standin_cudnn_round(out[i], count_of(&p->tensor[op->out[i]]), p->tensor[op->out[i]].type);
}

static void run(void *ctx)
{
    struct run *r = ctx;
    const struct standin_program *p = r->program;
    float *value[STANDIN_TENSORS] = {0};
    check_workspace(r, ", run in its turn");
    for (int i = 0; i < p->tensors; i++) {
        value[i] = malloc(count_of(&p->tensor[i]) * sizeof(float));
        if (r->address[i]) {
            check_place(r, i, ", run in its turn");
            standin_cudnn_load(&p->tensor[i], r->address[i], value[i]);
        }
    }
    if (r->workspace_bytes > 0)
        memset(r->workspace, 0xff, (size_t)r->workspace_bytes);
    for (int i = 0; i < p->ops; i++)
        evaluate_op(r, &p->op[i], value);
    for (int i = 0; i < p->tensors; i++) {
        if (r->address[i] && p->tensor[i].made_by >= 0) {
            for (size_t k = 0; r->engine->fault == STANDIN_WRONG && k < count_of(&p->tensor[i]);
                 k++)
                value[i][k] = -3 * value[i][k];
            standin_cudnn_store(&p->tensor[i], value[i], r->address[i]);
        }
        free(value[i]);
    }
    standin_cudnn.run++;
    standin_cudnn.of[p->pattern]++;
    standin_cudnn.rubbish += r->engine->fault == STANDIN_WRONG;
    standin_spend(r->us);
}

static void drop(void *ctx)
{
    struct run *r = ctx;
    standin_cudnn_drop_program(r->program);
    free(r);
}

static void take_addresses(struct run *r, const struct standin_desc *pack)
{
    const struct standin_attr *ids = standin_cudnn_find(pack, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS);
    const struct standin_attr *to = standin_cudnn_find(pack, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS);
    for (int64_t k = 0; k < ids->count; k++) {
        const int64_t id = ((const int64_t *)ids->value)[k];
        int place = 0;
        while (place < r->program->tensors && r->program->tensor[place].id != id)
            place++;
        if (place == r->program->tensors || r->program->tensor[place].is_virtual)
            standin_fail("cuDNN: Execute: the variant pack has tensor %lld, which the graph has %s",
                         (long long)id, place == r->program->tensors ? "not" : "as a virtual one");
        r->address[place] = ((char *const *)to->value)[k];
    }
    for (int i = 0; i < r->program->tensors; i++) {
        const struct standin_tensor *t = &r->program->tensor[i];
        if (t->is_virtual)
            continue;
        if (!r->address[i])
            standin_fail("cuDNN: Execute: the variant pack has no address of tensor %lld",
                         (long long)t->id);
        if ((uintptr_t)r->address[i] % (uintptr_t)t->align != 0)
            standin_fail("cuDNN: Execute: tensor %lld is at %p, not aligned to %lld bytes",
                         (long long)t->id, (void *)r->address[i], (long long)t->align);
        check_place(r, i, "");
    }
}

static int overlap(const char *a, int64_t an, const char *b, int64_t bn)
{
    return bn > 0 && a < b + bn && b < a + an;
}

/* What is written overlaps nothing: neither an operand, nor the workspace. */
static void check_apart(const struct run *r)
{
    const struct standin_program *p = r->program;
    for (int i = 0; i < p->tensors; i++) {
        const int64_t n = standin_cudnn_extent(&p->tensor[i]);
        if (r->address[i] && overlap(r->address[i], n, r->workspace, r->workspace_bytes))
            standin_fail("cuDNN: Execute: tensor %lld lies in the workspace",
                         (long long)p->tensor[i].id);
        for (int k = 0; r->address[i] && p->tensor[i].made_by >= 0 && k < p->tensors; k++)
            if (k != i && r->address[k] &&
                overlap(r->address[i], n, r->address[k], standin_cudnn_extent(&p->tensor[k])))
                standin_fail("cuDNN: Execute: tensor %lld is written where tensor %lld lies",
                             (long long)p->tensor[i].id, (long long)p->tensor[k].id);
    }
}

cudnnStatus_t cudnnBackendExecute(cudnnHandle_t handle, cudnnBackendDescriptor_t plan_p,
                                  cudnnBackendDescriptor_t pack_p)
{
    const struct standin_handle *h = standin_cudnn_live_handle(handle);
    struct standin_desc *plan = standin_cudnn_live_desc(plan_p, "Execute"),
                        *pack = standin_cudnn_live_desc(pack_p, "Execute");
    int64_t count;
    if (plan->type != CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR || !plan->final ||
        pack->type != CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR || !pack->final)
        standin_fail("cuDNN: Execute wants a finalized plan and a finalized variant pack");
    if (*(void *const *)standin_cudnn_find(plan, CUDNN_ATTR_EXECUTION_PLAN_HANDLE)->value != handle)
        standin_fail("cuDNN: Execute: the plan was made for another handle");
    struct run *r = calloc(1, sizeof *r);
    *r = (struct run){.program = plan->program, .engine = plan->engine, .wide = standin_cudnn.wide};
    standin_cudnn_answer(plan, CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE, 1, &count,
                         &r->workspace_bytes);
    r->workspace =
        *(char *const *)standin_cudnn_find(pack, CUDNN_ATTR_VARIANT_PACK_WORKSPACE)->value;
    r->us = standin_cudnn_us(plan);
    r->program->refs++;
    check_workspace(r, "");
    take_addresses(r, pack);
    check_apart(r);
    if (r->engine->fault == STANDIN_NO_RUN) {
        drop(r);
        return standin_cudnn_refuse(CUDNN_STATUS_EXECUTION_FAILED, "this engine does not run");
    }
    standin_enqueue(h->stream, run, drop, r, "a graph of cuDNN");
    return CUDNN_STATUS_SUCCESS;
}
