/* SPDX-License-Identifier: MIT */
/* Resizing against Pillow, to the bit (tests/golden/make_resample_golden.py), however the rows come. */
#include "prep/photo/resample.h"

#include "common/cpu.h"
#include "tests/cmocka_all.h"
#include "tests/prep/crc32.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct golden {
    unsigned seed, crc;
    struct fv_resample_job job;
    char hex[128];
};

static const char *path;

/* The picture of the golden file's formula; each row is followed by bytes that must not matter. */
static uint8_t *draw(const struct golden *g, size_t *stride)
{
    int w = g->job.width, h = g->job.height;
    *stride = 3 * (size_t)w + FV_RESAMPLE_PAD;
    uint8_t *pixels = malloc(*stride * (size_t)h), *p = pixels;
    assert_non_null(pixels);
    memset(pixels, 0x5A, *stride * (size_t)h);
    for (unsigned y = 0; y < (unsigned)h; y++, p += *stride)
        for (unsigned x = 0; x < (unsigned)w; x++)
            for (unsigned c = 0; c < 3; c++) {
                unsigned v = x * 2654435761u ^ y * 2246822519u ^ (c + g->seed) * 3266489917u;
                v = (v ^ v >> 15) * 668265263u;
                p[3 * x + c] = (uint8_t)((x / 7 + y / 5) % 3 == 0 ? (x / 7) % 2 * 255 : v >> 24);
            }
    return pixels;
}

/* Resizes, `batch` rows at a time, and checks that nothing is written around the output. */
static void resize(struct fv_resampler *r, struct golden *g, int batch, uint8_t **out, size_t *n)
{
    enum { GUARD = 64 };
    size_t stride;
    uint8_t *pixels = draw(g, &stride);
    *n = 3 * (size_t)g->job.out_width * (size_t)g->job.out_height;
    uint8_t *all = malloc(*n + 2 * GUARD);
    assert_non_null(all);
    memset(all, 0xC3, *n + 2 * GUARD);
    g->job.out = all + GUARD;
    assert_int_equal(fv__resample_begin(r, &g->job), 0);
    for (int y = 0; y < g->job.height; y += batch)
        fv__resample_rows(r, pixels + (size_t)y * stride, stride,
                          g->job.height - y < batch ? g->job.height - y : batch);
    for (size_t i = 0; i < GUARD; i++)
        assert_true(all[i] == 0xC3 && all[GUARD + *n + i] == 0xC3);
    *out = malloc(*n);
    memcpy(*out, all + GUARD, *n);
    free(all);
    free(pixels);
}

static void check_case(struct fv_resampler *r, struct golden *g, int line)
{
    static const int batches[] = {1, 3, 16, 100000};
    uint8_t *out;
    size_t n;
    for (int i = 0; i < 4; i++) {
        resize(r, g, batches[i], &out, &n);
        for (size_t k = 0; g->hex[0] != '-' && k < n; k++) {
            unsigned want;
            assert_int_equal(sscanf(g->hex + 2 * k, "%2x", &want), 1);
            if (out[k] != want)
                fail_msg("case %d: byte %zu is %d, Pillow's %u", line, k, out[k], want);
        }
        if (crc32_of(out, n) != g->crc)
            fail_msg("case %d (%d x %d to %d x %d), %d rows at a time: not Pillow's bytes", line,
                     g->job.width, g->job.height, g->job.out_width, g->job.out_height, batches[i]);
        free(out);
    }
}

static void check_all(void)
{
    char line[512];
    struct fv_resampler *r;
    int n = 0;
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    assert_int_equal(fv__resample_open(&r), 0);
    while (fgets(line, sizeof line, f)) {
        struct golden g = {0};
        struct fv_resample_job *j = &g.job;
        if (line[0] == '#')
            continue;
        assert_int_equal(sscanf(line, "%u %d %d %f %f %f %f %d %d %x %127s", &g.seed, &j->width,
                                &j->height, &j->box[0], &j->box[1], &j->box[2], &j->box[3],
                                &j->out_width, &j->out_height, &g.crc, g.hex),
                         11);
        check_case(r, &g, ++n);
    }
    assert_true(n > 100);
    fclose(f);
    fv__resample_close(&r);
    assert_null(r);
}

static void equals_pillow(void **state)
{
    (void)state;
    check_all();
}

static void equals_pillow_without_simd(void **state)
{
    (void)state;
    fv_cpu_set_mask(0);
    check_all();
    fv_cpu_set_mask(~0u);
}

/* A picture of the wanted size passes as it is. */
static void keeps_what_fits(void **state)
{
    (void)state;
    struct golden g = {.seed = 7,
                       .job = {.width = 112,
                               .height = 90,
                               .box = {10, 20, 74, 84},
                               .out_width = 64,
                               .out_height = 64}};
    struct fv_resampler *r;
    size_t n, stride;
    uint8_t *out, *in = draw(&g, &stride);
    assert_int_equal(fv__resample_open(&r), 0);
    resize(r, &g, 8, &out, &n);
    for (size_t y = 0; y < 64; y++)
        assert_memory_equal(out + y * 64 * 3, in + (y + 20) * stride + 10 * 3, 64 * 3);
    fv__resample_close(&r);
    free(out);
    free(in);
}

/* A picture that broke off leaves nothing behind in the next one. */
static void forgets_what_broke_off(void **state)
{
    (void)state;
    struct golden g = {.seed = 3,
                       .job = {.width = 200,
                               .height = 300,
                               .box = {0, 0, 200, 300},
                               .out_width = 50,
                               .out_height = 60}};
    struct fv_resampler *r;
    size_t n, stride;
    uint8_t *first, *second, *in = draw(&g, &stride);
    assert_int_equal(fv__resample_open(&r), 0);
    resize(r, &g, 8, &first, &n);
    uint8_t *scrap = malloc(n);
    g.job.out = scrap;
    assert_int_equal(fv__resample_begin(r, &g.job), 0);
    fv__resample_rows(r, in, stride, 123);
    resize(r, &g, 8, &second, &n);
    assert_memory_equal(first, second, n);
    fv__resample_close(&r);
    free(first);
    free(second);
    free(scrap);
    free(in);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equals_pillow),
        cmocka_unit_test(equals_pillow_without_simd),
        cmocka_unit_test(keeps_what_fits),
        cmocka_unit_test(forgets_what_broke_off),
    };
    path = argc > 1 ? argv[1] : "tests/golden/resample.txt";
    return cmocka_run_group_tests(tests, NULL, NULL);
}
