/* SPDX-License-Identifier: MIT */
#include "tests/cuda/kernel_rig.h"

#include "common/err.h"
#include "tests/cmocka_all.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { GUARD_BYTES = 64, BUFFERS_MAX = 256 };

const enum fv_k_type rig_types[3] = {FV_K_F32, FV_K_BF16, FV_K_F16};
const char *const rig_type_names[3] = {"f32", "bf16", "f16"};

static struct {
    char *p; /* with its guards */
    size_t bytes;
} buffers[BUFFERS_MAX];
static int buffer_count;
static void *host_memory[BUFFERS_MAX * 4];
static int host_count;
static uint64_t state;

static void check_guards(void)
{
    for (int i = 0; i < buffer_count; i++) {
        unsigned char guard[GUARD_BYTES];
        for (int end = 0; end < 2; end++) {
            place_get(guard, buffers[i].p + (end ? GUARD_BYTES + buffers[i].bytes : 0),
                      GUARD_BYTES);
            for (int k = 0; k < GUARD_BYTES; k++)
                if (guard[k] != 0xff)
                    fail_msg("a buffer of %zu bytes was overrun: byte %d %s it", buffers[i].bytes,
                             k, end ? "after" : "of those before");
        }
        place_give(buffers[i].p);
    }
    buffer_count = 0;
}

void rig_begin(uint64_t seed)
{
    check_guards();
    while (host_count > 0)
        free(host_memory[--host_count]);
    state = seed * 0x9e3779b97f4a7c15u + 1;
    place_seed(seed);
}

static uint64_t draw(void)
{
    uint64_t z = state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

double rig_draw(double low, double high)
{
    return low + (high - low) * ((double)(draw() >> 11) + 0.5) / 9007199254740992.0;
}

unsigned rig_below(unsigned n)
{
    return (unsigned)(draw() % n);
}

/* Bits of the significand, exponent of the smallest normal number and of the largest. */
static const struct {
    int bits, least, most;
} formats[3] = {
    [FV_K_F32] = {24, -126, 127}, [FV_K_BF16] = {8, -126, 127}, [FV_K_F16] = {11, -14, 15}};

/* The unit in the last place at v. */
static double unit(enum fv_k_type type, double v)
{
    int exponent = 0;
    frexp(v, &exponent);
    exponent -= 1;
    if (v == 0 || exponent < formats[type].least)
        exponent = formats[type].least;
    return ldexp(1, exponent - formats[type].bits + 1);
}

double rig_round(enum fv_k_type type, double v)
{
    if (!isfinite(v) || v == 0)
        return v;
    double u = unit(type, v), r = nearbyint(v / u) * u;
    return fabs(r) >= ldexp(1, formats[type].most + 1) ? copysign(INFINITY, v) : r;
}

static void *track(void *p)
{
    assert_non_null(p);
    assert_true(host_count < BUFFERS_MAX * 4);
    return host_memory[host_count++] = p;
}

double *rig_doubles(size_t count)
{
    return track(calloc(count ? count : 1, sizeof(double)));
}

void *rig_bytes(size_t bytes, const void *values)
{
    char *p = place_take(bytes + 2 * GUARD_BYTES), *fill = malloc(bytes + 2 * GUARD_BYTES);
    assert_true(buffer_count < BUFFERS_MAX);
    assert_non_null(fill);
    memset(fill, 0xff, bytes + 2 * GUARD_BYTES);
    if (values)
        memcpy(fill + GUARD_BYTES, values, bytes);
    place_put(p, fill, bytes + 2 * GUARD_BYTES);
    free(fill);
    buffers[buffer_count].p = p;
    buffers[buffer_count++].bytes = bytes;
    return p + GUARD_BYTES;
}

/* The bits of a value that the type can hold. */
static uint32_t encode(enum fv_k_type type, double v)
{
    float f = (float)v;
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    if (type == FV_K_F32)
        return u;
    if (type == FV_K_BF16)
        return u >> 16;
    uint32_t sign = u >> 16 & 0x8000u;
    if (isnan(v))
        return 0x7fff;
    if (isinf(v))
        return sign | 0x7c00;
    int exponent;
    double m = frexp(fabs(v), &exponent); /* in [0.5, 1) */
    if (v == 0 || exponent - 1 < -14)
        return sign | (uint32_t)ldexp(fabs(v), 24);
    return sign | (uint32_t)(exponent + 14) << 10 | ((uint32_t)ldexp(m, 11) & 0x3ffu);
}

static double decode(enum fv_k_type type, uint32_t bits)
{
    float f;
    if (type != FV_K_F16) {
        bits = type == FV_K_BF16 ? bits << 16 : bits;
        memcpy(&f, &bits, sizeof f);
        return (double)f;
    }
    int exponent = (int)(bits >> 10 & 31), fraction = (int)(bits & 0x3ff);
    double v = exponent == 31  ? (fraction ? (double)NAN : (double)INFINITY)
               : exponent == 0 ? ldexp(fraction, -24)
                               : ldexp(fraction + 1024, exponent - 25);
    return bits & 0x8000u ? -v : v;
}

void *rig_given(enum fv_k_type type, size_t count, const double *values)
{
    size_t item = fv_k_type_bytes(type);
    char *bytes = malloc(count * item + 1);
    assert_non_null(bytes);
    for (size_t i = 0; i < count; i++) {
        uint32_t u = encode(type, rig_round(type, values[i]));
        uint16_t half = (uint16_t)u;
        memcpy(bytes + i * item, item == 4 ? (void *)&u : (void *)&half, item);
    }
    void *p = rig_bytes(count * item, bytes);
    free(bytes);
    return p;
}

void *rig_new(enum fv_k_type type, size_t count)
{
    return rig_bytes(count * fv_k_type_bytes(type), NULL);
}

void *rig_drawn(enum fv_k_type type, size_t count, double low, double high, double **host)
{
    double *v = rig_doubles(count);
    for (size_t i = 0; i < count; i++)
        v[i] = rig_round(type, rig_draw(low, high));
    if (host)
        *host = v;
    return rig_given(type, count, v);
}

static void read_values(enum fv_k_type type, const void *buffer, size_t count, double *v)
{
    size_t item = fv_k_type_bytes(type);
    char *bytes = malloc(count * item + 1);
    assert_non_null(bytes);
    place_get(bytes, buffer, count * item);
    for (size_t i = 0; i < count; i++) {
        uint32_t u = 0;
        uint16_t half = 0;
        memcpy(item == 4 ? (void *)&u : (void *)&half, bytes + i * item, item);
        v[i] = decode(type, item == 4 ? u : half);
    }
    free(bytes);
}

double *rig_values(enum fv_k_type type, const void *buffer, size_t count)
{
    double *v = rig_doubles(count);
    read_values(type, buffer, count, v);
    return v;
}

void rig_check_each(const char *what, enum fv_k_type type, const void *buffer, size_t count,
                    const double *want, double units, const double *slack, size_t slacks)
{
    double *got = malloc((count ? count : 1) * sizeof *got);
    assert_non_null(got);
    read_values(type, buffer, count, got);
    for (size_t i = 0; i < count; i++) {
        double may = units * 0.5 * unit(type, want[i]) + slack[i % slacks];
        if (isnan(want[i]) ? !isnan(got[i]) : !(got[i] == want[i] || fabs(got[i] - want[i]) <= may))
            fail_msg("%s (%s): value %zu of %zu is %.9g, want %.9g within %.2g", what,
                     rig_type_names[type], i, count, got[i], want[i], may);
    }
    free(got);
}

void rig_check(const char *what, enum fv_k_type type, const void *buffer, size_t count,
               const double *want, double units, double slack)
{
    rig_check_each(what, type, buffer, count, want, units, &slack, 1);
}

void rig_ran(int rc, const char *call)
{
    if (rc != 0)
        fail_msg("%s: %s", call, fv_err_text());
}

uint64_t rig_bits(const void *buffer, size_t bytes)
{
    unsigned char *copy = malloc(bytes + 1);
    uint64_t hash = 14695981039346656037u;
    assert_non_null(copy);
    place_get(copy, buffer, bytes);
    for (size_t i = 0; i < bytes; i++)
        hash = (hash ^ copy[i]) * 1099511628211u;
    free(copy);
    return hash;
}
