/* SPDX-License-Identifier: MIT */
/* Rendering from the region that a plan looks at: what comes out is what the whole source gives, but for the rounding
 * of sampling points; and the region is smaller where the policy crops. */
#include "augment/dsp.h"
#include "augment/footprint.h"
#include "common/rng.h"
#include "tests/cmocka_all.h"

#include <stdlib.h>
#include <string.h>

enum { SRC_H = 231, SRC_W = 250, OUT = 48, PLANS = 150 };

static uint8_t *whole, *reduced, *region_px, *scratch;
static struct fv_dsp dsp;

static int setup(void **state)
{
    struct fv_rng r = fv_rng_at(9, 0, 0, FV_RNG_TEST);
    const size_t bytes = SRC_H * SRC_W * 3 + FV_DSP_PADDING;

    (void)state;
    fv_dsp_init(&dsp);
    whole = malloc(bytes);
    reduced = malloc(bytes);
    region_px = malloc(bytes);
    scratch = aligned_alloc(64, (fv_render_scratch(SRC_H, SRC_W, OUT, OUT) + 63) / 64 * 64);
    for (int y = 0; y < SRC_H; y++)
        for (int x = 0; x < SRC_W; x++)
            for (int c = 0; c < 3; c++)
                whole[(y * SRC_W + x) * 3 + c] =
                    (uint8_t)(x / 2 + y / 3 + (int)fv_rng_below(&r, 40));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    free(whole);
    free(reduced);
    free(region_px);
    free(scratch);
    return 0;
}

/* As the renderer halves, and then cuts out. */
static void cut(const struct fv_region *r)
{
    int h = SRC_H, w = SRC_W;

    memcpy(reduced, whole, SRC_H * SRC_W * 3);
    for (int k = 0; k < r->shift; k++) {
        const int to_w = (w + 1) / 2;
        for (int y = 0; y < h; y += 2) {
            uint8_t line[SRC_W * 3];
            const uint8_t *a = reduced + (size_t)(y * w * 3);
            dsp.halve(line, a, y + 1 < h ? a + w * 3 : a, w);
            memcpy(reduced + (size_t)(y / 2 * to_w * 3), line, (size_t)to_w * 3);
        }
        h = (h + 1) / 2;
        w = to_w;
    }
    assert_true(r->x >= 0 && r->y >= 0 && r->w > 0 && r->h > 0);
    assert_true(r->x + r->w <= w && r->y + r->h <= h);
    for (int y = 0; y < r->h; y++)
        memcpy(region_px + (size_t)(y * r->w * 3), reduced + (size_t)(((r->y + y) * w + r->x) * 3),
               (size_t)r->w * 3);
}

struct found {
    double area, worst; /* mean share of the source's pixels; largest difference */
    int differing, values, shifts[FV_REGION_SHIFT_MAX + 1];
};

static struct found compare(const char *text)
{
    static uint8_t a[OUT * OUT * 3], b[OUT * OUT * 3];
    struct found f = {0};
    struct fv_policy *p;

    assert_int_equal(fv_policy_parse(&p, text), 0);
    for (uint64_t i = 0; i < PLANS; i++) {
        struct fv_plan plan;
        struct fv_region r;
        fv_policy_plan(p, 5, 0, i, SRC_H, SRC_W, OUT, OUT, &plan);
        fv_render(&dsp, &plan, whole, SRC_H, SRC_W, a, OUT, OUT, scratch, NULL);
        fv__footprint(&plan, SRC_H, SRC_W, OUT, OUT, &r);
        cut(&r);
        fv__footprint_apply(&plan, &r);
        fv_render(&dsp, &plan, region_px, r.h, r.w, b, OUT, OUT, scratch, NULL);
        f.area += (double)r.w * r.h / SRC_H / SRC_W / PLANS;
        f.shifts[r.shift]++;
        for (int k = 0; k < OUT * OUT * 3; k++) {
            const int d = abs(a[k] - b[k]);
            f.worst = d > f.worst ? d : f.worst;
            f.differing += d > 2;
            f.values++;
        }
    }
    fv_policy_free(&p);
    return f;
}

static void a_region_gives_what_the_whole_gives(void **state)
{
    static const char *const policy[] = {
        "none",
        "flip",
        "rrc(.05,.3)",
        "rotate(180)",
        "rrc(.02,.1),rotate(30)",
        "affine(30,translate_x=.4,translate_y=.4,scale_min=.3,scale_max=3,shear_x=20)",
        "perspective(.5,1)",
        "rrc(.1,.4),perspective(.4,1),flip",
        "rrc(.001,.01)"};

    (void)state;
    for (size_t i = 0; i < sizeof policy / sizeof policy[0]; i++) {
        const struct found f = compare(policy[i]);
        /* a point on the border of the source may fall to either side of it */
        if (f.differing > f.values / 20000)
            fail_msg("%s: %d of %d values differ by more than 2, the worst by %g", policy[i],
                     f.differing, f.values, f.worst);
    }
}

static void crops_need_less(void **state)
{
    (void)state;
    assert_true(compare("rrc(.05,.1)").area < 0.15);
    /* 231 x 250 to 48 x 48 is halved twice: a sixteenth of the pixels */
    const struct found all = compare("none");
    assert_true(all.area < 0.07);
    assert_int_equal(all.shifts[2], PLANS);
}

static void a_plan_that_copies_takes_the_whole(void **state)
{
    struct fv_policy *p;
    struct fv_plan plan;
    struct fv_region r;

    (void)state;
    assert_int_equal(fv_policy_parse(&p, "flip"), 0);
    for (uint64_t i = 0; i < 8; i++) {
        fv_policy_plan(p, 5, 0, i, OUT, OUT, OUT, OUT, &plan);
        const struct fv_plan before = plan;
        fv__footprint(&plan, OUT, OUT, OUT, OUT, &r);
        assert_int_equal(r.shift + r.x + r.y, 0);
        assert_int_equal(r.w, OUT);
        assert_int_equal(r.h, OUT);
        fv__footprint_apply(&plan, &r);
        assert_memory_equal(plan.inverse, before.inverse, sizeof plan.inverse);
    }
    fv_policy_free(&p);
}

/* Everything is carried off the picture: black, from a region that exists. */
static void beyond_the_picture_there_is_black(void **state)
{
    static uint8_t out[OUT * OUT * 3];
    struct fv_plan plan = {.inverse = {1, 0, 5000, 0, 1, -3000, 0, 0, 1}};
    struct fv_region r;

    (void)state;
    fv__footprint(&plan, SRC_H, SRC_W, OUT, OUT, &r);
    cut(&r);
    fv__footprint_apply(&plan, &r);
    fv_render(&dsp, &plan, region_px, r.h, r.w, out, OUT, OUT, scratch, NULL);
    for (int k = 0; k < OUT * OUT * 3; k++)
        assert_int_equal(out[k], 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_region_gives_what_the_whole_gives),
        cmocka_unit_test(crops_need_less),
        cmocka_unit_test(a_plan_that_copies_takes_the_whole),
        cmocka_unit_test(beyond_the_picture_there_is_black),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
