/* SPDX-License-Identifier: MIT */
/* How a picture lies in its file: EXIF's Orientation, 1 (upright) to 8. */
#ifndef FV_PREP_TURN_H
#define FV_PREP_TURN_H

#include <stddef.h>
#include <stdint.h>

/* The Orientation that n bytes of EXIF hold (a TIFF header and its first directory); 1 when they hold none
 * or are damaged. */
int fv__turn_of_exif(const uint8_t *exif, size_t n);

/* Whether upright columns are stored as rows. */
int fv__turn_swaps(int turn);
/* A box of the upright picture (left, top, right, bottom), whose size is width x height, to where it is stored. */
void fv__turn_box(int turn, double width, double height, const double upright[4], double stored[4]);
/* RGB pixels as stored, width x height, to the upright picture. */
void fv__turn_pixels(int turn, const uint8_t *stored, int width, int height, uint8_t *upright);

#endif
