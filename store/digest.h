/* SPDX-License-Identifier: MIT */
/* The digest of a data set's content, fed by the writer as it goes and by the reader when it verifies. */
#ifndef FV_STORE_DIGEST_H
#define FV_STORE_DIGEST_H

#include <stddef.h>
#include <stdint.h>

struct fv_digest;
struct fv_digest *fv__digest_new(void); /* NULL when out of memory */
void fv__digest_free(struct fv_digest *d);
void fv__digest_record(struct fv_digest *d, uint64_t checksum);
/* The tables, after all records; returns the digest. */
uint64_t fv__digest_end(struct fv_digest *d, const uint8_t *index, size_t index_bytes,
                        const uint8_t *labels, size_t labels_bytes, const uint8_t *names,
                        size_t names_bytes);

#endif
