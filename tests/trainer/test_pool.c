/* SPDX-License-Identifier: MIT */
#include "common/err.h"
#include "tests/cmocka_all.h"
#include "trainer/trainer.h"

#include <math.h>
#include <string.h>

static void a_video_counts_as_one_photograph(void **state)
{
    /* Template 0: media 7 is one image along x, media 9 are three along y, y, x. Template 1: one image. */
    const float emb[] = {1, 0, 0, 1, 0, 1, 1, 0, -0.6f, 0.8f};
    const struct fv_pool_item item[] = {{0, 0, 7}, {1, 0, 9}, {2, 0, 9}, {3, 0, 9}, {4, 1, 9}};
    float out[4];

    (void)state;
    assert_int_equal(fv_pool_templates(emb, 2, item, 5, out), 0);
    /* (1, 0) + (1/3, 2/3) = (4, 2)/3, whose direction is (2, 1)/sqrt(5) */
    assert_true(fabs((double)out[0] - 2 / sqrt(5)) < 1e-7);
    assert_true(fabs((double)out[1] - 1 / sqrt(5)) < 1e-7);
    assert_true(fabs((double)out[2] + 0.6) < 1e-7 && fabs((double)out[3] - 0.8) < 1e-7);
}

static void an_image_may_be_of_two_templates(void **state)
{
    const float emb[] = {1, 0, 0, 1};
    const struct fv_pool_item item[] = {{0, 0, 1}, {1, 0, 2}, {0, 1, 1}};
    float out[4];

    (void)state;
    assert_int_equal(fv_pool_templates(emb, 2, item, 3, out), 0);
    assert_true(fabs((double)out[0] - sqrt(0.5)) < 1e-7 && fabs((double)out[1] - sqrt(0.5)) < 1e-7);
    assert_true(out[2] == 1 && out[3] == 0);
}

static void opposite_images_have_no_direction(void **state)
{
    const float emb[] = {1, 0, -1, 0};
    const struct fv_pool_item item[] = {{0, 0, 1}, {1, 0, 2}};
    float out[2];

    (void)state;
    assert_int_equal(fv_pool_templates(emb, 2, item, 2, out), FV_EINVAL);
    assert_non_null(strstr(fv_err_text(), "template 1 of the list has no direction"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_video_counts_as_one_photograph),
        cmocka_unit_test(an_image_may_be_of_two_templates),
        cmocka_unit_test(opposite_images_have_no_direction),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
