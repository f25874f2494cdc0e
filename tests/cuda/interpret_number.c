/* SPDX-License-Identifier: MIT */
/* 16-bit numbers by their definition, bit by bit: what the interpreter stores must not depend on what it tests. */
#include "tests/cuda/interpret.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static uint32_t bits_of(float f)
{
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    return u;
}

static float float_of(uint32_t u)
{
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}

static uint16_t to_bf16(float f)
{
    uint32_t u = bits_of(f);
    if (isnan(f))
        return 0x7fc0;
    return (uint16_t)((u + 0x7fff + (u >> 16 & 1)) >> 16);
}

static uint16_t to_f16(float f)
{
    uint16_t sign = signbit(f) ? 0x8000 : 0;
    double a = fabs((double)f);
    if (isnan(f))
        return 0x7e00;
    if (a == 0)
        return sign;
    if (a >= 65520)
        return sign | 0x7c00;
    int e;
    frexp(a, &e); /* a = m * 2^e, 0.5 <= m < 1 */
    if (e < -13)
        e = -13;                                /* subnormal: units of 2^-24 */
    double units = nearbyint(ldexp(a, 11 - e)); /* of 2^(e - 11) */
    return (uint16_t)(sign + (uint16_t)units + (uint16_t)((e + 13) << 10));
}

static float from_f16(uint16_t h)
{
    int e = h >> 10 & 31, m = h & 1023;
    double a = e == 31 ? (m ? NAN : INFINITY) : e ? ldexp(1024 + m, e - 25) : ldexp(m, -24);
    return (float)(h & 0x8000 ? -a : a);
}

void interp_widen(enum fv_low_dtype t, const void *from, float *to, size_t count)
{
    const uint16_t *h = from;
    switch (t) {
    case FV_LOW_F32:
        memcpy(to, from, count * sizeof *to);
        return;
    case FV_LOW_BF16:
        for (size_t i = 0; i < count; i++)
            to[i] = float_of((uint32_t)h[i] << 16);
        return;
    case FV_LOW_F16: {
        static float all[1 << 16];
        static int made;
        for (; made < 1 << 16; made++)
            all[made] = from_f16((uint16_t)made);
        for (size_t i = 0; i < count; i++)
            to[i] = all[h[i]];
        return;
    }
    case FV_LOW_U8:
        for (size_t i = 0; i < count; i++)
            to[i] = ((const uint8_t *)from)[i];
        return;
    default:
        for (size_t i = 0; i < count; i++)
            to[i] = (float)((const int32_t *)from)[i];
    }
}

void interp_narrow(enum fv_low_dtype t, const float *from, void *to, size_t count)
{
    uint16_t *h = to;
    switch (t) {
    case FV_LOW_F32:
        memcpy(to, from, count * sizeof *from);
        return;
    case FV_LOW_BF16:
        for (size_t i = 0; i < count; i++)
            h[i] = to_bf16(from[i]);
        return;
    case FV_LOW_F16:
        for (size_t i = 0; i < count; i++)
            h[i] = to_f16(from[i]);
        return;
    default:
        for (size_t i = 0; i < count; i++)
            ((uint8_t *)to)[i] = (uint8_t)from[i];
    }
}

size_t interp_count(const struct interp_call *c, int role)
{
    const struct fv_low_buffer *f = &c->l->buffer[c->op->arg[role]];
    return f->bytes / fv_low_dtype_bytes(f->dtype);
}

float *interp_new(const struct interp_call *c, int role)
{
    size_t count = c->arg[role] ? interp_count(c, role) : 0;
    float *values = count ? calloc(count, sizeof *values) : NULL;
    if (count && !values)
        abort();
    return values;
}

float *interp_take(const struct interp_call *c, int role)
{
    float *values = interp_new(c, role);
    if (values)
        interp_widen(c->l->buffer[c->op->arg[role]].dtype, c->arg[role], values,
                     interp_count(c, role));
    return values;
}

void interp_put(const struct interp_call *c, int role, float *values)
{
    if (values)
        interp_narrow(c->l->buffer[c->op->arg[role]].dtype, values, c->arg[role],
                      interp_count(c, role));
    free(values);
}
