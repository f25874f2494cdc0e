/* SPDX-License-Identifier: MIT */
/* Angles, matrices, coefficients, factors and orders against torchvision's, which was given the same random numbers
 * (tests/golden/make_steps_golden.py): the steps of a plan are the same, in the same order, and the composed matrix of
 * one geometric step says the same as the step. */
#include "augment/policy.h"
#include "tests/cmocka_all.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { SEED = 7, EPOCH = 2, CASES = 520 };

static const char *path;

static const char *const names[] = {
    [FV_STEP_FLIP] = "flip",
    [FV_STEP_CROP] = "crop",
    [FV_STEP_AFFINE] = "affine",
    [FV_STEP_PERSPECTIVE] = "perspective",
    [FV_STEP_BRIGHTNESS] = "brightness",
    [FV_STEP_CONTRAST] = "contrast",
    [FV_STEP_SATURATION] = "saturation",
    [FV_STEP_HUE] = "hue",
    [FV_STEP_GRAY] = "gray",
    [FV_STEP_BLUR] = "blur",
    [FV_STEP_ERASE] = "erase",
};

static void assert_near(double a, double b, double tolerance)
{
    if (!(fabs(a - b) <= tolerance * (1 + fabs(b))))
        fail_msg("%.17g is not near %.17g", a, b);
}

/* Where the step sends a point of the result, by its own values. */
static void old_point(const struct fv_step *step, int h, int w, double x, double y, double out[2])
{
    const double *v = step->v, cx = 0.5 * w, cy = 0.5 * h;

    if (step->kind == FV_STEP_AFFINE) {
        out[0] = v[0] * (x - cx) + v[1] * (y - cy) + v[2] + cx;
        out[1] = v[3] * (x - cx) + v[4] * (y - cy) + v[5] + cy;
    } else {
        const double d = v[6] * x + v[7] * y + 1;
        out[0] = (v[0] * x + v[1] * y + v[2]) / d;
        out[1] = (v[3] * x + v[4] * y + v[5]) / d;
    }
}

static void check_matrix(const struct fv_plan *plan, int h, int w)
{
    const float *m = plan->inverse;

    if (plan->steps != 1 ||
        (plan->step[0].kind != FV_STEP_AFFINE && plan->step[0].kind != FV_STEP_PERSPECTIVE))
        return;
    for (int i = 0; i < 9; i++) {
        const double x = i % 3 * 0.5 * w, y = i / 3 * 0.5 * h;
        const double d = m[6] * x + m[7] * y + m[8];
        double p[2];
        old_point(&plan->step[0], h, w, x, y, p);
        assert_near((m[0] * x + m[1] * y + m[2]) / d, p[0], 1e-4);
        assert_near((m[3] * x + m[4] * y + m[5]) / d, p[1], 1e-4);
    }
}

static void check_step(FILE *f, const struct fv_step *step)
{
    char kind[16];
    int values;

    assert_int_equal(fscanf(f, "%15s %d", kind, &values), 2);
    assert_string_equal(kind, names[step->kind]);
    assert_in_range(values, 0, 8);
    for (int i = 0; i < values; i++) {
        double v;
        assert_int_equal(fscanf(f, "%lf", &v), 1);
        assert_near(step->v[i], v, step->kind == FV_STEP_PERSPECTIVE ? 1e-8 : 1e-12);
    }
}

static void steps_are_those_of_torchvision(void **state)
{
    FILE *f = fopen(path, "r");
    char policy[64];
    int h, w, steps, cases = 0;
    unsigned long long image;

    (void)state;
    assert_non_null(f);
    assert_int_equal(fscanf(f, "#%*[^\n]"), 0);
    for (; fscanf(f, "%63s %d %d %llu %d", policy, &h, &w, &image, &steps) == 5; cases++) {
        struct fv_policy *p;
        struct fv_plan plan;
        assert_int_equal(fv_policy_parse(&p, policy), 0);
        fv_policy_plan(p, SEED, EPOCH, image, h, w, h, w, &plan);
        fv_policy_free(&p);
        assert_int_equal(plan.steps, steps);
        for (int i = 0; i < steps; i++)
            check_step(f, &plan.step[i]);
        check_matrix(&plan, h, w);
    }
    assert_true(feof(f));
    fclose(f);
    assert_int_equal(cases, CASES);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(steps_are_those_of_torchvision)};

    path = argc > 1 ? argv[1] : "tests/golden/steps.txt";
    return cmocka_run_group_tests(tests, NULL, NULL);
}
