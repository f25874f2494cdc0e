/* SPDX-License-Identifier: MIT */
/* Numbers are cut where ties cannot be told apart by chance: all that equal the floor stay or, where there are too many
 * of them, all go and the floor moves above. So what is known is always "every number >= floor". */
#include "trainer/eval/highest.h"

#include "common/err.h"

#include <math.h>
#include <stdlib.h>

int fv__highest_open(struct fv_highest *h, size_t keep)
{
    *h = (struct fv_highest){.keep = keep, .floor = -INFINITY};
    h->x = malloc(2 * keep * sizeof *h->x);
    return h->x ? FV_OK : fv_err(FV_ENOMEM, "out of memory for %zu scores", 2 * keep);
}

void fv__highest_close(struct fv_highest *h)
{
    free(h->x);
    *h = (struct fv_highest){0};
}

static int descending(const void *a, const void *b)
{
    const float x = *(const float *)a, y = *(const float *)b;
    return (x < y) - (x > y);
}

static void swap(float *a, float *b)
{
    const float t = *a;
    *a = *b;
    *b = t;
}

/* The k-th highest (from 0) of x, which is put in some order. */
static float select_highest(float *x, size_t n, size_t k)
{
    size_t low = 0, high = n;

    while (high - low > 1) {
        const float pivot = x[low + (high - low) / 2];
        size_t above = low, i = low, below = high;
        while (i < below) {
            if (x[i] > pivot)
                swap(&x[i++], &x[above++]);
            else if (x[i] < pivot)
                swap(&x[i], &x[--below]);
            else
                i++;
        }
        if (k < above)
            high = above;
        else if (k < below)
            return pivot;
        else
            low = below;
    }
    return x[low];
}

static void drop_below(struct fv_highest *h)
{
    size_t kept = 0;

    for (size_t i = 0; i < h->n; i++)
        if (h->x[i] >= h->floor)
            h->x[kept++] = h->x[i];
    h->n = kept;
}

void fv__highest_cut(struct fv_highest *h)
{
    if (h->n <= h->keep)
        return;
    h->floor = select_highest(h->x, h->n, h->keep - 1);
    drop_below(h);
    if (h->n > h->keep) { /* too many equal the floor */
        h->floor = nextafterf(h->floor, INFINITY);
        drop_below(h);
    }
}

void fv__highest_merge(struct fv_highest *h, const struct fv_highest *b)
{
    if (b->floor > h->floor) {
        h->floor = b->floor;
        drop_below(h);
    }
    for (size_t i = 0; i < b->n; i++)
        fv__highest_add(h, b->x[i]);
}

void fv__highest_finish(struct fv_highest *h, unsigned long long came)
{
    if (h->n > h->keep)
        fv__highest_cut(h);
    else if (h->n == h->keep && came > h->keep)
        h->floor = select_highest(h->x, h->n, h->n - 1);
    qsort(h->x, h->n, sizeof *h->x, descending);
}
