/* SPDX-License-Identifier: MIT */
/* Both ways to carry out a plan against torchvision (tests/golden/make_exact_golden.py), operation by operation and
 * in chains. The exact way must be torchvision's but for the last bit of a sum. How far the fused way is from both is
 * printed; a colour operation alone must be within one level, and mostly the same. */
#include "augment/dsp.h"
#include "augment/op.h"
#include "tests/cmocka_all.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 64, CASES = 40, BYTES = MOST * MOST * 3, PICTURES = 4, ROWS = 32, NAME = 24 };

static const char *path;

struct picture {
    char name[NAME];
    int h, w;
    uint8_t px[BYTES + FV_DSP_PADDING];
};
static struct picture picture[PICTURES];
static int pictures;

/* Differences of values, and of pixels by their worst channel. */
struct difference {
    long values, differ, sum, pixels, over;
    int most;
};
struct row {
    char name[NAME];
    int cases;
    struct difference exact, fused, ways; /* to torchvision, to torchvision, of the two */
};
static struct row row[ROWS];
static int rows;

static void compare(struct difference *d, const uint8_t *a, const uint8_t *b, int n)
{
    for (int i = 0; i < n; i++) {
        int worst = 0;
        for (int c = 0; c < 3; c++) {
            const int off = abs(a[3 * i + c] - b[3 * i + c]);
            d->differ += off > 0;
            d->sum += off;
            worst = off > worst ? off : worst;
        }
        d->over += worst > 1;
        d->most = worst > d->most ? worst : d->most;
    }
    d->pixels += n;
    d->values += 3L * n;
}

static double percent(long part, long whole)
{
    return 100.0 * (double)part / (double)whole;
}

static double mean(const struct difference *d)
{
    return (double)d->sum / (double)d->values;
}

static void read_pixels(FILE *f, uint8_t *px, int n)
{
    for (int i = 0; i < n; i++) {
        unsigned v;
        assert_int_equal(fscanf(f, "%2x", &v), 1);
        px[i] = (uint8_t)v;
    }
}

static void read_picture(FILE *f)
{
    assert_true(pictures < PICTURES);
    struct picture *p = &picture[pictures++];

    assert_int_equal(fscanf(f, "%23s %d %d ", p->name, &p->h, &p->w), 3);
    assert_true(p->h > 0 && p->h <= MOST && p->w > 0 && p->w <= MOST);
    read_pixels(f, p->px, p->h * p->w * 3);
}

static void decide(struct fv_aug_frame *f, const char *kind, const double *p)
{
    static const struct {
        const char *name;
        enum fv_step_kind kind;
    } colours[] = {{"brightness", FV_STEP_BRIGHTNESS},
                   {"contrast", FV_STEP_CONTRAST},
                   {"saturation", FV_STEP_SATURATION},
                   {"hue", FV_STEP_HUE},
                   {"gray", FV_STEP_GRAY}};

    if (strcmp(kind, "flip") == 0)
        fv__aug_mirror(f);
    else if (strcmp(kind, "rotate") == 0)
        fv__aug_rotate(f, p[0]);
    else if (strcmp(kind, "affine") == 0)
        fv__aug_affine(f, &(struct fv_aug_affine){p[0], p[1], p[2], p[3], p[4], p[5]});
    else if (strcmp(kind, "perspective") == 0) {
        const double corner[4][2] = {{p[0], p[1]}, {p[2], p[3]}, {p[4], p[5]}, {p[6], p[7]}};
        fv__aug_perspective(f, corner);
    } else if (strcmp(kind, "crop") == 0) {
        assert_true(p[4] == f->out_h && p[5] == f->out_w);
        fv__aug_crop(f, (int)p[0], (int)p[1], (int)p[2], (int)p[3]);
    } else if (strcmp(kind, "blur") == 0)
        fv__aug_blur(f->plan, p[1], (int)p[0]);
    else if (strcmp(kind, "erase") == 0)
        fv__aug_erase(f->plan,
                      &(struct fv_erase){.box = {(int)p[1], (int)p[0], (int)p[3], (int)p[2]},
                                         .rgb = {(uint8_t)p[4], (uint8_t)p[5], (uint8_t)p[6]}});
    else {
        for (size_t i = 0; i < sizeof colours / sizeof colours[0]; i++)
            if (strcmp(kind, colours[i].name) == 0) {
                fv__aug_colour(f->plan, colours[i].kind, p[0]);
                return;
            }
        fail_msg("unknown step '%s'", kind);
    }
}

static void read_steps(FILE *f, struct fv_aug_frame *frame, int steps)
{
    for (int i = 0; i < steps; i++) {
        char kind[NAME];
        double p[8] = {0};
        int n;
        assert_int_equal(fscanf(f, "%23s %d", kind, &n), 2);
        assert_true(n >= 0 && n <= 8);
        for (int k = 0; k < n; k++)
            assert_int_equal(fscanf(f, "%lf", &p[k]), 1);
        decide(frame, kind, p);
    }
    assert_int_equal(fscanf(f, " "), 0);
    for (int i = 0; i < 9; i++)
        frame->plan->inverse[i] = (float)frame->inverse[i];
}

static void render_both(const struct fv_plan *plan, const struct picture *p, int h, int w,
                        uint8_t *exact, uint8_t *fused)
{
    const size_t a = fv_render_scratch(p->h, p->w, h, w);
    const size_t b = fv_render_exact_scratch(p->h, p->w, h, w);
    void *scratch = aligned_alloc(64, ((a > b ? a : b) + 63) & ~(size_t)63);
    struct fv_dsp dsp;

    assert_non_null(scratch);
    fv_dsp_init(&dsp);
    fv_render(&dsp, plan, p->px, p->h, p->w, fused, h, w, scratch, NULL);
    fv_render_exact(plan, p->px, p->h, p->w, exact, h, w, scratch, NULL);
    free(scratch);
}

static struct row *row_of(const char *name)
{
    for (int i = 0; i < rows; i++)
        if (strcmp(row[i].name, name) == 0)
            return &row[i];
    assert_true(rows < ROWS);
    snprintf(row[rows].name, NAME, "%s", name);
    return &row[rows++];
}

static void run_case(FILE *f, const char *name)
{
    static uint8_t expected[BYTES], exact[BYTES], fused[BYTES];
    char source[NAME];
    const struct picture *from = NULL;
    struct fv_plan plan = {0};
    int h, w, steps;

    assert_int_equal(fscanf(f, "%23s %d %d %d", source, &h, &w, &steps), 4);
    assert_true(h > 0 && h <= MOST && w > 0 && w <= MOST);
    for (int i = 0; i < pictures; i++)
        if (strcmp(picture[i].name, source) == 0)
            from = &picture[i];
    assert_non_null(from);
    struct fv_aug_frame frame = {.h = from->h,
                                 .w = from->w,
                                 .out_h = h,
                                 .out_w = w,
                                 .inverse = {1, 0, 0, 0, 1, 0, 0, 0, 1},
                                 .plan = &plan};
    read_steps(f, &frame, steps);
    read_pixels(f, expected, h * w * 3);
    render_both(&plan, from, h, w, exact, fused);

    struct row *r = row_of(name);
    r->cases++;
    compare(&r->exact, exact, expected, h * w);
    compare(&r->fused, fused, expected, h * w);
    compare(&r->ways, fused, exact, h * w);
}

static void read_golden(void)
{
    FILE *f = fopen(path, "r");
    char word[NAME];
    int cases = 0;

    assert_non_null(f);
    assert_int_equal(fscanf(f, "#%*[^\n]"), 0);
    while (fscanf(f, "%23s", word) == 1) {
        if (strcmp(word, "picture") == 0) {
            read_picture(f);
        } else {
            run_case(f, word);
            cases++;
        }
    }
    fclose(f);
    assert_int_equal(cases, CASES);
}

static void print_table(void)
{
    printf("%-20s %5s | %-27s | %-12s | %s\n", "", "", "exact - torchvision", "fused - torchv.",
           "fused - exact");
    printf("%-20s %5s | %8s %8s %9s | %8s %6s | %8s %6s\n", "", "cases", "differ %", "most",
           "over 1 %", "mean", "most", "mean", "most");
    for (int i = 0; i < rows; i++) {
        const struct row *r = &row[i];
        printf("%-20s %5d | %8.3f %8d %9.3f | %8.3f %6d | %8.3f %6d\n", r->name, r->cases,
               percent(r->exact.differ, r->exact.values), r->exact.most,
               percent(r->exact.over, r->exact.pixels), mean(&r->fused), r->fused.most,
               mean(&r->ways), r->ways.most);
    }
}

static void the_exact_way_is_torchvisions(void **state)
{
    (void)state;
    read_golden();
    print_table();
    for (int i = 0; i < rows; i++) {
        const struct difference *d = &row[i].exact;
        if (percent(d->over, d->pixels) > 0.5 || percent(d->differ, d->values) > 1)
            fail_msg("%s: %ld of %ld pixels differ by more than 1, %ld of %ld values at all",
                     row[i].name, d->over, d->pixels, d->differ, d->values);
    }
}

static void copies_are_exact_both_ways(void **state)
{
    static const char *const copies[] = {"flip", "erase", "cut"};

    (void)state;
    for (size_t i = 0; i < sizeof copies / sizeof copies[0]; i++) {
        const struct row *r = row_of(copies[i]);
        assert_true(r->cases > 0);
        assert_int_equal(r->exact.differ, 0);
        assert_int_equal(r->fused.differ, 0);
    }
}

static void one_fused_colour_is_within_a_level(void **state)
{
    static const char *const colours[] = {"brightness", "contrast", "saturation",
                                          "hue",        "gray",     "blur"};

    (void)state;
    for (size_t i = 0; i < sizeof colours / sizeof colours[0]; i++) {
        const struct row *r = row_of(colours[i]);
        assert_true(r->cases > 0);
        assert_in_range(r->fused.most, 0, 1);
        assert_true(mean(&r->fused) < 0.25);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_exact_way_is_torchvisions),
                                       cmocka_unit_test(copies_are_exact_both_ways),
                                       cmocka_unit_test(one_fused_colour_is_within_a_level)};

    path = argc > 1 ? argv[1] : "tests/golden/exact.txt";
    return cmocka_run_group_tests(tests, NULL, NULL);
}
