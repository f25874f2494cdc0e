/* SPDX-License-Identifier: MIT */
/* The kernels that touch pixels, chosen once per handle for the processor at hand.
 *
 * Every version of a kernel gives the same bits as the C one: integers are exact, and floats are single
 * IEEE operations in the same order, without fused multiply-add. tests/check proves it.
 *
 * Pixels are interleaved RGB, 8 bits. Every kernel writes exactly the bytes of its result. Sources of
 * warps have FV_DSP_PADDING readable bytes after them, of any value; all other sources are read exactly.
 */
#ifndef FV_AUGMENT_DSP_H
#define FV_AUGMENT_DSP_H

#include <stddef.h>
#include <stdint.h>

enum {
    FV_DSP_PADDING = 64,
    FV_DSP_WEIGHT_BITS = 16, /* of a bilinear weight */
};

/* One row of a warp. Pixel i of the row samples the source at (x + i dx, y + i dy) / (w + i dw), in index
 * coordinates: (0, 0) is the centre of the first pixel. A point outside the source's area gives black; within
 * half a pixel of the edge the edge pixels go on. Affine rows take w = 1 and dw = 0. */
struct fv_warp_row {
    float x, y, w;
    float dx, dy, dw;
};

/* out = scale * c + grey * (luma of the pixel) + offset for each channel c, rounded to the nearest.
 * Before the rounding it is below 2^31, either way. */
struct fv_colour {
    float scale, grey, offset;
};
/* Gaussian and other symmetric filters: an odd number of weights that add up to 1 << FV_DSP_BLUR_BITS. Between the
 * two passes a value has FV_DSP_BLUR_KEPT bits behind the point. */
enum { FV_DSP_BLEND_BITS = 14 };
enum { FV_DSP_BLUR_BITS = 14, FV_DSP_BLUR_KEPT = 7, FV_DSP_BLUR_TAPS = 63 };

/* ITU-R 601 luma with torchvision's digits. */
#define FV_LUMA_R 0.2989f
#define FV_LUMA_G 0.587f
#define FV_LUMA_B 0.114f

struct fv_dsp {
    /* dst: n pixels; src: (h, w, 3), h * w * 3 < 2^31 */
    void (*warp_affine)(uint8_t *dst, int n, const uint8_t *src, int h, int w,
                        const struct fv_warp_row *row);
    void (*warp_projective)(uint8_t *dst, int n, const uint8_t *src, int h, int w,
                            const struct fv_warp_row *row);
    /* n pixels mirrored; dst and src do not overlap */
    void (*mirror)(uint8_t *dst, const uint8_t *src, int n);
    /* Means of 2 x 2 pixels, rounded half up: rows a and b of n pixels give (n + 1) / 2, an odd last
     * column counting double. a may be b. */
    void (*halve)(uint8_t *dst, const uint8_t *a, const uint8_t *b, int n);
    /* Means of two rows of n bytes, rounded half up. */
    void (*average)(uint8_t *dst, const uint8_t *a, const uint8_t *b, int n);
    /* n bytes in place: (weight dst + (2^14 - weight) other) / 2^14, rounded half up; weight from 0 to 2^14. */
    void (*blend)(uint8_t *dst, const uint8_t *other, size_t n, int weight);
    /* Channel sums of n < 2^24 pixels. */
    void (*sum)(const uint8_t *src, int n, uint32_t sums[3]);
    /* n pixels in place */
    void (*colour)(uint8_t *px, int n, const struct fv_colour *c);
    /* n pixels in place: the map `before`, clipped to 0..255; then the hue of HSV further by `sixths` of a turn,
     * from 0 to 6, with saturation and value kept; then the map `after`. Rounded once, to the nearest. */
    void (*hue)(uint8_t *px, int n, const struct fv_colour *before, float sixths,
                const struct fv_colour *after);
    /* The two passes of a blur. Down: n bytes of each of `taps` rows, weighted. */
    void (*blur_down)(int16_t *dst, const uint8_t *const *row, const int16_t *weight, int taps,
                      int n);
    /* Along: byte i is made of src[i], src[i + 3], ... src[i + 3 (taps - 1)]. */
    void (*blur_along)(uint8_t *dst, const int16_t *src, const int16_t *weight, int taps, int n);
};

/* Fills in the best kernels that fv_cpu_flags() permits. */
void fv_dsp_init(struct fv_dsp *dsp);

/* Internal: overwrite what the instruction set does better. */
void fv__dsp_init_warp_avx2(struct fv_dsp *dsp);
void fv__dsp_init_colour_avx2(struct fv_dsp *dsp);
void fv__dsp_init_filter_avx2(struct fv_dsp *dsp);
void fv__dsp_init_blur_avx2(struct fv_dsp *dsp);

#endif
