/* SPDX-License-Identifier: MIT */
/* Principal components against exact arguments: a plane in space comes back as itself, shares as they were put in, and
 * the plane found holds more variance than any pair of axes does. */
#include "tests/cmocka_all.h"

#include "common/err.h"
#include "tools/report/pca.h"

#include <math.h>
#include <stdlib.h>

/* (a_i, b_i) along two orthonormal directions of space, where a and b are uncorrelated and of mean 0. */
static void a_plane_is_found(void **state)
{
    enum { N = 8, DIM = 16 };
    static const double a[N] = {4, -4, 4, -4, 0, 0, 2, -2}, b[N] = {1, 1, -1, -1, 3, -3, 0, 0};
    float v[N * DIM];
    struct pca p;
    (void)state;
    for (int i = 0; i < N; i++)
        for (int k = 0; k < DIM;
             k++) /* columns of a Hadamard matrix, each of length 4, plus a shift */
            v[i * DIM + k] = (float)(a[i] * (k & 1 ? -0.25 : 0.25) + b[i] * (k & 2 ? -0.25 : 0.25) +
                                     (k == 5 ? 10 : 0));
    assert_int_equal(pca_make(&p, v, N, DIM), FV_OK);
    const double of_a = 4 * 16 + 2 * 4, of_b = 4 * 1 + 2 * 9;
    assert_true(fabs(p.share[0] - of_a / (of_a + of_b)) < 1e-12);
    assert_true(fabs(p.share[1] - of_b / (of_a + of_b)) < 1e-12);
    for (int i = 0; i < N; i++) {
        assert_true(fabs(fabs(p.xy[2 * i]) - fabs(a[i])) < 1e-9);
        assert_true(fabs(fabs(p.xy[2 * i + 1]) - fabs(b[i])) < 1e-9);
        for (int j = 0; j < i; j++) { /* distances know signs */
            const double d = hypot(p.xy[2 * i] - p.xy[2 * j], p.xy[2 * i + 1] - p.xy[2 * j + 1]);
            assert_true(fabs(d - hypot(a[i] - a[j], b[i] - b[j])) < 1e-9);
        }
    }
    pca_free(&p);
}

static void more_than_any_two_axes(void **state)
{
    enum { N = 60, DIM = 24 };
    float v[N * DIM];
    double var[DIM], total = 0, first = 0, second = 0, along[2] = {0, 0}, mixed = 0;
    struct pca p;
    unsigned seed = 7;
    (void)state;
    for (int i = 0; i < N * DIM; i++) {
        seed = seed * 1664525 + 1013904223;
        v[i] = (float)(seed >> 8) / (1 << 24) * (float)(1 + i % DIM);
    }
    for (int k = 0; k < DIM; k++) {
        double mean = 0;
        var[k] = 0;
        for (int i = 0; i < N; i++)
            mean += v[i * DIM + k] / (double)N;
        for (int i = 0; i < N; i++)
            var[k] += (v[i * DIM + k] - mean) * (v[i * DIM + k] - mean);
        total += var[k];
        if (var[k] > first) {
            second = first;
            first = var[k];
        } else if (var[k] > second) {
            second = var[k];
        }
    }
    assert_int_equal(pca_make(&p, v, N, DIM), FV_OK);
    assert_true(p.share[0] >= p.share[1]);
    assert_true(p.share[0] >= first / total && p.share[0] + p.share[1] >= (first + second) / total);
    for (int i = 0; i < N; i++) {
        along[0] += p.xy[2 * i] * p.xy[2 * i];
        along[1] += p.xy[2 * i + 1] * p.xy[2 * i + 1];
        mixed += p.xy[2 * i] * p.xy[2 * i + 1];
    }
    assert_true(fabs(along[0] / total - p.share[0]) < 1e-12);
    assert_true(fabs(along[1] / total - p.share[1]) < 1e-12);
    assert_true(fabs(mixed / total) < 1e-12); /* components are uncorrelated */
    pca_free(&p);
}

static void nothing_to_see(void **state)
{
    const float equal[6] = {1, 2, 1, 2, 1, 2};
    struct pca p;
    (void)state;
    assert_int_equal(pca_make(&p, equal, 3, 2), FV_EINVAL);
    assert_int_equal(pca_make(&p, equal, 2, 3), FV_EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_plane_is_found),
        cmocka_unit_test(more_than_any_two_axes),
        cmocka_unit_test(nothing_to_see),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
