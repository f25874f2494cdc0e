/* SPDX-License-Identifier: MIT */
/* Both ways to carry out a plan, fused and exact, where the right answer is known without a reference: pure colours,
 * flat pictures, pictures of a few pixels, room and result to the byte. */
#include "augment/dsp.h"
#include "augment/op.h"
#include "tests/cmocka_all.h"

#include <stdlib.h>
#include <string.h>

enum { WAYS = 2, CANARY = 64 };

static struct fv_dsp dsp;
static struct fv_rng rng;

/* src without a byte to spare but the padding that is promised, dst and scratch with a canary behind them. */
static void render(int exact, const struct fv_plan *plan, const uint8_t *src, int h, int w,
                   uint8_t *dst, int out_h, int out_w)
{
    const size_t in = (size_t)h * (size_t)w * 3, out = (size_t)out_h * (size_t)out_w * 3;
    const size_t room = (exact ? fv_render_exact_scratch : fv_render_scratch)(h, w, out_h, out_w);
    uint8_t *from = malloc(in + FV_DSP_PADDING), *to = malloc(out + CANARY);
    uint8_t *scratch = aligned_alloc(64, (room + CANARY + 63) & ~(size_t)63);

    memcpy(from, src, in);
    memset(from + in, 0xEE, FV_DSP_PADDING);
    memset(to + out, 0xA5, CANARY);
    memset(scratch + room, 0xA5, CANARY);
    if (exact)
        fv_render_exact(plan, from, h, w, to, out_h, out_w, scratch, NULL);
    else
        fv_render(&dsp, plan, from, h, w, to, out_h, out_w, scratch, NULL);
    for (int i = 0; i < CANARY; i++) {
        assert_int_equal(to[out + (size_t)i], 0xA5);
        assert_int_equal(scratch[room + (size_t)i], 0xA5);
    }
    memcpy(dst, to, out);
    free(from);
    free(to);
    free(scratch);
}

static struct fv_plan copying(void)
{
    return (struct fv_plan){.inverse = {1, 0, 0, 0, 1, 0, 0, 0, 1}, .identity = 1};
}

static void randomise(uint8_t *px, size_t n)
{
    for (size_t i = 0; i < n; i++)
        px[i] = (uint8_t)fv_rng_below(&rng, 256);
}

static void hue_turns_the_circle_of_pure_colours(void **state)
{
    static const uint8_t circle[6][3] = {{255, 0, 0},   {255, 255, 0}, {0, 255, 0},
                                         {0, 255, 255}, {0, 0, 255},   {255, 0, 255}};
    static const uint8_t grey[3] = {93, 93, 93};
    uint8_t px[3];

    (void)state;
    for (int exact = 0; exact < WAYS; exact++)
        for (int sixths = -3; sixths <= 3; sixths++) {
            struct fv_plan plan = copying();
            fv__aug_colour(&plan, FV_STEP_HUE, sixths / 6.0);
            for (int from = 0; from < 6; from++) {
                render(exact, &plan, circle[from], 1, 1, px, 1, 1);
                for (int c = 0; c < 3; c++)
                    assert_in_range(abs(px[c] - circle[(from + sixths + 6) % 6][c]), 0, exact);
            }
            render(exact, &plan, grey, 1, 1, px, 1, 1);
            for (int c = 0; c < 3; c++)
                assert_in_range(abs(px[c] - grey[c]), 0, exact);
        }
}

/* Contrast 0 makes all of it the mean luma of the picture as it is by then: turned from red and blue to green and
 * red, not that of the picture before. */
static void contrast_sees_what_stands_before_it(void **state)
{
    static const uint8_t red_and_blue[2][3] = {{200, 0, 0}, {0, 0, 200}};
    const double luma = (0.587 * 200 + 0.2989 * 200) / 2;
    struct fv_plan plan = copying();
    uint8_t px[6];

    (void)state;
    fv__aug_colour(&plan, FV_STEP_HUE, 1.0 / 3);
    fv__aug_colour(&plan, FV_STEP_CONTRAST, 0);
    for (int exact = 0; exact < WAYS; exact++) {
        render(exact, &plan, red_and_blue[0], 1, 2, px, 1, 2);
        for (int i = 0; i < 6; i++)
            assert_true(px[i] >= luma - 1.6 && px[i] <= luma + 1);
    }
}

/* Mild ones, so that torchvision's cutting off to 0..255 on the way does not tell. A step in the wrong place does: hue
 * moves values by tens. */
static void colours_keep_their_order(void **state)
{
    static const uint8_t px_in[2][3] = {{140, 100, 120}, {110, 150, 90}};
    static const enum fv_step_kind kinds[] = {FV_STEP_BRIGHTNESS, FV_STEP_CONTRAST,
                                              FV_STEP_SATURATION, FV_STEP_HUE, FV_STEP_GRAY};
    static const double amounts[] = {1.05, 0.95, 1.05, 0.21, 0};
    uint8_t fused[6], exact[6];

    (void)state;
    for (int round = 0; round < 500; round++) {
        struct fv_plan plan = copying();
        const int steps = 1 + (int)fv_rng_below(&rng, 7);
        for (int i = 0; i < steps; i++) {
            const uint32_t k = fv_rng_below(&rng, 40) ? fv_rng_below(&rng, 4) : 4;
            const double up = fv_rng_below(&rng, 2) ? amounts[k] : k == 3 ? -0.4 : 1 / amounts[k];
            fv__aug_colour(&plan, kinds[k], k == 4 ? 0 : up);
        }
        render(0, &plan, px_in[0], 1, 2, fused, 1, 2);
        render(1, &plan, px_in[0], 1, 2, exact, 1, 2);
        for (int i = 0; i < 6; i++)
            if (abs(fused[i] - exact[i]) > 1 + steps)
                fail_msg("round %d, %d steps: %d fused, %d exact", round, steps, fused[i],
                         exact[i]);
    }
}

static void blurs_agree_on_pictures_of_any_size(void **state)
{
    uint8_t px[20 * 20 * 3], fused[sizeof px], exact[sizeof px];

    (void)state;
    for (int round = 0; round < 300; round++) {
        const int h = 1 + (int)fv_rng_below(&rng, 20), w = 1 + (int)fv_rng_below(&rng, 20);
        const int taps = 3 + 2 * (int)fv_rng_below(&rng, FV_BLUR_MOST / 2);
        struct fv_plan plan = copying();
        randomise(px, (size_t)h * (size_t)w * 3);
        fv__aug_blur(&plan, fv_rng_uniform(&rng, 0.01, round % 2 ? 3 : 100), taps);
        render(0, &plan, px, h, w, fused, h, w);
        render(1, &plan, px, h, w, exact, h, w);
        for (int i = 0; i < h * w * 3; i++)
            assert_in_range(abs(fused[i] - exact[i]), 0, 1);
    }
}

static void a_flat_picture_stays_flat_inside(void **state)
{
    uint8_t px[30 * 30 * 3], out[40 * 40 * 3];
    struct fv_plan plan = {0};
    struct fv_aug_frame f = {.h = 30,
                             .w = 30,
                             .out_h = 40,
                             .out_w = 40,
                             .inverse = {1, 0, 0, 0, 1, 0, 0, 0, 1},
                             .plan = &plan};

    (void)state;
    memset(px, 137, sizeof px);
    fv__aug_crop(&f, 3, 2, 20, 25);
    fv__aug_rotate(&f, 12);
    fv__aug_blur(&plan, 1, 5);
    for (int i = 0; i < 9; i++)
        plan.inverse[i] = (float)f.inverse[i];
    for (int exact = 0; exact < WAYS; exact++) {
        render(exact, &plan, px, 30, 30, out, 40, 40);
        for (int y = 14; y < 26; y++)
            for (int x = 14; x < 26; x++)
                assert_int_equal(out[(y * 40 + x) * 3], 137);
    }
}

/* Whatever is drawn, for sources and results of a few pixels: nothing is written or read where it should not be. */
static void pictures_of_a_few_pixels_are_possible(void **state)
{
    static const char *const texts[] = {
        "rrc(.1,1),flip,rotate(180),affine(30,.3,.3,.5,2,20,20),perspective(1,p=1)",
        "perspective(.9,p=1),jitter(1,1,1,.5),gray(.5),blur(63,.1,50),erase(1,.1,.9)",
        "jitter(.5,.5,.5,.5),blur(3),rotate(90),rrc,erase(1)", "none"};
    uint8_t px[9 * 9 * 3], out[9 * 9 * 3];

    (void)state;
    randomise(px, sizeof px);
    for (size_t k = 0; k < sizeof texts / sizeof texts[0]; k++) {
        struct fv_policy *policy;
        assert_int_equal(fv_policy_parse(&policy, texts[k]), 0);
        for (int round = 0; round < 400; round++) {
            int side[4];
            struct fv_plan plan;
            for (int i = 0; i < 4; i++)
                side[i] = 1 + (int)fv_rng_below(&rng, 9);
            fv_policy_plan(policy, 5, 0, (uint64_t)round, side[0], side[1], side[2], side[3],
                           &plan);
            for (int exact = 0; exact < WAYS; exact++)
                render(exact, &plan, px, side[0], side[1], out, side[2], side[3]);
        }
        fv_policy_free(&policy);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hue_turns_the_circle_of_pure_colours),
        cmocka_unit_test(contrast_sees_what_stands_before_it),
        cmocka_unit_test(colours_keep_their_order),
        cmocka_unit_test(blurs_agree_on_pictures_of_any_size),
        cmocka_unit_test(a_flat_picture_stays_flat_inside),
        cmocka_unit_test(pictures_of_a_few_pixels_are_possible),
    };

    fv_dsp_init(&dsp);
    rng = fv_rng_at(11, 0, 0, 0);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
