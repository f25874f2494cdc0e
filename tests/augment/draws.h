/* SPDX-License-Identifier: MIT */
/* What tests of distributions work on: a policy in use, N values drawn or a count of each kind, and the checks. */
#ifndef FV_TESTS_AUGMENT_DRAWS_H
#define FV_TESTS_AUGMENT_DRAWS_H

#include "augment/policy.h"
#include "tests/augment/goodness.h"

#include <string.h>

enum { N = 100000, LARGE = 16384, MOST_KINDS = 256 };

static double value[N];
static int count[MOST_KINDS];
static double share[MOST_KINDS];

static inline void check_values(const char *what, double (*cdf)(double x, const double *law),
                                double a, double b)
{
    check_p(what, ks_p(value, N, cdf, (const double[]){a, b}));
}

static struct fv_policy *policy;
static uint64_t seed; /* another one for each policy, or all would be tested on the same draws */

static inline void use(const char *text)
{
    seed++;
    fv_policy_free(&policy);
    assert_int_equal(fv_policy_parse(&policy, text), 0);
    memset(count, 0, sizeof count);
    memset(share, 0, sizeof share);
}

/* `kinds` equally probable kinds. */
static inline void check_equal_counts(const char *what, int kinds)
{
    for (int i = 0; i < kinds; i++)
        share[i] = 1.0 / kinds;
    check_p(what, chi2_p(count, share, kinds));
}

static inline int free_policy(void **state)
{
    (void)state;
    fv_policy_free(&policy);
    return 0;
}

#endif
