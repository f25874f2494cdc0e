/* SPDX-License-Identifier: MIT */
/* The kernels of augment/dsp.h. */
#include "augment/dsp.h"
#include "common/cpu.h"
#include "tests/check/check.h"

#include <stddef.h>
#include <string.h>

enum { ROUNDS = 400, SIDE = 160 };

static struct fv_dsp c, now;
static struct check_buffer expected, actual;
static uint8_t other[SIDE * SIDE * 3]; /* a second source */

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
    if (round % 8 == 0) { /* whole and half pixels: weights of 0, and often an edge exactly */
        row.x = 0.5f * (float)(below(2 * w + 4) - 3);
        row.y = below(2) ? 0.5f * (float)(below(2 * h + 4) - 3) : below(2) ? -0.5f : h - 0.5f;
        row.w = 1;
        row.dx = 1;
        row.dy = row.dw = 0;
    }
    if (round % 8 == 1) { /* far away: infinities from the division, overflow of the conversion */
        row.x = real(-1e30, 1e30);
        row.y = real(-1e30, 1e30);
        row.w = projective ? 0 : 1;
    }
    if (round % 8 == 2 && projective) /* 0 / 0 */
        row.x = row.y = row.w = 0;
    return row;
}

static void check_warp(const char *name, int projective)
{
    int ok = 1;

    for (int round = 0; round < 4 * ROUNDS && ok; round++) {
        const int h = 1 + below(SIDE), w = 1 + below(SIDE), n = 1 + below(SIDE);
        const struct fv_warp_row row = draw_row(round, h, w, projective);
        uint8_t *src = check_guarded((size_t)h * (size_t)w * 3 + FV_DSP_PADDING), *a, *b;
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
        uint8_t *src = check_guarded((size_t)n * 3), *a, *b;
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
        uint8_t *src = check_guarded((size_t)n * 3), *a, *b;
        const uint8_t *second = below(4) ? other : src;
        check_randomise(other, (size_t)n * 3);
        prepare((size_t)(n + 1) / 2 * 3, &a, &b);
        c.halve(a, src, second, n);
        now.halve(b, src, second, n);
        ok = same();
    }
    check_result("halve", ok);
}

static void check_blend(void)
{
    int ok = 1;

    for (int round = 0; round < ROUNDS && ok; round++) {
        const int n = 1 + below(900), one = 1 << FV_DSP_BLEND_BITS;
        const int weight = round < 3 ? round * one / 2 : below(one + 1);
        uint8_t *src = check_guarded((size_t)n), *a, *b;
        check_randomise(other, (size_t)n);
        if (round < 32) /* the largest sums */
            memset(src, 255, (size_t)n), memset(other, 255, (size_t)n);
        prepare((size_t)n, &a, &b);
        memcpy(a, other, (size_t)n);
        memcpy(b, other, (size_t)n);
        c.blend(a, src, (size_t)n, weight);
        now.blend(b, src, (size_t)n, weight);
        ok = same();
    }
    check_result("blend", ok);
}

static void check_average(void)
{
    int ok = 1;

    for (int round = 0; round < ROUNDS && ok; round++) {
        const int n = 1 + below(900);
        uint8_t *src = check_guarded((size_t)n), *a, *b;
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
        const uint8_t *src = check_guarded((size_t)n * 3);
        uint32_t a[3], b[3];
        c.sum(src, n, a);
        now.sum(src, n, b);
        ok = memcmp(a, b, sizeof a) == 0;
    }
    check_result("sum", ok);
}

/* Half of the maps put one value of the picture next to the border between two levels, where a fused or
 * reordered operation shows. */
static struct fv_colour draw_colour(const uint8_t *px, int n)
{
    /* now and then far beyond what people use */
    const double most = below(8) ? 1 : 500;
    struct fv_colour k = {real(0, 4 * most), real(-2, 2) * (float)most, real(-300, 300)};

    if (below(2)) {
        const uint8_t *p = px + 3 * (ptrdiff_t)below(n);
        const double luma =
            (double)FV_LUMA_R * p[0] + (double)FV_LUMA_G * p[1] + (double)FV_LUMA_B * p[2];
        k.offset = (float)(below(255) + 0.5 - (double)k.scale * p[below(3)] - k.grey * luma);
    }
    return k;
}

static void check_colour(void)
{
    int ok = 1;

    for (int round = 0; round < 4 * ROUNDS && ok; round++) {
        const int n = 1 + below(300);
        uint8_t *px = check_guarded((size_t)n * 3), *a, *b;
        const struct fv_colour k = draw_colour(px, n);
        prepare((size_t)n * 3, &a, &b);
        memcpy(a, px, (size_t)n * 3);
        memcpy(b, px, (size_t)n * 3);
        c.colour(a, n, &k);
        now.colour(b, n, &k);
        now.colour(px, n, &k);
        ok = same() && memcmp(px, b, (size_t)n * 3) == 0;
    }
    check_result("colour", ok);
}

static void check_hue(void)
{
    int ok = 1;

    for (int round = 0; round < 4 * ROUNDS && ok; round++) {
        const int n = 1 + below(300);
        uint8_t *px = check_guarded((size_t)n * 3), *a, *b;
        const struct fv_colour same_colour = {1, 0, 0};
        const struct fv_colour before = below(2) ? same_colour : draw_colour(px, n);
        const struct fv_colour after = below(2) ? same_colour : draw_colour(px, n);
        const float sixths = below(4) ? real(0, 6) : (float)below(7);
        if (below(4) == 0) /* greys and pairs of equal channels: every branch of the circle */
            for (int i = 0; i < n; i++)
                px[3 * i + below(3)] = px[3 * i + below(3)];
        prepare((size_t)n * 3, &a, &b);
        memcpy(a, px, (size_t)n * 3);
        memcpy(b, px, (size_t)n * 3);
        c.hue(a, n, &before, sixths, &after);
        now.hue(b, n, &before, sixths, &after);
        now.hue(px, n, &before, sixths, &after);
        ok = same() && memcmp(px, b, (size_t)n * 3) == 0;
    }
    check_result("hue", ok);
}

/* Weights that add up to 1, none below 0. */
static int draw_weights(int16_t weight[FV_DSP_BLUR_TAPS])
{
    const int taps = 1 + 2 * below(below(4) ? 6 : FV_DSP_BLUR_TAPS / 2 + 1);
    int rest = 1 << FV_DSP_BLUR_BITS;

    for (int k = 0; k < taps; k++) {
        weight[k] = (int16_t)(k + 1 < taps ? below(rest / 2 + 1) : rest);
        rest -= weight[k];
    }
    return taps;
}

static void check_blur_down(void)
{
    int ok = 1;

    for (int round = 0; round < ROUNDS && ok; round++) {
        const int n = 1 + below(900);
        const uint8_t *row[FV_DSP_BLUR_TAPS];
        int16_t weight[FV_DSP_BLUR_TAPS];
        const int taps = draw_weights(weight);
        uint8_t *src = check_guarded((size_t)n), *a, *b;
        check_randomise(other, sizeof other);
        for (int k = 0; k < taps; k++)
            row[k] = below(2) ? src : other + below((int)sizeof other - n);
        prepare((size_t)n * 2, &a, &b);
        c.blur_down((int16_t *)(void *)a, row, weight, taps, n);
        now.blur_down((int16_t *)(void *)b, row, weight, taps, n);
        ok = same();
    }
    check_result("blur_down", ok);
}

static void check_blur_along(void)
{
    int ok = 1;

    for (int round = 0; round < ROUNDS && ok; round++) {
        const int n = 1 + below(900);
        int16_t weight[FV_DSP_BLUR_TAPS];
        const int taps = draw_weights(weight), values = n + 3 * (taps - 1);
        int16_t *src = (int16_t *)(void *)check_guarded((size_t)values * sizeof *src);
        uint8_t *a, *b;
        for (int i = 0; i < values; i++)
            src[i] = (int16_t)below((255 << FV_DSP_BLUR_KEPT) + 1);
        prepare((size_t)n, &a, &b);
        c.blur_along(a, src, weight, taps, n);
        now.blur_along(b, src, weight, taps, n);
        ok = same();
    }
    check_result("blur_along", ok);
}

/* One 112 x 112 image a call. */
enum { IMAGE = 112 };
static uint8_t src[IMAGE * IMAGE * 3 + FV_DSP_PADDING];

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

static void bench_blend(void *arg, int reference)
{
    (void)arg;
    pick(reference)->blend(actual.bytes, src, IMAGE * IMAGE * 3, 5000);
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

static void bench_hue(void *arg, int reference)
{
    const struct fv_colour k = {0.9f, 0.1f, 3};

    (void)arg;
    pick(reference)->hue(actual.bytes, IMAGE * IMAGE, &k, 0.3f, &k);
}

/* Five taps, as for sigma 0.5 to 1. */
static const int16_t bench_weight[5] = {1024, 4096, 6144, 4096, 1024};

static void bench_blur_down(void *arg, int reference)
{
    const uint8_t *row[5];

    (void)arg;
    for (int y = 0; y < IMAGE; y++) {
        for (int k = 0; k < 5; k++)
            row[k] = src + (y + k) % IMAGE * IMAGE * 3;
        pick(reference)->blur_down((int16_t *)(void *)actual.bytes, row, bench_weight, 5,
                                   IMAGE * 3);
    }
}

static void bench_blur_along(void *arg, int reference)
{
    (void)arg;
    for (int y = 0; y < IMAGE; y++)
        pick(reference)->blur_along(actual.bytes + y * IMAGE * 3,
                                    (const int16_t *)(const void *)src, bench_weight, 5, IMAGE * 3);
}

static void check_affine(void)
{
    check_warp("warp_affine", 0);
}

static void check_projective(void)
{
    check_warp("warp_projective", 1);
}

#define KERNEL(name) offsetof(struct fv_dsp, name)
static const struct {
    const char *name;
    size_t kernel; /* its place in struct fv_dsp */
    void (*check)(void);
    void (*bench)(void *arg, int reference);
} kernels[] = {
    {"warp_affine", KERNEL(warp_affine), check_affine, bench_affine},
    {"warp_projective", KERNEL(warp_projective), check_projective, bench_projective},
    {"mirror", KERNEL(mirror), check_mirror, bench_mirror},
    {"halve", KERNEL(halve), check_halve, bench_halve},
    {"blend", KERNEL(blend), check_blend, bench_blend},
    {"average", KERNEL(average), check_average, bench_average},
    {"sum", KERNEL(sum), check_sum, bench_sum},
    {"colour", KERNEL(colour), check_colour, bench_colour},
    {"hue", KERNEL(hue), check_hue, bench_hue},
    {"blur_down", KERNEL(blur_down), check_blur_down, bench_blur_down},
    {"blur_along", KERNEL(blur_along), check_blur_along, bench_blur_along},
};

/* The first call is the one without any instruction set: it checks the bounds of the C versions. After that a
 * kernel is checked where the instruction set brings another one. */
void check_dsp(void)
{
    static struct fv_dsp last;

    fv_dsp_init(&now);
    if (!c.sum)
        c = now;
    for (size_t i = 0; i < sizeof kernels / sizeof kernels[0]; i++) {
        const size_t at = kernels[i].kernel;
        if (memcmp((char *)&now + at, (char *)&last + at, sizeof now.sum) == 0)
            continue;
        if (!check_wants(kernels[i].name))
            continue;
        kernels[i].check();
        check_randomise(src, sizeof src);
        check_randomise(other, sizeof other);
        check_bench(kernels[i].name, IMAGE * IMAGE, kernels[i].bench, NULL);
    }
    last = now;
}
