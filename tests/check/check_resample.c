/* SPDX-License-Identifier: MIT */
/* The kernels of prep/photo/resample_dsp.h. */
#include "prep/photo/resample_dsp.h"

#include "common/cpu.h"
#include "prep/photo/resample.h"
#include "tests/check/check.h"

#include <string.h>

enum { ROUNDS = 300, SIDE = 150, STRIDE = 3 * SIDE + 64, GAP = 8 };

static struct fv_resample_dsp c, now;
static struct fv_resample_axis axis;
static struct check_buffer expected, actual;
static uint8_t src[STRIDE * (SIDE + 1)];

static int below(int n)
{
    return (int)fv_rng_below(&check_rng, (uint32_t)n);
}

static int draw_axis(void)
{
    int in = 1 + below(SIDE), out = 1 + below(SIDE);
    float a = (float)fv_rng_uniform(&check_rng, -20, in - 0.5);
    float b = (float)fv_rng_uniform(&check_rng, a + 0.5, in + 20);
    return fv__resample_axis_set(&axis, in, a, b, out);
}

/* Noise, or only black and white, which drives the sums to their ends. */
static void draw_source(void)
{
    int extreme = below(2);
    check_randomise(src, sizeof src);
    for (size_t i = 0; extreme && i < sizeof src; i++)
        src[i] = src[i] & 1 ? 255 : 0;
}

/* Whether both wrote the same pixels of each row, and nothing but its scratch after it. */
static int same_rows(size_t stride, int rows)
{
    size_t bytes = 3 * (size_t)axis.out;
    if (!check_intact(&expected) || !check_intact(&actual))
        return 0;
    for (int y = 0; y < rows; y++) {
        const uint8_t *a = expected.bytes + CHECK_CANARY + (size_t)y * stride;
        const uint8_t *b = actual.bytes + CHECK_CANARY + (size_t)y * stride;
        if (memcmp(a, b, bytes) != 0 || b[bytes + 4] != 0x22)
            return 0;
    }
    return 1;
}

static void check_across(void)
{
    int ok = 1;
    for (int round = 0; round < ROUNDS && ok; round++) {
        int rows = 1 + below(9);
        ok = draw_axis() == 0;
        size_t stride = 3 * (size_t)axis.out + GAP;
        uint8_t *a = check_prepare(&expected, stride * (size_t)rows, 0x11);
        uint8_t *b = check_prepare(&actual, stride * (size_t)rows, 0x22);
        draw_source();
        c.across(a, stride, src, STRIDE, rows, &axis);
        for (int y = 0; y < rows; y++) /* must not matter */
            check_randomise(src + y * STRIDE + 3 * axis.in, FV_RESAMPLE_PAD);
        now.across(b, stride, src, STRIDE, rows, &axis);
        ok = ok && same_rows(stride, rows);
    }
    check_result("resample_across", ok);
}

static void check_down(void)
{
    int ok = 1;
    for (int round = 0; round < ROUNDS && ok; round++) {
        int bytes = 1 + below(3 * SIDE);
        ok = draw_axis() == 0;
        int i = below(axis.out);
        uint8_t *a = check_prepare(&expected, (size_t)bytes, 0x11);
        uint8_t *b = check_prepare(&actual, (size_t)bytes, 0x22);
        draw_source();
        c.down(a, bytes, src, STRIDE, &axis, i);
        check_randomise(src + axis.count[i] * STRIDE, STRIDE);
        now.down(b, bytes, src, STRIDE, &axis, i);
        ok = ok && check_intact(&expected) && check_intact(&actual) &&
             memcmp(a, b, (size_t)bytes) == 0;
    }
    check_result("resample_down", ok);
}

/* A square of 256 pixels to one of 112: what is left of a 512-pixel photo. */
enum { FROM = 256, TO = 112, BENCH_STRIDE = 3 * FROM + 64 };
static uint8_t wide[BENCH_STRIDE * (FROM + 1)], narrow[(3 * TO + 64) * (FROM + 1)];

static void bench_across(void *arg, int reference)
{
    (void)arg;
    (reference ? &c : &now)->across(narrow, 3 * TO + 64, wide, BENCH_STRIDE, FROM, &axis);
}

static void bench_down(void *arg, int reference)
{
    (void)arg;
    for (int i = 0; i < TO; i++)
        (reference ? &c : &now)
            ->down(actual.bytes + i * TO * 3, 3 * TO, narrow + axis.first[i] * (3 * TO + 64),
                   3 * TO + 64, &axis, i);
}

void check_resample(void)
{
    fv__resample_dsp_init(&now);
    if (!c.across) /* the first call is the one without any instruction set */
        c = now;
    if (check_wants("resample_across"))
        check_across();
    if (check_wants("resample_down"))
        check_down();
    if (fv__resample_axis_set(&axis, FROM, 0, FROM, TO) == 0) {
        if (check_wants("resample_across"))
            check_bench("resample_across", FROM * FROM, bench_across, NULL);
        if (check_wants("resample_down"))
            check_bench("resample_down", FROM * TO, bench_down, NULL);
    }
    fv__resample_axis_free(&axis);
}
