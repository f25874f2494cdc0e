/* SPDX-License-Identifier: MIT */
/* Every kind of file to upright 8-bit sRGB: pictures are made so that the wanted pixels are known exactly
 * (flat areas, no resampling), and damaged files so that the wanted reason is.
 */
#include "prep/photo/photo.h"

#include "common/err.h"
#include "prep/photo/photo_file.h"
#include "tests/cmocka_all.h"
#include "tests/prep/scratch.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <vips/vips.h>

enum { SIDE = 32 };

static const struct fv_framing framing = {.size = SIDE, .crop = 1};
static struct fv_photo *photo;
static uint8_t rgb[SIDE * SIDE * 3];

static int setup(void **state)
{
    (void)state;
    scratch_open();
    return fv__photo_open(&photo, &framing);
}

static int teardown(void **state)
{
    (void)state;
    fv__photo_close(&photo);
    assert_null(photo);
    scratch_close();
    return 0;
}

/* --- making pictures ------------------------------------------------------------------------------- */

/* The four quarters of a picture, row by row, in `bands` values each. */
static VipsImage *quarters(int w, int h, int bands, const int q[4][4])
{
    uint8_t *p = malloc((size_t)w * h * bands);
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++)
            for (int c = 0; c < bands; c++)
                p[(y * w + x) * bands + c] = (uint8_t)q[(y >= h / 2) * 2 + (x >= w / 2)][c];
    VipsImage *im =
        vips_image_new_from_memory_copy(p, (size_t)w * h * bands, w, h, bands, VIPS_FORMAT_UCHAR);
    free(p);
    assert_non_null(im);
    vips_image_init_fields(im, w, h, bands, VIPS_FORMAT_UCHAR, VIPS_CODING_NONE,
                           bands < 3 ? VIPS_INTERPRETATION_B_W : VIPS_INTERPRETATION_sRGB, 1, 1);
    return im;
}

static const int colours[4][4] = {{200, 30, 40}, {50, 180, 60}, {70, 80, 220}, {240, 230, 20}};

/* Writes through libvips; the name's suffix, with its options, picks the format. */
static void save(VipsImage *im, const char *name, const char *options)
{
    char path[1100];
    scratch_write(name, "", 0);
    snprintf(path, sizeof path, "%s%s", scratch_path("%s", name), options);
    if (vips_image_write_to_file(im, path, NULL) != 0)
        fail_msg("%s: %s", name, vips_error_buffer());
    g_object_unref(im);
}

static void decode(const char *name)
{
    struct fv_refusal why = {0};
    memset(rgb, 0xAA, sizeof rgb);
    int rc = scratch_decode(photo, scratch_path("%s", name), rgb, &why);
    if (rc != 0)
        fail_msg("%s: refused as %s (%s)", name, fv__reject_code(why.why), why.detail);
}

static void assert_refused(const char *name, enum fv_reject want)
{
    struct fv_refusal why = {0};
    assert_int_equal(scratch_decode(photo, scratch_path("%s", name), rgb, &why), 1);
    if (why.why != want)
        fail_msg("%s: %s (%s), not %s", name, fv__reject_code(why.why), why.detail,
                 fv__reject_code(want));
}

static void assert_pixel(int x, int y, int r, int g, int b, int within)
{
    const uint8_t *p = rgb + (y * SIDE + x) * 3;
    if (abs(p[0] - r) > within || abs(p[1] - g) > within || abs(p[2] - b) > within)
        fail_msg("pixel %d,%d is %d %d %d, not %d %d %d", x, y, p[0], p[1], p[2], r, g, b);
}

/* All of each quarter, but for a margin around the borders between them. */
static void assert_quarters(const int q[4][4], int margin, int within)
{
    for (int y = 0; y < SIDE; y++)
        for (int x = 0; x < SIDE; x++)
            if (abs(2 * x + 1 - SIDE) >= 2 * margin && abs(2 * y + 1 - SIDE) >= 2 * margin) {
                const int *c = q[(y >= SIDE / 2) * 2 + (x >= SIDE / 2)];
                assert_pixel(x, y, c[0], c[1], c[2], within);
            }
}

/* --- kinds of files -------------------------------------------------------------------------------- */

static void keeps_pixels_of_the_wanted_size(void **state)
{
    (void)state;
    uint8_t noise[sizeof rgb];
    for (size_t i = 0; i < sizeof noise; i++)
        noise[i] = (uint8_t)(i * 2654435761u >> 13);
    VipsImage *im =
        vips_image_new_from_memory_copy(noise, sizeof noise, SIDE, SIDE, 3, VIPS_FORMAT_UCHAR);
    save(im, "a.png", "");
    decode("a.png");
    assert_memory_equal(rgb, noise, sizeof rgb);
}

static void crops_the_centre(void **state)
{
    (void)state;
    /* 3 columns too many: one goes on the left, two on the right */
    static const int odd[4][4] = {{9, 9, 9}, {9, 9, 9}, {9, 9, 9}, {9, 9, 9}};
    VipsImage *im = quarters(SIDE + 3, SIDE, 3, odd);
    for (int y = 0; y < SIDE; y++)
        for (int x = 0; x < SIDE + 3; x++)
            VIPS_IMAGE_ADDR(im, x, y)[0] = (VipsPel)x;
    save(im, "wide.png", "");
    decode("wide.png");
    for (int x = 0; x < SIDE; x++)
        assert_pixel(x, 5, x + 1, 9, 9, 0);
}

static void scales_up_and_down(void **state)
{
    (void)state;
    save(quarters(200, 200, 3, colours), "large.png", "");
    decode("large.png");
    assert_quarters(colours, 4, 0);
    save(quarters(16, 16, 3, colours), "small.png", "");
    decode("small.png");
    assert_quarters(colours, 6, 0);
    /* shrunk by 8 while decoding */
    save(quarters(1024, 1200, 3, colours), "huge.jpg", "[Q=100,no_subsample]");
    decode("huge.jpg");
    assert_quarters(colours, 4, 2);
}

static void grey_becomes_three_equal_channels(void **state)
{
    (void)state;
    static const int grey[4][4] = {{0}, {85}, {170}, {255}};
    static const int want[4][4] = {{0, 0, 0}, {85, 85, 85}, {170, 170, 170}, {255, 255, 255}};
    static const char *const names[] = {"g.png", "g.pgm", "g.tif", "g.webp"};
    for (int i = 0; i < 4; i++) {
        save(quarters(SIDE, SIDE, 1, grey), names[i], i == 3 ? "[lossless]" : "");
        decode(names[i]);
        assert_quarters(want, 0, 0);
    }
    save(quarters(SIDE, SIDE, 1, grey), "g.jpg", "[Q=100]");
    decode("g.jpg");
    assert_quarters(want, 0, 1);
}

static void alpha_is_laid_on_white(void **state)
{
    (void)state;
    static const int rgba[4][4] = {
        {200, 30, 40, 255}, {50, 180, 60, 0}, {100, 100, 0, 51}, {0, 0, 0, 255}};
    static const int want[4][4] = {{200, 30, 40}, {255, 255, 255}, {224, 224, 204}, {0, 0, 0}};
    static const int ga[4][4] = {{77, 255}, {77, 0}, {100, 51}, {0, 255}};
    static const int gw[4][4] = {{77, 77, 77}, {255, 255, 255}, {224, 224, 224}, {0, 0, 0}};
    save(quarters(SIDE, SIDE, 4, rgba), "rgba.png", "");
    decode("rgba.png");
    assert_quarters(want, 0, 0);
    save(quarters(SIDE, SIDE, 2, ga), "ga.png", "");
    decode("ga.png");
    assert_quarters(gw, 0, 0);
    VipsImage *in = quarters(SIDE, SIDE, 4, rgba), *deep;
    assert_int_equal(vips_colourspace(in, &deep, VIPS_INTERPRETATION_RGB16, NULL), 0);
    g_object_unref(in);
    save(deep, "rgba16.png", "");
    decode("rgba16.png");
    assert_quarters(want, 0, 1);
}

/* PNM of 16 bits, big-endian: value 257 * v stands for v. */
static void sixteen_bits_become_eight(void **state)
{
    (void)state;
    uint8_t file[32 + SIDE * SIDE * 6];
    int n = sprintf((char *)file, "P6\n%d %d\n65535\n", SIDE, SIDE);
    for (int i = 0; i < SIDE * SIDE * 3; i++)
        file[n + 2 * i] = file[n + 2 * i + 1] = (uint8_t)(i * 7);
    scratch_write("deep.ppm", file, (size_t)n + SIDE * SIDE * 6);
    decode("deep.ppm");
    for (int i = 0; i < SIDE * SIDE * 3; i++)
        assert_int_equal(rgb[i], (uint8_t)(i * 7));
    VipsImage *deep = vips_image_new_from_file(scratch_path("deep.ppm"), NULL);
    assert_non_null(deep);
    save(deep, "deep.png", "");
    decode("deep.png");
    for (int i = 0; i < SIDE * SIDE * 3; i++)
        assert_int_equal(rgb[i], (uint8_t)(i * 7));
    n = sprintf((char *)file, "P5\n%d %d\n65535\n", SIDE, SIDE);
    scratch_write("deep.pgm", file, (size_t)n + SIDE * SIDE * 2);
    decode("deep.pgm");
    for (int i = 0; i < SIDE * SIDE; i++)
        assert_int_equal(rgb[3 * i], file[n + 2 * i]);
}

static void pnm_of_any_maximum_is_scaled(void **state)
{
    (void)state;
    char file[32 + SIDE * SIDE];
    int n = sprintf(file, "P5\n# a remark\n%d %d\n100\n", SIDE, SIDE);
    for (int i = 0; i < SIDE * SIDE; i++)
        file[n + i] = (char)(i % 101);
    scratch_write("hundred.pgm", file, (size_t)n + SIDE * SIDE);
    decode("hundred.pgm");
    for (int i = 0; i < SIDE * SIDE; i++)
        assert_int_equal(rgb[3 * i], ((i % 101) * 255 + 50) / 100);
}

static void cmyk_becomes_rgb(void **state)
{
    (void)state;
    static const int cmyk[4][4] = {{0, 0, 0, 0}, {0, 0, 0, 255}, {255, 0, 0, 0}, {0, 255, 255, 0}};
    VipsImage *im = quarters(SIDE, SIDE, 4, cmyk);
    vips_image_init_fields(im, SIDE, SIDE, 4, VIPS_FORMAT_UCHAR, VIPS_CODING_NONE,
                           VIPS_INTERPRETATION_CMYK, 1, 1);
    save(im, "cmyk.jpg", "[Q=100,no_subsample]");
    decode("cmyk.jpg");
    assert_pixel(4, 4, 255, 255, 255, 3);       /* no ink */
    assert_true(rgb[(4 * SIDE + 28) * 3] < 60); /* black ink */
    const uint8_t *cyan = rgb + (28 * SIDE + 4) * 3, *red = rgb + (28 * SIDE + 28) * 3;
    assert_true(cyan[0] < 60 && cyan[1] > 120 && cyan[2] > 180);
    assert_true(red[0] > 180 && red[1] < 80 && red[2] < 80);
}

static void profiles_are_applied(void **state)
{
    (void)state;
    /* Display P3's red is outside sRGB: its (200,30,40) is redder than ours */
    VipsImage *im = quarters(SIDE, SIDE, 3, colours), *p3;
    assert_int_equal(vips_icc_transform(im, &p3, "p3", "input_profile", "srgb", NULL), 0);
    size_t n;
    uint8_t *wide = vips_image_write_to_memory(p3, &n);
    assert_true(wide[0] < 195); /* stored values differ from the colours */
    g_free(wide);
    g_object_unref(im);
    g_object_ref(p3);
    save(p3, "p3.png", "");
    decode("p3.png");
    assert_quarters(colours, 0, 2);
    save(p3, "p3.jpg", "[Q=100,no_subsample]"); /* not for libjpeg-turbo alone */
    decode("p3.jpg");
    assert_quarters(colours, 0, 3);
    assert_int_equal(fv__photo_is_finished_jpeg(photo), 0);
    /* and what is not a profile is as none */
    im = quarters(SIDE, SIDE, 3, colours);
    vips_image_set_blob_copy(im, VIPS_META_ICC_NAME, "this is no profile", 18);
    save(im, "bad-profile.tif", "");
    decode("bad-profile.tif");
    assert_quarters(colours, 0, 0);
}

static void turns_upright(void **state)
{
    (void)state;
    /* where the stored quarters 0 1 / 2 3 come to lie, by the TIFF specification of Orientation */
    static const int where[9][4] = {{0},          {0, 1, 2, 3}, {1, 0, 3, 2},
                                    {3, 2, 1, 0}, {2, 3, 0, 1}, {0, 2, 1, 3},
                                    {2, 0, 3, 1}, {3, 1, 2, 0}, {1, 3, 0, 2}};
    for (int turn = 1; turn <= 8; turn++) {
        int want[4][4];
        for (int q = 0; q < 4; q++)
            memcpy(want[q], colours[where[turn][q]], sizeof want[q]);
        VipsImage *im = quarters(SIDE + 32, SIDE, 3, colours);
        vips_image_set_int(im, VIPS_META_ORIENTATION, turn);
        save(im, "turned.jpg", "[Q=100,no_subsample]");
        decode("turned.jpg");
        assert_quarters(want, 0, 2);
    }
}

/* The crop is that of the upright picture, to the pixel, whichever way the file is stored. */
static void crops_after_turning(void **state)
{
    (void)state;
    for (int turn = 1; turn <= 8; turn++) {
        int stored_wide = turn < 5;
        int w = stored_wide ? SIDE + 3 : SIDE, h = stored_wide ? SIDE : SIDE + 3;
        int reversed = turn == 2 || turn == 3 || turn == 6 || turn == 7;
        VipsImage *im = quarters(w, h, 3, colours);
        for (int y = 0; y < h; y++)
            for (int x = 0; x < w; x++) {
                int along = stored_wide ? x : y; /* the upright picture's x, or its mirror */
                VIPS_IMAGE_ADDR(im, x, y)[0] = (VipsPel)(reversed ? SIDE + 2 - along : along);
            }
        vips_image_set_int(im, VIPS_META_ORIENTATION, turn);
        save(im, "turned.tif", "");
        decode("turned.tif");
        for (int x = 0; x < SIDE; x++)
            assert_int_equal(rgb[(5 * SIDE + x) * 3], x + 1);
    }
}

static void reads_by_content_not_by_name(void **state)
{
    (void)state;
    save(quarters(SIDE, SIDE, 3, colours), "a.png", "");
    assert_int_equal(rename(scratch_path("a.png"), scratch_path("a.jpg")), 0);
    decode("a.jpg");
    assert_quarters(colours, 0, 0);
}

/* --- files that are refused ------------------------------------------------------------------------ */

/* So that its bytes spread over the whole picture. */
static void add_noise(VipsImage *im)
{
    for (int y = 0; y < im->Ysize; y++)
        for (int x = 0; x < 3 * im->Xsize; x++)
            VIPS_IMAGE_ADDR(im, 0, y)[x] = (VipsPel)((x * 2654435761u + y * 40503u) >> 9);
}

static void truncated_at_any_place(void **state)
{
    (void)state;
    static const char *const names[] = {"t.jpg", "t.png", "t.webp", "t.tif", "t.gif", "t.pgm"};
    for (int i = 0; i < 6; i++) {
        size_t n;
        int tall = i == 0 ? 800 : 300; /* what is cut off lies in what the crop leaves out, too */
        VipsImage *im = quarters(100, tall, 3, colours);
        add_noise(im);
        if (i == 5) {
            scratch_pgm("t.pgm", 100, 9);
            g_object_unref(im);
        } else {
            save(im, names[i], "");
        }
        decode(names[i]);
        char *whole = scratch_read(names[i], &n);
        for (int part = 1; part < 20; part++) {
            struct fv_refusal why = {0};
            scratch_write("cut", whole, n * (size_t)part / 20);
            int rc = scratch_decode(photo, scratch_path("cut"), rgb, &why);
            if (rc != 1)
                fail_msg("%s with %d/20 of its bytes was taken", names[i], part);
            if (i < 2 && part > 4)
                assert_string_equal(fv__reject_code(why.why), "truncated");
        }
        free(whole);
    }
}

/* An end mark after half of the bytes: libjpeg makes the rest grey. */
static void a_jpeg_with_half_its_picture_is_refused(void **state)
{
    (void)state;
    size_t n;
    for (int side = 2 * SIDE; side <= 16 * SIDE; side *= 8) {
        VipsImage *im = quarters(side, side, 3, colours);
        add_noise(im);
        save(im, "h.jpg", "");
        char *whole = scratch_read("h.jpg", &n);
        memcpy(whole + n / 2, "\xff\xd9", 2);
        scratch_write("half.jpg", whole, n / 2 + 2);
        free(whole);
        assert_refused("half.jpg", FV_REJECT_DAMAGED);
    }
}

static void other_reasons(void **state)
{
    (void)state;
    scratch_write("empty.jpg", "", 0);
    assert_refused("empty.jpg", FV_REJECT_EMPTY);
    scratch_write("text.jpg", "not a picture at all", 20);
    assert_refused("text.jpg", FV_REJECT_NOT_IMAGE);
    scratch_write("old.bmp", "BM\x36\x10\0\0\0\0\0\0\x36\0\0\0", 14);
    assert_refused("old.bmp", FV_REJECT_UNSUPPORTED);
    scratch_write("head.png", "\x89PNG\r\n\x1a\n and then nothing", 25);
    assert_refused("head.png", FV_REJECT_BAD_HEADER);
    scratch_write("code.pgm", "P5\n-3 5\n255\n", 12);
    assert_refused("code.pgm", FV_REJECT_BAD_HEADER);
    assert_refused("gone.jpg", FV_REJECT_UNREADABLE);
    assert_int_equal(mkfifo(scratch_path("pipe.jpg"), 0600), 0);
    assert_refused("pipe.jpg", FV_REJECT_SPECIAL);
    assert_int_equal(mkdir(scratch_path("folder.jpg"), 0700), 0);
    assert_refused("folder.jpg", FV_REJECT_SPECIAL);
    scratch_pgm("tiny.pgm", FV_PHOTO_MIN_SIDE - 1, 9);
    assert_refused("tiny.pgm", FV_REJECT_TOO_SMALL);
    scratch_pgm("least.pgm", FV_PHOTO_MIN_SIDE, 9);
    decode("least.pgm");
    FILE *f = fopen(scratch_path("long.jpg"), "wb");
    assert_int_equal(ftruncate(fileno(f), FV_PHOTO_MAX_BYTES + 1l), 0);
    fclose(f);
    assert_refused("long.jpg", FV_REJECT_FILE_TOO_LARGE);
}

static void svg_and_other_programs_are_not_run(void **state)
{
    (void)state;
    static const char svg[] =
        "<svg xmlns='http://www.w3.org/2000/svg' width='64' height='64'></svg>";
    scratch_write("drawn.jpg", svg, sizeof svg - 1);
    assert_refused("drawn.jpg", FV_REJECT_NOT_IMAGE);
}

static void float_pixels_are_refused(void **state)
{
    (void)state;
    VipsImage *im = quarters(SIDE, SIDE, 3, colours), *f;
    assert_int_equal(vips_cast_float(im, &f, NULL), 0);
    g_object_unref(im);
    save(f, "f.tif", "");
    assert_refused("f.tif", FV_REJECT_PIXEL_TYPE);
}

/* PNGs of a header, one empty IDAT, and IEND: refused from their header, at once. */
static void bombs_are_refused_by_their_header(void **state)
{
    (void)state;
    static const uint8_t begin[] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n', 0, 0, 0, 13};
    static const uint8_t end[] = {0, 0, 0, 0, 'I', 'D', 'A', 'T', 0x35, 0xaf, 0x06, 0x1e,
                                  0, 0, 0, 0, 'I', 'E', 'N', 'D', 0xae, 0x42, 0x60, 0x82};
    static const struct {
        uint8_t header[21]; /* with its checksum */
    } bombs[] = {           /* 60,000 x 60,000 */
                 {"IHDR\0\0\xea\x60\0\0\xea\x60\x08\x02\0\0\0\x0f\xb0\xe2\x15"},
                 /* 70,000 x 20 */
                 {"IHDR\0\x01\x11\x70\0\0\0\x14\x08\x02\0\0\0\x2e\x3a\x79\x34"},
                 /* 9,000 x 9,000, interlaced: 231 MiB at once */
                 {"IHDR\0\0\x23\x28\0\0\x23\x28\x08\x02\0\0\x01\x95\xb0\xd5\x7b"}};
    for (size_t i = 0; i < sizeof bombs / sizeof bombs[0]; i++) {
        uint8_t file[sizeof begin + sizeof bombs[0].header + sizeof end];
        memcpy(file, begin, sizeof begin);
        memcpy(file + sizeof begin, bombs[i].header, sizeof bombs[i].header);
        memcpy(file + sizeof begin + sizeof bombs[i].header, end, sizeof end);
        scratch_write("bomb.png", file, sizeof file);
        assert_refused("bomb.png", FV_REJECT_TOO_MANY_PIXELS);
    }
}

/* Flipped bytes never crash, and are either a picture or a refusal. */
static void damaged_bytes_are_survived(void **state)
{
    (void)state;
    static const char *const names[] = {"d.jpg", "d.png", "d.webp", "d.tif", "d.gif"};
    uint32_t r = 1;
    for (int i = 0; i < 5; i++) {
        size_t n;
        save(quarters(64, 64, 3, colours), names[i], "");
        char *bytes = scratch_read(names[i], &n);
        for (int k = 0; k < 60; k++) {
            struct fv_refusal why;
            r = r * 1664525 + 1013904223;
            size_t at = r % n;
            char old = bytes[at];
            bytes[at] ^= (char)(1 << (r >> 29));
            scratch_write("damaged", bytes, n);
            int rc = scratch_decode(photo, scratch_path("damaged"), rgb, &why);
            assert_in_range(rc, 0, 1);
            bytes[at] = old;
        }
        free(bytes);
    }
}

static void *decode_often(void *path)
{
    uint8_t got[SIDE * SIDE * 3];
    struct fv_photo *p;
    struct fv_refusal why;
    void *wrong = NULL;
    if (fv__photo_open(&p, &framing) != 0)
        return path;
    for (int i = 0; i < 20; i++)
        if (scratch_decode(p, path, got, &why) != 0 || memcmp(got, rgb, sizeof got) != 0)
            wrong = path;
    fv__photo_close(&p);
    return wrong;
}

static void threads_do_not_meet(void **state)
{
    (void)state;
    pthread_t thread[4];
    void *wrong;
    save(quarters(300, 300, 3, colours), "a.jpg", "");
    decode("a.jpg");
    char path[1024];
    strcpy(path, scratch_path("a.jpg"));
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, decode_often, path), 0);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(pthread_join(thread[i], &wrong), 0);
        assert_null(wrong);
    }
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(keeps_pixels_of_the_wanted_size),
        TEST(crops_the_centre),
        TEST(scales_up_and_down),
        TEST(grey_becomes_three_equal_channels),
        TEST(alpha_is_laid_on_white),
        TEST(sixteen_bits_become_eight),
        TEST(pnm_of_any_maximum_is_scaled),
        TEST(cmyk_becomes_rgb),
        TEST(profiles_are_applied),
        TEST(turns_upright),
        TEST(crops_after_turning),
        TEST(reads_by_content_not_by_name),
        TEST(truncated_at_any_place),
        TEST(a_jpeg_with_half_its_picture_is_refused),
        TEST(other_reasons),
        TEST(svg_and_other_programs_are_not_run),
        TEST(float_pixels_are_refused),
        TEST(bombs_are_refused_by_their_header),
        TEST(damaged_bytes_are_survived),
        TEST(threads_do_not_meet),
    };
    if (VIPS_INIT("test_photo") != 0) /* pictures are made before one is read */
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
