/* SPDX-License-Identifier: MIT */
/* One thread's photo as it is stored, one after the other. Large ones take turns (prep/photo/turns.h). */
#ifndef FV_PREP_PHOTO_BYTES_H
#define FV_PREP_PHOTO_BYTES_H

#include "prep/import/listing.h"
#include "prep/photo/turns.h"

struct fv_photo_bytes {
    uint8_t *p;
    size_t n, room;
    struct fv_turn turn;
};

/* As fv__import_read. Each call is followed by fv__photo_bytes_done when the photo is not needed any more. */
int fv__photo_bytes_read(struct fv_photo_bytes *b, const struct fv_listing *l,
                         const struct fv_listed_photo *photo, struct fv_refusal *why);
void fv__photo_bytes_done(struct fv_photo_bytes *b);
void fv__photo_bytes_free(struct fv_photo_bytes *b); /* accepts a zeroed one */

#endif
