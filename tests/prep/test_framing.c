/* SPDX-License-Identifier: MIT */
/* Where the pixels of a photo end up. The photo's colours are its coordinates (red x, green y), so the place
 * that an output pixel shows can be read from it.
 */
#include "prep/photo/framing.h"

#include "prep/photo/align.h"
#include "prep/photo/photo.h"
#include "prep/photo/resample.h"
#include "prep/photo/turn.h"
#include "tests/cmocka_all.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 256, BLUE = 77 };

static const char *path;
static uint8_t out[MOST * MOST * 3];
static struct fv_refusal why;

/* The upright photo as rows of a file with that orientation: the inverse of turning upright. */
static uint8_t *stored_photo(int w, int h, int step, int turn, size_t *stride)
{
    static const int inverse[9] = {0, 1, 2, 3, 4, 5, 8, 7, 6};
    uint8_t *upright = malloc(3 * (size_t)w * (size_t)h),
            *packed = malloc(3 * (size_t)w * (size_t)h);
    int sw = fv__turn_swaps(turn) ? h : w, sh = fv__turn_swaps(turn) ? w : h;
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++)
            memcpy(upright + 3 * (y * w + x),
                   (uint8_t[]){(uint8_t)(x / step), (uint8_t)(y / step), BLUE}, 3);
    fv__turn_pixels(inverse[turn], upright, w, h, packed);
    *stride = 3 * (size_t)sw + FV_RESAMPLE_PAD;
    uint8_t *rows = calloc((size_t)sh, *stride);
    for (int y = 0; y < sh; y++)
        memcpy(rows + (size_t)y * *stride, packed + 3 * (size_t)y * (size_t)sw, 3 * (size_t)sw);
    free(upright);
    free(packed);
    return rows;
}

/* Frames an upright photo of w x h whose colours are its coordinates divided by `step`. */
static int frame(const struct fv_framing *how, int w, int h, int step, int turn,
                 const struct fv_face *face)
{
    struct fv_framer *f;
    size_t stride;
    int swaps = fv__turn_swaps(turn);
    struct fv_picture p = {swaps ? h : w, swaps ? w : h, turn};
    uint8_t *rows = stored_photo(w, h, step, turn, &stride);
    memset(out, 0xEE, sizeof out);
    assert_int_equal(fv__framer_open(&f, how), 0);
    int rc = fv__framer_plan(f, &p, face, &why);
    if (rc == 0) {
        assert_int_equal(fv__framer_begin(f, p.width, p.height, 1, out), 0);
        for (int y = 0; y < p.height; y++)
            fv__framer_rows(f, rows + (size_t)y * stride, stride, 1);
        fv__framer_end(f);
    }
    free(rows);
    fv__framer_close(&f);
    return rc;
}

/* Output pixel (u, v) of a square shows the photo at (left + u, top + v), or white beyond it. */
static void assert_shows(int size, int left, int top, int w, int h)
{
    for (int v = 0; v < size; v++)
        for (int u = 0; u < size; u++) {
            const uint8_t *p = out + 3 * (v * size + u);
            int x = left + u, y = top + v, in = x >= 0 && y >= 0 && x < w && y < h;
            int want[3] = {in ? x : 255, in ? y : 255, in ? BLUE : 255};
            if (p[0] != want[0] || p[1] != want[1] || p[2] != want[2])
                fail_msg("(%d,%d) is %d %d %d, not %d %d %d", u, v, p[0], p[1], p[2], want[0],
                         want[1], want[2]);
        }
}

/* --- whole photos and boxes: without a change of scale, pixels are exact ------------------------------ */

static void cover_takes_the_middle(void **state)
{
    (void)state;
    for (int turn = 1; turn <= 8; turn++) {
        struct fv_framing how = {.size = 60, .fit = FV_FIT_COVER, .crop = 1};
        assert_int_equal(frame(&how, 101, 60, 1, turn, NULL), 0);
        assert_shows(60, 20, 0, 101, 60);
        assert_int_equal(frame(&how, 60, 103, 1, turn, NULL), 0);
        assert_shows(60, 0, 21, 60, 103);
        how.size = 45;
        how.crop = 0.75;
        assert_int_equal(frame(&how, 100, 60, 1, turn, NULL), 0);
        assert_shows(45, 27, 7, 100, 60);
    }
}

static void contain_pads_with_white(void **state)
{
    (void)state;
    for (int turn = 1; turn <= 8; turn++) {
        struct fv_framing how = {.size = 90, .fit = FV_FIT_CONTAIN, .crop = 1};
        assert_int_equal(frame(&how, 90, 41, 1, turn, NULL), 0);
        assert_shows(90, 0, -25, 90, 41);
        how.size = 60;
        how.crop = 60.0 / 90;
        assert_int_equal(frame(&how, 41, 90, 1, turn, NULL), 0);
        assert_shows(60, -10, 15, 41, 90);
    }
}

/* Each side by itself: the middle of each pixel keeps its place. */
static void stretch_takes_all(void **state)
{
    (void)state;
    struct fv_framing how = {.size = 50, .fit = FV_FIT_STRETCH, .crop = 1};
    assert_int_equal(frame(&how, 200, 100, 1, 1, NULL), 0);
    for (int v = 3; v < 47; v++)
        for (int u = 3; u < 47; u++) {
            assert_true(fabs(out[3 * (v * 50 + u)] - (4 * (u + 0.5) - 0.5)) <= 1);
            assert_true(fabs(out[3 * (v * 50 + u) + 1] - (2 * (v + 0.5) - 0.5)) <= 1);
        }
}

static void boxes_are_squared_and_widened(void **state)
{
    (void)state;
    struct fv_face face = {.has_box = 1, .box = {20, 10, 30, 40}};
    for (int turn = 1; turn <= 8; turn++) {
        struct fv_framing how = {.size = 40, .by = FV_FRAME_BOX};
        assert_int_equal(frame(&how, 120, 100, 1, turn, &face), 0);
        assert_shows(40, 15, 10, 120, 100);
        how.size = 80; /* beyond the photo on the left and above */
        how.margin = 1;
        assert_int_equal(frame(&how, 120, 100, 1, turn, &face), 0);
        assert_shows(80, -5, -10, 120, 100);
        how.size = 20;
        how.margin = -0.5;
        assert_int_equal(frame(&how, 120, 100, 1, turn, &face), 0);
        assert_shows(20, 25, 20, 120, 100);
    }
}

static void bad_boxes_are_refused(void **state)
{
    (void)state;
    static const float bad[][4] = {{0, 0, 0, 5},    {0, 0, 5, -5},        {NAN, 0, 5, 5},
                                   {0, 0, NAN, 5},  {200, 0, 20, 20},     {-50, 0, 40, 20},
                                   {0, 0, 500, 20}, {0, 0, INFINITY, 20}, {0, -3e38f, 20, 20}};
    struct fv_framing how = {.size = 40, .by = FV_FRAME_BOX};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct fv_face face = {.has_box = 1};
        memcpy(face.box, bad[i], sizeof face.box);
        assert_int_equal(frame(&how, 120, 100, 1, 1, &face), 1);
        assert_int_equal(why.why, FV_REJECT_BAD_FACE);
    }
    struct fv_face small = {.has_box = 1, .box = {50, 50, 7, 7}}, none = {0};
    assert_int_equal(frame(&how, 120, 100, 1, 1, &small), 1);
    assert_int_equal(why.why, FV_REJECT_TOO_SMALL);
    assert_int_equal(frame(&how, 120, 100, 1, 1, &none), 1);
    assert_int_equal(why.why, FV_REJECT_NO_FACE);
    assert_int_equal(frame(&how, 120, 100, 1, 1, NULL), 1);
    assert_int_equal(why.why, FV_REJECT_NO_FACE);
}

static void says_how_far_to_shrink(void **state)
{
    (void)state;
    static const struct {
        int w, h, size, shrink;
    } cases[] = {{112, 112, 112, 1},   {447, 900, 112, 1},  {448, 900, 112, 2},
                 {900, 895, 112, 2},   {896, 896, 112, 4},  {1791, 1800, 112, 4},
                 {1792, 1792, 112, 8}, {9000, 9000, 112, 8}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct fv_framing how = {.size = cases[i].size, .crop = 1};
        struct fv_picture p = {cases[i].w, cases[i].h, 1};
        struct fv_framer *f;
        assert_int_equal(fv__framer_open(&f, &how), 0);
        assert_int_equal(fv__framer_plan(f, &p, NULL, &why), 0);
        assert_int_equal(fv__framer_shrink(f), cases[i].shrink);
        assert_int_equal(fv__framer_is_whole(f), i == 0);
        fv__framer_close(&f);
    }
}

/* --- landmarks ------------------------------------------------------------------------------------ */

/* Umeyama by singular values, in numpy: its matrix and ours undo each other. */
static void similarity_is_umeyamas(void **state)
{
    (void)state;
    char line[1024];
    int cases = 0, size;
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    while (fgets(line, sizeof line, file)) {
        float p[5][2];
        double m[6];
        struct fv_similarity s;
        if (line[0] == '#')
            continue;
        assert_int_equal(sscanf(line, "%d %f %f %f %f %f %f %f %f %f %f %lf %lf %lf %lf %lf %lf",
                                &size, &p[0][0], &p[0][1], &p[1][0], &p[1][1], &p[2][0], &p[2][1],
                                &p[3][0], &p[3][1], &p[4][0], &p[4][1], m, m + 1, m + 2, m + 3,
                                m + 4, m + 5),
                         17);
        assert_int_equal(fv__align_to_photo(size, p, &s), 1);
        for (int corner = 0; corner < 4; corner++) {
            double u = corner & 1 ? size : 0, v = corner & 2 ? size : 0;
            double x = s.a * u - s.b * v + s.tx, y = s.b * u + s.a * v + s.ty;
            double back[2] = {m[0] * x + m[1] * y + m[2], m[3] * x + m[4] * y + m[5]};
            if (hypot(back[0] - u, back[1] - v) > 1e-7 * size)
                fail_msg("case %d: (%g,%g) comes back as (%.9g,%.9g)", cases, u, v, back[0],
                         back[1]);
        }
        cases++;
    }
    fclose(file);
    assert_true(cases > 30);
}

/* A face that the similarity (scale, angle, shift) put into the photo is brought back: each pixel shows where
 * it came from. Red and green are linear, which bilinear sampling and a symmetric filter keep. */
static void check_alignment(int size, int w, int h, int step, double scale, double degrees,
                            double x0, double y0, double within)
{
    double t[5][2], angle = degrees * 3.14159265358979 / 180;
    double a = scale * cos(angle), b = scale * sin(angle);
    struct fv_face face = {.has_points = 1};
    struct fv_framing how = {.size = size, .by = FV_FRAME_LANDMARKS};
    assert_int_equal(fv__align_template(size, t), 1);
    for (int i = 0; i < 5; i++) {
        face.point[i][0] = (float)(a * t[i][0] - b * t[i][1] + x0);
        face.point[i][1] = (float)(b * t[i][0] + a * t[i][1] + y0);
    }
    for (int turn = 1; turn <= 8; turn++) {
        int seen = 0, black = 0;
        assert_int_equal(frame(&how, w, h, step, turn, &face), 0);
        for (int v = 0; v < size; v++)
            for (int u = 0; u < size; u++) {
                double x = a * u - b * v + x0, y = b * u + a * v + y0,
                       edge = 4 * (scale > 1 ? scale : 1);
                const uint8_t *p = out + 3 * (v * size + u);
                if (x > edge && y > edge && x < w - edge && y < h - edge) {
                    double r = (x + 0.5) / step - 0.5, g = (y + 0.5) / step - 0.5;
                    if (fabs(p[0] - r) > within || fabs(p[1] - g) > within || p[2] != BLUE)
                        fail_msg("turn %d: (%d,%d) shows %d %d, not %.2f %.2f", turn, u, v, p[0],
                                 p[1], r, g);
                    seen++;
                } else if (x < -edge || y < -edge || x > w + edge || y > h + edge) {
                    assert_true(p[0] == 0 && p[1] == 0 && p[2] == 0);
                    black++;
                }
            }
        assert_true(seen > size * size / 2);
        assert_true(black > 0 || x0 > 0);
    }
}

static void faces_are_aligned(void **state)
{
    (void)state;
    check_alignment(112, 240, 200, 1, 1, 0, 40, 30, 0.001);
    check_alignment(112, 240, 200, 1, 1.2, 25, 90, 10, 0.51);
    check_alignment(112, 240, 200, 1, 0.4, -70, 60, 150, 0.51);
    check_alignment(128, 240, 200, 1, 1.9, 3, -30, -40, 0.51);   /* beyond the photo */
    check_alignment(112, 1000, 900, 4, 6.3, 160, 820, 760, 1.1); /* resized first */
}

static void bad_landmarks_are_refused(void **state)
{
    (void)state;
    struct fv_framing how = {.size = 112, .by = FV_FRAME_LANDMARKS};
    struct fv_face face = {.has_points = 1}; /* all in one point */
    struct fv_framer *f;
    assert_int_equal(frame(&how, 120, 100, 1, 1, &face), 1);
    assert_int_equal(why.why, FV_REJECT_BAD_FACE);
    for (int kind = 0; kind < 5; kind++) {
        for (int i = 0; i < 5; i++) { /* a small cross */
            float far = kind == 0 ? 200 : 50;
            face.point[i][0] = far + (kind == 3 ? 1e-3f : 9) * (float)(i - 2);
            face.point[i][1] = 50 + (kind == 3 ? 1e-3f : 9) * (float)(i * i % 5);
        }
        if (kind == 1)
            face.point[3][1] = NAN;
        if (kind == 2)
            face.point[3][0] = INFINITY;
        assert_int_equal(frame(&how, 120, 100, 1, 1, &face), kind < 4);
        assert_true(kind == 4 || why.why == FV_REJECT_BAD_FACE);
    }
    face.has_points = 0;
    assert_int_equal(frame(&how, 120, 100, 1, 1, &face), 1);
    assert_int_equal(why.why, FV_REJECT_NO_FACE);
    how.size = 100;
    assert_true(fv__framer_open(&f, &how) < 0);
    assert_null(f);
}

/* --- EXIF ----------------------------------------------------------------------------------------- */

/* Copies of just the right length, so that a step beyond the end is seen by the sanitizer. */
static int turn_of(const uint8_t *exif, size_t n)
{
    uint8_t *copy = malloc(n ? n : 1);
    memcpy(copy, exif, n);
    int turn = fv__turn_of_exif(copy, n);
    free(copy);
    return turn;
}

static void orientation_is_read_from_exif(void **state)
{
    (void)state;
    uint8_t little[] = {'I', 'I', 42, 0,    8, 0, 0, 0, 2, 0, 0x0f, 1, 2, 0, 5, 0, 0, 0, 0,
                        0,   0,   0,  0x12, 1, 3, 0, 1, 0, 0, 0,    6, 0, 0, 0, 0, 0, 0, 0};
    uint8_t big[] = {'M', 'M',  0, 42, 0, 0, 0, 10, 9, 9, 0, 1,
                     1,   0x12, 0, 3,  0, 0, 0, 1,  0, 8, 0, 0};
    assert_int_equal(turn_of(little, sizeof little), 6);
    assert_int_equal(turn_of(big, sizeof big), 8);
    for (size_t n = 0; n < sizeof little; n++)
        assert_int_equal(turn_of(little, n), n < sizeof little - 4 ? 1 : 6);
    for (size_t n = 0; n < sizeof big; n++)
        assert_int_equal(turn_of(big, n), 1);
    for (int value = 0; value < 256; value++) {
        little[30] = (uint8_t)value;
        assert_int_equal(turn_of(little, sizeof little), value >= 1 && value <= 8 ? value : 1);
    }
    big[15] = 4; /* not a short number */
    assert_int_equal(turn_of(big, sizeof big), 1);
    memset(big + 4, 0xff, 4); /* a directory far away */
    assert_int_equal(turn_of(big, sizeof big), 1);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cover_takes_the_middle),
        cmocka_unit_test(contain_pads_with_white),
        cmocka_unit_test(stretch_takes_all),
        cmocka_unit_test(boxes_are_squared_and_widened),
        cmocka_unit_test(bad_boxes_are_refused),
        cmocka_unit_test(says_how_far_to_shrink),
        cmocka_unit_test(similarity_is_umeyamas),
        cmocka_unit_test(faces_are_aligned),
        cmocka_unit_test(bad_landmarks_are_refused),
        cmocka_unit_test(orientation_is_read_from_exif),
    };
    path = argc > 1 ? argv[1] : "tests/golden/align.txt";
    return cmocka_run_group_tests(tests, NULL, NULL);
}
