/* SPDX-License-Identifier: MIT */
/* Hashes over more than one table: store/record.h says what goes into each. */
#ifndef FV_STORE_DIGEST_H
#define FV_STORE_DIGEST_H

#include "store/record.h"

#include <stddef.h>
#include <stdint.h>

struct fv_digest;
struct fv_digest *fv__digest_new(void); /* NULL, and a sentence, when out of memory */
void fv__digest_add(struct fv_digest *d, struct fv_span bytes);
void fv__digest_add32(struct fv_digest *d, uint32_t v); /* little-endian, as all */
void fv__digest_add64(struct fv_digest *d, uint64_t v);
uint64_t fv__digest_end(struct fv_digest *d); /* frees it */

/* As they are on disk; dict may be empty. */
struct fv_tables {
    struct fv_span settings, index, labels, names, dict;
};

/* Of the content: what pixels, labels, splits and names there are. */
int fv__tables_digest(uint64_t *out, const struct fv_tables *t);
/* Of all their bytes. */
int fv__tables_checksum(uint64_t *out, const struct fv_tables *t);

#endif
