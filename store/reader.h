/* SPDX-License-Identifier: MIT */
/* What the rest of store/ needs of an open data set beyond store.h. */
#ifndef FV_STORE_READER_H
#define FV_STORE_READER_H

#include <stddef.h>
#include <stdint.h>

struct fv_store;

/* The bytes of one record, in the map; valid until close. Checked to lie in its block, not further. */
int fv__store_record(const struct fv_store *s, uint64_t image, const uint8_t **bytes, size_t *n);
/* Recomputes what the "complete" key promises, from the records' stored checksums and the tables. */
int fv__store_digest(const struct fv_store *s, uint64_t *digest);

#endif
