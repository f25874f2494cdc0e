/* SPDX-License-Identifier: MIT */
/* Inverses are found by halving, which cannot miss and is only asked for a handful of times. */
#include "trainer/eval/rates.h"

#include <math.h>

double fv_normal_below(double z)
{
    return 0.5 * erfc(-z / sqrt(2));
}

double fv_normal_quantile(double p)
{
    const double tail = p < 0.5 ? p : 1 - p;
    double low = -40, high = 0;

    for (int i = 0; i < 80; i++) {
        const double middle = (low + high) / 2;
        if (fv_normal_below(middle) < tail)
            low = middle;
        else
            high = middle;
    }
    return p < 0.5 ? high : -high;
}

struct fv_interval fv_rate_wilson(uint64_t k, uint64_t n, double level)
{
    const double z = fv_normal_quantile(0.5 + level / 2), m = (double)n, p = (double)k / m;
    const double centre = (p + z * z / (2 * m)) / (1 + z * z / m);
    const double half = z / (1 + z * z / m) * sqrt(p * (1 - p) / m + z * z / (4 * m * m));

    return (struct fv_interval){k == 0 ? 0 : centre - half, k == n ? 1 : centre + half};
}

/* The continued fraction of the incomplete beta function by Lentz's method (Numerical Recipes, 6.4); it converges
 * fast for x < (a + 1) / (a + b + 2). */
static double beta_fraction(double x, double a, double b)
{
    const double tiny = 1e-300;
    double c = 1, d = 1 - (a + b) * x / (a + 1);

    d = 1 / (fabs(d) < tiny ? tiny : d);
    double f = d;
    for (int m = 1; m < 100000; m++) {
        for (int odd = 0; odd < 2; odd++) {
            const double k = m,
                         e = odd ? -(a + k) * (a + b + k) * x / ((a + 2 * k) * (a + 2 * k + 1))
                                 : k * (b - k) * x / ((a + 2 * k - 1) * (a + 2 * k));
            d = 1 + e * d;
            c = 1 + e / c;
            d = 1 / (fabs(d) < tiny ? tiny : d);
            c = fabs(c) < tiny ? tiny : c;
            f *= c * d;
        }
        if (fabs(c * d - 1) < 1e-16)
            break;
    }
    return f;
}

/* I_x(a, b), the distribution of Beta(a, b). */
static double beta_below(double x, double a, double b)
{
    if (x <= 0 || x >= 1)
        return x >= 1;
    const double front = exp(lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(x) + b * log1p(-x));
    return x < (a + 1) / (a + b + 2) ? front * beta_fraction(x, a, b) / a
                                     : 1 - front * beta_fraction(1 - x, b, a) / b;
}

static double beta_quantile(double p, double a, double b)
{
    double low = 0, high = 1;

    for (int i = 0; i < 100; i++) {
        const double middle = (low + high) / 2;
        if (beta_below(middle, a, b) < p)
            low = middle;
        else
            high = middle;
    }
    return high;
}

struct fv_interval fv_rate_exact(uint64_t k, uint64_t n, double level)
{
    const double outside = (1 - level) / 2, x = (double)k, m = (double)n;

    return (struct fv_interval){k == 0 ? 0 : beta_quantile(outside, x, m - x + 1),
                                k == n ? 1 : beta_quantile(1 - outside, x + 1, m - x)};
}

double fv_rate_none_seen(uint64_t n, double level)
{
    return -expm1(log1p(-level) / (double)n);
}
