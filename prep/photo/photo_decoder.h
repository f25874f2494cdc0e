/* SPDX-License-Identifier: MIT */
/* Between photo.c and the two decoders: libjpeg-turbo for the JPEGs that need nothing else (photo_jpeg.c),
 * libvips for everything else (photo_vips.c). */
#ifndef FV_PREP_PHOTO_DECODER_H
#define FV_PREP_PHOTO_DECODER_H

#include "prep/photo/format.h"
#include "prep/photo/photo.h"
#include "prep/photo/turns.h"

struct fv_photo {
    struct fv_framer *framer;
    uint8_t *strip; /* rows on their way from a decoder to the frame */
    size_t strip_room;
    int is_finished_jpeg;
    struct fv_turn turn; /* of a picture that is unpacked whole */
};

/* One call of fv__photo_decode. */
struct fv_photo_job {
    struct fv_photo *photo;
    const struct fv_format *format;
    const uint8_t *bytes;
    size_t n;
    const struct fv_face *face;
    uint8_t *rgb;
    struct fv_refusal *why;
};

enum { FV_PHOTO_STRIP_ROWS = 16 };
/* Room for a strip of rows of `width` pixels; *stride is the distance between them. */
int fv__photo_take_strip(struct fv_photo *p, int width, size_t *stride);

/* The sizes that a header announces. 0, or 1 with the reason. */
int fv__photo_check_size(const struct fv_photo_job *job, int width, int height);
/* A picture that needs so many bytes at once, until the end of this call of fv__photo_decode: waits for other threads'
 * pictures when they are too many together. 0, or 1 with the reason. */
int fv__photo_check_whole(const struct fv_photo_job *job, int width, int height, uint64_t bytes);
/* The reason of a picture that could not be decoded to its end: cut off, or damaged. */
int fv__photo_refuse_broken(const struct fv_photo_job *job, int width, int height);

/* Results as fv__photo_decode's. Without libvips photo_none.c stands in for it, and refuses. */
enum { FV_JPEG_NEEDS_VIPS = 2 };
int fv__jpeg_decode(
    const struct fv_photo_job *job); /* or FV_JPEG_NEEDS_VIPS: a sound header, other colours */
int fv__vips_decode(const struct fv_photo_job *job);
void fv__vips_end_thread(void); /* frees what libvips keeps for this thread */

#endif
