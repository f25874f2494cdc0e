/* SPDX-License-Identifier: MIT */
/* Metrics against scikit-learn and SciPy on 200 sets with heavy ties (golden/metrics.txt), then the exact
 * cases, and properties that hold for any scores. */
#include "common/err.h"
#include "common/rng.h"
#include "tests/cmocka_all.h"
#include "trainer/eval/metrics.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static const char *golden_path;

static void equal_to_scikit_learn(void **state)
{
    FILE *f = fopen(golden_path, "r");
    char line[4096];
    int sets = 0;

    (void)state;
    assert_non_null(f);
    assert_non_null(fgets(line, sizeof line, f));
    for (int n; fscanf(f, "%d", &n) == 1; sets++) {
        double auc, eer, at, best, score[64];
        uint8_t same[64];
        assert_true(n <= 64);
        assert_int_equal(fscanf(f, "%lf %lf %lf %lf", &auc, &eer, &at, &best), 4);
        for (int i = 0; i < n; i++) {
            int s, l;
            assert_int_equal(fscanf(f, "%d %d", &s, &l), 2);
            score[i] = s / 64.0;
            same[i] = (uint8_t)l;
        }
        struct fv_roc roc;
        struct fv_eer e;
        struct fv_tpr t;
        struct fv_best b;
        assert_int_equal(fv_roc_make(&roc, score, same, (size_t)n), FV_OK);
        fv_roc_eer(&roc, &e);
        fv_roc_tpr(&roc, 0.1, &t);
        fv_roc_best(&roc, &b);
        assert_true(fabs(fv_roc_auc(&roc) - auc) < 1e-12);
        assert_true(fabs(e.eer - eer) < 1e-12);
        assert_true(fabs(t.tpr - at) < 1e-12);
        assert_true(fabs(b.accuracy - best) < 1e-12);
        assert_true(isfinite(e.threshold) && isfinite(b.threshold));
        fv_roc_free(&roc);
    }
    fclose(f);
    assert_int_equal(sets, 200);
}

static void check(const double *score, const uint8_t *same, size_t n, double auc, double eer)
{
    struct fv_roc roc;
    struct fv_eer e;

    assert_int_equal(fv_roc_make(&roc, score, same, n), FV_OK);
    fv_roc_eer(&roc, &e);
    assert_true(fv_roc_auc(&roc) == auc);
    assert_true(fabs(e.eer - eer) < 1e-15);
    fv_roc_free(&roc);
}

static void extremes_are_exact(void **state)
{
    (void)state;
    check((double[]){.9, .8, .2, .1}, (uint8_t[]){1, 1, 0, 0}, 4, 1.0, 0.0); /* perfect */
    check((double[]){.9, .8, .2, .1}, (uint8_t[]){0, 0, 1, 1}, 4, 0.0, 1.0); /* reversed */
    check((double[]){.5, .5, .5, .5}, (uint8_t[]){1, 0, 1, 0}, 4, 0.5, 0.5); /* all equal */
    check((double[]){.9, .7, .7, .1}, (uint8_t[]){1, 1, 0, 0}, 4, 0.875,
          0.25); /* 1 - x = 1/2 + x */
}

static void what_cannot_be_scored_is_refused(void **state)
{
    struct fv_roc roc;

    (void)state;
    assert_int_equal(fv_roc_make(&roc, (double[]){1, NAN}, (uint8_t[]){1, 0}, 2), FV_EINVAL);
    assert_string_equal(fv_err_text(), "score 2 of 2 is not finite");
    assert_int_equal(fv_roc_make(&roc, (double[]){1, 2}, (uint8_t[]){1, 1}, 2), FV_EINVAL);
    assert_non_null(strstr(fv_err_text(), "no impostor pairs"));
    assert_int_equal(fv_roc_make(&roc, NULL, NULL, 0), FV_EINVAL);
}

static void resolution_is_flagged(void **state)
{
    enum { N = 1000 };
    static double score[2 * N];
    static uint8_t same[2 * N];
    struct fv_roc roc;
    struct fv_tpr t;

    (void)state;
    for (int i = 0; i < N; i++) {
        score[i] = i + 0.5; /* impostors, and genuine half a step above each */
        score[N + i] = i + 1.0;
        same[N + i] = 1;
    }
    assert_int_equal(fv_roc_make(&roc, score, same, 2 * N), FV_OK);
    fv_roc_tpr(&roc, 1e-4, &t);
    assert_true(t.below_resolution && t.unreliable && t.false_matches == 0);
    assert_true(t.tpr == 1.0 / N); /* only the highest genuine beats every impostor */
    fv_roc_tpr(&roc, 0.01, &t);
    assert_true(!t.below_resolution && t.unreliable && t.false_matches == 10 && t.fmr == 0.01);
    assert_true(t.true_matches == 11);
    fv_roc_tpr(&roc, 0.05, &t);
    assert_true(!t.unreliable && t.false_matches == 50);
    fv_roc_free(&roc);
}

/* A realised FMR of exactly what was asked for does not exceed it. */
static void the_rate_asked_for_is_allowed(void **state)
{
    enum { N = 100 };
    double score[2 * N];
    uint8_t same[2 * N];
    struct fv_roc roc;
    struct fv_tpr t;

    (void)state;
    for (int i = 0; i < 2 * N; i++) {
        score[i] = -i;
        same[i] = i % 2 == 0;
    }
    assert_int_equal(fv_roc_make(&roc, score, same, 2 * N), FV_OK);
    for (int k = 1; k < N; k++) {
        fv_roc_tpr(&roc, k / 100.0, &t);
        assert_int_equal(t.false_matches, k);
        assert_int_equal(t.below_resolution, 0);
    }
    fv_roc_tpr(&roc, 0.0099, &t);
    assert_true(t.below_resolution && t.false_matches == 0);
    fv_roc_free(&roc);
}

/* Matching by the best threshold gives the accuracy that comes with it, however near the scores lie. */
static void the_best_threshold_separates(void **state)
{
    const double low[] = {0.5, 0.75, -0.5, nextafter(1, 0), 5e-324, 0, -1e308};

    (void)state;
    for (size_t i = 0; i < sizeof low / sizeof *low; i++) {
        const double high = nextafter(low[i], INFINITY);
        for (int up = 0; up < 2; up++) {
            const double a = up ? nextafter(high, INFINITY) : high;
            const double b = up ? high : low[i];
            struct fv_roc roc;
            struct fv_best best;
            assert_int_equal(fv_roc_make(&roc, (double[]){a, b}, (uint8_t[]){1, 0}, 2), FV_OK);
            fv_roc_best(&roc, &best);
            assert_true(best.accuracy == 1);
            assert_true(a >= best.threshold && b < best.threshold);
            fv_roc_free(&roc);
        }
    }
}

static void order_and_monotone_maps_do_not_matter(void **state)
{
    enum { N = 500 };
    double score[N], mapped[N];
    uint8_t same[N], moved[N];
    struct fv_rng r = fv_rng_at(3, 0, 0, FV_RNG_TEST);
    struct fv_roc a, b;
    struct fv_eer ea, eb;

    (void)state;
    for (int i = 0; i < N; i++) {
        same[i] = (uint8_t)fv_rng_below(&r, 2);
        score[i] = (double)fv_rng_below(&r, 40) / 8 + same[i];
    }
    for (uint64_t i = 0; i < N; i++) {
        const uint64_t j = fv_rng_permute(9, 0, N, i);
        mapped[j] = exp(score[i]) - 3;
        moved[j] = same[i];
    }
    assert_int_equal(fv_roc_make(&a, score, same, N), FV_OK);
    assert_int_equal(fv_roc_make(&b, mapped, moved, N), FV_OK);
    fv_roc_eer(&a, &ea);
    fv_roc_eer(&b, &eb);
    assert_int_equal(a.n, b.n);
    for (size_t k = 0; k < a.n; k++)
        assert_true(a.point[k].fp == b.point[k].fp && a.point[k].tp == b.point[k].tp);
    assert_true(fv_roc_auc(&a) == fv_roc_auc(&b) && ea.eer == eb.eer);
    fv_roc_free(&a);
    fv_roc_free(&b);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_to_scikit_learn),
        cmocka_unit_test(extremes_are_exact),
        cmocka_unit_test(what_cannot_be_scored_is_refused),
        cmocka_unit_test(resolution_is_flagged),
        cmocka_unit_test(the_rate_asked_for_is_allowed),
        cmocka_unit_test(the_best_threshold_separates),
        cmocka_unit_test(order_and_monotone_maps_do_not_matter),
    };
    if (argc != 2)
        return 2;
    golden_path = argv[1];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
