/* SPDX-License-Identifier: MIT */
/* Numbers of the data types, and tensors to and from memory by their strides. */
#include "tests/cuda/standin/standin_cudnn_graph.h"

#include <math.h>
#include <string.h>

int64_t standin_cudnn_item(cudnnDataType_t t)
{
    return t == CUDNN_DATA_FLOAT ? 4 : t == CUDNN_DATA_HALF || t == CUDNN_DATA_BFLOAT16 ? 2 : 0;
}

static uint32_t bits_of(float f)
{
    uint32_t b;
    memcpy(&b, &f, sizeof b);
    return b;
}

static float of_bits(uint32_t b)
{
    float f;
    memcpy(&f, &b, sizeof f);
    return f;
}

static float of_half(uint16_t h)
{
    const uint32_t sign = (uint32_t)(h & 0x8000) << 16, exponent = h >> 10 & 31, m = h & 1023;
    if (exponent == 0)
        return of_bits(sign | bits_of((float)m * 0x1p-24f));
    return of_bits(sign | (exponent == 31 ? 255u : exponent + 112) << 23 | m << 13);
}

/* The sum with a large number leaves the fraction that a half of that size has, rounded by the processor. */
static uint16_t half_of(float f)
{
    const uint32_t b = bits_of(f), magnitude = b & 0x7fffffff;
    const uint16_t sign = (uint16_t)(b >> 16 & 0x8000);
    if (magnitude > 0x7f800000)
        return 0x7e00;
    if (magnitude >= 0x477ff000) /* 65520 and more */
        return sign | 0x7c00;
    if (magnitude < 0x38800000) /* below 2^-14 the steps are of 2^-24 */
        return sign | (uint16_t)(bits_of(of_bits(magnitude) + 0.5f) - bits_of(0.5f));
    const uint32_t odd = magnitude >> 13 & 1;
    return sign | (uint16_t)((magnitude + 0xfff + odd - (112u << 23)) >> 13);
}

static uint16_t bfloat_of(float f)
{
    const uint32_t b = bits_of(f);
    return isnan(f) ? 0x7fc0 : (uint16_t)((b + 0x7fff + (b >> 16 & 1)) >> 16);
}

void standin_cudnn_round(float *v, size_t count, cudnnDataType_t t)
{
    for (size_t i = 0; t == CUDNN_DATA_HALF && i < count; i++)
        v[i] = of_half(half_of(v[i]));
    for (size_t i = 0; t == CUDNN_DATA_BFLOAT16 && i < count; i++)
        v[i] = of_bits((uint32_t)bfloat_of(v[i]) << 16);
}

void standin_cudnn_round_bits(float *v, size_t count, int mantissa_bits)
{
    const int drop = 23 - mantissa_bits;
    for (size_t i = 0; i < count; i++) {
        const uint32_t b = bits_of(v[i]), half = (1u << (drop - 1)) - 1 + (b >> drop & 1);
        v[i] = of_bits((b + half) >> drop << drop);
    }
}

/* Rows of channels, which mostly lie side by side. */
static void load_row(cudnnDataType_t t, const void *from, int64_t at, int64_t stride, int64_t n,
                     float *to)
{
    const float *f = from;
    const uint16_t *h = from;
    for (int64_t i = 0; t == CUDNN_DATA_FLOAT && i < n; i++)
        to[i] = f[at + i * stride];
    for (int64_t i = 0; t == CUDNN_DATA_HALF && i < n; i++)
        to[i] = of_half(h[at + i * stride]);
    for (int64_t i = 0; t == CUDNN_DATA_BFLOAT16 && i < n; i++)
        to[i] = of_bits((uint32_t)h[at + i * stride] << 16);
}

static void store_row(cudnnDataType_t t, const float *from, void *to, int64_t at, int64_t stride,
                      int64_t n)
{
    float *f = to;
    uint16_t *h = to;
    for (int64_t i = 0; t == CUDNN_DATA_FLOAT && i < n; i++)
        f[at + i * stride] = from[i];
    for (int64_t i = 0; t == CUDNN_DATA_HALF && i < n; i++)
        h[at + i * stride] = half_of(from[i]);
    for (int64_t i = 0; t == CUDNN_DATA_BFLOAT16 && i < n; i++)
        h[at + i * stride] = bfloat_of(from[i]);
}

#define EACH_ROW(t, at, row)                                                                       \
    for (int64_t n = 0, row = 0; n < (t)->dim[0]; n++)                                             \
        for (int64_t y = 0; y < (t)->dim[2]; y++)                                                  \
            for (int64_t x = 0, at;                                                                \
                 x < (t)->dim[3] &&                                                                \
                 (at = n * (t)->stride[0] + y * (t)->stride[2] + x * (t)->stride[3], 1);           \
                 x++, row += (t)->dim[1])

void standin_cudnn_load(const struct standin_tensor *t, const void *from, float *to)
{
    EACH_ROW(t, at, row)
    load_row(t->type, from, at, t->stride[1], t->dim[1], to + row);
}

void standin_cudnn_store(const struct standin_tensor *t, const float *from, void *to)
{
    EACH_ROW(t, at, row)
    store_row(t->type, from + row, to, at, t->stride[1], t->dim[1]);
}
