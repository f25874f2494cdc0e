/* SPDX-License-Identifier: MIT */
/* A codec turns the pixels of one image into a record's payload and back. One file, one row in codec.c.
 *
 * A context belongs to one thread and owns all scratch, so that encode and decode allocate nothing. `id` is on
 * disk: never reuse one.
 */
#ifndef FV_STORE_CODEC_H
#define FV_STORE_CODEC_H

#include <stddef.h>
#include <stdint.h>

struct fv_codec {
    const char *name, *help;
    int id;
    int (*open)(void **ctx, int width, int height, int level);
    void (*close)(void *ctx); /* accepts NULL */
    size_t (*bound)(const void *ctx);
    /* rgb: (height, width, 3). Writes at most bound bytes to dst and their number to *n. */
    int (*encode)(void *ctx, const uint8_t *rgb, uint8_t *dst, size_t *n);
    /* rgb has FV_DECODE_PAD bytes of room behind it. FV_ECORRUPT if the payload is not one image. */
    int (*decode)(void *ctx, const uint8_t *src, size_t n, uint8_t *rgb);
};

extern const struct fv_codec *const fv_codecs[]; /* NULL-terminated */
/* NULL, and a sentence that lists the valid names. */
const struct fv_codec *fv__codec_by_name(const char *name);
const struct fv_codec *fv__codec_by_id(int id); /* NULL, and a sentence */

#endif
