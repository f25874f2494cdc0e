/* SPDX-License-Identifier: MIT */
/* Intervals of a gallery's figures: how often they hold the truth of a simulation with people who are easy or hard to
 * find, and the exact distribution where everybody has one probe. */
#include "common/err.h"
#include "tests/cmocka_all.h"
#include "trainer/eval/gallery_bootstrap.h"

#include <math.h>
#include <string.h>

enum { PEOPLE = 80, PROBES = 6, N = PEOPLE * PROBES };

static uint64_t state_of = 88172645463325252u;

static double uniform(void)
{
    state_of ^= state_of << 13;
    state_of ^= state_of >> 7;
    state_of ^= state_of << 17;
    return (double)(state_of >> 11) / 9007199254740992.0;
}

static void rank_1(const struct fv_answer *a, size_t n, void *ctx, double *figure)
{
    *(size_t *)ctx += n;
    figure[0] = fv_gallery_cmc(a, n, 1, 0);
}

static struct fv_answer probe(int is_found)
{
    return (struct fv_answer){.truth = 1, .best = is_found ? 1 : 0, .better = !is_found};
}

/* Half of all people are found nine times of ten, half one time of five: 0.55 on the whole. */
static void holds_the_truth_as_often_as_it_says(void **state)
{
    enum { SETS = 400 };
    struct fv_bootstrap_settings s = {.seed = 1, .replicates = 250, .level = 0.95};
    static struct fv_answer a[N];
    static uint32_t person[N], alone[N];
    int held = 0, naive = 0;
    (void)state;
    for (int set = 0; set < SETS; set++) {
        size_t drawn = 0;
        struct fv_interval of_people, of_probes;
        for (uint32_t i = 0; i < N; i++) {
            static double chance;
            if (i % PROBES == 0)
                chance = uniform() < 0.5 ? 0.9 : 0.2;
            a[i] = probe(uniform() < chance);
            person[i] = i / PROBES;
            alone[i] = i;
        }
        s.seed = (uint64_t)set;
        const struct fv_gallery_sample g = {a, person, N, PEOPLE}, h = {a, alone, N, N};
        assert_int_equal(fv_gallery_bootstrap(&g, &s, rank_1, &drawn, 1, &of_people), FV_OK);
        assert_int_equal(fv_gallery_bootstrap(&h, &s, rank_1, &drawn, 1, &of_probes), FV_OK);
        held += of_people.low <= 0.55 && of_people.high >= 0.55;
        naive += of_probes.low <= 0.55 && of_probes.high >= 0.55;
    }
    print_message("held %d of %d; one by one %d\n", held, SETS, naive);
    assert_in_range(held, SETS * 92 / 100, SETS * 98 / 100);
    assert_true(naive < SETS * 85 / 100);
}

/* With one probe a person a replicate's share is binomial: its quantiles are k / n. */
static void one_probe_each_is_binomial(void **state)
{
    enum { MANY = 200, FOUND = 60 };
    const struct fv_bootstrap_settings s = {.seed = 5, .replicates = 20000, .level = 0.9};
    static struct fv_answer a[MANY];
    static uint32_t person[MANY];
    struct fv_interval in, again;
    size_t drawn = 0;
    double below = 0, term = pow(0.7, MANY), low = -1, high = -1;
    (void)state;
    for (uint32_t i = 0; i < MANY; i++) {
        a[i] = probe(i < FOUND);
        person[i] = MANY - 1 - i;
    }
    const struct fv_gallery_sample g = {a, person, MANY, MANY + 7}; /* seven have no probe */
    assert_int_equal(fv_gallery_bootstrap(&g, &s, rank_1, &drawn, 1, &in), FV_OK);
    assert_int_equal(drawn, 20000 * MANY);
    for (int k = 0; k <= MANY; k++) {
        below += term;
        term *= (double)(MANY - k) / (k + 1) * 0.3 / 0.7;
        low = low < 0 && below >= 0.05 ? k : low;
        high = high < 0 && below >= 0.95 ? k : high;
    }
    assert_true(fabs(in.low - low / MANY) < 1.01 / MANY);
    assert_true(fabs(in.high - high / MANY) < 1.01 / MANY);
    assert_int_equal(fv_gallery_bootstrap(&g, &s, rank_1, &drawn, 1, &again), FV_OK);
    assert_true(in.low == again.low && in.high == again.high);
}

static void nothing_to_draw(void **state)
{
    const struct fv_bootstrap_settings s = {.seed = 1, .replicates = 10, .level = 0.95};
    struct fv_answer a[3] = {probe(1), probe(0), probe(1)};
    uint32_t person[3] = {0, 1, 1};
    struct fv_gallery_sample g = {a, person, 3, 2};
    struct fv_interval in;
    size_t drawn = 0;
    (void)state;
    assert_int_equal(fv_gallery_bootstrap(&g, &s, rank_1, &drawn, 1, &in), FV_EINVAL);
    person[2] = 2;
    assert_int_equal(fv_gallery_bootstrap(&g, &s, rank_1, &drawn, 1, &in), FV_EINVAL);
    g.people = 3;
    assert_int_equal(fv_gallery_bootstrap(&g, &s, rank_1, &drawn, 1, &in), FV_OK);
    a[1] = a[0];
    assert_int_equal(fv_gallery_bootstrap(&g, &s, rank_1, &drawn, 1, &in), FV_OK);
    assert_true(in.low == 1 && in.high == 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(holds_the_truth_as_often_as_it_says),
        cmocka_unit_test(one_probe_each_is_binomial),
        cmocka_unit_test(nothing_to_draw),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
