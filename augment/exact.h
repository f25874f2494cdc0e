/* SPDX-License-Identifier: MIT */
/* Single operations on 8-bit pictures, as torchvision's tensor path carries them out: its formulas, in single
 * precision, with its rounding or cutting off after every operation. What a fused render is measured against.
 *
 * Pictures are (h, w, 3) u8 RGB without padding. Nothing is allocated: what an operation needs is given.
 */
#ifndef FV_AUGMENT_EXACT_H
#define FV_AUGMENT_EXACT_H

#include "augment/policy.h"

#include <stddef.h>
#include <stdint.h>

/* n pixels in place. torchvision 0.14: adjust_brightness, adjust_contrast, adjust_saturation, adjust_hue (factor
 * from -0.5 to 0.5), rgb_to_grayscale to three channels. Results are cut off, not rounded. */
void fv__exact_brightness(uint8_t *px, size_t n, double factor);
void fv__exact_contrast(uint8_t *px, size_t n, double factor);
void fv__exact_saturation(uint8_t *px, size_t n, double factor);
void fv__exact_hue(uint8_t *px, size_t n, double factor);
void fv__exact_gray(uint8_t *px, size_t n);

/* Mirrors left to right, in place. */
void fv__exact_flip(uint8_t *px, int h, int w);
/* dst and src: two pictures of one size. m: torchvision's inverse affine matrix (2 x 3, relative to the centres of
 * the pictures); c: its eight perspective coefficients. Bilinear; outside is black; rounded half to even. */
void fv__exact_affine(uint8_t *dst, const uint8_t *src, int h, int w, const double m[6]);
void fv__exact_perspective(uint8_t *dst, const uint8_t *src, int h, int w, const double c[8]);

/* resized_crop with antialias=True: the box of src, a picture of width src_w, becomes dst. Rounded half to even. */
void fv__exact_resized_crop(uint8_t *dst, int out_h, int out_w, const uint8_t *src, int src_w,
                            const struct fv_rect *box, float *scratch);
/* Floats of scratch for boxes up to h x w. */
size_t fv__exact_resized_crop_scratch(int h, int w, int out_h, int out_w);

/* gaussian_blur with a square kernel of an odd number of taps and one sigma; beyond the border the picture is
 * reflected about its outermost pixels. Rounded half to even. */
void fv__exact_blur(uint8_t *dst, const uint8_t *src, int h, int w, int taps, double sigma,
                    float *scratch);
size_t fv__exact_blur_scratch(int h, int w);

#endif
