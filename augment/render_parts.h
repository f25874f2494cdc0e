/* SPDX-License-Identifier: MIT */
/* The parts of fv_render: how often the source is halved before the warp, and what becomes of a picture after it, in
 * place. */
#ifndef FV_AUGMENT_RENDER_PARTS_H
#define FV_AUGMENT_RENDER_PARTS_H

#include "augment/dsp.h"
#include "augment/policy.h"

/* How often a source of that size is halved along x and y before a warp by the inverse map m; 0 when the result shows
 * points at infinity: such a map shrinks without end, and no one filter fits it. */
int fv__render_halvings(const double m[9], int src_h, int src_w, int out_h, int out_w,
                        int halvings[2]);

/* The plan's colour steps and blurs, in their order. scratch: fv__render_blur_scratch(), 64-byte aligned. */
void fv__render_colour(const struct fv_dsp *dsp, const struct fv_plan *plan, uint8_t *px, int h,
                       int w, void *scratch);

/* A Gaussian of one sigma over taps x taps pixels, an odd number up to FV_DSP_BLUR_TAPS. Beyond the border the
 * picture is reflected about its outermost pixels. */
void fv__render_blur(const struct fv_dsp *dsp, uint8_t *px, int h, int w, int taps, double sigma,
                     void *scratch);
size_t fv__render_blur_scratch(int h, int w);

/* Fills the box, as far as it lies in the picture. */
void fv__render_erase(const struct fv_erase *e, uint8_t *px, int h, int w);

#endif
