/* SPDX-License-Identifier: MIT */
/* Philox against Random123's published known answers; distributions by exact moments; the permutation by
 * being one. */
#include "common/rng.h"
#include "tests/cmocka_all.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static void philox_known_answers(void **state)
{
    /* From Random123's kat_vectors, "philox4x32 10". */
    static const struct {
        uint32_t ctr[4], key[2], out[4];
    } kat[] = {
        {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{~0u, ~0u, ~0u, ~0u}, {~0u, ~0u}, {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
         {0xa4093822, 0x299f31d0},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };

    (void)state;
    for (size_t i = 0; i < sizeof kat / sizeof kat[0]; i++) {
        uint32_t out[4];
        fv_philox4x32_10(kat[i].key, kat[i].ctr, out);
        assert_memory_equal(out, kat[i].out, sizeof out);
    }
}

static void streams_are_functions_of_their_key(void **state)
{
    struct fv_rng a = fv_rng_at(7, 3, 1000, FV_RNG_TEST), b = fv_rng_at(7, 3, 1000, FV_RNG_TEST);
    struct fv_rng other[] = {
        fv_rng_at(8, 3, 1000, FV_RNG_TEST),
        fv_rng_at(7, 4, 1000, FV_RNG_TEST),
        fv_rng_at(7, 3, 1001, FV_RNG_TEST),
        fv_rng_at(7, 3, 1000 + ((uint64_t)1 << 32), FV_RNG_TEST),
        fv_rng_at(7, 3, 1000, FV_RNG_TEST - 1),
        fv_rng_at(7 + ((uint64_t)1 << 32), 3, 1000, FV_RNG_TEST),
    };
    const uint64_t first = fv_rng_u64(&a);

    (void)state;
    assert_int_equal(first, fv_rng_u64(&b));
    for (size_t i = 0; i < sizeof other / sizeof other[0]; i++)
        assert_int_not_equal(first, fv_rng_u64(&other[i]));
    for (int i = 0; i < 100; i++)
        assert_int_equal(fv_rng_u32(&a), fv_rng_u32(&b));
}

/* The mean of n draws lies within 5 standard errors of the true mean: one failure in two million seeds,
 * and the seed is fixed. */
static void check_moments(double (*draw)(struct fv_rng *), double mean, double variance)
{
    enum { N = 200000 };
    struct fv_rng r = fv_rng_at(1, 0, 0, FV_RNG_TEST);
    double sum = 0, squares = 0;

    for (int i = 0; i < N; i++) {
        const double x = draw(&r);
        sum += x;
        squares += (x - mean) * (x - mean);
    }
    assert_true(fabs(sum / N - mean) < 5 * sqrt(variance / N));
    assert_true(fabs(squares / N - variance) < 0.05 * variance);
}

static double draw_below(struct fv_rng *r)
{
    return fv_rng_below(r, 10);
}
static double draw_gamma(struct fv_rng *r)
{
    return fv_rng_gamma(r, 2.5);
}
static double draw_gamma_small(struct fv_rng *r)
{
    return fv_rng_gamma(r, 0.4);
}
static double draw_beta(struct fv_rng *r)
{
    return fv_rng_beta(r, 0.5, 2.0);
}

static void distributions_have_their_moments(void **state)
{
    (void)state;
    check_moments(fv_rng_unit, 0.5, 1.0 / 12);
    check_moments(draw_below, 4.5, 99.0 / 12);
    check_moments(fv_rng_normal, 0, 1);
    check_moments(draw_gamma, 2.5, 2.5);
    check_moments(draw_gamma_small, 0.4, 0.4);
    check_moments(draw_beta, 0.2, 0.5 * 2.0 / (2.5 * 2.5 * 3.5));
}

static void below_covers_its_range_and_no_more(void **state)
{
    struct fv_rng r = fv_rng_at(2, 0, 0, FV_RNG_TEST);
    int seen[7] = {0};

    (void)state;
    for (int i = 0; i < 70000; i++) {
        const uint32_t v = fv_rng_below(&r, 7);
        assert_true(v < 7);
        seen[v]++;
    }
    for (int v = 0; v < 7; v++)
        assert_true(abs(seen[v] - 10000) < 500);
    assert_int_equal(fv_rng_below(&r, 1), 0);
}

static void permutations_are_permutations(void **state)
{
    static const uint64_t sizes[] = {1, 2, 3, 4, 5, 16, 17, 255, 1000, 4097};

    (void)state;
    for (size_t k = 0; k < sizeof sizes / sizeof sizes[0]; k++) {
        const uint64_t n = sizes[k];
        unsigned char *hit = calloc(n, 1);
        for (uint64_t i = 0; i < n; i++) {
            const uint64_t p = fv_rng_permute(11, 5, n, i);
            assert_true(p < n);
            assert_int_equal(hit[p]++, 0);
        }
        free(hit);
    }
}

static void permutations_differ_and_mix(void **state)
{
    enum { N = 10000 };
    int fixed = 0, same_as_next_epoch = 0, ascending = 0;

    (void)state;
    for (uint64_t i = 0; i < N; i++) {
        const uint64_t p = fv_rng_permute(1, 0, N, i);
        fixed += p == i;
        same_as_next_epoch += p == fv_rng_permute(1, 1, N, i);
        ascending += i > 0 && p > fv_rng_permute(1, 0, N, i - 1);
    }
    /* A random permutation has 1 fixed point on average (Poisson), and half its steps ascend. */
    assert_true(fixed < 8);
    assert_true(same_as_next_epoch < 8);
    assert_true(abs(ascending - N / 2) < 250);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(philox_known_answers),
        cmocka_unit_test(streams_are_functions_of_their_key),
        cmocka_unit_test(distributions_have_their_moments),
        cmocka_unit_test(below_covers_its_range_and_no_more),
        cmocka_unit_test(permutations_are_permutations),
        cmocka_unit_test(permutations_differ_and_mix),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
