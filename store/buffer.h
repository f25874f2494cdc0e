/* SPDX-License-Identifier: MIT */
/* Bytes that grow: what a writer gathers before it goes to disk. Zeroed is empty. */
#ifndef FV_STORE_BUFFER_H
#define FV_STORE_BUFFER_H

#include "store/record.h"

#include <stddef.h>
#include <stdint.h>

struct fv_buffer {
    uint8_t *p;
    size_t n, room;
};

/* FV_ENOMEM leaves the buffer as it was. p may be NULL when n is 0. */
int fv__buffer_append(struct fv_buffer *b, const void *p, size_t n);
int fv__buffer_append32(struct fv_buffer *b, uint32_t v); /* little-endian */
int fv__buffer_append64(struct fv_buffer *b, uint64_t v);
struct fv_span fv__buffer_view(const struct fv_buffer *b); /* valid until the next append */
void fv__buffer_free(struct fv_buffer *b);

#endif
