/* SPDX-License-Identifier: MIT */
/* Decisions: in bounds, a function of their key, undisturbed by later ops; and the mix done by them. */
#include "augment/policy.h"
#include "tests/cmocka_all.h"

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

static void mixing_takes_the_box_from_the_item_before(void **state)
{
    enum { N = 3, H = 5, W = 4, BYTES = H * W * 3 };
    uint8_t px[N * BYTES], scratch[BYTES];
    int32_t label[N] = {10, 11, 12}, label_mix[N];
    float lambda[N];
    struct fv_batch b = {.n = N,
                         .capacity = N,
                         .height = H,
                         .width = W,
                         .pixels = px,
                         .label = label,
                         .label_mix = label_mix,
                         .lambda = lambda};
    const struct fv_mix mix = {.on = 1, .x1 = 1, .y1 = 2, .x2 = 3, .y2 = 5, .lambda = 0.7f};

    (void)state;
    for (int k = 0; k < N; k++)
        memset(px + k * BYTES, k, BYTES);
    fv_mix_apply(&mix, &b, scratch);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ops_do_not_disturb_each_other),
        cmocka_unit_test(steps_stand_in_the_order_of_their_carrying_out),
        cmocka_unit_test(flips_come_as_often_as_asked),
        cmocka_unit_test(mixing_takes_the_box_from_the_item_before),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
