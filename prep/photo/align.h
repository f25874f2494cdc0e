/* SPDX-License-Identifier: MIT */
/* Faces moved to where ArcFace's networks expect them: five landmarks to a template, by the similarity
 * (rotation, one scale, shift; no mirroring) with the least squared error.
 *
 * Coordinates count from the centre of the top left pixel, as landmark detectors and OpenCV do.
 */
#ifndef FV_PREP_ALIGN_H
#define FV_PREP_ALIGN_H

#include <stdint.h>

/* Where the landmarks belong in a picture of size x size pixels; 0 when there is no template for the size: it
 * must be a multiple of 112 or of 128. */
int fv__align_template(int size, double point[5][2]);

/* A similarity: (x, y) -> (a x - b y + tx, b x + a y + ty). */
struct fv_similarity {
    double a, b, tx, ty;
};

/* The one that takes points of an aligned picture to the photo. 0 when the landmarks are no five points. */
int fv__align_to_photo(int size, const float (*point)[2], struct fv_similarity *out);

/* (u, v) -> (xx u + xy v + x, yx u + yy v + y). */
struct fv_affine {
    double xx, xy, x, yx, yy, y;
};

/* out (size, size, 3): pixel (u, v) is in at map(u, v), bilinear; in beyond its border is black. */
void fv__align_warp(uint8_t *out, int size, const uint8_t *in, int width, int height,
                    const struct fv_affine *map);

#endif
