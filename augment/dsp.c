/* SPDX-License-Identifier: MIT */
/* The kernels in C: what they mean, and what the others are compared with. */
#include "augment/dsp.h"
#include "common/cpu.h"

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

static void colour(uint8_t *px, int n, const struct fv_colour *k)
{
    for (int i = 0; i < n; i++, px += 3) {
        const float luma = px[0] * FV_LUMA_R + px[1] * FV_LUMA_G + px[2] * FV_LUMA_B;
        const float common = luma * k->grey + k->offset;
        for (int c = 0; c < 3; c++)
            px[c] = (uint8_t)(clamp(px[c] * k->scale + common, 0.0f, 255.0f) + 0.5f);
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
    };
#if defined(FV_AUGMENT_AVX2)
    if (fv_cpu_flags() & FV_CPU_AVX2)
        fv__dsp_init_avx2(dsp);
#endif
}
