/* SPDX-License-Identifier: MIT */
/* What the rest of store/ needs of an open data set beyond store.h. */
#ifndef FV_STORE_READER_H
#define FV_STORE_READER_H

#include "store/record.h"

#include <stddef.h>
#include <stdint.h>

struct fv_dict;
struct fv_store;

struct fv_stored {
    struct fv_span record;      /* in the map; valid until close */
    uint64_t content;           /* the hash that the index promises */
    const struct fv_dict *dict; /* of its file; NULL when there is none */
};

/* One record: checked to lie in its block, not further. */
int fv__store_record(const struct fv_store *s, uint64_t image, struct fv_stored *out);
/* Recomputes from the tables what each file promises. */
int fv__store_check_digests(const struct fv_store *s);
const char *fv__store_file(const struct fv_store *s, size_t i); /* NULL behind the last */

#endif
