/* SPDX-License-Identifier: MIT */
/* Boxes of crops, erasing and CutMix, and MixUp's shares, against torchvision's rules
 * (tests/golden/make_boxes_golden.py), which were given the same random numbers: they are equal, and so is the order of
 * the draws. */
#include "augment/policy.h"
#include "tests/cmocka_all.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { SEED = 7, EPOCH = 2, OUT = 48 };

static const char *path;

struct box_case {
    char op[16], policy[64];
    int h, w, found;
    unsigned long long sample; /* image, or step for a batch */
    struct fv_rect box;
    double lambda;
};

static int read_case(FILE *f, struct box_case *c)
{
    return fscanf(f, "%15s %63s %d %d %llu %d %d %d %d %d %lf ", c->op, c->policy, &c->h, &c->w,
                  &c->sample, &c->found, &c->box.y, &c->box.x, &c->box.h, &c->box.w,
                  &c->lambda) == 11;
}

static void check_crop(const struct box_case *c, const struct fv_policy *p)
{
    struct fv_plan plan;

    fv_policy_plan(p, SEED, EPOCH, c->sample, c->h, c->w, OUT, OUT, &plan);
    const double expected[9] = {
        (double)c->box.w / OUT, 0, c->box.x, 0, (double)c->box.h / OUT, c->box.y, 0, 0, 1};
    for (int i = 0; i < 9; i++)
        assert_true(fabs(plan.inverse[i] - expected[i]) < 1e-6 * (1 + fabs(expected[i])));
}

static void check_erase(const struct box_case *c, const struct fv_policy *p)
{
    struct fv_plan plan;

    fv_policy_plan(p, SEED, EPOCH, c->sample, c->h, c->w, c->h, c->w, &plan);
    assert_int_equal(plan.erases, c->found);
    if (c->found)
        assert_memory_equal(&plan.erase[0].box, &c->box, sizeof c->box);
}

static void check_mix(const struct box_case *c, const struct fv_policy *p, enum fv_mix_kind kind)
{
    struct fv_mix mix;

    fv_policy_plan_batch(p, SEED, EPOCH, c->sample, 4, c->h, c->w, &mix);
    assert_int_equal(mix.kind, c->found ? kind : FV_MIX_NONE);
    assert_true(fabs(mix.lambda - c->lambda) < 1e-6);
    if (mix.kind != FV_MIX_CUTMIX)
        return;
    assert_int_equal(mix.x1, c->box.x);
    assert_int_equal(mix.y1, c->box.y);
    assert_int_equal(mix.x2, c->box.x + c->box.w);
    assert_int_equal(mix.y2, c->box.y + c->box.h);
}

static void boxes_follow_the_rules_of_torchvision(void **state)
{
    FILE *f = fopen(path, "r");
    struct box_case c;
    int crops = 0, erasures = 0, mixes = 0, blends = 0;

    (void)state;
    assert_non_null(f);
    assert_int_equal(fscanf(f, "#%*[^\n]"), 0);
    while (read_case(f, &c)) {
        struct fv_policy *p;
        assert_int_equal(fv_policy_parse(&p, c.policy), 0);
        if (strcmp(c.op, "rrc") == 0)
            check_crop(&c, p), crops++;
        else if (strcmp(c.op, "erase") == 0)
            check_erase(&c, p), erasures++;
        else if (strcmp(c.op, "cutmix") == 0)
            check_mix(&c, p, FV_MIX_CUTMIX), mixes++;
        else
            check_mix(&c, p, FV_MIX_MIXUP), blends++;
        fv_policy_free(&p);
    }
    assert_true(feof(f));
    fclose(f);
    assert_int_equal(crops, 200);
    assert_int_equal(erasures, 160);
    assert_int_equal(mixes, 80);
    assert_int_equal(blends, 80);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(boxes_follow_the_rules_of_torchvision)};

    path = argc > 1 ? argv[1] : "tests/golden/boxes.txt";
    return cmocka_run_group_tests(tests, NULL, NULL);
}
