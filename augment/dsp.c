/* SPDX-License-Identifier: MIT */
/* The kernels in C: what they mean, and what the others are compared with. */
#include "augment/dsp.h"
#include "common/cpu.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

enum { ONE = 1 << FV_DSP_WEIGHT_BITS };

/* The comparisons are written so that a NaN becomes lo, as with the vector instructions. */
static float clamp(float v, float lo, float hi)
{
    v = v > lo ? v : lo;
    return v < hi ? v : hi;
}

/* x and y in index coordinates. */
static void sample(uint8_t *dst, const uint8_t *src, int h, int w, float x, float y)
{
    if (!(x >= -0.5f && x <= (float)w - 0.5f && y >= -0.5f && y <= (float)h - 0.5f)) {
        memset(dst, 0, 3);
        return;
    }
    const int fx = (int)(clamp(x, 0.0f, (float)(w - 1)) * ONE + 0.5f);
    const int fy = (int)(clamp(y, 0.0f, (float)(h - 1)) * ONE + 0.5f);
    const int wx = fx & (ONE - 1), wy = fy & (ONE - 1);
    const int y0 = fy >> FV_DSP_WEIGHT_BITS;
    /* In the last column and row the next tap has weight 0. The next column is readable anyhow (padding), the
     * next row is not. */
    const int down = y0 < h - 1 ? w * 3 : 0;
    const uint8_t *p = src + (ptrdiff_t)y0 * w * 3 + (ptrdiff_t)(fx >> FV_DSP_WEIGHT_BITS) * 3;

    for (int c = 0; c < 3; c++) {
        const int top = p[c] * (ONE - wx) + p[c + 3] * wx;
        const int bottom = p[down + c] * (ONE - wx) + p[down + c + 3] * wx;
        const int v = top * (ONE - wy) + bottom * wy;
        dst[c] = (uint8_t)((v + ONE * ONE / 2) >> (2 * FV_DSP_WEIGHT_BITS));
    }
}

static void warp_affine(uint8_t *dst, int n, const uint8_t *src, int h, int w,
                        const struct fv_warp_row *row)
{
    for (int i = 0; i < n; i++)
        sample(dst + 3 * (ptrdiff_t)i, src, h, w, row->x + (float)i * row->dx,
               row->y + (float)i * row->dy);
}

static void warp_projective(uint8_t *dst, int n, const uint8_t *src, int h, int w,
                            const struct fv_warp_row *row)
{
    for (int i = 0; i < n; i++) {
        const float d = row->w + (float)i * row->dw;
        sample(dst + 3 * (ptrdiff_t)i, src, h, w, (row->x + (float)i * row->dx) / d,
               (row->y + (float)i * row->dy) / d);
    }
}

static void mirror(uint8_t *dst, const uint8_t *src, int n)
{
    for (int i = 0; i < n; i++)
        memcpy(dst + 3 * (ptrdiff_t)i, src + 3 * (ptrdiff_t)(n - 1 - i), 3);
}

static void halve(uint8_t *dst, const uint8_t *a, const uint8_t *b, int n)
{
    for (int i = 0; i < n; i += 2) {
        const ptrdiff_t left = 3 * (ptrdiff_t)i, right = i + 1 < n ? left + 3 : left;
        for (int c = 0; c < 3; c++)
            *dst++ = (uint8_t)((a[left + c] + a[right + c] + b[left + c] + b[right + c] + 2) >> 2);
    }
}

static void average(uint8_t *dst, const uint8_t *a, const uint8_t *b, int n)
{
    for (int i = 0; i < n; i++)
        dst[i] = (uint8_t)((a[i] + b[i] + 1) >> 1);
}

static void sum(const uint8_t *src, int n, uint32_t sums[3])
{
    uint32_t r = 0, g = 0, b = 0;

    for (int i = 0; i < n; i++) {
        r += src[3 * (ptrdiff_t)i];
        g += src[3 * (ptrdiff_t)i + 1];
        b += src[3 * (ptrdiff_t)i + 2];
    }
    sums[0] = r;
    sums[1] = g;
    sums[2] = b;
}

static void map_colour(float rgb[3], const struct fv_colour *k)
{
    const float luma = rgb[0] * FV_LUMA_R + rgb[1] * FV_LUMA_G + rgb[2] * FV_LUMA_B;
    const float common = luma * k->grey + k->offset;

    for (int c = 0; c < 3; c++)
        rgb[c] = clamp(rgb[c] * k->scale + common, 0.0f, 255.0f);
}

static void colour(uint8_t *px, int n, const struct fv_colour *k)
{
    for (int i = 0; i < n; i++, px += 3) {
        float rgb[3] = {px[0], px[1], px[2]};
        map_colour(rgb, k);
        for (int c = 0; c < 3; c++)
            px[c] = (uint8_t)(rgb[c] + 0.5f);
    }
}

/* HSV without S: what the colour has above grey is `range`, and each channel takes the part of it that its
 * distance on the circle of hues gives. */
static void turn_hue(float rgb[3], float sixths)
{
    const float r = rgb[0], g = rgb[1], b = rgb[2];
    const float gb_most = g > b ? g : b, gb_least = g < b ? g : b;
    const float most = r > gb_most ? r : gb_most, least = r < gb_least ? r : gb_least;
    const float range = most - least;
    const float over = range > 0.0f ? range : 1.0f;
    float h = most == r   ? (g - b) / over
              : most == g ? (b - r) / over + 2.0f
                          : (r - g) / over + 4.0f;

    h += sixths; /* from -1 to 11 */
    h = h >= 6.0f ? h - 6.0f : h;
    h = h < 0.0f ? h + 6.0f : h;
    rgb[0] = least + range * clamp(fabsf(h - 3.0f) - 1.0f, 0.0f, 1.0f);
    rgb[1] = least + range * clamp(2.0f - fabsf(h - 2.0f), 0.0f, 1.0f);
    rgb[2] = least + range * clamp(2.0f - fabsf(h - 4.0f), 0.0f, 1.0f);
}

static void hue(uint8_t *px, int n, const struct fv_colour *before, float sixths,
                const struct fv_colour *after)
{
    for (int i = 0; i < n; i++, px += 3) {
        float rgb[3] = {px[0], px[1], px[2]};
        map_colour(rgb, before);
        turn_hue(rgb, sixths);
        map_colour(rgb, after);
        for (int c = 0; c < 3; c++)
            px[c] = (uint8_t)(rgb[c] + 0.5f);
    }
}

static void blur_down(int16_t *dst, const uint8_t *const *row, const int16_t *weight, int taps,
                      int n)
{
    enum { SHIFT = FV_DSP_BLUR_BITS - FV_DSP_BLUR_KEPT };

    for (int i = 0; i < n; i++) {
        int32_t sum = 1 << (SHIFT - 1);
        for (int k = 0; k < taps; k++)
            sum += weight[k] * row[k][i];
        dst[i] = (int16_t)(sum >> SHIFT);
    }
}

static void blur_along(uint8_t *dst, const int16_t *src, const int16_t *weight, int taps, int n)
{
    enum { SHIFT = FV_DSP_BLUR_BITS + FV_DSP_BLUR_KEPT };

    for (int i = 0; i < n; i++) {
        int32_t sum = 1 << (SHIFT - 1);
        for (int k = 0; k < taps; k++)
            sum += weight[k] * src[i + 3 * k];
        dst[i] = (uint8_t)(sum >> SHIFT);
    }
}

void fv_dsp_init(struct fv_dsp *dsp)
{
    *dsp = (struct fv_dsp){
        .warp_affine = warp_affine,
        .warp_projective = warp_projective,
        .mirror = mirror,
        .halve = halve,
        .average = average,
        .sum = sum,
        .colour = colour,
        .hue = hue,
        .blur_down = blur_down,
        .blur_along = blur_along,
    };
#if defined(FV_AUGMENT_AVX2)
    if (fv_cpu_flags() & FV_CPU_AVX2) {
        fv__dsp_init_avx2(dsp);
        fv__dsp_init_blur_avx2(dsp);
    }
#endif
}
