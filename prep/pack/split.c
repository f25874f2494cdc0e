/* SPDX-License-Identifier: MIT */
/* Ranks, and the lowest of them. The hash only spreads names over 64 bits; the randomness, and with it
 * the independence of seeds, is Philox's.
 */
#include "prep/pack/split.h"

#include "common/err.h"
#include "common/rng.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct ranked {
    uint64_t rank;
    const char *name;
    size_t at;
};

size_t fv__split_count(double share, size_t n)
{
    if (!(share > 0) || n == 0)
        return 0;
    if (share >= 1)
        return n;
    size_t count = (size_t)floor(share * (double)n + 0.5);
    if (count < 1)
        count = 1;
    return count < n ? count : n - 1;
}

uint64_t fv__split_rank(uint64_t seed, enum fv_split_what what, const char *name)
{
    uint64_t h = 0xcbf29ce484222325u;
    for (const unsigned char *p = (const unsigned char *)name; *p; p++)
        h = (h ^ *p) * 0x100000001b3u;
    struct fv_rng rng = fv_rng_at(seed, what, h, FV_RNG_SPLIT);
    return fv_rng_u64(&rng);
}

static int by_rank(const void *pa, const void *pb)
{
    const struct ranked *a = pa, *b = pb;
    if (a->rank != b->rank)
        return a->rank < b->rank ? -1 : 1;
    return strcmp(a->name, b->name);
}

int fv__split_choose(uint64_t seed, enum fv_split_what what, const char *const *name, size_t n,
                     size_t count, uint8_t *chosen)
{
    memset(chosen, 0, n);
    if (count == 0 || n == 0)
        return 0;
    struct ranked *r = malloc(n * sizeof *r);
    if (!r)
        return fv_err(FV_ENOMEM, "out of memory for the ranks of %zu names", n);
    for (size_t i = 0; i < n; i++)
        r[i] = (struct ranked){fv__split_rank(seed, what, name[i]), name[i], i};
    qsort(r, n, sizeof *r, by_rank);
    for (size_t i = 0; i < count && i < n; i++)
        chosen[r[i].at] = 1;
    free(r);
    return 0;
}
