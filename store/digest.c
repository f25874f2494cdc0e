/* SPDX-License-Identifier: MIT */
#include "store/digest.h"
#include "common/err.h"
#include "store/record.h"

#define XXH_STATIC_LINKING_ONLY
#include <xxhash.h>

struct fv_digest {
    XXH3_state_t state;
};

struct fv_digest *fv__digest_new(void)
{
    XXH3_state_t *s = XXH3_createState();

    if (s)
        XXH3_64bits_reset(s);
    return (struct fv_digest *)s;
}

void fv__digest_free(struct fv_digest *d)
{
    XXH3_freeState(d ? &d->state : NULL);
}

void fv__digest_record(struct fv_digest *d, uint64_t checksum)
{
    uint8_t b[8];

    fv__put64(b, checksum);
    XXH3_64bits_update(&d->state, b, sizeof b);
}

static void add(struct fv_digest *d, struct fv_span s)
{
    if (s.n)
        XXH3_64bits_update(&d->state, s.p, s.n);
}

uint64_t fv__digest_end(struct fv_digest *d, struct fv_span index, struct fv_span labels,
                        struct fv_span names)
{
    /* Where a record lies is not content; which label and split it has is. */
    for (size_t i = 0; i + FV_INDEX_ENTRY <= index.n; i += FV_INDEX_ENTRY)
        add(d, (struct fv_span){index.p + i + 12, 4});
    add(d, labels);
    add(d, names);
    return XXH3_64bits_digest(&d->state);
}

int fv__tables_checksum(uint64_t *out, struct fv_span settings, struct fv_span index,
                        struct fv_span labels, struct fv_span names)
{
    struct fv_digest *d = fv__digest_new();

    if (!d)
        return fv_err(FV_ENOMEM, "out of memory");
    add(d, settings);
    add(d, index);
    add(d, labels);
    add(d, names);
    *out = XXH3_64bits_digest(&d->state);
    fv__digest_free(d);
    return FV_OK;
}
