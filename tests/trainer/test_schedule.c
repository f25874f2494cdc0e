/* SPDX-License-Identifier: MIT */
/* Learning rates against values that PyTorch 1.13.1 gave for the same settings: those below, and golden/schedule.txt,
 * which golden/make_schedule_golden.py writes.
 *
 *     test_schedule FILE
 */
#include "trainer/run/schedule.h"

#include "common/err.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* s = torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(optim, t0, t_mult, eta_min); s.step(t) */
static const struct {
    double lr, eta_min, t0, t_mult, t, rate;
} restarts[] = {
    {0.01, 1e-05, 10, 2, 0, 0.01},
    {0.01, 1e-05, 10, 2, 0.0026246719160104987, 0.0099999983019312625},
    {0.01, 1e-05, 10, 2, 0.5, 0.0099385032612727131},
    {0.01, 1e-05, 10, 2, 3.3149606299212597, 0.0075274265638186058},
    {0.01, 1e-05, 10, 2, 9.9973753280839901, 1.0001698068736887e-05},
    {0.01, 1e-05, 10, 2, 10, 0.01},
    {0.01, 1e-05, 10, 2, 10.25, 0.0099961490360224118},
    {0.01, 1e-05, 10, 2, 29.99737532808399, 1.0000424517202106e-05},
    {0.01, 1e-05, 10, 2, 30, 0.01},
    {0.01, 1e-05, 10, 2, 47.125, 0.0061233207990531993},
    {0.01, 1e-05, 10, 2, 69.9921875, 1.0000940297554781e-05},
    {0.01, 1e-05, 10, 2, 70, 0.01},
    {0.01, 1e-05, 10, 2, 149.5, 1.0962833792086233e-05},
    {0.1, 0, 5, 1, 0, 0.10000000000000001},
    {0.1, 0, 5, 1, 2.5, 0.050000000000000003},
    {0.1, 0, 5, 1, 4.75, 0.00061558297024311712},
    {0.1, 0, 5, 1, 5, 0.10000000000000001},
    {0.1, 0, 5, 1, 7.3125, 0.055876869872891893},
    {0.1, 0, 5, 1, 10, 0.10000000000000001},
    {0.1, 0, 5, 1, 24.875, 0.00015413331334360181},
    {0.02, 0.0001, 2, 3, 0, 0.02},
    {0.02, 0.0001, 2, 3, 1.96875, 0.00011198521075853457},
    {0.02, 0.0001, 2, 3, 2, 0.02},
    {0.02, 0.0001, 2, 3, 7.5, 0.00043903802842377141},
    {0.02, 0.0001, 2, 3, 8, 0.02},
    {0.02, 0.0001, 2, 3, 25.984375, 0.00010003699879697867},
    {0.02, 0.0001, 2, 3, 26, 0.02},
    {0.02, 0.0001, 2, 3, 79.96875, 0.00010001644391543023},
    {0.02, 0.0001, 2, 3, 80.5, 0.019999532265496899},
};

/* s = torch.optim.lr_scheduler.CosineAnnealingLR(optim of lr 0.02, 300, eta_min=1e-4), after `step` steps */
static const struct {
    uint64_t step;
    double rate;
} plain[] = {
    {0, 0.02},
    {1, 0.019999454435186845},
    {7, 0.019973279048383353},
    {100, 0.01502499999999999},
    {150, 0.010049999999999998},
    {299, 0.00010054556481315418},
    {300, 0.0001},
};

static const struct fv_schedule *find(const char *name)
{
    const struct fv_schedule *s;
    assert_int_equal(fv_schedule_find(&s, name), 0);
    return s;
}

static void assert_close(double got, double want)
{
    if (fabs(got - want) > 1e-12)
        fail_msg("rate %.17g, should be %.17g", got, want);
}

static void test_restarts(void **state)
{
    (void)state;
    const struct fv_schedule *sched = find("cosine-restarts");
    for (size_t i = 0; i < sizeof restarts / sizeof *restarts; i++) {
        struct fv_schedule_settings s = {.lr = restarts[i].lr,
                                         .eta_min = restarts[i].eta_min,
                                         .epochs = 150,
                                         .t0 = restarts[i].t0,
                                         .t_mult = restarts[i].t_mult};
        const struct fv_schedule_time t = {.epochs = restarts[i].t, .run = restarts[i].t};
        assert_close(sched->rate(&s, &t), restarts[i].rate);
    }
}

/* Steps are counted over the whole run: step 381 * 3 + 120 is the time 3 + 120/381. */
static void test_restarts_by_step(void **state)
{
    (void)state;
    struct fv_schedule_settings s = {
        .lr = 0.01, .eta_min = 1e-5, .epochs = 30, .t0 = 10, .t_mult = 2};
    const struct fv_schedule *sched = find("cosine-restarts");
    assert_close(fv_schedule_rate(sched, &s, 381 * 3 + 120, 381), 0.0075274265638186058);
    assert_close(fv_schedule_rate(sched, &s, 381 * 10, 381), 0.01);
    assert_close(fv_schedule_rate(sched, &s, 381 * 10 - 1, 381), 1.0001698068736887e-05);
}

static void test_cosine(void **state)
{
    (void)state;
    struct fv_schedule_settings s = {.lr = 0.02, .eta_min = 1e-4, .epochs = 30};
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
        assert_close(fv_schedule_rate(find("cosine"), &s, plain[i].step, 10), plain[i].rate);
}

/* A straight line to the full rate at its last step; what follows is the schedule from its own beginning. */
static void test_warmup(void **state)
{
    (void)state;
    struct fv_schedule_settings s = {.lr = 0.02, .eta_min = 1e-4, .epochs = 32, .warmup = 2};
    const struct fv_schedule *sched = find("cosine");
    assert_close(fv_schedule_rate(sched, &s, 0, 10), 0.001);
    assert_close(fv_schedule_rate(sched, &s, 9, 10), 0.01);
    assert_close(fv_schedule_rate(sched, &s, 19, 10), 0.02);
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
        assert_close(fv_schedule_rate(sched, &s, 20 + plain[i].step, 10), plain[i].rate);
    assert_close(fv_schedule_rate(find("constant"), &s, 5, 10), 0.006);
    assert_close(fv_schedule_rate(find("constant"), &s, 300, 10), 0.02);
}

static int read_case(FILE *f, const struct fv_schedule **sched, struct fv_schedule_settings *s,
                     uint64_t *per_epoch, int *rows)
{
    char name[32], milestones[64], optim[8];
    unsigned long long per;
    *s = (struct fv_schedule_settings){0};
    const int n = fscanf(
        f, " case %31s %lf %lf %lf %lf %d %lf %lf %63s %lf %lf %lf %lf %lf %lf %lf %7s %llu %d",
        name, &s->lr, &s->eta_min, &s->epochs, &s->warmup, &s->by_epoch, &s->t0, &s->t_mult,
        milestones, &s->gamma, &s->power, &s->pct_start, &s->div_factor, &s->final_div_factor,
        &s->momentum_low, &s->momentum_high, optim, &per, rows);
    if (n == EOF)
        return 0;
    assert_int_equal(n, 19);
    *sched = find(name);
    *per_epoch = per;
    assert_int_equal(fv_schedule_read_milestones(s, strcmp(milestones, "-") ? milestones : NULL),
                     0);
    assert_int_equal(fv_schedule_check(*sched, s), 0);
    return 1;
}

static void test_golden(void **state)
{
    const struct fv_schedule *sched;
    struct fv_schedule_settings s;
    uint64_t per_epoch;
    int rows, cases = 0, kinds = 0, moved = 0;
    FILE *f = fopen(*state, "r");
    assert_non_null(f);
    assert_int_equal(fscanf(f, "#%*[^\n]"), 0);
    for (const struct fv_schedule *last = NULL; read_case(f, &sched, &s, &per_epoch, &rows);
         cases++, kinds += sched != last, last = sched)
        for (int i = 0; i < rows; i++) {
            unsigned long long step;
            double want;
            assert_int_equal(fscanf(f, "%llu %lf", &step, &want), 2);
            const double got = fv_schedule_rate(sched, &s, step, per_epoch);
            if (!(fabs(got - want) <= 1e-12))
                fail_msg("case %d (%s), step %llu: rate %.17g, torch has %.17g", cases, sched->name,
                         step, got, want);
            if (s.momentum_high == 0)
                continue;
            assert_int_equal(fscanf(f, "%lf", &want), 1);
            assert_close(fv_schedule_momentum(sched, &s, step, per_epoch, NAN), want);
            moved += want < s.momentum_high;
        }
    fclose(f);
    assert_true(cases >= 19);
    assert_true(moved > 100);
    assert_int_equal(kinds, 6);
}

/* The first step of InsightFace's own warm-up, which its closed form has at zero. */
static void test_polynomial_begins_at_zero(void **state)
{
    (void)state;
    struct fv_schedule_settings s = {.lr = 0.1, .epochs = 10, .warmup = 2, .power = 1};
    assert_true(fv_schedule_rate(find("polynomial"), &s, 0, 7) == 0);
    assert_true(fv_schedule_rate(find("polynomial"), &s, 70, 7) == 0);
}

static void test_refusals(void **state)
{
    (void)state;
    static const char *const bad[] = {"1,,2", "2,1", "a", "1,2,", "0", "-1", "1;2", "nan", "inf"};
    struct fv_schedule_settings s = {.lr = 0.1, .eta_min = 0.2, .epochs = 10};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(fv_schedule_read_milestones(&s, bad[i]), FV_EUSAGE);
        assert_non_null(strstr(fv_err_text(), "--milestones"));
    }
    static const char *const bad_momenta[] = {"0.9",   "0.85,0.95,", "0.95,0.85", "-1,0.5",
                                              "0.5,1", "0,0",        "a,b",       "nan,nan"};
    for (size_t i = 0; i < sizeof bad_momenta / sizeof *bad_momenta; i++) {
        assert_int_equal(fv_schedule_read_momentum(&s, bad_momenta[i]), FV_EUSAGE);
        assert_non_null(strstr(fv_err_text(), "--cycle-momentum"));
    }
    assert_int_equal(fv_schedule_read_momentum(&s, "0.85,0.95"), 0);
    assert_true(s.momentum_low == 0.85 && s.momentum_high == 0.95);
    /* only one-cycle moves it, and it only where that was asked for */
    assert_true(fv_schedule_momentum(find("cosine"), &s, 3, 10, 0.7) == 0.7);
    assert_int_equal(fv_schedule_read_momentum(&s, NULL), 0);
    assert_true(fv_schedule_momentum(find("one-cycle"), &s, 3, 10, 0.7) == 0.7);
    assert_int_equal(fv_schedule_read_milestones(&s, NULL), 0);
    assert_int_equal(fv_schedule_check(find("constant"), &s), 0); /* does not mind eta_min */
    assert_int_equal(fv_schedule_check(find("cosine"), &s), FV_EUSAGE);
    assert_non_null(strstr(fv_err_text(), "--eta-min"));
    assert_int_equal(fv_schedule_check(find("step"), &s), FV_EUSAGE);
    assert_non_null(strstr(fv_err_text(), "--milestones"));
    s.warmup = 11;
    assert_int_equal(fv_schedule_check(find("polynomial"), &s), FV_EUSAGE);
    assert_int_equal(fv_schedule_check(find("one-cycle"), &s), 0);
    assert_true(fv_schedule_uses(find("cosine-restarts"), "t0"));
    assert_false(fv_schedule_uses(find("cosine"), "t0"));
}

static void test_names(void **state)
{
    (void)state;
    const struct fv_schedule *s;
    for (int i = 0; fv_schedule_names[i]; i++)
        assert_string_equal(find(fv_schedule_names[i])->name, fv_schedules[i]->name);
    assert_int_equal(fv_schedule_find(&s, "cosin"), FV_ENOTFOUND);
    for (int i = 0; fv_schedule_names[i]; i++)
        assert_non_null(strstr(fv_err_text(), fv_schedule_names[i]));
}

int main(int argc, char **argv)
{
    if (argc != 2)
        return 2;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_restarts),
        cmocka_unit_test(test_restarts_by_step),
        cmocka_unit_test(test_cosine),
        cmocka_unit_test(test_warmup),
        cmocka_unit_test(test_names),
        cmocka_unit_test_prestate(test_golden, argv[1]),
        cmocka_unit_test(test_polynomial_begins_at_zero),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
