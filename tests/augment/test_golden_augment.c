/* SPDX-License-Identifier: MIT */
/* Pixels against torchvision (tests/golden/make_augment_golden.py). One change of colour differs by at most one level,
 * three in a row by at most JITTER_LEVELS: ours are rounded once, torchvision's cut off each time, which ours meets on
 * average. Geometry agrees within one level on 99.5 % of the interior, that is away from the borders, where the
 * conventions differ (augment/README.md). */
#include "augment/dsp.h"
#include "augment/op.h"
#include "tests/cmocka_all.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 64, JITTER_LEVELS = 2 };

static const char *path;
static int source_h, source_w;
static uint8_t source[MOST * MOST * 3 + FV_DSP_PADDING];

static int read_pixels(FILE *f, uint8_t *px, int n)
{
    for (int i = 0; i < n; i++) {
        unsigned v;
        if (fscanf(f, "%2x", &v) != 1)
            return 0;
        px[i] = (uint8_t)v;
    }
    return 1;
}

static void decide(const char *kind, const double *p, struct fv_aug_frame *f)
{
    static const enum fv_step_kind factors[] = {FV_STEP_BRIGHTNESS, FV_STEP_CONTRAST,
                                                FV_STEP_SATURATION};

    if (strcmp(kind, "flip") == 0)
        fv__aug_mirror(f);
    else if (strcmp(kind, "rotate") == 0)
        fv__aug_rotate(f, p[0]);
    else if (strcmp(kind, "crop") == 0)
        fv__aug_crop(f, (int)p[0], (int)p[1], (int)p[2], (int)p[3]);
    else if (strcmp(kind, "brightness") == 0)
        fv__aug_colour(f->plan, FV_STEP_BRIGHTNESS, p[0]);
    else if (strcmp(kind, "contrast") == 0)
        fv__aug_colour(f->plan, FV_STEP_CONTRAST, p[0]);
    else if (strcmp(kind, "saturation") == 0)
        fv__aug_colour(f->plan, FV_STEP_SATURATION, p[0]);
    else if (strcmp(kind, "jitter") == 0) {
        for (int i = 0; i < 3; i++)
            fv__aug_colour(f->plan, factors[(int)p[i]], p[3 + (int)p[i]]);
    } else
        fail_msg("unknown case '%s'", kind);
}

/* Pixels whose point in the source is at least one pixel from the border of the box: torchvision's crop
 * repeats the box's edge, ours sees the source beyond it. */
static int is_interior(const struct fv_plan *plan, const struct fv_rect *box, int x, int y)
{
    const float *m = plan->inverse;
    const double sx = m[0] * (x + 0.5) + m[1] * (y + 0.5) + m[2] - box->x;
    const double sy = m[3] * (x + 0.5) + m[4] * (y + 0.5) + m[5] - box->y;

    return sx >= 1 && sx <= box->w - 1 && sy >= 1 && sy <= box->h - 1;
}

static int tolerance(const char *kind)
{
    if (strcmp(kind, "flip") == 0)
        return 0;
    return strcmp(kind, "jitter") == 0 ? JITTER_LEVELS : 1;
}

static void compare(const char *kind, int h, int w, const double *p, const uint8_t *expected)
{
    struct fv_plan plan = {0};
    struct fv_aug_frame f = {.h = source_h,
                             .w = source_w,
                             .out_h = h,
                             .out_w = w,
                             .inverse = {1, 0, 0, 0, 1, 0, 0, 0, 1},
                             .plan = &plan};
    uint8_t px[MOST * MOST * 3];
    void *scratch = aligned_alloc(64, fv_render_scratch(source_h, source_w, h, w));
    struct fv_dsp dsp;
    int values = 0, over = 0, sum = 0;

    const struct fv_rect all = {0, 0, source_w, source_h};
    const struct fv_rect cut = {(int)p[1], (int)p[0], (int)p[3], (int)p[2]};
    const struct fv_rect *box = strcmp(kind, "crop") == 0 ? &cut : &all;
    decide(kind, p, &f);
    for (int i = 0; i < 9; i++)
        plan.inverse[i] = (float)f.inverse[i];
    fv_dsp_init(&dsp);
    fv_render(&dsp, &plan, source, source_h, source_w, px, h, w, scratch, NULL);
    free(scratch);
    for (int i = 0; i < h * w * 3; i++)
        if (is_interior(&plan, box, i / 3 % w, i / 3 / w)) {
            values++;
            over += abs(px[i] - expected[i]) > tolerance(kind);
            sum += px[i] - expected[i];
        }
    printf("%-10s %8.3f: %d of %d values off, %.2f levels on average\n", kind, p[0], over, values,
           (double)sum / values);
    assert_true(values > h * w * 3 / 2);
    if (strcmp(kind, "rotate") == 0 || strcmp(kind, "crop") == 0)
        assert_true(over * 200 <= values);
    else
        assert_int_equal(over, 0);
}

static void pixels_agree_with_torchvision(void **state)
{
    FILE *f = fopen(path, "r");
    char kind[16];
    int h, w, cases = 0;
    double p[6];
    static uint8_t expected[MOST * MOST * 3];

    (void)state;
    assert_non_null(f);
    assert_int_equal(fscanf(f, "#%*[^\n]"), 0);
    while (fscanf(f, "%15s %d %d %lf %lf %lf %lf %lf %lf ", kind, &h, &w, &p[0], &p[1], &p[2],
                  &p[3], &p[4], &p[5]) == 9) {
        assert_true(h > 0 && h <= MOST && w > 0 && w <= MOST);
        assert_true(read_pixels(f, strcmp(kind, "source") == 0 ? source : expected, h * w * 3));
        if (strcmp(kind, "source") == 0) {
            source_h = h;
            source_w = w;
        } else {
            compare(kind, h, w, p, expected);
            cases++;
        }
    }
    fclose(f);
    assert_int_equal(cases, 39);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(pixels_agree_with_torchvision)};

    path = argc > 1 ? argv[1] : "tests/golden/augment.txt";
    return cmocka_run_group_tests(tests, NULL, NULL);
}
