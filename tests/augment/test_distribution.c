/* SPDX-License-Identifier: MIT */
/* What the ops draw has the distribution that the policy asks for.
 *
 * Continuous parameters: Kolmogorov and Smirnov's D of N draws against the true distribution function. By the
 * inequality of Dvoretzky, Kiefer, Wolfowitz and Massart, P(D > e) <= 2 exp(-2 N e^2), so that a right program fails
 * one seed in a thousand at most; the seed is fixed. Counts: chi-square's 0.999 quantile. Pictures are large, so that
 * whole pixels hardly show. */
#include "augment/policy.h"
#include "common/rng.h"
#include "tests/cmocka_all.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { N = 20000, SIDE = 16384 };

static double value[N];

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* lo and hi: bounds of the distribution, handed to cdf. */
static void check_distribution(const char *what, double (*cdf)(double x, double lo, double hi),
                               double lo, double hi)
{
    const double most = sqrt(log(2 / 0.001) / (2 * N));
    double d = 0;

    qsort(value, N, sizeof value[0], ascending);
    for (int i = 0; i < N; i++) {
        const double p = cdf(value[i], lo, hi);
        d = fmax(d, fmax(p - (double)i / N, (i + 1.0) / N - p));
    }
    printf("%-28s D %.5f of %.5f\n", what, d, most);
    assert_true(d < most);
}

static double uniform(double x, double lo, double hi)
{
    return x <= lo ? 0 : x >= hi ? 1 : (x - lo) / (hi - lo);
}

static double log_uniform(double x, double lo, double hi)
{
    return uniform(log(x), log(lo), log(hi));
}

static double beta_1_1(double x, double lo, double hi)
{
    return uniform(x, lo, hi);
}

static double beta_half_half(double x, double lo, double hi)
{
    (void)lo, (void)hi;
    return 2 / M_PI * asin(sqrt(x));
}

static double beta_2_2(double x, double lo, double hi)
{
    (void)lo, (void)hi;
    return x * x * (3 - 2 * x);
}

static void check_counts(const char *what, const int *count, const double *share, int kinds,
                         double quantile)
{
    double chi2 = 0;

    for (int i = 0; i < kinds; i++)
        chi2 += (count[i] - N * share[i]) * (count[i] - N * share[i]) / (N * share[i]);
    printf("%-28s chi-square %.2f of %.2f\n", what, chi2, quantile);
    assert_true(chi2 < quantile);
}

static struct fv_plan plans[N];

static void plan_all(const char *text)
{
    struct fv_policy *p;

    assert_int_equal(fv_policy_parse(&p, text), 0);
    for (int i = 0; i < N; i++)
        fv_policy_plan(p, 3, 1, (uint64_t)i, SIDE, SIDE, SIDE, SIDE, &plans[i]);
    fv_policy_free(&p);
}

#define CHECK_PLANS(what, cdf, lo, hi, expression)                                                 \
    do {                                                                                           \
        for (int i = 0; i < N; i++) {                                                              \
            const struct fv_plan *p = &plans[i];                                                   \
            value[i] = (expression);                                                               \
        }                                                                                          \
        check_distribution(what, cdf, lo, hi);                                                     \
    } while (0)

static void flips(void **state)
{
    int count[2] = {0};

    (void)state;
    plan_all("flip(.3)");
    for (int i = 0; i < N; i++)
        count[plans[i].mirror]++;
    check_counts("flip(.3)", count, (const double[]){0.7, 0.3}, 2, 10.828);
}

static void angles(void **state)
{
    (void)state;
    plan_all("rotate(10)");
    CHECK_PLANS("rotate(10): angle", uniform, -10, 10,
                atan2(p->inverse[3], p->inverse[0]) * 180 / M_PI);
}

/* Bounds for which every first try fits: a rejected one would change the distribution. */
static void crops(void **state)
{
    const double area = (double)SIDE * SIDE;

    (void)state;
    plan_all("rrc(.3,.5,.75,1.3333333333333333)");
#define W ((double)p->inverse[0] * SIDE)
#define H ((double)p->inverse[4] * SIDE)
    CHECK_PLANS("rrc: area", uniform, 0.3, 0.5, W * H / area);
    CHECK_PLANS("rrc: width : height", log_uniform, 0.75, 4.0 / 3, W / H);
    CHECK_PLANS("rrc: x", uniform, 0, 1, ((double)p->inverse[2] + 0.5) / (SIDE - W + 1));
    CHECK_PLANS("rrc: y", uniform, 0, 1, ((double)p->inverse[5] + 0.5) / (SIDE - H + 1));
#undef W
#undef H
}

static void erasures(void **state)
{
    const double area = (double)SIDE * SIDE;
    int count[2] = {0};

    (void)state;
    plan_all("erase(1,.02,.2)");
    for (int i = 0; i < N; i++)
        assert_int_equal(plans[i].erases, 1);
    CHECK_PLANS("erase: area", uniform, 0.02, 0.2,
                (double)p->erase[0].box.w * (double)p->erase[0].box.h / area);
    CHECK_PLANS("erase: height : width", log_uniform, 0.3, 3.3,
                (double)p->erase[0].box.h / (double)p->erase[0].box.w);
    CHECK_PLANS("erase: x", uniform, 0, 1,
                (p->erase[0].box.x + 0.5) / (SIDE - p->erase[0].box.w + 1));
    CHECK_PLANS("erase: y", uniform, 0, 1,
                (p->erase[0].box.y + 0.5) / (SIDE - p->erase[0].box.h + 1));
    plan_all("erase(.25)");
    for (int i = 0; i < N; i++)
        count[plans[i].erases]++;
    check_counts("erase(.25)", count, (const double[]){0.75, 0.25}, 2, 10.828);
}

static double amount(const struct fv_plan *p, enum fv_step_kind kind)
{
    for (int i = 0; i < p->steps; i++)
        if (p->step[i].kind == kind)
            return p->step[i].v[0];
    return NAN;
}

static void colours(void **state)
{
    int count[6] = {0};
    const double sixth = 1.0 / 6;

    (void)state;
    plan_all("jitter(.2,.4,1.5)");
    CHECK_PLANS("jitter: brightness", uniform, 0.8, 1.2, amount(p, FV_STEP_BRIGHTNESS));
    CHECK_PLANS("jitter: contrast", uniform, 0.6, 1.4, amount(p, FV_STEP_CONTRAST));
    CHECK_PLANS("jitter: saturation", uniform, 0, 2.5, amount(p, FV_STEP_SATURATION));
    for (int i = 0; i < N; i++) {
        const struct fv_step *s = plans[i].step;
        count[2 * (s[0].kind - FV_STEP_BRIGHTNESS) + (s[1].kind > s[2].kind)]++;
    }
    check_counts("jitter: order", count, (const double[]){sixth, sixth, sixth, sixth, sixth, sixth},
                 6, 20.515);
}

static void shares(void **state)
{
    static const struct {
        double alpha;
        double (*cdf)(double x, double lo, double hi);
    } cases[] = {{1, beta_1_1}, {0.5, beta_half_half}, {2, beta_2_2}};
    char what[64];

    (void)state;
    for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) {
        struct fv_rng r = fv_rng_at(3, 1, k, FV_RNG_TEST);
        for (int i = 0; i < N; i++)
            value[i] = fv_rng_beta(&r, cases[k].alpha, cases[k].alpha);
        snprintf(what, sizeof what, "Beta(%g, %g)", cases[k].alpha, cases[k].alpha);
        check_distribution(what, cases[k].cdf, 0, 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(flips),    cmocka_unit_test(angles),  cmocka_unit_test(crops),
        cmocka_unit_test(erasures), cmocka_unit_test(colours), cmocka_unit_test(shares),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
