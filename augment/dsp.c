/* SPDX-License-Identifier: MIT */
/* The kernels in C: what they mean, and what the others are compared with. */
#include "augment/dsp.h"
#include "augment/dsp_fixed.h"
#include "common/cpu.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

enum { ONE = 1 << FV_DSP_WEIGHT_BITS };

static int clamp_int(int v, int hi)
{
    return v < 0 ? 0 : v < hi ? v : hi;
}

/* a and b below 2^16. The weights add up to ONE - 1, so that they and their sum have 16 bits; what the cutting
 * off loses is less than 1/100 level in the end. */
static unsigned mix(unsigned a, unsigned b, unsigned weight)
{
    return (a * (ONE - 1 - weight) >> FV_DSP_WEIGHT_BITS) + (b * weight >> FV_DSP_WEIGHT_BITS);
}

/* x and y in index coordinates, in units of 1 / ONE pixel. */
static void sample(uint8_t *dst, const uint8_t *src, int h, int w, float x, float y)
{
    if (!(x >= -0.5f * ONE && x <= ((float)w - 0.5f) * ONE && y >= -0.5f * ONE &&
          y <= ((float)h - 0.5f) * ONE)) {
        memset(dst, 0, 3);
        return;
    }
    const int fx = clamp_int((int)x, (w - 1) * ONE), fy = clamp_int((int)y, (h - 1) * ONE);
    const unsigned wx = (unsigned)fx % ONE, wy = (unsigned)fy % ONE;
    const int x0 = fx >> FV_DSP_WEIGHT_BITS, y0 = fy >> FV_DSP_WEIGHT_BITS;
    /* In the last column and row the next tap has weight 0. The next column is readable anyhow (padding), the
     * next row is not. */
    const int down = y0 < h - 1 ? w * 3 : 0;
    const uint8_t *p = src + (ptrdiff_t)y0 * w * 3 + (ptrdiff_t)x0 * 3;

    for (int c = 0; c < 3; c++) {
        const unsigned left = mix(p[c] * 256u, p[down + c] * 256u, wy);
        const unsigned right = mix(p[c + 3] * 256u, p[down + c + 3] * 256u, wy);
        dst[c] = (uint8_t)((mix(left, right, wx) + 128) >> 8);
    }
}

static void warp_affine(uint8_t *dst, int n, const uint8_t *src, int h, int w,
                        const struct fv_warp_row *row)
{
    const float x = row->x * ONE, y = row->y * ONE, dx = row->dx * ONE, dy = row->dy * ONE;

    for (int i = 0; i < n; i++)
        sample(dst + 3 * (ptrdiff_t)i, src, h, w, x + (float)i * dx, y + (float)i * dy);
}

static void warp_projective(uint8_t *dst, int n, const uint8_t *src, int h, int w,
                            const struct fv_warp_row *row)
{
    for (int i = 0; i < n; i++) {
        const float scale = ONE / (row->w + (float)i * row->dw);
        sample(dst + 3 * (ptrdiff_t)i, src, h, w, (row->x + (float)i * row->dx) * scale,
               (row->y + (float)i * row->dy) * scale);
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

static void blend(uint8_t *restrict dst, const uint8_t *restrict other, size_t n, int weight)
{
    const int one = 1 << FV_DSP_BLEND_BITS;

    for (size_t i = 0; i < n; i++)
        dst[i] =
            (uint8_t)((dst[i] * weight + other[i] * (one - weight) + one / 2) >> FV_DSP_BLEND_BITS);
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

static int saturated(int v)
{
    return v < INT16_MIN ? INT16_MIN : v < INT16_MAX ? v : INT16_MAX;
}

static int times(int a, int b)
{
    return (a * b + (1 << 14)) >> 15;
}

static void map_colour(int rgb[3], const struct fv_fixed_map *m)
{
    const int luma = times(rgb[0], FV_FIXED_LUMA_R) + times(rgb[1], FV_FIXED_LUMA_G) +
                     times(rgb[2], FV_FIXED_LUMA_B);
    const int common = saturated(times(luma, m->grey) + m->offset);

    for (int c = 0; c < 3; c++) {
        rgb[c] = saturated(times(rgb[c], m->scale) + common);
        for (int i = 0; i < m->doublings; i++)
            rgb[c] = saturated(2 * rgb[c]);
    }
}

/* v >> shift to the nearest, within 0 and hi. */
static int narrowed(int v, int shift, int hi)
{
    return clamp_int(saturated(v + (1 << (shift - 1))) >> shift, hi);
}

static void colour(uint8_t *px, int n, const struct fv_colour *k)
{
    const struct fv_fixed_map m = fv__fixed_map(k);

    for (int i = 0; i < n; i++, px += 3) {
        int rgb[3] = {px[0] << FV_FIXED_BITS, px[1] << FV_FIXED_BITS, px[2] << FV_FIXED_BITS};
        map_colour(rgb, &m);
        for (int c = 0; c < 3; c++)
            px[c] = (uint8_t)narrowed(rgb[c], FV_FIXED_BITS, 255);
    }
}

/* HSV without S and without a division: what the colour has above grey is `range`, hues are counted in units of range
 * / 6 from -3 to 3, and each channel takes the part of the range that its distance on the circle of hues gives. */
static void turn_hue(int rgb[3], int turn)
{
    const int r = rgb[0], g = rgb[1], b = rgb[2];
    const int gb_most = g > b ? g : b, gb_least = g < b ? g : b;
    const int most = r > gb_most ? r : gb_most, least = r < gb_least ? r : gb_least;
    const int range = most - least;
    int h = most == r ? g - b : most == g ? b - r + 2 * range : r - g - 2 * range;

    h += times(4 * range, turn);
    h -= h > 3 * range ? 6 * range : 0;
    h += h < -3 * range ? 6 * range : 0;
    rgb[0] = least + clamp_int(2 * range - abs(h), range);
    rgb[1] = least + clamp_int(abs(h + range) - range, range);
    rgb[2] = least + clamp_int(abs(h - range) - range, range);
}

static void hue(uint8_t *px, int n, const struct fv_colour *before, float sixths,
                const struct fv_colour *after)
{
    const struct fv_fixed_map first = fv__fixed_map(before), second = fv__fixed_map(after);
    const int turn = fv__fixed_turn(sixths);

    for (int i = 0; i < n; i++, px += 3) {
        int rgb[3] = {px[0] << FV_FIXED_BITS, px[1] << FV_FIXED_BITS, px[2] << FV_FIXED_BITS};
        map_colour(rgb, &first);
        for (int c = 0; c < 3; c++)
            rgb[c] = narrowed(rgb[c], FV_FIXED_HUE_SHIFT, FV_FIXED_HUE_WHITE);
        turn_hue(rgb, turn);
        for (int c = 0; c < 3; c++)
            rgb[c] <<= FV_FIXED_HUE_SHIFT;
        map_colour(rgb, &second);
        for (int c = 0; c < 3; c++)
            px[c] = (uint8_t)narrowed(rgb[c], FV_FIXED_BITS, 255);
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
        .blend = blend,
        .sum = sum,
        .colour = colour,
        .hue = hue,
        .blur_down = blur_down,
        .blur_along = blur_along,
    };
#if defined(FV_AUGMENT_AVX2)
    if (fv_cpu_flags() & FV_CPU_AVX2) {
        fv__dsp_init_warp_avx2(dsp);
        fv__dsp_init_colour_avx2(dsp);
        fv__dsp_init_filter_avx2(dsp);
        fv__dsp_init_blur_avx2(dsp);
    }
#endif
}
