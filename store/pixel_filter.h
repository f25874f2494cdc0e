/* SPDX-License-Identifier: MIT */
/* The lossless filter in front of zstd: three planes G, R - G, B - G (modulo 256), and in each plane every
 * row minus the row above. Colour channels of a photograph agree and rows repeat, so what is left is small
 * numbers around zero. Both directions are exact.
 *
 * planes: three times height * width bytes; unfilter destroys them.
 */
#ifndef FV_STORE_PIXEL_FILTER_H
#define FV_STORE_PIXEL_FILTER_H

#include <stdint.h>

typedef void (*fv_unfilter_fn)(uint8_t *planes, int width, int height, uint8_t *rgb);

void fv__pixels_filter(const uint8_t *rgb, int width, int height, uint8_t *planes);
void fv__pixels_unfilter_c(uint8_t *planes, int width, int height, uint8_t *rgb);
void fv__pixels_unfilter_avx2(uint8_t *planes, int width, int height, uint8_t *rgb);
/* The fastest that fv_cpu_flags() allows. */
fv_unfilter_fn fv__pixels_unfilter(void);

#endif
