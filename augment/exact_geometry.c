/* SPDX-License-Identifier: MIT */
/* torchvision's affine and perspective maps: a grid of sampling points in -1..1, then grid_sample with zeros
 * outside, then the mask of what was inside. The mask is multiplied in although the zeros have already
 * darkened the border, so the border fades by the square; torchvision does that for fill=0, its default. */
#include "augment/exact.h"

#include <math.h>
#include <string.h>

void fv__exact_flip(uint8_t *px, int h, int w)
{
    for (int y = 0; y < h; y++, px += 3 * (size_t)w)
        for (int x = 0; x < w / 2; x++) {
            uint8_t *a = px + 3 * (size_t)x, *b = px + 3 * (size_t)(w - 1 - x), kept[3];
            memcpy(kept, a, 3);
            memcpy(a, b, 3);
            memcpy(b, kept, 3);
        }
}

/* x and y from -1 to 1, the outer edges of the picture. */
static void grid_sample(uint8_t *dst, const uint8_t *src, int h, int w, float x, float y)
{
    const float ix = (x + 1.0f) * (0.5f * (float)w) - 0.5f;
    const float iy = (y + 1.0f) * (0.5f * (float)h) - 0.5f;
    float sum[3] = {0, 0, 0}, mask = 0;

    /* written so that a NaN is outside */
    if (!(ix > -1.0f && ix < (float)w && iy > -1.0f && iy < (float)h)) {
        memset(dst, 0, 3);
        return;
    }
    const float fx = floorf(ix), fy = floorf(iy);
    const float east = ix - fx, south = iy - fy, west = 1.0f - east, north = 1.0f - south;
    const float weight[4] = {north * west, north * east, south * west, south * east};
    for (int k = 0; k < 4; k++) {
        const int tx = (int)fx + (k & 1), ty = (int)fy + (k >> 1);
        if (tx < 0 || tx >= w || ty < 0 || ty >= h)
            continue;
        const uint8_t *p = src + ((size_t)ty * (size_t)w + (size_t)tx) * 3;
        for (int c = 0; c < 3; c++)
            sum[c] += weight[k] * p[c];
        mask += weight[k];
    }
    for (int c = 0; c < 3; c++)
        dst[c] = (uint8_t)nearbyintf(sum[c] * mask);
}

void fv__exact_affine(uint8_t *dst, const uint8_t *src, int h, int w, const double m[6])
{
    const float half_w = 0.5f * (float)w, half_h = 0.5f * (float)h;
    float t[6];

    for (int i = 0; i < 6; i++)
        t[i] = (float)m[i] / (i < 3 ? half_w : half_h);
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++, dst += 3) {
            const float u = (float)x + 0.5f - half_w, v = (float)y + 0.5f - half_h;
            grid_sample(dst, src, h, w, u * t[0] + v * t[1] + t[2], u * t[3] + v * t[4] + t[5]);
        }
}

void fv__exact_perspective(uint8_t *dst, const uint8_t *src, int h, int w, const double c[8])
{
    const float half_w = 0.5f * (float)w, half_h = 0.5f * (float)h;
    const float g = (float)c[6], k = (float)c[7];
    float t[6];

    for (int i = 0; i < 6; i++)
        t[i] = (float)c[i] / (i < 3 ? half_w : half_h);
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++, dst += 3) {
            const float u = (float)x + 0.5f, v = (float)y + 0.5f, d = u * g + v * k + 1.0f;
            grid_sample(dst, src, h, w, (u * t[0] + v * t[1] + t[2]) / d - 1.0f,
                        (u * t[3] + v * t[4] + t[5]) / d - 1.0f);
        }
}
