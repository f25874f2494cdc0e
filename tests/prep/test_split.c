/* SPDX-License-Identifier: MIT */
/* The split rule: exact counts, a function of names and seed alone, and steady when names come or go. */
#include "prep/pack/split.h"

#include "common/rng.h"
#include "tests/cmocka_all.h"

#include <stdio.h>
#include <string.h>

enum { MANY = 200 };
static char text[MANY][16];
static const char *name[MANY];

static int setup(void **state)
{
    (void)state;
    for (int i = 0; i < MANY; i++) {
        snprintf(text[i], sizeof text[i], "person%03d", i);
        name[i] = text[i];
    }
    return 0;
}

static void counts_are_exact(void **state)
{
    (void)state;
    static const struct {
        double share;
        size_t n, want;
    } cases[] = {
        {0, 40, 0},    {0.25, 40, 10}, {0.15, 95, 14}, {0.15, 10, 2}, {0.16, 95, 15}, {0.5, 3, 2},
        {0.01, 40, 1}, {0.99, 40, 39}, {0.5, 1, 0},    {0.5, 2, 1},   {0.1, 0, 0},    {1, 40, 40},
        {0.1, 10, 1},  {0.1, 14, 1},   {0.1, 15, 2},   {0.1, 85, 9},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(fv__split_count(cases[i].share, cases[i].n), cases[i].want);
}

static void rank_is_philox_at_the_names_hash(void **state)
{
    (void)state;
    /* FNV-1a of "foobar", from its authors' test vectors */
    struct fv_rng r = fv_rng_at(7, 0, 0x85944171f73967e8u, FV_RNG_SPLIT);
    assert_true(fv__split_rank(7, FV_SPLIT_IDENTITIES, "foobar") == fv_rng_u64(&r));
    assert_true(fv__split_rank(7, FV_SPLIT_IMAGES, "foobar") !=
                fv__split_rank(7, FV_SPLIT_IDENTITIES, "foobar"));
    assert_true(fv__split_rank(8, FV_SPLIT_IMAGES, "foobar") !=
                fv__split_rank(7, FV_SPLIT_IMAGES, "foobar"));
}

static void chooses_the_lowest_ranks_in_any_order(void **state)
{
    (void)state;
    uint8_t a[MANY], b[MANY];
    const char *back[MANY];
    int n = 0;
    for (int i = 0; i < MANY; i++)
        back[i] = name[MANY - 1 - i];
    assert_int_equal(fv__split_choose(1, FV_SPLIT_IDENTITIES, name, MANY, 30, a), 0);
    assert_int_equal(fv__split_choose(1, FV_SPLIT_IDENTITIES, back, MANY, 30, b), 0);
    for (int i = 0; i < MANY; i++) {
        assert_int_equal(a[i], b[MANY - 1 - i]);
        n += a[i];
        for (int j = 0; j < MANY; j++)
            if (a[i] && !a[j])
                assert_true(fv__split_rank(1, FV_SPLIT_IDENTITIES, name[i]) <
                            fv__split_rank(1, FV_SPLIT_IDENTITIES, name[j]));
    }
    assert_int_equal(n, 30);
}

static void an_identity_more_moves_at_most_one_each_way(void **state)
{
    (void)state;
    uint8_t less[MANY], more[MANY];
    for (uint64_t seed = 1; seed <= 5; seed++)
        for (size_t n = 10; n < MANY; n++) {
            size_t k = fv__split_count(0.15, n), k1 = fv__split_count(0.15, n + 1);
            size_t in = 0, out = 0;
            assert_int_equal(fv__split_choose(seed, FV_SPLIT_IDENTITIES, name, n, k, less), 0);
            assert_int_equal(fv__split_choose(seed, FV_SPLIT_IDENTITIES, name, n + 1, k1, more), 0);
            for (size_t i = 0; i < n; i++) {
                in += more[i] && !less[i];
                out += less[i] && !more[i];
            }
            assert_true(in <= k1 - k && out <= 1);
            assert_int_equal(k + in - out + more[n], k1);
        }
}

static void seeds_choose_evenly(void **state)
{
    (void)state;
    /* 15 of 100 under 2000 seeds: each name 300 times in the mean, deviation 16 */
    uint8_t chosen[100];
    int times[100] = {0};
    for (uint64_t seed = 0; seed < 2000; seed++) {
        assert_int_equal(fv__split_choose(seed, FV_SPLIT_IDENTITIES, name, 100, 15, chosen), 0);
        for (int i = 0; i < 100; i++)
            times[i] += chosen[i];
    }
    for (int i = 0; i < 100; i++)
        assert_in_range(times[i], 300 - 5 * 16, 300 + 5 * 16);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_are_exact),
        cmocka_unit_test(rank_is_philox_at_the_names_hash),
        cmocka_unit_test(chooses_the_lowest_ranks_in_any_order),
        cmocka_unit_test(an_identity_more_moves_at_most_one_each_way),
        cmocka_unit_test(seeds_choose_evenly),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
