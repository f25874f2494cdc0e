/* SPDX-License-Identifier: MIT */
/* Metrics against scikit-learn, SciPy and pyeer on 200 sets with heavy ties (golden/metrics.txt), then the exact
 * cases, and properties that hold for any scores. */
#include "common/err.h"
#include "common/rng.h"
#include "tests/cmocka_all.h"
#include "trainer/eval/folds.h"
#include "trainer/eval/metrics.h"
#include "trainer/eval/rates.h"
#include "trainer/eval/sort_scores.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *golden_path;

enum { MOST = 64, FMRS = 3 };

struct golden_set {
    int n, folds;
    double auc, auc_error, eer, low, high, best;
    double tpr[FMRS][3]; /* step, interp, nearest */
    double mean, std_population, std_error, val, far;
    double score[MOST];
    uint8_t same[MOST];
    uint16_t fold[MOST];
};

static void read_numbers(FILE *f, double *x, int n)
{
    for (int i = 0; i < n; i++)
        assert_int_equal(fscanf(f, "%lf", &x[i]), 1);
}

static void read_set(FILE *f, struct golden_set *s)
{
    assert_int_equal(fscanf(f, "%d %d", &s->n, &s->folds), 2);
    assert_true(s->n <= MOST);
    read_numbers(f, &s->auc, 6);
    read_numbers(f, s->tpr[0], 3 * FMRS);
    read_numbers(f, &s->mean, 5);
    for (int i = 0; i < s->n; i++) {
        int score, same, fold;
        assert_int_equal(fscanf(f, "%d %d %d", &score, &same, &fold), 3);
        s->score[i] = score / 64.0;
        s->same[i] = (uint8_t)same;
        s->fold[i] = (uint16_t)fold;
    }
}

static int equal(double a, double b)
{
    return fabs(a - b) < 1e-12 || (isnan(a) && isnan(b));
}

/* pyeer adds up rounded rates, so of two sums that are the same it may take either; and it says "no crossing" where
 * FMR exceeds FNMR at the highest score already, where we have the crossing before it. */
static void check_interval(const struct golden_set *s, const struct fv_roc *roc,
                           const struct fv_eer *e)
{
    if (isnan(s->low)) {
        assert_true(roc->point[1].fp * roc->genuine >
                    (roc->genuine - roc->point[1].tp) * roc->impostor);
        assert_true(e->low <= e->eer && e->eer <= e->high);
        return;
    }
    assert_true(equal(e->midpoint, (s->low + s->high) / 2));
    if (equal(e->low, s->low))
        assert_true(equal(e->high, s->high));
    else
        assert_true(e->low <= e->eer && e->eer <= e->high);
}

static int check_roc(const struct golden_set *s)
{
    static const double fmr[FMRS] = {0.1, 0.05, 0.3};
    struct fv_roc roc;
    struct fv_eer e;
    struct fv_best b;

    assert_int_equal(fv_roc_make(&roc, s->score, s->same, (size_t)s->n), FV_OK);
    fv_roc_eer(&roc, &e);
    fv_roc_best(&roc, &b);
    assert_true(equal(fv_roc_auc(&roc), s->auc));
    assert_true(equal(fv_roc_auc_error(&roc), s->auc_error));
    assert_true(equal(e.eer, s->eer));
    check_interval(s, &roc, &e);
    assert_true(equal(b.accuracy, s->best));
    assert_true(isfinite(e.threshold) && isfinite(b.threshold));
    for (int i = 0; i < FMRS; i++)
        for (int k = 0; k < 3; k++) {
            struct fv_tpr t;
            fv_tpr_rules[k].at(&roc, fmr[i], &t);
            assert_true(equal(t.tpr, s->tpr[i][k]));
        }
    const int same_interval = equal(e.low, s->low);
    fv_roc_free(&roc);
    return same_interval;
}

static void check_folds(const struct golden_set *s)
{
    const struct fv_fold_set set = {s->score, s->same, s->fold, (size_t)s->n, (uint32_t)s->folds};
    struct fv_fold_mean m;
    struct fv_fold_val v;

    assert_int_equal(fv_folds_accuracy(&set, &m, NULL, NULL), FV_OK);
    assert_true(equal(m.mean, s->mean));
    assert_true(equal(m.std_population, s->std_population));
    assert_true(equal(m.std_error, s->std_error));
    if (isnan(s->val) || isnan(s->far)) {
        assert_int_equal(fv_folds_val(&set, 0.1, &v), FV_EINVAL);
        assert_non_null(strstr(fv_err_text(), "VAL@FAR needs both kinds in each"));
        return;
    }
    assert_int_equal(fv_folds_val(&set, 0.1, &v), FV_OK);
    assert_true(equal(v.val.mean, s->val));
    assert_true(equal(v.far_mean, s->far));
}

static void check_rate(FILE *f)
{
    uint64_t k, n;
    double level, x[4];

    assert_int_equal(fscanf(f, "%" SCNu64 " %" SCNu64 " %lf", &k, &n, &level), 3);
    read_numbers(f, x, 4);
    const struct fv_interval w = fv_rate_wilson(k, n, level), e = fv_rate_exact(k, n, level);
    assert_true(equal(w.low, x[0]) && equal(w.high, x[1]));
    /* lgamma of millions has lost some of its digits */
    assert_true(fabs(e.low - x[2]) < 1e-9 * (1e-3 + x[2]));
    assert_true(fabs(e.high - x[3]) < 1e-9 * (1e-3 + x[3]));
}

static void equal_to_others(void **state)
{
    FILE *f = fopen(golden_path, "r");
    char line[256], kind[8];
    int sets = 0, rates = 0, intervals = 0;
    struct golden_set s;

    (void)state;
    assert_non_null(f);
    for (int i = 0; i < 3; i++)
        assert_non_null(fgets(line, sizeof line, f));
    while (fscanf(f, "%7s", kind) == 1) {
        if (strcmp(kind, "set") == 0) {
            read_set(f, &s);
            intervals += check_roc(&s);
            check_folds(&s);
            sets++;
        } else {
            check_rate(f);
            rates++;
        }
    }
    fclose(f);
    assert_int_equal(sets, 200);
    assert_int_equal(rates, 36);
    assert_true(intervals > 120); /* where pyeer sees a crossing, and no two sums are the same */
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

/* FMR 1/2 and FNMR 1/2 at one vertex: no interval, though the vertex before it has the smaller sum. */
static void an_exact_crossing_has_no_interval(void **state)
{
    struct fv_roc roc;
    struct fv_eer e;

    (void)state;
    assert_int_equal(fv_roc_make(&roc, (double[]){.9, .8, .2, .1}, (uint8_t[]){1, 0, 1, 0}, 4),
                     FV_OK);
    fv_roc_eer(&roc, &e);
    assert_true(e.low == 0.5 && e.high == 0.5 && e.midpoint == 0.5 && e.eer == 0.5);
    fv_roc_free(&roc);
}

static void folds_follow_the_list_or_its_kinds(void **state)
{
    enum { N = 40 };
    uint8_t mixed[N], sorted[N];
    uint16_t fold[N];

    (void)state;
    for (int i = 0; i < N; i++) {
        mixed[i] = i % 4 < 2;
        sorted[i] = i < N / 2;
    }
    assert_int_equal(fv_folds_make(fold, mixed, N, 10), FV_FOLDS_CONSECUTIVE);
    for (int i = 0; i < N; i++)
        assert_int_equal(fold[i], i / 4);
    assert_int_equal(fv_folds_make(fold, sorted, N, 10), FV_FOLDS_STRATIFIED);
    for (int i = 0; i < N; i++)
        assert_int_equal(fold[i], i % (N / 2) / 2);
    assert_int_equal(fv_folds_make(fold, sorted, N, 21), FV_EINVAL);
    assert_string_equal(fv_err_text(),
                        "20 genuine and 20 impostor pairs cannot be divided into 21 folds");
}

static void rules_of_three_and_thirty(void **state)
{
    (void)state;
    assert_true(fabs(fv_rate_none_seen(300000, 0.95) * 300000 - log(20)) < 1e-4);
    assert_true(fabs(fv_rate_none_seen(1, 0.95) - 0.95) < 1e-15);
    assert_true(fabs(fv_normal_quantile(0.975) - 1.959963984540054) < 1e-12);
    assert_true(fabs(fv_normal_quantile(1e-9) + 5.997807015007686) < 1e-10);
}

/* Every kind of spread that dealing into buckets may meet; one quicksort is the reference. */
static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x < y) - (x > y);
}

static void sorted_as_by_comparison(void **state)
{
    enum { N = 30000 };
    static double v[N], expected[N], sorted[N];
    struct fv_rng r = fv_rng_at(5, 0, 0, FV_RNG_TEST);

    (void)state;
    for (int spread = 0; spread < 9; spread++)
        for (size_t n = 1; n <= N; n = 3 * n + 1) {
            for (size_t i = 0; i < n; i++) {
                const double x = fv_rng_normal(&r), u = fv_rng_unit(&r);
                v[i] = spread == 0   ? x
                       : spread == 1 ? floor(4 * x)
                       : spread == 2 ? ldexp(1, (int)(2000 * u) - 1000) * (x < 0 ? -1 : 1)
                       : spread == 3 ? (i % 2 ? 1.7e308 : -1.7e308)
                       : spread == 4 ? 5e-324 * floor(100 * u)
                       : spread == 5 ? (i == 0 ? 1e9 : u)
                       : spread == 6 ? (double)i
                       : spread == 7 ? -(double)i
                                     : (i % 3 ? 0.0 : -0.0);
                expected[i] = v[i];
            }
            qsort(expected, n, sizeof *expected, by_value);
            fv__sort_scores(v, sorted, n);
            for (size_t i = 0; i < n; i++)
                assert_true(sorted[i] == expected[i]);
        }
}

/* The vertices by definition: of each distinct score the counts at or above it. */
static size_t vertices_by_comparison(const double *score, const uint8_t *same, size_t n,
                                     double *distinct, struct fv_roc_point *point)
{
    size_t k = 0;

    memcpy(distinct, score, n * sizeof *distinct);
    qsort(distinct, n, sizeof *distinct, by_value);
    point[k++] = (struct fv_roc_point){.threshold = INFINITY};
    for (size_t i = 0; i < n; i++)
        if (i == 0 || distinct[i] != distinct[i - 1])
            point[k++] = (struct fv_roc_point){.threshold = distinct[i]};
    for (size_t v = 1; v < k; v++)
        for (size_t i = 0; i < n; i++) {
            point[v].tp += same[i] && score[i] >= point[v].threshold;
            point[v].fp += !same[i] && score[i] >= point[v].threshold;
        }
    return k;
}

static void any_number_of_threads_makes_the_same_vertices(void **state)
{
    enum { N = 700 };
    static double score[N], distinct[N];
    static uint8_t same[N];
    static struct fv_roc_point expected[N + 1];
    struct fv_rng r = fv_rng_at(6, 0, 0, FV_RNG_TEST);

    (void)state;
    for (size_t n = 2; n <= N; n = n < 12 ? n + 1 : 3 * n)
        for (int spread = 0; spread < 5; spread++) {
            for (size_t i = 0; i < n; i++) {
                const double x = fv_rng_normal(&r);
                score[i] = spread == 0   ? x
                           : spread == 1 ? floor(2 * x)
                           : spread == 2 ? (i % 2 ? 0.0 : -0.0)
                           : spread == 3 ? (i == 0 ? 1e300 : x)
                                         : floor(20 * x) / 20;
                same[i] = i == 0 || (i > 1 && x > 0.3);
            }
            const size_t k = vertices_by_comparison(score, same, n, distinct, expected);
            for (int threads = 1; threads <= 17; threads += threads < 4 ? 1 : 13) {
                struct fv_roc roc;
                assert_int_equal(fv__roc_make(&roc, score, same, n, threads), 0);
                assert_int_equal(roc.n, k);
                for (size_t v = 0; v < k; v++) {
                    assert_true(roc.point[v].threshold == expected[v].threshold);
                    assert_false(signbit(roc.point[v].threshold) && roc.point[v].threshold == 0);
                    assert_int_equal(roc.point[v].tp, expected[v].tp);
                    assert_int_equal(roc.point[v].fp, expected[v].fp);
                }
                fv_roc_free(&roc);
            }
        }
    struct fv_roc roc;
    score[N / 2] = NAN;
    for (int threads = 1; threads <= 3; threads++)
        assert_int_equal(fv__roc_make(&roc, score, same, N, threads), FV_EINVAL);
    assert_string_equal(fv_err_text(), "score 351 of 700 is not finite");
    assert_int_equal(fv_roc_make(&roc, NULL, NULL, 0), FV_EINVAL);
}

static void order_and_monotone_maps_do_not_matter(void **state)
{
    enum { N = 500 };
    double score[N], mapped[N];
    uint8_t same[N], moved[N];
    struct fv_rng r = fv_rng_at(3, 0, 0, FV_RNG_TEST);
    struct fv_roc a, b;
    struct fv_eer ea, eb;
    struct fv_best ba, bb;

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
    fv_roc_best(&a, &ba);
    fv_roc_best(&b, &bb);
    assert_true(fv_roc_auc(&a) == fv_roc_auc(&b) && fv_roc_auc_error(&a) == fv_roc_auc_error(&b));
    assert_true(ea.eer == eb.eer && ea.low == eb.low && ea.high == eb.high &&
                ba.accuracy == bb.accuracy);
    for (int k = 0; fv_tpr_rules[k].name; k++)
        for (double f = 0; f < 1; f += 1.0 / 64) {
            struct fv_tpr ta, tb;
            fv_tpr_rules[k].at(&a, f, &ta);
            fv_tpr_rules[k].at(&b, f, &tb);
            assert_true(ta.tpr == tb.tpr && ta.fmr == tb.fmr &&
                        ta.false_matches == tb.false_matches);
        }
    fv_roc_free(&a);
    fv_roc_free(&b);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_to_others),
        cmocka_unit_test(extremes_are_exact),
        cmocka_unit_test(what_cannot_be_scored_is_refused),
        cmocka_unit_test(resolution_is_flagged),
        cmocka_unit_test(the_rate_asked_for_is_allowed),
        cmocka_unit_test(the_best_threshold_separates),
        cmocka_unit_test(an_exact_crossing_has_no_interval),
        cmocka_unit_test(folds_follow_the_list_or_its_kinds),
        cmocka_unit_test(rules_of_three_and_thirty),
        cmocka_unit_test(sorted_as_by_comparison),
        cmocka_unit_test(any_number_of_threads_makes_the_same_vertices),
        cmocka_unit_test(order_and_monotone_maps_do_not_matter),
    };
    if (argc != 2)
        return 2;
    golden_path = argv[1];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
