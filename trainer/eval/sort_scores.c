/* SPDX-License-Identifier: MIT */
/* Scores are spread over a bounded range, so they are dealt into buckets by value, which takes two passes over memory
 * for ten million where a sort by comparison takes twenty-three. (hi - x) * scale never grows with x, whatever the
 * rounding, so the buckets are in order; what fell into one is dealt again, or inserted when few. Scores that will not
 * spread (1, 1e-10, 1e-20, ...) reach the limit of depth and are left to qsort.
 */
#include "trainer/eval/sort_scores.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { BUCKETS = 2048, FEW = 24, DEPTH = 6 };

static int descending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x < y) - (x > y);
}

/* from and to may be the same. */
static void insert_few(const double *from, double *to, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const double x = from[i];
        size_t k = i;
        for (; k > 0 && to[k - 1] < x; k--)
            to[k] = to[k - 1];
        to[k] = x;
    }
}

struct deal {
    double high, scale;
    size_t last; /* bucket */
};

static size_t bucket_of(const struct deal *d, double x)
{
    const size_t b = (size_t)((d->high - x) * d->scale);
    return b < d->last ? b : d->last;
}

/* Zero where all are equal or too far apart for the arithmetic. */
static int plan_deal(struct deal *d, const double *v, size_t n)
{
    enum { LANES = 8 }; /* that do not wait for each other */
    double lo[LANES], hi[LANES];
    size_t i = 0;

    for (int k = 0; k < LANES; k++)
        lo[k] = hi[k] = v[0];
    for (; i + LANES <= n; i += LANES)
        for (int k = 0; k < LANES; k++) {
            lo[k] = v[i + (size_t)k] < lo[k] ? v[i + (size_t)k] : lo[k];
            hi[k] = v[i + (size_t)k] > hi[k] ? v[i + (size_t)k] : hi[k];
        }
    double low = lo[0], high = hi[0];
    for (int k = 1; k < LANES; k++) {
        low = lo[k] < low ? lo[k] : low;
        high = hi[k] > high ? hi[k] : high;
    }
    for (; i < n; i++) {
        low = v[i] < low ? v[i] : low;
        high = v[i] > high ? v[i] : high;
    }
    const size_t buckets = n < BUCKETS ? n : BUCKETS;
    *d = (struct deal){high, (double)buckets / (high - low), buckets - 1};
    return high > low && isfinite(high - low) && isfinite(d->scale);
}

static void sort_from(double *v, double *scratch, size_t n, int depth)
{
    struct deal d;

    if (n <= FEW) {
        insert_few(v, v, n);
        return;
    }
    if (!plan_deal(&d, v, n) || depth == DEPTH) {
        if (memcmp(v, v + 1, (n - 1) * sizeof *v) != 0) /* not all the same */
            qsort(v, n, sizeof *v, descending);
        return;
    }
    size_t end[BUCKETS], sum = 0;
    memset(end, 0, (d.last + 1) * sizeof *end);
    for (size_t i = 0; i < n; i++)
        end[bucket_of(&d, v[i])]++;
    for (size_t b = 0; b <= d.last; b++) {
        const size_t count = end[b];
        end[b] = sum;
        sum += count;
    }
    for (size_t i = 0; i < n; i++)
        scratch[end[bucket_of(&d, v[i])]++] = v[i];
    for (size_t b = 0, begin = 0; b <= d.last; begin = end[b++]) {
        const size_t count = end[b] - begin;
        if (count > FEW) {
            sort_from(scratch + begin, v + begin, count, depth + 1);
            memcpy(v + begin, scratch + begin, count * sizeof *v);
        } else {
            insert_few(scratch + begin, v + begin, count);
        }
    }
}

void fv__sort_scores(double *v, double *scratch, size_t n)
{
    sort_from(v, scratch, n, 0);
}
