/* SPDX-License-Identifier: MIT */
#include "store/digest.h"
#include "common/err.h"

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
    else
        fv_err(FV_ENOMEM, "out of memory");
    return (struct fv_digest *)s;
}

void fv__digest_add(struct fv_digest *d, struct fv_span bytes)
{
    if (bytes.n)
        XXH3_64bits_update(&d->state, bytes.p, bytes.n);
}

void fv__digest_add32(struct fv_digest *d, uint32_t v)
{
    uint8_t p[4];

    fv__put32(p, v);
    XXH3_64bits_update(&d->state, p, sizeof p);
}

void fv__digest_add64(struct fv_digest *d, uint64_t v)
{
    uint8_t p[8];

    fv__put64(p, v);
    XXH3_64bits_update(&d->state, p, sizeof p);
}

uint64_t fv__digest_end(struct fv_digest *d)
{
    const uint64_t hash = XXH3_64bits_digest(&d->state);

    XXH3_freeState(&d->state);
    return hash;
}

int fv__tables_digest(uint64_t *out, const struct fv_tables *t)
{
    struct fv_digest *d = fv__digest_new();

    if (!d)
        return FV_ENOMEM;
    fv__digest_add(d, (struct fv_span){t->settings.p + 12, 12});
    /* Where a record lies is not content; what it holds and which label and split it has is. */
    for (size_t i = 0; i + FV_INDEX_ENTRY <= t->index.n; i += FV_INDEX_ENTRY)
        fv__digest_add(d, (struct fv_span){t->index.p + i + 12, 12});
    fv__digest_add(d, t->labels);
    fv__digest_add(d, t->names);
    *out = fv__digest_end(d);
    return FV_OK;
}

int fv__tables_checksum(uint64_t *out, const struct fv_tables *t)
{
    struct fv_digest *d = fv__digest_new();

    if (!d)
        return FV_ENOMEM;
    fv__digest_add(d, t->settings);
    fv__digest_add(d, t->index);
    fv__digest_add(d, t->labels);
    fv__digest_add(d, t->names);
    fv__digest_add(d, t->dict);
    *out = fv__digest_end(d);
    return FV_OK;
}
