/* SPDX-License-Identifier: MIT */
/* What cuDNN and cuBLAS compute, by loops. */
#include "tests/cuda/device_host_math.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Numbers of the storage types */

float host_load(const void *p, enum fv_low_dtype t, size_t i)
{
    const uint16_t h = t == FV_LOW_F32 ? 0 : ((const uint16_t *)p)[i];
    uint32_t bits = (uint32_t)h << 16;
    float f;
    if (t == FV_LOW_F32)
        return ((const float *)p)[i];
    if (t == FV_LOW_F16) {
        const int exponent = h >> 10 & 31;
        const float m = (float)(h & 1023), sign = h & 0x8000 ? -1 : 1;
        return exponent == 31  ? sign * (m ? NAN : INFINITY)
               : exponent == 0 ? sign * ldexpf(m, -24)
                               : sign * ldexpf(1024 + m, exponent - 25);
    }
    memcpy(&f, &bits, sizeof f);
    return f;
}

/* Round to nearest, ties to even. */
void host_store(void *p, enum fv_low_dtype t, size_t i, double v)
{
    const float f = (float)v;
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    if (t == FV_LOW_F32) {
        ((float *)p)[i] = f;
    } else if (t == FV_LOW_BF16) {
        ((uint16_t *)p)[i] =
            (uint16_t)(isnan(f) ? 0x7fc0 : (bits + 0x7fff + (bits >> 16 & 1)) >> 16);
    } else {
        const uint16_t sign = (uint16_t)(bits >> 16 & 0x8000);
        int exponent;
        const float m = frexpf(fabsf(f), &exponent); /* m in [0.5, 1) */
        uint16_t h = 0;
        if (isnan(f))
            h = 0x7e00;
        else if (isinf(f))
            h = 0x7c00;
        else if (f != 0 && exponent < -13)
            h = (uint16_t)rintf(ldexpf(fabsf(f), 24));
        else if (f != 0) {
            const long whole = (long)rintf(ldexpf(m, 11)) + ((long)(exponent + 13) << 10);
            h = (uint16_t)(whole > 0x7c00 ? 0x7c00 : whole);
        }
        ((uint16_t *)p)[i] = sign | h;
    }
}

/* Convolutions */

/* Pixel and channel of the input that output (y, x) meets under tap (r, s); -1: padding. */
static long long input_pixel(const struct fv_low_shape *s, int n, int y, int x, int r, int t)
{
    const int iy = y * s->stride - s->pad + r, ix = x * s->stride - s->pad + t;
    if (iy < 0 || ix < 0 || iy >= s->in_h || ix >= s->in_w)
        return -1;
    return ((long long)n * s->in_h + iy) * s->in_w + ix;
}

/* Calls f for each product that a convolution is the sum of: places in x, w and y. */
#define EACH_PRODUCT(s, ix, iw, iy, statement)                                                     \
    for (int n_ = 0; n_ < (s)->n; n_++)                                                            \
        for (int y_ = 0; y_ < (s)->h; y_++)                                                        \
            for (int x_ = 0; x_ < (s)->w; x_++)                                                    \
                for (int r_ = 0; r_ < (s)->window * (s)->window; r_++) {                           \
                    const long long p_ =                                                           \
                        input_pixel(s, n_, y_, x_, r_ / (s)->window, r_ % (s)->window);            \
                    for (int k_ = 0; p_ >= 0 && k_ < (s)->c; k_++)                                 \
                        for (int c_ = 0; c_ < (s)->in_c; c_++) {                                   \
                            const size_t ix = (size_t)p_ * (size_t)(s)->in_c + (size_t)c_;         \
                            const size_t iw =                                                      \
                                ((size_t)k_ * (size_t)((s)->window * (s)->window) + (size_t)r_) *  \
                                    (size_t)(s)->in_c +                                            \
                                (size_t)c_;                                                        \
                            const size_t iy =                                                      \
                                (((size_t)n_ * (size_t)(s)->h + (size_t)y_) * (size_t)(s)->w +     \
                                 (size_t)x_) *                                                     \
                                    (size_t)(s)->c +                                               \
                                (size_t)k_;                                                        \
                            statement;                                                             \
                        }                                                                          \
                }

float *host_widened(const void *p, enum fv_low_dtype t, size_t count)
{
    float *v = malloc((count + 1) * sizeof *v);
    for (size_t i = 0; i < count; i++)
        v[i] = host_load(p, t, i);
    return v;
}

static size_t in_count(const struct fv_low_shape *s)
{
    return (size_t)s->n * (size_t)s->in_h * (size_t)s->in_w * (size_t)s->in_c;
}
static size_t out_count(const struct fv_low_shape *s)
{
    return (size_t)s->n * (size_t)s->h * (size_t)s->w * (size_t)s->c;
}
static size_t weight_count(const struct fv_low_shape *s)
{
    return (size_t)s->c * (size_t)(s->window * s->window) * (size_t)s->in_c;
}

/* x, after the prologue that the graph asks for */
static float *prologue(const struct fv_low_op *op, enum fv_low_dtype t, void *const arg[])
{
    const size_t count = in_count(&op->shape), c = (size_t)op->shape.in_c;
    float *x = host_widened(arg[FV_LOW_X], t, count);
    if (op->graph == FV_LOW_GRAPH_PROLOGUE_STATS || op->graph == FV_LOW_GRAPH_WGRAD_PROLOGUE)
        for (size_t i = 0; i < count; i++) {
            const float z = x[i] * host_load(arg[FV_LOW_SCALE16], t, i % c) +
                            host_load(arg[FV_LOW_SHIFT16], t, i % c);
            host_store(x, FV_LOW_F32, i, z > 0 ? z : 0);
        }
    return x;
}

static void forward(const struct fv_low_op *op, enum fv_low_dtype t, void *const arg[])
{
    const struct fv_low_shape *s = &op->shape;
    const size_t count = out_count(s);
    float *x = prologue(op, t, arg), *w = host_widened(arg[FV_LOW_W], t, weight_count(s));
    double *y = calloc(count, sizeof *y);
    EACH_PRODUCT(s, ix, iw, iy, y[iy] += (double)x[ix] * (double)w[iw])
    for (size_t i = 0; i < count; i++)
        host_store(arg[FV_LOW_Y], t, i, y[i]);
    float *sum = arg[FV_LOW_STAT0], *squares = arg[FV_LOW_STAT1];
    for (int k = 0; sum && k < s->c; k++) {
        double a = 0, b = 0;
        for (size_t i = (size_t)k; i < count; i += (size_t)s->c) {
            const double v = (double)host_load(arg[FV_LOW_Y], t, i);
            a += v;
            b += v * v;
        }
        sum[k] = (float)a;
        squares[k] = (float)b;
    }
    free(x);
    free(w);
    free(y);
}

/* Masks dx by the batch norm whose relu made the convolution's input, and sums for that batch norm. */
static void mask(const struct fv_low_op *op, enum fv_low_dtype t, void *const arg[], double *dx)
{
    const size_t count = in_count(&op->shape), c = (size_t)op->shape.in_c;
    const float *mean = arg[FV_LOW_MEAN], *rstd = arg[FV_LOW_RSTD], *gamma = arg[FV_LOW_GAMMA],
                *beta = arg[FV_LOW_BETA];
    float *sum = arg[FV_LOW_STAT0], *product = arg[FV_LOW_STAT1];
    for (size_t k = 0; k < c; k++) {
        double a = 0, b = 0;
        for (size_t i = k; i < count; i += c) {
            const double h = (double)((host_load(arg[FV_LOW_X], t, i) - mean[k]) * rstd[k]);
            if (!(h * (double)gamma[k] + (double)beta[k] > 0))
                dx[i] = 0;
            a += dx[i];
            b += dx[i] * h;
        }
        sum[k] = (float)a;
        product[k] = (float)b;
    }
}

static void data_gradient(const struct fv_low_op *op, enum fv_low_dtype t, void *const arg[])
{
    const struct fv_low_shape *s = &op->shape;
    float *dy = host_widened(arg[FV_LOW_DY], t, out_count(s));
    float *w = host_widened(arg[FV_LOW_W], t, weight_count(s));
    double *dx = calloc(in_count(s), sizeof *dx);
    EACH_PRODUCT(s, ix, iw, iy, dx[ix] += (double)dy[iy] * (double)w[iw])
    if (op->graph == FV_LOW_GRAPH_DGRAD_BN)
        mask(op, t, arg, dx);
    for (size_t i = 0; i < in_count(s); i++)
        host_store(arg[FV_LOW_DX], t, i, dx[i]);
    free(dy);
    free(w);
    free(dx);
}

static void weight_gradient(const struct fv_low_op *op, enum fv_low_dtype t, void *const arg[])
{
    const struct fv_low_shape *s = &op->shape;
    float *x = prologue(op, t, arg), *dy = host_widened(arg[FV_LOW_DY], t, out_count(s));
    double *dw = calloc(weight_count(s), sizeof *dw);
    EACH_PRODUCT(s, ix, iw, iy, dw[iw] += (double)x[ix] * (double)dy[iy])
    for (size_t i = 0; i < weight_count(s); i++)
        host_store(arg[FV_LOW_DW], t, i, dw[i]);
    free(x);
    free(dy);
    free(dw);
}

void host_convolution(const struct fv_low_op *op, enum fv_low_dtype t, void *const arg[])
{
    if (op->kind == FV_LOW_CONV)
        forward(op, t, arg);
    else if (op->kind == FV_LOW_CONV_DGRAD)
        data_gradient(op, t, arg);
    else
        weight_gradient(op, t, arg);
}

void host_product(const struct fv_gpu_gemm *s, const void *a, const void *b, void *c)
{
    for (int i = 0; i < s->m; i++)
        for (int j = 0; j < s->n; j++) {
            double sum = 0;
            for (int k = 0; k < s->k; k++)
                sum += (double)host_load(a, s->type,
                                         s->ta ? (size_t)k * (size_t)s->m + (size_t)i
                                               : (size_t)i * (size_t)s->k + (size_t)k) *
                       (double)host_load(b, s->type,
                                         s->tb ? (size_t)j * (size_t)s->k + (size_t)k
                                               : (size_t)k * (size_t)s->n + (size_t)j);
            host_store(c, s->c_type, (size_t)i * (size_t)s->n + (size_t)j, sum);
        }
}
