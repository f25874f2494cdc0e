/* SPDX-License-Identifier: MIT */
/* A codec turns the pixels of one image into a record's content and back; zstd around it is coder.c's business.
 * One file, one row in store/meson.build.
 *
 * A context belongs to one thread and owns all scratch, so that encode and decode allocate nothing. `id` is on
 * disk: never reuse one.
 */
#ifndef FV_STORE_CODEC_H
#define FV_STORE_CODEC_H

#include <stddef.h>
#include <stdint.h>

struct fv_region;

struct fv_codec_settings {
    int width, height, quality;
};

struct fv_codec {
    const char *name, *help;
    int id;
    int quality;         /* 1 to 100, when none is asked for; 0: the codec has no such thing */
    const char *library; /* that does the work of decode; NULL: there is little beyond zstd's */
    int shares_headers;  /* contents have enough in common to be worth a dictionary */
    int (*open)(void **ctx, const struct fv_codec_settings *s);
    void (*close)(void *ctx);         /* accepts NULL */
    size_t (*bound)(const void *ctx); /* the longest content, in bytes */
    /* rgb: (height, width, 3). Writes at most bound bytes of content and their number to *n. */
    int (*encode)(void *ctx, const uint8_t *rgb, uint8_t *content, size_t *n);
    /* NULL, or: a whole image file instead of pixels. 1 when it cannot be stored as it is. */
    int (*adopt)(void *ctx, const uint8_t *file, size_t bytes, uint8_t *content, size_t *n);
    /* May destroy the content. rgb has FV_DECODE_PAD bytes of room behind it. FV_ECORRUPT if it is not one image. */
    int (*decode)(void *ctx, uint8_t *content, size_t n, uint8_t *rgb);
    /* NULL, or: no more than a part, which lies within the picture. The same pixels as those of the whole picture at
     * that reduction. Leaves what comes after the part unread, and so unchecked. */
    int (*decode_region)(void *ctx, const uint8_t *content, size_t n,
                         const struct fv_region *region, uint8_t *rgb);
};

extern const struct fv_codec *const fv_codecs[]; /* NULL-terminated */
/* NULL, and a sentence that lists the valid names. */
const struct fv_codec *fv__codec_by_name(const char *name);
const struct fv_codec *fv__codec_by_id(int id); /* NULL, and a sentence */
/* FV_EINVAL when a quality was asked for that the codec does not have; 0 is none asked for. */
int fv__codec_check_quality(const struct fv_codec *c, int quality);

#endif
