/* SPDX-License-Identifier: MIT */
/* The one resize of this module: Pillow's Image.resize(size, LANCZOS, box), to the bit, as a stream.
 *
 * Rows come in from top to bottom. Each is resized across at once, to 8 bits, and an output row is made as
 * soon as all rows under its filter have come, so a picture of any height needs memory for the rows under
 * one filter only.
 *
 * The box may reach beyond the picture: there it finds FV_PAGE_WHITE, as if the picture lay on a page that
 * just holds the box.
 */
#ifndef FV_PREP_RESAMPLE_H
#define FV_PREP_RESAMPLE_H

#include <stddef.h>
#include <stdint.h>

#define FV_PAGE_WHITE 255
enum { FV_RESAMPLE_PAD = 32 }; /* bytes that must be readable after a row's last pixel */

struct fv_resampler; /* one per thread; keeps its memory from picture to picture */

struct fv_resample_job {
    int width, height; /* of the picture that comes in */
    float box[4];      /* what becomes the output: left, top, right, bottom, in pixels of it */
    int out_width, out_height;
    uint8_t *out; /* (out_height, out_width, 3); written while rows come in */
};

int fv__resample_open(struct fv_resampler **out);
void fv__resample_close(struct fv_resampler **r);
/* The box must not be empty. Forgets a picture that was not finished. */
int fv__resample_begin(struct fv_resampler *r, const struct fv_resample_job *job);
/* The next n rows of (width, 3) bytes, each followed by FV_RESAMPLE_PAD readable bytes. The output is
 * whole when all rows have come. */
void fv__resample_rows(struct fv_resampler *r, const uint8_t *rows, size_t stride, int n);

#endif
