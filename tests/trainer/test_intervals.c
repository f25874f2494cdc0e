/* SPDX-License-Identifier: MIT */
/* Intervals against SciPy's bootstrap, against the variance that follows from the model of pairs that share identities,
 * and by counting how often they hold a known truth.
 */
#include "common/err.h"
#include "common/rng.h"
#include "tests/cmocka_all.h"
#include "tests/trainer/coverage.h"
#include "trainer/eval/intervals.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const char *golden_path;

enum { MOST = 4096 };

static struct {
    double score[MOST];
    uint8_t same[MOST];
    uint32_t a[MOST], b[MOST];
    struct fv_pair_sample sample;
} set;

static void clear_set(uint32_t identities)
{
    set.sample = (struct fv_pair_sample){set.score, set.same, set.a, set.b, 0, identities};
}

static void add(double score, uint32_t a, uint32_t b)
{
    const size_t i = set.sample.n++;
    assert_true(i < MOST);
    set.score[i] = score;
    set.same[i] = a == b;
    set.a[i] = a;
    set.b[i] = b;
}

/* Mean score of either kind: linear, so all is known about it. */
static void mean_scores(const struct fv_roc *r, void *ctx, double *figure)
{
    double genuine = 0, impostor = 0;

    (void)ctx;
    for (size_t k = 1; k < r->n; k++) {
        genuine += r->point[k].threshold * (double)(r->point[k].tp - r->point[k - 1].tp);
        impostor += r->point[k].threshold * (double)(r->point[k].fp - r->point[k - 1].fp);
    }
    figure[0] = genuine / (double)r->genuine;
    figure[1] = impostor / (double)r->impostor;
}

static struct fv_bootstrap_settings settings_of(int64_t replicates, int bca)
{
    struct fv_bootstrap_settings s;
    fv_bootstrap_defaults(&s);
    s.replicates = replicates;
    s.bca = bca;
    return s;
}

static int near(double a, double b, double tolerance)
{
    return fabs(a - b) <= tolerance;
}

/* One genuine pair an identity is a sample of independent numbers. The last digits are chance's: end points move by
 * about a twenty-fifth of the standard error. */
static void check_against_scipy(FILE *f, int n)
{
    double x[5], v;
    struct fv_bootstrap_interval out[2];

    for (int i = 0; i < 5; i++)
        assert_int_equal(fscanf(f, "%lf", &x[i]), 1);
    clear_set((uint32_t)n);
    for (int i = 0; i < n; i++) {
        assert_int_equal(fscanf(f, "%lf", &v), 1);
        add(v, (uint32_t)i, (uint32_t)i);
    }
    for (int i = 0; i < n; i++)
        add(0, (uint32_t)i, (uint32_t)((i + 1) % n));
    for (int bca = 0; bca < 2; bca++) {
        const struct fv_bootstrap_settings s = settings_of(5000, bca);
        assert_int_equal(fv_bootstrap_pairs(&set.sample, &s, mean_scores, NULL, 2, out), FV_OK);
        assert_true(near(out[0].std_error, x[4], 0.05 * x[4]));
        assert_true(near(out[0].over.low, x[2 * bca], 0.12 * x[4]));
        assert_true(near(out[0].over.high, x[2 * bca + 1], 0.12 * x[4]));
        assert_true(near(out[0].naive.low, x[0], 0.4 * x[4]));
        assert_true(out[1].over.low == 0 && out[1].over.high == 0 && out[1].std_error == 0);
    }
    /* The tolerance tells the two methods apart. */
    assert_true(fabs(x[3] - x[1]) > 0.3 * x[4]);
}

static void equal_to_scipy(void **state)
{
    FILE *f = fopen(golden_path, "r");
    char line[256];
    int samples = 0;

    (void)state;
    assert_non_null(f);
    assert_non_null(fgets(line, sizeof line, f));
    for (int n; fscanf(f, "%d", &n) == 1; samples++)
        check_against_scipy(f, n);
    fclose(f);
    assert_int_equal(samples, 3);
}

/* The sum over identities of the squared sum of what their pairs add, less what pairs of two add twice. */
static void robust_errors(double error[2])
{
    static double sum[2][MOST];
    double mean[2] = {0, 0}, n[2] = {0, 0}, total[2] = {0, 0};

    memset(sum, 0, sizeof sum);
    for (size_t i = 0; i < set.sample.n; i++)
        n[!set.same[i]]++;
    for (size_t i = 0; i < set.sample.n; i++)
        mean[!set.same[i]] += set.score[i] / n[!set.same[i]];
    for (size_t i = 0; i < set.sample.n; i++) {
        const int kind = !set.same[i];
        const double off = (set.score[i] - mean[kind]) / n[kind];
        sum[kind][set.a[i]] += off;
        if (set.a[i] != set.b[i]) {
            sum[kind][set.b[i]] += off;
            total[kind] -= off * off;
        }
    }
    for (int kind = 0; kind < 2; kind++) {
        for (uint32_t i = 0; i < set.sample.identities; i++)
            total[kind] += sum[kind][i] * sum[kind][i];
        error[kind] = sqrt(total[kind]);
    }
}

static void make_shared(uint32_t identities, uint32_t each, double common)
{
    struct fv_rng r = fv_rng_at(identities, 0, 0, FV_RNG_TEST);
    double u[MOST];

    clear_set(identities);
    for (uint32_t i = 0; i < identities; i++)
        u[i] = common * fv_rng_normal(&r);
    for (uint32_t i = 0; i < identities; i++)
        for (uint32_t k = 0; k < each; k++) {
            const uint32_t j = (i + 1 + fv_rng_below(&r, identities - 1)) % identities;
            add(3 + u[i] + fv_rng_normal(&r), i, i);
            add(u[i] + u[j] + fv_rng_normal(&r), i, j);
        }
}

static void errors_are_robust_to_sharing(void **state)
{
    (void)state;
    for (int k = 0; k < 4; k++) {
        struct fv_bootstrap_interval out[2];
        double error[2];
        make_shared(k < 2 ? 100 : 600, k < 2 ? 6 : 1, k % 2 ? 1 : 0.2);
        robust_errors(error);
        const struct fv_bootstrap_settings s = settings_of(2000, 0);
        assert_int_equal(fv_bootstrap_pairs(&set.sample, &s, mean_scores, NULL, 2, out), FV_OK);
        for (int kind = 0; kind < 2; kind++)
            assert_true(near(out[kind].std_error, error[kind], 0.08 * error[kind]));
    }
}

static void threads_do_not_matter_but_the_seed_does(void **state)
{
    struct fv_bootstrap_interval one[2], many[2], other[2];
    struct fv_bootstrap_settings s = settings_of(300, 1);

    (void)state;
    make_shared(80, 5, 0.5);
    s.threads = 1;
    assert_int_equal(fv_bootstrap_pairs(&set.sample, &s, mean_scores, NULL, 2, one), FV_OK);
    s.threads = 7;
    assert_int_equal(fv_bootstrap_pairs(&set.sample, &s, mean_scores, NULL, 2, many), FV_OK);
    assert_memory_equal(one, many, sizeof one);
    s.seed = 2;
    assert_int_equal(fv_bootstrap_pairs(&set.sample, &s, mean_scores, NULL, 2, other), FV_OK);
    assert_true(other[0].value == one[0].value && other[0].over.low != one[0].over.low);
}

static void what_says_nothing_is_refused(void **state)
{
    struct fv_bootstrap_interval out[2];
    const struct fv_bootstrap_settings s = settings_of(50, 1);

    (void)state;
    clear_set(9);
    add(1, 0, 0);
    add(0, 0, 8);
    assert_int_equal(fv_bootstrap_pairs(&set.sample, &s, mean_scores, NULL, 2, out), FV_EINVAL);
    assert_non_null(strstr(fv_err_text(), "at least 3"));
    add(0, 1, 9);
    assert_int_equal(fv_bootstrap_pairs(&set.sample, &s, mean_scores, NULL, 2, out), FV_EINVAL);
    assert_string_equal(fv_err_text(), "pair 3 has identity 9 of 9");
    clear_set(9);
    add(1, 0, 0);
    assert_int_equal(fv_bootstrap_pairs(&set.sample, &s, mean_scores, NULL, 2, out), FV_EINVAL);
    /* Most draws of three identities lack the only genuine or the only impostor pair: they are drawn again. */
    add(0, 1, 2);
    assert_int_equal(fv_bootstrap_pairs(&set.sample, &s, mean_scores, NULL, 2, out), FV_OK);
    assert_true(out[0].over.low == 1 && out[0].over.high == 1);
}

/* Of 95 % intervals on 100 sets fewer than 88 hold the truth in 2 of 1,000 tries, and all of them in 6; of those for
 * independent pairs about 60 do. */
static void intervals_hold_the_truth(void **state)
{
    static const struct coverage_case quick = {"quick", 60, 4, 8, 2.0, 0.5, 0.8, 0.5};
    struct coverage_count n;

    (void)state;
    assert_int_equal(coverage_count(&quick, 100, 200, 1, 0, &n), 0);
    for (int k = 0; k < COVERAGE_FIGURES; k++) {
        assert_in_range(n.of[k].over, 88, 99);
        assert_in_range(n.of[k].naive, 0, 80);
    }
}

/* Where pairs have next to nothing in common both ways must come to the same. */
static void intervals_are_no_wider_than_need_be(void **state)
{
    struct coverage_count n;

    (void)state;
    assert_int_equal(coverage_count(&coverage_cases[2], 10, 200, 0, 0, &n), 0);
    for (int k = 0; k < COVERAGE_FIGURES; k++)
        assert_true(n.of[k].width_over < 1.2 * n.of[k].width_naive);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_to_scipy),
        cmocka_unit_test(errors_are_robust_to_sharing),
        cmocka_unit_test(threads_do_not_matter_but_the_seed_does),
        cmocka_unit_test(what_says_nothing_is_refused),
        cmocka_unit_test(intervals_hold_the_truth),
        cmocka_unit_test(intervals_are_no_wider_than_need_be),
    };
    if (argc != 2)
        return 2;
    golden_path = argv[1];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
