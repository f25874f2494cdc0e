/* SPDX-License-Identifier: MIT */
/* One photo to pixels: whatever the file holds becomes an upright square of 8-bit sRGB.
 *
 * The square is the largest one around the centre ("cover"), resized to size x size. Transparent
 * parts show FV_PHOTO_BACKGROUND. The whole picture is decoded, also what the crop leaves out, so that
 * a file which ends early is always noticed.
 */
#ifndef FV_PREP_DECODE_H
#define FV_PREP_DECODE_H

#include "prep/reject.h"

#include <stddef.h>
#include <stdint.h>

#define FV_PHOTO_MAX_PIXELS (128u << 20) /* of a picture: 134 megapixels */
#define FV_PHOTO_MIN_SIDE 8              /* pixels of the shorter side */
#define FV_PHOTO_BACKGROUND 255          /* white, the colour of a page */

struct fv_photo; /* one per thread, used by the thread that opened it */

int fv__photo_open(struct fv_photo **out, int size);
void fv__photo_close(struct fv_photo **p);

/* n bytes of a photo into rgb (size, size, 3). 0; 1 when the file was refused, with *why filled in; or a
 * negative code for what is not the file's fault. */
int fv__photo_decode(struct fv_photo *p, const uint8_t *bytes, size_t n, uint8_t *rgb,
                     struct fv_refusal *why);
/* The same for a file. */
int fv__photo_read(struct fv_photo *p, const char *path, uint8_t *rgb, struct fv_refusal *why);

#endif
