/* SPDX-License-Identifier: MIT */
/* Goodness of fit: how probable it is that draws of a given law fit it no better than these do; and
 * the laws. */
#ifndef FV_TESTS_AUGMENT_GOODNESS_H
#define FV_TESTS_AUGMENT_GOODNESS_H

#include "tests/cmocka_all.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define GOODNESS_LIMIT 0.001

static inline int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* Kolmogorov and Smirnov, with Stephens's (1970) correction of the asymptotic distribution, good to 1e-4 from n = 8
 * on. Sorts the values. */
static inline double ks_p(double *value, int n, double (*cdf)(double x, const double *law),
                          const double *law)
{
    const double root = sqrt(n);
    double d = 0, p = 0, sign = 2;

    qsort(value, (size_t)n, sizeof *value, ascending);
    for (int i = 0; i < n; i++) {
        const double f = cdf(value[i], law);
        if (!(f >= 0 && f <= 1))
            return 0;
        d = fmax(d, fmax(f - (double)i / n, (i + 1.0) / n - f));
    }
    const double lambda = (root + 0.12 + 0.11 / root) * d;
    if (lambda < 0.2) /* the series is of no use there; 1 to 11 digits */
        return 1;
    for (int k = 1; k <= 100; k++, sign = -sign)
        p += sign * exp(-2 * k * k * lambda * lambda);
    return fmin(fmax(p, 0), 1);
}

/* The upper regularised incomplete gamma function, by its series or its continued fraction (DLMF 8.7.1, 8.9.2). */
static inline double gamma_q(double a, double x)
{
    const double front = exp(a * log(x) - x - lgamma(a));

    if (x <= 0)
        return 1;
    if (x < a + 1) {
        double term = 1 / a, sum = term;
        for (double k = a + 1; term > sum * 1e-16; k++)
            sum += term *= x / k;
        return 1 - front * sum;
    }
    double b = x + 1 - a, c = 1e300, d = 1 / b, value = d;
    for (int i = 1; i < 10000; i++) {
        const double an = -i * (i - a);
        b += 2;
        d = 1 / (an * d + b);
        c = b + an / c;
        value *= c * d;
        if (fabs(c * d - 1) < 1e-15)
            break;
    }
    return front * value;
}

/* Pearson's chi-square of `kinds` counts that add up to n. A kind of share 0 must not occur. */
static inline double chi2_p(const int *count, const double *share, int kinds)
{
    double n = 0, chi2 = 0;
    int freedom = -1;

    for (int i = 0; i < kinds; i++)
        n += count[i];
    for (int i = 0; i < kinds; i++) {
        const double expected = n * share[i];
        if (share[i] > 0) {
            chi2 += (count[i] - expected) * (count[i] - expected) / expected;
            freedom++;
        } else if (count[i]) {
            return 0;
        }
    }
    return freedom > 0 ? gamma_q(0.5 * freedom, 0.5 * chi2) : 1;
}

/* --- laws: distribution functions */

/* law: its two bounds */
static inline double uniform(double x, const double *law)
{
    return x <= law[0] ? 0 : x >= law[1] ? 1 : (x - law[0]) / (law[1] - law[0]);
}

static inline double log_uniform(double x, const double *law)
{
    return uniform(log(x), (const double[]){log(law[0]), log(law[1])});
}

/* The regularised incomplete beta function, by its continued fraction (DLMF 8.17.22). law: both parameters */
static inline double beta(double x, const double *law)
{
    const double a = law[0], b = law[1];

    if (x <= 0 || x >= 1)
        return x >= 1;
    if (x > (a + 1) / (a + b + 2))
        return 1 - beta(1 - x, (const double[]){b, a});
    double c = 1, d = 1 / (1 - (a + b) * x / (a + 1)), f = d;
    for (int m = 1; m < 1000; m++) {
        const double even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
        const double odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
        d = 1 / (1 + even * d);
        c = 1 + even / c;
        f *= c * d;
        d = 1 / (1 + odd * d);
        c = 1 + odd / c;
        f *= c * d;
        if (fabs(c * d - 1) < 1e-15)
            break;
    }
    return exp(a * log(x) + b * log1p(-x) + lgamma(a + b) - lgamma(a) - lgamma(b)) * f / a;
}

/* Fails the test unless p is above one in a thousand. */
static inline void check_p(const char *what, double p)
{
    printf("%-44s p %.4f\n", what, p);
    if (!(p > GOODNESS_LIMIT))
        fail_msg("%s: p %g", what, p);
}

#endif
