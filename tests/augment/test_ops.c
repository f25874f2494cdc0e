/* SPDX-License-Identifier: MIT */
/* Decisions: in bounds, a function of their key, undisturbed by later ops; and what mixing and erasing do by them. */
#include "augment/policy.h"
#include "augment/render_parts.h"
#include "tests/cmocka_all.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static struct fv_plan plan(const char *text, uint64_t image)
{
    struct fv_policy *p;
    struct fv_plan out;

    assert_int_equal(fv_policy_parse(&p, text), 0);
    fv_policy_plan(p, 7, 2, image, 112, 112, 112, 112, &out);
    fv_policy_free(&p);
    return out;
}

static void ops_do_not_disturb_each_other(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < 200; i++) {
        const struct fv_plan a = plan("rrc,jitter(.2,.2,.2)", i);
        const struct fv_plan b = plan("rrc,jitter(.2,.2,.2),erase(1)", i);
        assert_memory_equal(a.inverse, b.inverse, sizeof a.inverse);
        const struct fv_rect e = b.erase[0].box;
        assert_int_equal(a.steps, 4);
        assert_int_equal(b.steps, 5);
        assert_int_equal(b.erases, 1);
        for (int k = 0; k < 4; k++) {
            assert_int_equal(a.step[k].kind, b.step[k].kind);
            assert_memory_equal(a.step[k].v, b.step[k].v, sizeof a.step[k].v);
            assert_true(k == 0 || (a.step[k].v[0] >= 0.8 && a.step[k].v[0] <= 1.2));
        }
        assert_true(e.x >= 0 && e.x + e.w <= 112 && e.w < 112);
        assert_true(e.y >= 0 && e.y + e.h <= 112 && e.h < 112);
    }
}

static void steps_stand_in_the_order_of_their_carrying_out(void **state)
{
    static const enum fv_step_kind order[] = {FV_STEP_FLIP, FV_STEP_CONTRAST, FV_STEP_AFFINE,
                                              FV_STEP_CROP, FV_STEP_ERASE,    FV_STEP_ERASE};
    const struct fv_plan a = plan("erase(1),flip(1),jitter(0,.2),rotate(5),erase(1),rrc", 3);

    (void)state;
    assert_int_equal(a.steps, 6);
    assert_int_equal(a.erases, 2);
    for (int i = 0; i < a.steps; i++)
        assert_int_equal(a.step[i].kind, order[i]);
    for (int i = 0; i < a.erases; i++) {
        assert_true(a.step[4 + i].v[0] == i);
        assert_memory_equal(&a.step[4 + i].box, &a.erase[i].box, sizeof a.erase[i].box);
    }
}

static void flips_come_as_often_as_asked(void **state)
{
    int flips = 0;

    (void)state;
    for (uint64_t i = 0; i < 10000; i++) {
        const struct fv_plan a = plan("flip(.3)", i);
        assert_int_equal(a.identity, 1);
        flips += a.mirror;
    }
    assert_true(abs(flips - 3000) < 5 * 46); /* five standard deviations */
}

enum { N = 3, H = 5, W = 4, BYTES = H * W * 3 };
static uint8_t px[N * BYTES], scratch[BYTES];
static int32_t label[N] = {10, 11, 12}, label_mix[N];
static float lambda[N];
static struct fv_dsp dsp;
static struct fv_batch b = {.n = N,
                            .capacity = N,
                            .height = H,
                            .width = W,
                            .pixels = px,
                            .label = label,
                            .label_mix = label_mix,
                            .lambda = lambda};

static void cutmix_takes_the_box_from_the_item_before(void **state)
{
    const struct fv_mix mix = {
        .kind = FV_MIX_CUTMIX, .x1 = 1, .y1 = 2, .x2 = 3, .y2 = 5, .lambda = 0.7f};

    (void)state;
    for (int k = 0; k < N; k++)
        memset(px + k * BYTES, k, BYTES);
    fv_mix_apply(&dsp, &mix, &b, scratch);
    for (int k = 0; k < N; k++) {
        const int from = (k + N - 1) % N;
        assert_int_equal(label_mix[k], 10 + from);
        assert_true(lambda[k] == 0.7f);
        for (int i = 0; i < BYTES; i++) {
            const int x = i / 3 % W, y = i / 3 / W;
            assert_int_equal(px[k * BYTES + i], x >= 1 && x < 3 && y >= 2 ? from : k);
        }
    }
}

static void mixup_blends_with_the_item_before(void **state)
{
    static const float shares[] = {0, 1, 0.5f, 0.3f, 0.98765f};
    uint8_t before[N * BYTES];

    (void)state;
    for (int i = 0; i < N * BYTES; i++)
        before[i] = (uint8_t)(i * 2654435761u >> 24);
    for (size_t s = 0; s < sizeof shares / sizeof shares[0]; s++) {
        const struct fv_mix mix = {.kind = FV_MIX_MIXUP, .lambda = shares[s]};
        memcpy(px, before, sizeof before);
        fv_mix_apply(&dsp, &mix, &b, scratch);
        for (int k = 0; k < N; k++) {
            const int from = (k + N - 1) % N;
            assert_int_equal(label_mix[k], 10 + from);
            assert_true(lambda[k] == shares[s]);
            for (int i = 0; i < BYTES; i++) {
                const double own = before[k * BYTES + i], other = before[from * BYTES + i];
                const double exact = (double)shares[s] * own + (1 - (double)shares[s]) * other;
                assert_true(fabs(px[k * BYTES + i] - exact) <= 0.51);
                if (shares[s] == 0 || shares[s] == 1)
                    assert_true(px[k * BYTES + i] == exact);
            }
        }
    }
}

static void one_item_alone_is_not_mixed(void **state)
{
    struct fv_batch alone = b;
    struct fv_policy *p;
    struct fv_mix mix;

    (void)state;
    alone.n = 1;
    assert_int_equal(fv_policy_parse(&p, "mixup"), 0);
    fv_policy_plan_batch(p, 7, 2, 0, 1, H, W, &mix);
    fv_policy_free(&p);
    assert_int_equal(mix.kind, FV_MIX_NONE);
    memset(px, 9, BYTES);
    fv_mix_apply(&dsp, &mix, &alone, scratch);
    assert_true(lambda[0] == 1 && label_mix[0] == 10);
    for (int i = 0; i < BYTES; i++)
        assert_int_equal(px[i], 9);
}

static void erases_fill_their_box_and_nothing_else(void **state)
{
    enum { SIDE = 9 };
    struct fv_erase e = {.box = {2, 3, 4, 5}, .rgb = {1, 2, 3}};
    uint8_t first[SIDE * SIDE * 3], again[SIDE * SIDE * 3];

    (void)state;
    for (int noise = 0; noise < 2; noise++) {
        e.noise = noise;
        e.key = 77;
        memset(first, 200, sizeof first);
        memset(again, 200, sizeof again);
        fv__render_erase(&e, first, SIDE, SIDE);
        fv__render_erase(&e, again, SIDE, SIDE);
        assert_memory_equal(first, again, sizeof first);
        int other = 0;
        for (int i = 0; i < SIDE * SIDE * 3; i++) {
            const int x = i / 3 % SIDE, y = i / 3 / SIDE;
            if (x < 2 || x >= 6 || y < 3 || y >= 8)
                assert_int_equal(first[i], 200);
            else if (!noise)
                assert_int_equal(first[i], 1 + i % 3);
            other += first[i] != 200;
        }
        assert_true(other > 50);
    }
    /* A box that is cut off at the border has the noise of the whole box. */
    memset(again, 200, sizeof again);
    fv__render_erase(&e, again, 6, SIDE);
    assert_memory_equal(again, first, 6 * SIDE * 3);
}

int main(void)
{
    fv_dsp_init(&dsp);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ops_do_not_disturb_each_other),
        cmocka_unit_test(steps_stand_in_the_order_of_their_carrying_out),
        cmocka_unit_test(flips_come_as_often_as_asked),
        cmocka_unit_test(cutmix_takes_the_box_from_the_item_before),
        cmocka_unit_test(mixup_blends_with_the_item_before),
        cmocka_unit_test(one_item_alone_is_not_mixed),
        cmocka_unit_test(erases_fill_their_box_and_nothing_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
