/* SPDX-License-Identifier: MIT */
#include "prep/photo/photo_bytes.h"

#include "prep/import/importer.h"
#include "prep/photo/photo_file.h"

#include <stdlib.h>

enum { LARGE = 4 << 20 }; /* smaller ones are as many as there are threads */

int fv__photo_bytes_read(struct fv_photo_bytes *b, const struct fv_listing *l,
                         const struct fv_listed_photo *photo, struct fv_refusal *why)
{
    if (photo->bytes > LARGE)
        fv__turn_take(&b->turn, FV_TURN_FILE,
                      photo->bytes < FV_PHOTO_MAX_BYTES ? photo->bytes : FV_PHOTO_MAX_BYTES);
    return fv__import_read(l, photo, &b->p, &b->room, &b->n, why);
}

void fv__photo_bytes_done(struct fv_photo_bytes *b)
{
    if (b->room > LARGE) {
        free(b->p);
        b->p = NULL;
        b->room = 0;
    }
    fv__turn_give_back(&b->turn, FV_TURN_FILE);
}

void fv__photo_bytes_free(struct fv_photo_bytes *b)
{
    fv__photo_bytes_done(b);
    free(b->p);
    *b = (struct fv_photo_bytes){0};
}
