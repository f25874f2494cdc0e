/* SPDX-License-Identifier: MIT */
#include "store/digest.h"
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

uint64_t fv__digest_end(struct fv_digest *d, const uint8_t *index, size_t index_bytes,
                        const uint8_t *labels, size_t labels_bytes, const uint8_t *names,
                        size_t names_bytes)
{
    /* Where a record lies is not content; which label and split it has is. */
    for (size_t i = 0; i + FV_INDEX_ENTRY <= index_bytes; i += FV_INDEX_ENTRY)
        XXH3_64bits_update(&d->state, index + i + 12, 4);
    XXH3_64bits_update(&d->state, labels, labels_bytes);
    XXH3_64bits_update(&d->state, names, names_bytes);
    return XXH3_64bits_digest(&d->state);
}
