/* SPDX-License-Identifier: MIT */
/* What the rest of store/ needs of an open data set beyond store.h. */
#ifndef FV_STORE_READER_H
#define FV_STORE_READER_H

#include "store/record.h"

#include <stdint.h>

struct fv_dict;
struct fv_store;

struct fv_stored {
    struct fv_span record; /* in the map; valid until close */
    uint64_t content;      /* the hash that the index promises */
};

/* One record: checked to lie in its block, not further. */
int fv__store_record(const struct fv_store *s, uint64_t image, struct fv_stored *out);
const struct fv_dict *fv__store_dict(const struct fv_store *s); /* NULL when there is none */
/* Recomputes from the tables what the "complete" key promises. */
int fv__store_digest(const struct fv_store *s, uint64_t *digest);

#endif
