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

enum { BUCKETS = 8192, /* two a score: few have to be put in order */ FEW = 24, DEPTH = 6 };

static int descending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x < y) - (x > y);
}

/* Puts v[i] where it belongs among those before it. */
static void insert_last(double *v, size_t i)
{
    const double x = v[i];

    for (; i > 0 && v[i - 1] < x; i--)
        v[i] = v[i - 1];
    v[i] = x;
}

void fv__scores_range(const double *v, size_t n, double *low, double *high)
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
    *low = lo[0];
    *high = hi[0];
    for (int k = 1; k < LANES; k++) {
        *low = lo[k] < *low ? lo[k] : *low;
        *high = hi[k] > *high ? hi[k] : *high;
    }
    for (; i < n; i++) {
        *low = v[i] < *low ? v[i] : *low;
        *high = v[i] > *high ? v[i] : *high;
    }
}

int fv__deal_plan(struct fv__deal *d, double low, double high, size_t buckets)
{
    *d = (struct fv__deal){high, (double)buckets / (high - low), (int)buckets - 1};
    if (high > low && isfinite(high - low) && isfinite(d->scale))
        return 1;
    *d = (struct fv__deal){high, 0, 0};
    return 0;
}

/* The sort of v, which is in order but for neighbours within a bucket. */
static void insert_all(double *v, size_t n)
{
    for (size_t i = 1; i < n; i++)
        if (v[i - 1] < v[i])
            insert_last(v, i);
}

static void sort_from(double *from, double *to, size_t n, int depth);

static void sort_buckets(double *from, double *to, const uint32_t *end, size_t buckets, int depth)
{
    for (size_t b = 0, begin = 0; b < buckets; begin = end[b++]) {
        const size_t count = end[b] - begin;
        if (count > FEW) {
            memcpy(from + begin, to + begin, count * sizeof *to);
            sort_from(from + begin, to + begin, count, depth + 1);
        } else {
            insert_all(to + begin, count);
        }
    }
}

static void sort_from(double *from, double *to, size_t n, int depth)
{
    const size_t buckets = 2 * n < BUCKETS ? 2 * n : BUCKETS;
    struct fv__deal d;
    double low, high;

    if (n > FEW)
        fv__scores_range(from, n, &low, &high);
    if (n <= FEW || n > UINT32_MAX || depth == DEPTH || !fv__deal_plan(&d, low, high, buckets)) {
        memcpy(to, from, n * sizeof *to);
        if (n <= FEW)
            insert_all(to, n);
        else if (memcmp(to, to + 1, (n - 1) * sizeof *to) != 0) /* not all the same */
            qsort(to, n, sizeof *to, descending);
        return;
    }
    uint32_t end[BUCKETS], sum = 0, most = 0;
    memset(end, 0, buckets * sizeof *end);
    for (size_t i = 0; i < n; i++)
        end[fv__bucket_of(&d, from[i])]++;
    for (size_t b = 0; b < buckets; b++) {
        const uint32_t count = end[b];
        most = count > most ? count : most;
        end[b] = sum;
        sum += count;
    }
    for (size_t i = 0; i < n; i++)
        to[end[fv__bucket_of(&d, from[i])]++] = from[i];
    if (most > FEW)
        sort_buckets(from, to, end, buckets, depth);
    else
        insert_all(to, n);
}

void fv__sort_scores(double *from, double *to, size_t n)
{
    sort_from(from, to, n, 0);
}
