/* SPDX-License-Identifier: MIT */
/* Hashes over more than one piece: the digest of a data set's content, fed by the writer as it goes and by the
 * reader when it verifies, and the checksum of its tables. store/record.h says what goes into each. */
#ifndef FV_STORE_DIGEST_H
#define FV_STORE_DIGEST_H

#include "store/record.h"

#include <stddef.h>
#include <stdint.h>

struct fv_digest;
struct fv_digest *fv__digest_new(void); /* NULL when out of memory */
void fv__digest_free(struct fv_digest *d);
void fv__digest_record(struct fv_digest *d, uint64_t checksum);
/* The tables, after all records; returns the digest. */
uint64_t fv__digest_end(struct fv_digest *d, struct fv_span index, struct fv_span labels,
                        struct fv_span names);
int fv__tables_checksum(uint64_t *out, struct fv_span settings, struct fv_span index,
                        struct fv_span labels, struct fv_span names);

#endif
