/* SPDX-License-Identifier: MIT */
/* The k highest of many numbers, in memory for twice as many (internal to trainer/). */
#ifndef FV_TRAINER_HIGHEST_H
#define FV_TRAINER_HIGHEST_H

#include <stddef.h>

struct fv_highest {
    float *x; /* (2 keep); the first n count */
    size_t n, keep;
    float floor; /* numbers below are not wanted any more; -INFINITY: all are */
};

int fv__highest_open(struct fv_highest *h, size_t keep);
void fv__highest_close(struct fv_highest *h);
/* Makes room: afterwards n <= keep, and at least keep numbers that came are >= floor. */
void fv__highest_cut(struct fv_highest *h);

static inline void fv__highest_add(struct fv_highest *h, float x)
{
    if (x < h->floor)
        return;
    if (h->n == 2 * h->keep)
        fv__highest_cut(h);
    if (x >= h->floor)
        h->x[h->n++] = x;
}
/* Puts those of b into h too, so that every number >= the higher floor of both is there. */
void fv__highest_merge(struct fv_highest *h, const struct fv_highest *b);
/* At the end, of `came` numbers: sorts descending, and sets the floor to the keep-th highest. Then it depends on the
 * numbers alone and not on who merged what when. */
void fv__highest_finish(struct fv_highest *h, unsigned long long came);

#endif
