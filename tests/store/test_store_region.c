/* SPDX-License-Identifier: MIT */
/* Regions of JPEG pictures: to the bit those of the whole picture, which libjpeg decodes here at the same reduction;
 * for every sampling of chroma, baseline and progressive, at sizes that end within a block. */
#include "common/err.h"
#include "common/rng.h"
#include "store/codec.h"
#include "store/dataset.h"
#include "tests/cmocka_all.h"

#include <stdio.h>

#include <jpeglib.h>
#include <stdlib.h>
#include <string.h>

enum { WIDTH = 181, HEIGHT = 147, CANARY = 64, REGIONS = 60 };

static const struct size {
    int w, h;
} sizes[] = {{WIDTH, HEIGHT}, {112, 112}, {33, 17}, {9, 64}, {1, 1}};
enum { SIZES = sizeof sizes / sizeof sizes[0] };

/* Of luma and of chroma: blocks of each along x and y in a unit of the file. */
static const struct kind {
    int h, v, blue_h, blue_v, red_h, red_v, progressive, grey, restart;
} kinds[] = {
    {1, 1, 1, 1, 1, 1, .progressive = 0}, {2, 1, 1, 1, 1, 1, .restart = 1},
    {1, 2, 1, 1, 1, 1, .restart = 7},     {2, 2, 1, 1, 1, 1, .progressive = 0},
    {4, 1, 1, 1, 1, 1, .progressive = 0}, {1, 4, 1, 1, 1, 1, .progressive = 0},
    {4, 2, 1, 1, 1, 1, .progressive = 0}, {2, 4, 1, 1, 1, 1, .progressive = 1},
    {3, 1, 1, 1, 1, 1, .progressive = 0}, {2, 2, 2, 1, 1, 2, .progressive = 0},
    {1, 1, 2, 2, 1, 1, .progressive = 0}, {2, 2, 1, 1, 1, 1, .progressive = 1},
    {1, 1, 1, 1, 1, 1, .progressive = 1}, {1, 1, 1, 1, 1, 1, .grey = 1},
    {2, 2, 1, 1, 1, 1, .grey = 1},        {1, 1, 4, 1, 2, 1, .progressive = 0},
    {4, 1, 2, 1, 1, 1, .progressive = 0},
};
enum { KINDS = sizeof kinds / sizeof kinds[0] };

static uint8_t *make_file(const struct kind *k, const struct size *size, unsigned long *n)
{
    struct jpeg_compress_struct c;
    struct jpeg_error_mgr error;
    struct fv_rng r = fv_rng_at(3, 0, 0, FV_RNG_TEST);
    unsigned char *file = NULL;

    c.err = jpeg_std_error(&error);
    jpeg_create_compress(&c);
    jpeg_mem_dest(&c, &file, n);
    c.image_width = (JDIMENSION)size->w;
    c.image_height = (JDIMENSION)size->h;
    c.input_components = k->grey ? 1 : 3;
    c.in_color_space = k->grey ? JCS_GRAYSCALE : JCS_RGB;
    jpeg_set_defaults(&c);
    jpeg_set_quality(&c, 90, TRUE);
    c.comp_info[0].h_samp_factor = k->h;
    c.comp_info[0].v_samp_factor = k->v;
    if (!k->grey) {
        c.comp_info[1].h_samp_factor = k->blue_h;
        c.comp_info[1].v_samp_factor = k->blue_v;
        c.comp_info[2].h_samp_factor = k->red_h;
        c.comp_info[2].v_samp_factor = k->red_v;
    }
    c.restart_interval = (unsigned)k->restart;
    if (k->progressive)
        jpeg_simple_progression(&c);
    jpeg_start_compress(&c, TRUE);
    while (c.next_scanline < c.image_height) {
        uint8_t line[WIDTH * 3];
        JSAMPROW row = line;
        for (int x = 0; x < size->w * 3; x++)
            line[x] = (uint8_t)((unsigned)x * 5 / 3 + c.next_scanline * 2 + fv_rng_below(&r, 60));
        jpeg_write_scanlines(&c, &row, 1);
    }
    jpeg_finish_compress(&c);
    jpeg_destroy_compress(&c);
    return file;
}

/* The oracle: libjpeg alone, the whole picture. */
static uint8_t *decode_whole(uint8_t *file, unsigned long n, int shift, int *w, int *h)
{
    struct jpeg_decompress_struct d;
    struct jpeg_error_mgr error;

    d.err = jpeg_std_error(&error);
    jpeg_create_decompress(&d);
    jpeg_mem_src(&d, file, n);
    jpeg_read_header(&d, TRUE);
    d.out_color_space = JCS_RGB;
    d.do_block_smoothing = FALSE;
    d.scale_num = 8u >> shift;
    d.scale_denom = 8;
    jpeg_start_decompress(&d);
    *w = (int)d.output_width;
    *h = (int)d.output_height;
    uint8_t *rgb = malloc((size_t)*w * (size_t)*h * 3);
    while (d.output_scanline < d.output_height) {
        JSAMPROW row = rgb + (size_t)d.output_scanline * (size_t)*w * 3;
        jpeg_read_scanlines(&d, &row, 1);
    }
    jpeg_finish_decompress(&d);
    jpeg_destroy_decompress(&d);
    return rgb;
}

static void check_region(void *ctx, const uint8_t *file, unsigned long n, const uint8_t *whole,
                         int whole_w, const struct fv_region *r)
{
    const struct fv_codec *jpeg = fv__codec_by_name("jpeg");
    const size_t row = (size_t)r->w * 3, bytes = row * (size_t)r->h;
    uint8_t *out = malloc(bytes + 2 * CANARY), canary[CANARY];

    memset(out, 0xA5, bytes + 2 * CANARY);
    memset(canary, 0xA5, CANARY);
    assert_int_equal(jpeg->decode_region(ctx, file, n, r, out + CANARY), FV_OK);
    for (int y = 0; y < r->h; y++)
        assert_memory_equal(out + CANARY + (size_t)y * row,
                            whole + ((size_t)(r->y + y) * (size_t)whole_w + (size_t)r->x) * 3, row);
    assert_memory_equal(out, canary, CANARY);
    assert_memory_equal(out + CANARY + bytes, canary, CANARY);
    free(out);
}

static struct fv_region draw_region(struct fv_rng *rng, int shift, int w, int h)
{
    struct fv_region r = {.shift = shift};

    r.x = (int)fv_rng_below(rng, (uint32_t)w);
    r.y = (int)fv_rng_below(rng, (uint32_t)h);
    r.w = 1 + (int)fv_rng_below(rng, (uint32_t)(w - r.x));
    r.h = 1 + (int)fv_rng_below(rng, (uint32_t)(h - r.y));
    return r;
}

static void check_file(const struct kind *kind, const struct size *size)
{
    const struct fv_codec_settings s = {size->w, size->h, 95};
    static struct fv_rng rng = {.key = {4}};
    unsigned long n = 0;
    uint8_t *file = make_file(kind, size, &n);
    void *ctx = NULL;

    assert_int_equal(fv__codec_by_name("jpeg")->open(&ctx, &s), FV_OK);
    for (int shift = 0; shift <= FV_REGION_SHIFT_MAX; shift++) {
        int w, h;
        uint8_t *whole = decode_whole(file, n, shift, &w, &h);
        assert_int_equal(w, fv_region_side(size->w, shift));
        assert_int_equal(h, fv_region_side(size->h, shift));
        const struct fv_region all = {shift, 0, 0, w, h};
        check_region(ctx, file, n, whole, w, &all);
        for (int i = 0; i < REGIONS && w * h > 1; i++) {
            const struct fv_region r = draw_region(&rng, shift, w, h);
            check_region(ctx, file, n, whole, w, &r);
        }
        for (int x = 0; x < w && w <= 40; x++) { /* the narrowest at every place */
            const struct fv_region r = {shift, x, h / 2, 1, h - h / 2};
            check_region(ctx, file, n, whole, w, &r);
        }
        free(whole);
    }
    fv__codec_by_name("jpeg")->close(ctx);
    free(file);
}

static void a_region_is_that_of_the_whole(void **state)
{
    (void)state;
    for (int k = 0; k < KINDS; k++)
        for (int s = 0; s < SIZES; s++)
            check_file(&kinds[k], &sizes[s]);
}

/* A file that is cut off within the region is refused; the context works on afterwards. */
static void a_cut_file_is_refused(void **state)
{
    const struct fv_codec_settings s = {WIDTH, HEIGHT, 95};
    const struct fv_codec *jpeg = fv__codec_by_name("jpeg");
    const struct fv_region r = {0, 10, HEIGHT - 20, 30, 20};
    unsigned long n = 0;
    uint8_t *file = make_file(&kinds[3], &sizes[0], &n), out[30 * 20 * 3];
    void *ctx = NULL;

    (void)state;
    assert_int_equal(jpeg->open(&ctx, &s), FV_OK);
    for (unsigned long cut = 0; cut < n - 400; cut += 97)
        assert_int_equal(jpeg->decode_region(ctx, file, cut, &r, out), FV_ECORRUPT);
    assert_int_equal(jpeg->decode_region(ctx, file, n, &r, out), FV_OK);
    jpeg->close(ctx);
    free(file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_region_is_that_of_the_whole),
        cmocka_unit_test(a_cut_file_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
