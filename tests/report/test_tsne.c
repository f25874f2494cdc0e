/* SPDX-License-Identifier: MIT */
/* The map beside scikit-learn's exact one (tests/golden/make_tsne_golden.py has the form of the file): neighbours equal
 * to those of a restatement, and divergence and trustworthiness in the range of its maps. */
#include "tests/cmocka_all.h"

#include "common/err.h"
#include "tools/report/tsne.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { MOST = 256, MOST_DIM = 16, AMONG = 10 };

static const char *golden;

static double square_distance(const double *a, const double *b, int dim)
{
    double sum = 0;

    for (int k = 0; k < dim; k++)
        sum += (a[k] - b[k]) * (a[k] - b[k]);
    return sum;
}

/* Of j as a neighbour of i, from 1, ties by place. */
static int rank_of(const double *x, int n, int dim, int i, int j)
{
    const double d = square_distance(x + i * dim, x + j * dim, dim);
    int rank = 1;

    for (int k = 0; k < n; k++) {
        const double other = square_distance(x + i * dim, x + k * dim, dim);
        rank += k != i && k != j && (other < d || (other == d && k < j));
    }
    return rank;
}

/* Venna and Kaski, 2001: what comes among the nearest without having been near costs its rank. */
static double trustworthiness(const double *v, int dim, const double *xy, int n)
{
    double cost = 0;

    for (int i = 0; i < n; i++)
        for (int j = 0; j < n; j++)
            if (j != i && rank_of(xy, n, 2, i, j) <= AMONG)
                cost += fmax(0, rank_of(v, n, dim, i, j) - AMONG);
    return 1 - cost * 2 / ((double)n * AMONG * (2.0 * n - 3 * AMONG - 1));
}

static void check_neighbours(FILE *f, const float *v, int n, int dim, double perplexity)
{
    double *p = malloc((size_t)n * (size_t)n * sizeof *p), want, sum = 0;

    assert_int_equal(tsne_neighbours(p, v, (size_t)n, dim, perplexity), FV_OK);
    assert_int_equal(fscanf(f, " p"), 0);
    for (int i = 0; i < n; i++)
        for (int j = 0; j < i; j++) {
            assert_int_equal(fscanf(f, " %lf", &want), 1);
            assert_true(fabs(p[i * n + j] - want) < 1e-9);
            assert_true(p[i * n + j] == p[j * n + i]);
            sum += 2 * p[i * n + j];
        }
    assert_true(fabs(sum - 1) < 1e-9);
    free(p);
}

static void as_good_as_scikit_learn(void **state)
{
    static float v[MOST * MOST_DIM];
    static double as_double[MOST * MOST_DIM], xy[2 * MOST];
    double perplexity, kl, kl_of[2], trust_of[2];
    char line[256];
    int n, dim, sets = 0;
    FILE *f = fopen(golden, "r");
    (void)state;
    assert_non_null(f);
    assert_non_null(fgets(line, sizeof line, f)); /* versions */
    while (fscanf(f, " set %d %d %lf %lf %lf %lf %lf", &n, &dim, &perplexity, &kl_of[0], &kl_of[1],
                  &trust_of[0], &trust_of[1]) == 7) {
        for (int i = 0; i < n; i++) {
            assert_int_equal(fscanf(f, " v"), 0);
            for (int k = 0; k < dim; k++) {
                assert_int_equal(fscanf(f, " %f", &v[i * dim + k]), 1);
                as_double[i * dim + k] = (double)v[i * dim + k];
            }
        }
        if (sets++ == 0)
            check_neighbours(f, v, n, dim, perplexity);
        assert_int_equal(tsne_make(xy, v, (size_t)n, dim, perplexity, &kl), FV_OK);
        const double trust = trustworthiness(as_double, dim, xy, n);
        print_message("n %d: divergence %.4f (%.4f to %.4f), trustworthiness %.4f (%.4f to %.4f)\n",
                      n, kl, kl_of[0], kl_of[1], trust, trust_of[0], trust_of[1]);
        assert_true(kl < 1.02 * kl_of[1] && kl > 0.8 * kl_of[0]);
        assert_true(trust > trust_of[0] - 0.005);
    }
    assert_int_equal(sets, 4);
    fclose(f);
}

static void nothing_to_see(void **state)
{
    const float equal[8] = {1, 2, 1, 2, 1, 2, 1, 2};
    const float twice[10] = {0, 0, 0, 0, 1, 0, 0, 1, 5, 5}; /* two are equal, one lies apart */
    double xy[10];
    (void)state;
    assert_int_equal(tsne_make(xy, equal, 4, 2, 0, NULL), FV_EINVAL);
    assert_int_equal(tsne_make(xy, twice, 3, 2, 0, NULL), FV_EINVAL);
    assert_int_equal(tsne_make(xy, twice, 5, 2, 0, NULL), FV_OK);
    for (int i = 0; i < 10; i++)
        assert_true(isfinite(xy[i]));
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_good_as_scikit_learn),
        cmocka_unit_test(nothing_to_see),
    };
    golden = argc > 1 ? argv[1] : "tests/golden/tsne.txt";
    return cmocka_run_group_tests(tests, NULL, NULL);
}
