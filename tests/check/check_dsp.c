/* SPDX-License-Identifier: MIT */
/* The kernels of augment/dsp.h. */
#include "augment/dsp.h"
#include "common/cpu.h"
#include "tests/check/check.h"

#include <string.h>

enum { ROUNDS = 400, SIDE = 160 };

static struct fv_dsp c, now;
static struct check_buffer expected, actual;
static uint8_t src[SIDE * SIDE * 3 + FV_DSP_PADDING], other[SIDE * SIDE * 3];

static int below(int n)
{
    return (int)fv_rng_below(&check_rng, (uint32_t)n);
}

static float real(double lo, double hi)
{
    return (float)fv_rng_uniform(&check_rng, lo, hi);
}

static int same(void)
{
    return check_intact(&expected) && check_intact(&actual) &&
           memcmp(expected.bytes, actual.bytes, CHECK_CANARY + expected.n) == 0;
}

static void prepare(size_t n, uint8_t **a, uint8_t **b)
{
    *a = check_prepare(&expected, n, 0x11);
    *b = check_prepare(&actual, n, 0x22);
}

static struct fv_warp_row draw_row(int round, int h, int w, int projective)
{
    struct fv_warp_row row = {.x = real(-3, w + 2), .y = real(-3, h + 2), .w = 1};

    row.dx = real(-1.6, 1.6);
    row.dy = real(-0.4, 0.4);
    if (projective) {
        row.w = real(-0.2, 1.5);
        row.dw = real(-0.01, 0.01);
    }
    if (round % 8 == 0) { /* whole pixels: exact edges and weights of 0 */
        row.x = (float)(below(w + 2) - 1);
        row.y = (float)(below(h + 2) - 1);
        row.dx = 1;
        row.dy = 0;
    }
    if (round % 8 ==
        1) { /* far away: infinities and NaN from the division, overflow of the conversion */
        row.x = real(-1e30, 1e30);
        row.y = real(-1e30, 1e30);
        row.w = projective ? 0 : 1;
    }
    return row;
}

static void check_warp(const char *name, int projective)
{
    int ok = 1;

    for (int round = 0; round < ROUNDS && ok; round++) {
        const int h = 1 + below(SIDE), w = 1 + below(SIDE), n = 1 + below(SIDE);
        const struct fv_warp_row row = draw_row(round, h, w, projective);
        uint8_t *a, *b;
        check_randomise(src, (size_t)h * (size_t)w * 3);
        prepare((size_t)n * 3, &a, &b);
        (projective ? c.warp_projective : c.warp_affine)(a, n, src, h, w, &row);
        check_randomise(src + (size_t)h * (size_t)w * 3, FV_DSP_PADDING); /* must not matter */
        (projective ? now.warp_projective : now.warp_affine)(b, n, src, h, w, &row);
        ok = same();
    }
    check_result(name, ok);
}

static void check_mirror(void)
{
    int ok = 1;

    for (int round = 0; round < ROUNDS && ok; round++) {
        const int n = 1 + below(300);
        uint8_t *a, *b;
        check_randomise(src, (size_t)n * 3);
        prepare((size_t)n * 3, &a, &b);
        c.mirror(a, src, n);
        now.mirror(b, src, n);
        ok = same();
    }
    check_result("mirror", ok);
}

static void check_halve(void)
{
    int ok = 1;

    for (int round = 0; round < ROUNDS && ok; round++) {
        const int n = 1 + below(300);
        const uint8_t *second = below(4) ? other : src;
        uint8_t *a, *b;
        check_randomise(src, (size_t)n * 3);
        check_randomise(other, (size_t)n * 3);
        prepare((size_t)(n + 1) / 2 * 3, &a, &b);
        c.halve(a, src, second, n);
        now.halve(b, src, second, n);
        ok = same();
    }
    check_result("halve", ok);
}

static void check_average(void)
{
    int ok = 1;

    for (int round = 0; round < ROUNDS && ok; round++) {
        const int n = 1 + below(900);
        uint8_t *a, *b;
        check_randomise(src, (size_t)n);
        check_randomise(other, (size_t)n);
        prepare((size_t)n, &a, &b);
        c.average(a, src, other, n);
        now.average(b, src, other, n);
        ok = same();
    }
    check_result("average", ok);
}

static void check_sum(void)
{
    int ok = 1;

    for (int round = 0; round < ROUNDS && ok; round++) {
        const int n = 1 + below(SIDE * SIDE);
        uint32_t a[3], b[3];
        check_randomise(src, (size_t)below(n * 3));
        c.sum(src, n, a);
        now.sum(src, n, b);
        ok = memcmp(a, b, sizeof a) == 0;
    }
    check_result("sum", ok);
}

static void check_colour(void)
{
    int ok = 1;

    for (int round = 0; round < ROUNDS && ok; round++) {
        const int n = 1 + below(300);
        const struct fv_colour k = {real(0, 4), real(-2, 2), real(-300, 300)};
        uint8_t *a, *b;
        prepare((size_t)n * 3, &a, &b);
        check_randomise(a, (size_t)n * 3);
        memcpy(b, a, (size_t)n * 3);
        c.colour(a, n, &k);
        now.colour(b, n, &k);
        ok = same();
    }
    check_result("colour", ok);
}

/* One 112 x 112 image a call. */
enum { IMAGE = 112 };

static const struct fv_dsp *pick(int reference)
{
    return reference ? &c : &now;
}

static void bench_affine(void *arg, int reference)
{
    (void)arg;
    for (int y = 0; y < IMAGE; y++) {
        const struct fv_warp_row row = {8 - 0.15f * (float)y, 0.9f * (float)y, 1, 0.9f, 0.15f, 0};
        pick(reference)->warp_affine(actual.bytes + y * IMAGE * 3, IMAGE, src, IMAGE, IMAGE, &row);
    }
}

static void bench_projective(void *arg, int reference)
{
    (void)arg;
    for (int y = 0; y < IMAGE; y++) {
        const struct fv_warp_row row = {
            8 - 0.15f * (float)y, 0.9f * (float)y, 1, 0.9f, 0.15f, 1e-4f};
        pick(reference)->warp_projective(actual.bytes + y * IMAGE * 3, IMAGE, src, IMAGE, IMAGE,
                                         &row);
    }
}

static void bench_mirror(void *arg, int reference)
{
    (void)arg;
    pick(reference)->mirror(actual.bytes, src, IMAGE * IMAGE);
}

static void bench_halve(void *arg, int reference)
{
    (void)arg;
    pick(reference)->halve(actual.bytes, src, other, IMAGE * IMAGE);
}

static void bench_average(void *arg, int reference)
{
    (void)arg;
    pick(reference)->average(actual.bytes, src, other, IMAGE * IMAGE * 3);
}

static void bench_sum(void *arg, int reference)
{
    uint32_t sums[3];

    (void)arg;
    pick(reference)->sum(src, IMAGE * IMAGE, sums);
}

static void bench_colour(void *arg, int reference)
{
    const struct fv_colour k = {0.9f, 0.1f, 3};

    (void)arg;
    pick(reference)->colour(actual.bytes, IMAGE * IMAGE, &k);
}

static void bench_all(void)
{
    static const struct {
        const char *name;
        void (*call)(void *arg, int reference);
    } benches[] = {{"warp_affine", bench_affine}, {"warp_projective", bench_projective},
                   {"mirror", bench_mirror},      {"halve", bench_halve},
                   {"average", bench_average},    {"sum", bench_sum},
                   {"colour", bench_colour}};

    check_randomise(src, sizeof src);
    check_randomise(other, sizeof other);
    for (size_t i = 0; i < sizeof benches / sizeof benches[0]; i++)
        if (check_wants(benches[i].name))
            check_bench(benches[i].name, IMAGE * IMAGE, benches[i].call, NULL);
}

void check_dsp(void)
{
    fv_dsp_init(&now);
    if (!c.sum) /* the first call is the one without any instruction set */
        c = now;
    if (check_wants("warp_affine"))
        check_warp("warp_affine", 0);
    if (check_wants("warp_projective"))
        check_warp("warp_projective", 1);
    if (check_wants("mirror"))
        check_mirror();
    if (check_wants("halve"))
        check_halve();
    if (check_wants("average"))
        check_average();
    if (check_wants("sum"))
        check_sum();
    if (check_wants("colour"))
        check_colour();
    bench_all();
}
