/* SPDX-License-Identifier: MIT */
#include "store/digest.h"
#include "common/err.h"

#include <xxhash.h>

static int begin(XXH3_state_t **s)
{
    *s = XXH3_createState();
    if (!*s)
        return fv_err(FV_ENOMEM, "out of memory");
    XXH3_64bits_reset(*s);
    return FV_OK;
}

static void add(XXH3_state_t *s, struct fv_span bytes)
{
    if (bytes.n)
        XXH3_64bits_update(s, bytes.p, bytes.n);
}

static uint64_t end(XXH3_state_t *s)
{
    const uint64_t hash = XXH3_64bits_digest(s);

    XXH3_freeState(s);
    return hash;
}

int fv__tables_digest(uint64_t *out, const struct fv_tables *t)
{
    XXH3_state_t *s;

    FV_TRY(begin(&s));
    add(s, (struct fv_span){t->settings.p + 12, 12});
    /* Where a record lies is not content; what it holds and which label and split it has is. */
    for (size_t i = 0; i + FV_INDEX_ENTRY <= t->index.n; i += FV_INDEX_ENTRY)
        add(s, (struct fv_span){t->index.p + i + 12, 12});
    add(s, t->labels);
    add(s, t->names);
    *out = end(s);
    return FV_OK;
}

int fv__tables_checksum(uint64_t *out, const struct fv_tables *t)
{
    XXH3_state_t *s;

    FV_TRY(begin(&s));
    add(s, t->settings);
    add(s, t->index);
    add(s, t->labels);
    add(s, t->names);
    add(s, t->dict);
    *out = end(s);
    return FV_OK;
}
