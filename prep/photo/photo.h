/* SPDX-License-Identifier: MIT */
/* One photo to pixels: bytes of any image format become an upright square of 8-bit sRGB.
 *
 * The whole picture is decoded, also what the frame leaves out, so that a file which ends early is always
 * noticed. Transparent parts show FV_PAGE_WHITE. Limits are checked on the header, before memory is taken
 * for pixels.
 */
#ifndef FV_PREP_PHOTO_H
#define FV_PREP_PHOTO_H

#include "prep/photo/framing.h"

#include <stddef.h>
#include <stdint.h>

#define FV_PHOTO_MAX_PIXELS (128u << 20) /* of a picture: 134 megapixels */
#define FV_PHOTO_MAX_SIDE 65535
#define FV_PHOTO_MIN_SIDE 8 /* pixels of the shorter side, also of the part that is used */
/* Most formats are decoded row by row. Some, or some of their pictures, must be unpacked whole. */
#define FV_PHOTO_MAX_WHOLE_BYTES (160u << 20)
#define FV_PHOTO_MAX_SCANS                                                                         \
    100 /* of a progressive JPEG: a thousand tell the same picture a thousand times */

struct fv_photo; /* one per thread, used by the thread that opened it */

int fv__photo_open(struct fv_photo **out, const struct fv_framing *framing);
void fv__photo_close(struct fv_photo **p);

/* n bytes of a photo into rgb (size, size, 3). face: where the face is, NULL when nobody knows. 0; 1 when the
 * photo was refused, with *why filled in; or a negative code for what is not the photo's fault. */
int fv__photo_decode(struct fv_photo *p, const uint8_t *bytes, size_t n, const struct fv_face *face,
                     uint8_t *rgb, struct fv_refusal *why);

/* Whether the photo decoded last is a JPEG of just these pixels: upright, of the wanted size, sRGB or grey. */
int fv__photo_is_finished_jpeg(const struct fv_photo *p);

#endif
