/* SPDX-License-Identifier: MIT */
/* Photos in, records out: decoded and encoded on many threads, handed over one by one in order. */
#ifndef FV_PREP_PACK_PIPE_H
#define FV_PREP_PACK_PIPE_H

#include "prep/import/listing.h"
#include "prep/pack/reject.h"
#include "prep/photo/format.h"
#include "prep/photo/framing.h"
#include "store/store.h"

#include <stdint.h>

/* What became of one photo: refused, or the record of the next image. */
struct fv_pipe_item {
    int refused;
    struct fv_refusal why;
    const struct fv_format *unlike; /* of its bytes, where its name promises another; else NULL */
    int kept;              /* the record holds the photo's own file, not one made of its pixels */
    const uint8_t *record; /* valid during the call */
    size_t n;
};

struct fv_pipe {
    const struct fv_listing *listing;
    const struct fv_listed_photo *const *photo; /* in packing order */
    size_t photos, first;                       /* the first is the one to begin with */
    const struct fv_framing *framing;
    const struct fv_store_settings *store;
    int threads;
    /* Called by the thread that runs the pipe, for each photo in order. A negative code stops it. */
    int (*sink)(void *ctx, size_t photo, const struct fv_pipe_item *item);
    void *ctx;
};

/* FV_EINTR on fv_prep_stop. */
int fv__pipe_run(const struct fv_pipe *p);

#endif
