/* SPDX-License-Identifier: MIT */
/* What reading and decoding are held against: the same records by the least that could be done with them. Only for
 * measuring. */
#ifndef FV_STORE_LIMIT_H
#define FV_STORE_LIMIT_H

#include <stddef.h>
#include <stdint.h>

struct fv_store;

/* The libraries behind it all: "LMDB 0.9.24, zstd 1.5.4, xxHash 0.8.1, libjpeg-turbo 2.1.5". */
const char *fv_store_libraries(void);

/* An image's record where it lies in the map; valid until close. With `check` its checksum is proved. */
int fv_limit_record(const struct fv_store *s, uint64_t image, int check, const uint8_t **record,
                    size_t *n);

/* Decoding by the one library that does most of it, alone, on what it gets of the same records. For a codec with a
 * library of its own that is the library's decoding, of contents unpacked beforehand; for one without it is zstd's,
 * straight from the map. Checksums, the other stages and looking things up are left out. */
struct fv_decode_limit;
/* Of n images, which are prepared and held. */
int fv_decode_limit_open(struct fv_decode_limit **out, const struct fv_store *s,
                         const uint64_t *image, size_t n);
void fv_decode_limit_close(struct fv_decode_limit **l);            /* accepts NULL */
const char *fv_decode_limit_name(const struct fv_decode_limit *l); /* "zstd", "libjpeg-turbo" */
/* Image i of those n. rgb is scratch, as for fv_decoder_read. */
int fv_decode_limit_run(struct fv_decode_limit *l, size_t i, uint8_t *rgb);

#endif
