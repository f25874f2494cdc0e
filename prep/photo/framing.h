/* SPDX-License-Identifier: MIT */
/* Which part of a photo becomes the square, and how.
 *
 * A decoder announces its picture, asks how far it may shrink it while decoding, and hands over its rows as
 * they lie in the file, in whatever orientation. What comes out is upright.
 *
 *   the whole photo   cover: the largest square around the centre; contain: the smallest square around
 *                     all of it; stretch: all of it, whatever its shape; of that, `crop` around the centre
 *   a box             the square of its longer side, times 1 + margin, around its centre
 *   landmarks         moved to ArcFace's template (prep/photo/align.h)
 *
 * Beyond the photo is white for the first two (FV_PAGE_WHITE), black for landmarks. Resizing is
 * prep/photo/resample.h in the orientation of the file. Landmarks are warped bilinearly, which looks at four
 * pixels: where that would skip some, the photo is first resized to the face's final scale.
 */
#ifndef FV_PREP_FRAMING_H
#define FV_PREP_FRAMING_H

#include "prep/pack/reject.h"
#include "prep/photo/face.h"

#include <stddef.h>
#include <stdint.h>

enum fv_fit { FV_FIT_COVER, FV_FIT_CONTAIN, FV_FIT_STRETCH };
enum fv_frame_by { FV_FRAME_PHOTO, FV_FRAME_BOX, FV_FRAME_LANDMARKS };

struct fv_framing {
    int size;
    enum fv_frame_by by;
    enum fv_fit fit; /* PHOTO */
    double crop;     /* PHOTO: the share of the side that is kept, above 0 to 1 */
    double margin;   /* BOX: 0.3 makes its side 1.3 times as long */
};

struct fv_picture {
    int width, height; /* as stored */
    int turn;          /* EXIF's Orientation, which makes it upright */
};

struct fv_framer; /* one per thread */

/* FV_EINVAL when landmarks have no template for the size. */
int fv__framer_open(struct fv_framer **out, const struct fv_framing *f);
void fv__framer_close(struct fv_framer **framer);

/* Plans one picture. face may be NULL. 0, or 1 when what is wanted cannot be cut from it, with *why. */
int fv__framer_plan(struct fv_framer *f, const struct fv_picture *p, const struct fv_face *face,
                    struct fv_refusal *why);
/* After the plan: 1, 2, 4 or 8; shrinking by it leaves at least twice the wanted size. */
int fv__framer_shrink(const struct fv_framer *f);
/* Whether the output is the picture itself, pixel for pixel. */
int fv__framer_is_whole(const struct fv_framer *f);

/* The picture comes in as width x height pixels, each side its own divided by `shrink`, rounded up. */
int fv__framer_begin(struct fv_framer *f, int width, int height, int shrink, uint8_t *rgb);
/* As fv__resample_rows. */
void fv__framer_rows(struct fv_framer *f, const uint8_t *rows, size_t stride, int n);
/* After the last row: rgb (size, size, 3) is whole. */
void fv__framer_end(struct fv_framer *f);

#endif
