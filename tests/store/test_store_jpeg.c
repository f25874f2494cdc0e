/* SPDX-License-Identifier: MIT */
/* The codec jpeg: decodes to the bit what Pillow decodes (tests/golden/make_jpeg_golden.py), loses no more than JPEG
 * must, keeps a file's picture and drops its metadata, and refuses what is damaged or hostile. */
#include "common/err.h"
#include "common/rng.h"
#include "store/codec.h"
#include "tests/cmocka_all.h"
#include "tests/store/jpeg_golden.h"

#include <stdio.h>

#include <jpeglib.h>
#include <math.h>

enum { SIDE = 112, PIXELS = SIDE * SIDE * 3, CANARY = 64 };
static const char *golden_path = "tests/golden/jpeg.txt";
static struct jpeg_golden golden[JPEG_GOLDEN_MAX];
static int goldens;
static const struct fv_codec *jpeg;

static int setup(void **state)
{
    (void)state;
    jpeg = fv__codec_by_name("jpeg");
    goldens = jpeg_golden_read(golden_path, golden);
    return goldens == 0;
}

static int teardown(void **state)
{
    (void)state;
    jpeg_golden_free(golden, goldens);
    return 0;
}

static void *context(int width, int height, int quality)
{
    const struct fv_codec_settings s = {width, height, quality};
    void *ctx = NULL;

    assert_int_equal(jpeg->open(&ctx, &s), FV_OK);
    return ctx;
}

/* A face's worth of smoothness: a gradient, two shapes and a little noise. */
static void draw(uint8_t *rgb, uint64_t which)
{
    struct fv_rng r = fv_rng_at(7, 0, which, FV_RNG_TEST);

    for (int y = 0; y < SIDE; y++)
        for (int x = 0; x < SIDE; x++) {
            const int dx = x - 56 - (int)which, dy = y - 50, in = dx * dx + 2 * dy * dy < 2500;
            for (int c = 0; c < 3; c++)
                rgb[3 * (y * SIDE + x) + c] =
                    (uint8_t)((in ? 150 + 20 * c : 40 + y / 2) + x / 3 + (int)fv_rng_below(&r, 9));
        }
}

static double psnr(const uint8_t *a, const uint8_t *b, size_t n)
{
    double sum = 0;

    for (size_t i = 0; i < n; i++)
        sum += (a[i] - b[i]) * (a[i] - b[i]);
    return 10 * log10(255.0 * 255.0 * (double)n / (sum + 1e-9));
}

/* --- decoding ------------------------------------------------------------------------------------- */

static void pixels_are_those_of_pillow(void **state)
{
    (void)state;
    for (int i = 0; i < goldens; i++) {
        const struct jpeg_golden *g = &golden[i];
        const size_t n = (size_t)(g->width * g->height * 3);
        uint8_t *out = malloc(n + 2 * CANARY), *copy = malloc(g->bytes);
        void *ctx = context(g->width, g->height, 95);
        memset(out, 0xA5, n + 2 * CANARY);
        memcpy(copy, g->file, g->bytes);
        assert_int_equal(jpeg->decode(ctx, copy, g->bytes, out + CANARY), FV_OK);
        assert_memory_equal(out + CANARY, g->rgb, n);
        for (int k = 0; k < CANARY; k++)
            assert_true(out[k] == 0xA5 && out[CANARY + n + (size_t)k] == 0xA5);
        jpeg->close(ctx);
        free(out);
        free(copy);
    }
}

static void refuses(void *ctx, const uint8_t *file, size_t n, const char *why)
{
    static uint8_t out[PIXELS];
    uint8_t *copy = malloc(n + 1);

    memcpy(copy, file, n);
    assert_int_equal(jpeg->decode(ctx, copy, n, out), FV_ECORRUPT);
    if (why)
        assert_non_null(strstr(fv_err_text(), why));
    free(copy);
}

static void damage_is_refused_and_leaves_the_context_whole(void **state)
{
    (void)state;
    for (int i = 0; i < goldens; i++) {
        const struct jpeg_golden *g = &golden[i];
        void *ctx = context(g->width, g->height, 95), *other = context(g->width, g->height + 1, 95);
        uint8_t *copy = malloc(g->bytes + 1), *out = malloc((size_t)(g->width * g->height * 3));
        for (size_t n = 0; n < g->bytes; n++)
            refuses(ctx, g->file, n, NULL);
        memcpy(copy, g->file, g->bytes);
        copy[g->bytes] = 0;
        refuses(ctx, copy, g->bytes + 1, "after the end");
        refuses(other, g->file, g->bytes, "another size");
        assert_int_equal(jpeg->decode(ctx, copy, g->bytes, out), FV_OK);
        assert_memory_equal(out, g->rgb, (size_t)(g->width * g->height * 3));
        jpeg->close(ctx);
        jpeg->close(other);
        free(copy);
        free(out);
    }
}

/* A file that libjpeg makes and the codec does not: 16 x 16, all grey. */
enum odd { CMYK, ARITHMETIC, MANY_SCANS, ODDITIES };

static unsigned char *make_odd(enum odd odd, unsigned long *n)
{
    struct jpeg_compress_struct c;
    struct jpeg_error_mgr e;
    jpeg_scan_info scan[128];
    unsigned char *file = NULL, row[16 * 4];
    JSAMPROW rows[] = {row};

    memset(row, 99, sizeof row);
    *n = 0;
    c.err = jpeg_std_error(&e);
    jpeg_create_compress(&c);
    jpeg_mem_dest(&c, &file, n);
    c.image_width = c.image_height = 16;
    c.input_components = odd == CMYK ? 4 : 3;
    c.in_color_space = odd == CMYK ? JCS_CMYK : JCS_RGB;
    jpeg_set_defaults(&c);
    c.arith_code = odd == ARITHMETIC;
    if (odd == MANY_SCANS) {
        c.num_scans = 0;
        scan[c.num_scans++] = (jpeg_scan_info){3, {0, 1, 2}, 0, 0, 0, 0};
        for (int i = 1; i < 64; i++)
            scan[c.num_scans++] = (jpeg_scan_info){1, {0}, i, i, 0, 0};
        scan[c.num_scans++] = (jpeg_scan_info){1, {1}, 1, 63, 0, 0};
        scan[c.num_scans++] = (jpeg_scan_info){1, {2}, 1, 63, 0, 0};
        c.scan_info = scan;
    }
    jpeg_start_compress(&c, TRUE);
    while (c.next_scanline < 16)
        jpeg_write_scanlines(&c, rows, 1);
    jpeg_finish_compress(&c);
    jpeg_destroy_compress(&c);
    return file;
}

static void kinds_that_no_data_set_holds_are_refused(void **state)
{
    static const char *const why[ODDITIES] = {"neither grey nor colour", "neither grey nor colour",
                                              "more scans"};
    void *ctx = context(16, 16, 95);
    unsigned long bytes;
    uint8_t content[8192];
    size_t n;

    (void)state;
    for (enum odd odd = CMYK; odd < ODDITIES; odd++) {
        unsigned char *file = make_odd(odd, &bytes);
        refuses(ctx, file, bytes, why[odd]);
        assert_true(bytes < sizeof content && bytes < jpeg->bound(ctx));
        assert_int_equal(jpeg->adopt(ctx, file, bytes, content, &n), 1);
        free(file);
    }
    jpeg->close(ctx);
}

/* --- encoding ------------------------------------------------------------------------------------- */

/* What libjpeg makes of it with whole chroma and its own tables: another file of the same picture. */
static unsigned char *plain_file(const uint8_t *rgb, int quality, unsigned long *n)
{
    struct jpeg_compress_struct c;
    struct jpeg_error_mgr e;
    unsigned char *file = NULL;

    *n = 0;
    c.err = jpeg_std_error(&e);
    jpeg_create_compress(&c);
    jpeg_mem_dest(&c, &file, n);
    c.image_width = c.image_height = SIDE;
    c.input_components = 3;
    c.in_color_space = JCS_RGB;
    jpeg_set_defaults(&c);
    jpeg_set_quality(&c, quality, TRUE);
    c.comp_info[0].h_samp_factor = c.comp_info[0].v_samp_factor = 1;
    jpeg_start_compress(&c, TRUE);
    while (c.next_scanline < SIDE) {
        JSAMPROW row = (JSAMPROW)(uintptr_t)(rgb + c.next_scanline * SIDE * 3);
        jpeg_write_scanlines(&c, &row, 1);
    }
    jpeg_finish_compress(&c);
    jpeg_destroy_compress(&c);
    return file;
}

static void quality_is_libjpegs_and_its_tables_are_better(void **state)
{
    static const int quality[] = {1, 50, 80, 95, 100};
    static uint8_t rgb[PIXELS], out[PIXELS], expected[PIXELS];
    unsigned long bytes;
    double last = 0;
    size_t n;

    (void)state;
    draw(rgb, 1);
    for (size_t i = 0; i < sizeof quality / sizeof *quality; i++) {
        void *ctx = context(SIDE, SIDE, quality[i]);
        uint8_t *content = malloc(jpeg->bound(ctx));
        unsigned char *file = plain_file(rgb, quality[i], &bytes);
        assert_int_equal(jpeg->encode(ctx, rgb, content, &n), FV_OK);
        assert_int_equal(jpeg->decode(ctx, content, n, out), FV_OK);
        assert_int_equal(jpeg->decode(ctx, file, bytes, expected), FV_OK);
        assert_memory_equal(out, expected, PIXELS);
        assert_true(n < bytes && psnr(rgb, out, PIXELS) > last);
        last = psnr(rgb, out, PIXELS);
        jpeg->close(ctx);
        free(content);
        free(file);
    }
    assert_true(last > 50);
}

static void bytes_depend_on_the_pixels_alone(void **state)
{
    static uint8_t rgb[2][PIXELS], out[PIXELS];
    void *ctx = context(SIDE, SIDE, 95), *fresh = context(SIDE, SIDE, 95);
    uint8_t *first = malloc(jpeg->bound(ctx)), *again = malloc(jpeg->bound(ctx));
    size_t n, m;

    (void)state;
    draw(rgb[0], 1);
    draw(rgb[1], 2);
    assert_int_equal(jpeg->encode(fresh, rgb[0], first, &n), FV_OK);
    assert_int_equal(jpeg->encode(ctx, rgb[1], again, &m), FV_OK);
    refuses(ctx, again, m / 2, NULL);
    assert_int_equal(jpeg->encode(ctx, rgb[0], again, &m), FV_OK);
    assert_int_equal(n, m);
    assert_memory_equal(first, again, n);
    assert_int_equal(jpeg->decode(ctx, again, m, out), FV_OK);
    jpeg->close(ctx);
    jpeg->close(fresh);
    free(first);
    free(again);
}

static void noise_stays_within_the_bound(void **state)
{
    static const int sizes[][2] = {{1, 1}, {8, 8}, {17, 9}, {64, 64}, {113, 97}};
    static uint8_t rgb[113 * 97 * 3], out[113 * 97 * 3];
    struct fv_rng r = fv_rng_at(8, 0, 0, FV_RNG_TEST);
    size_t n;

    (void)state;
    for (size_t i = 0; i < sizeof rgb; i++)
        rgb[i] = fv_rng_below(&r, 2) ? 255 : 0;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        void *ctx = context(sizes[i][0], sizes[i][1], 100);
        uint8_t *content = malloc(jpeg->bound(ctx));
        assert_int_equal(jpeg->encode(ctx, rgb, content, &n), FV_OK);
        assert_true(n <= jpeg->bound(ctx));
        assert_int_equal(jpeg->decode(ctx, content, n, out), FV_OK);
        jpeg->close(ctx);
        free(content);
    }
}

/* --- adopting ------------------------------------------------------------------------------------- */

static size_t put_segment(uint8_t *to, uint8_t marker, const char *body, size_t n)
{
    const uint8_t head[] = {0xFF, marker, (uint8_t)((n + 2) >> 8), (uint8_t)(n + 2)};

    memcpy(to, head, sizeof head);
    memcpy(to + sizeof head, body, n);
    return sizeof head + n;
}

static void a_file_keeps_its_picture_and_loses_its_metadata(void **state)
{
    static char exif[60000] = "Exif";

    (void)state;
    for (int i = 0; i < goldens; i++) {
        const struct jpeg_golden *g = &golden[i];
        const size_t pixels = (size_t)(g->width * g->height * 3);
        void *ctx = context(g->width, g->height, 95);
        uint8_t *file = malloc(g->bytes + 2 * sizeof exif), *content = malloc(jpeg->bound(ctx)),
                *out = malloc(pixels);
        size_t n, at = 2;
        memcpy(file, g->file, 2);
        at += put_segment(file + at, 0xE1, exif, sizeof exif);
        file[at++] = 0xFF; /* a fill byte */
        at += put_segment(file + at, 0xFE, "a comment", 9);
        at += put_segment(file + at, 0xE2, "ICC_PROFILE", 11);
        at += put_segment(file + at, 0xE0, "JFXX", 5);
        memcpy(file + at, g->file + 2, g->bytes - 2);
        at += g->bytes - 2;
        at += put_segment(file + at, 0xE1, "after the end", 13);
        assert_int_equal(jpeg->adopt(ctx, file, at, content, &n), FV_OK);
        assert_int_equal(n, g->bytes);
        assert_memory_equal(content, g->file, n);
        assert_int_equal(jpeg->decode(ctx, content, n, out), FV_OK);
        assert_memory_equal(out, g->rgb, pixels);
        jpeg->close(ctx);
        free(file);
        free(content);
        free(out);
    }
}

static void what_cannot_stand_as_it_is_is_not_adopted(void **state)
{
    const struct jpeg_golden *g = &golden[0];
    void *ctx = context(g->width, g->height, 95), *other = context(g->width + 1, g->height, 95),
         *tiny = context(1, 1, 95);
    uint8_t *content = malloc(jpeg->bound(other)), *file = malloc(g->bytes);
    size_t n;

    (void)state;
    assert_int_equal(jpeg->adopt(ctx, g->file, g->bytes, content, &n), FV_OK);
    assert_int_equal(jpeg->adopt(other, g->file, g->bytes, content, &n), 1);
    assert_true(g->bytes < jpeg->bound(tiny) || jpeg->adopt(tiny, g->file, g->bytes, content, &n));
    for (size_t less = 0; less < g->bytes; less++)
        assert_int_equal(jpeg->adopt(ctx, g->file, less, content, &n), 1);
    assert_int_equal(jpeg->adopt(ctx, (const uint8_t *)"\x89PNG\r\n\x1a\n", 8, content, &n), 1);
    memcpy(file, g->file, g->bytes);
    memset(file + g->bytes / 2, 0xFF, 8); /* in the scan */
    assert_int_equal(jpeg->adopt(ctx, file, g->bytes, content, &n), 1);
    memcpy(file, g->file, g->bytes);
    file[4] = 0xFF; /* a segment longer than the file */
    assert_int_equal(jpeg->adopt(ctx, file, g->bytes, content, &n), 1);
    jpeg->close(ctx);
    jpeg->close(other);
    jpeg->close(tiny);
    free(content);
    free(file);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pixels_are_those_of_pillow),
        cmocka_unit_test(damage_is_refused_and_leaves_the_context_whole),
        cmocka_unit_test(kinds_that_no_data_set_holds_are_refused),
        cmocka_unit_test(quality_is_libjpegs_and_its_tables_are_better),
        cmocka_unit_test(bytes_depend_on_the_pixels_alone),
        cmocka_unit_test(noise_stays_within_the_bound),
        cmocka_unit_test(a_file_keeps_its_picture_and_loses_its_metadata),
        cmocka_unit_test(what_cannot_stand_as_it_is_is_not_adopted),
    };
    if (argc > 1)
        golden_path = argv[1];
    return cmocka_run_group_tests(tests, setup, teardown);
}
