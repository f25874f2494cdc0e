/* SPDX-License-Identifier: MIT */
/* torchvision's filters, each as two passes in single precision, first along x: the antialiased resize, whose
 * triangles grow with the shrinking factor, and the Gaussian blur. */
#include "augment/exact.h"

#include <math.h>
#include <stdlib.h>

static uint8_t round_even(float v)
{
    v = nearbyintf(v);
    return (uint8_t)(v < 0.0f ? 0.0f : v > 255.0f ? 255.0f : v);
}

/* Result pixel i of one axis of a resize: the source pixels that count, and their weights, which add up to 1. */
static int triangle(int i, int in, int out, int *first, float *weight)
{
    const float scale = (float)in / (float)out;
    const float support = scale >= 1.0f ? scale : 1.0f, inverse = 1.0f / support;
    const float centre = scale * ((float)i + 0.5f);
    const int lo = (int)(centre - support + 0.5f), hi = (int)(centre + support + 0.5f);
    const int begin = lo > 0 ? lo : 0, n = (hi < in ? hi : in) - begin;
    float total = 0;

    for (int k = 0; k < n; k++) {
        const float at = fabsf(((float)(k + begin) - centre + 0.5f) * inverse);
        weight[k] = at < 1.0f ? 1.0f - at : 0.0f;
        total += weight[k];
    }
    for (int k = 0; k < n; k++)
        weight[k] /= total;
    *first = begin;
    return n;
}

size_t fv__exact_resized_crop_scratch(int h, int w, int out_h, int out_w)
{
    (void)out_h;
    /* the box at its new width; the weights of one pixel, up to all of a row or column */
    return (size_t)h * (size_t)out_w * 3 + (size_t)(h > w ? h : w) + 2;
}

void fv__exact_resized_crop(uint8_t *dst, int out_h, int out_w, const uint8_t *src, int src_w,
                            const struct fv_rect *box, float *scratch)
{
    const size_t stride = (size_t)out_w * 3;
    float *narrow = scratch, *weight = scratch + (size_t)box->h * stride;
    int first;

    for (int x = 0; x < out_w; x++) {
        const int n = triangle(x, box->w, out_w, &first, weight);
        for (int y = 0; y < box->h; y++) {
            const uint8_t *p =
                src + ((size_t)(box->y + y) * (size_t)src_w + (size_t)(box->x + first)) * 3;
            float sum[3] = {0, 0, 0};
            for (int k = 0; k < n; k++, p += 3)
                for (int c = 0; c < 3; c++)
                    sum[c] += weight[k] * p[c];
            for (int c = 0; c < 3; c++)
                narrow[(size_t)y * stride + (size_t)x * 3 + (size_t)c] = sum[c];
        }
    }
    for (int y = 0; y < out_h; y++) {
        const int n = triangle(y, box->h, out_h, &first, weight);
        for (size_t i = 0; i < stride; i++) {
            float sum = 0;
            for (int k = 0; k < n; k++)
                sum += weight[k] * narrow[(size_t)(first + k) * stride + i];
            *dst++ = round_even(sum);
        }
    }
}

/* i reflected into 0..n-1 about the outermost pixels, as often as it takes. */
static int reflect(int i, int n)
{
    if (n == 1)
        return 0;
    i = abs(i) % (2 * (n - 1));
    return i < n ? i : 2 * (n - 1) - i;
}

static void gaussian(float *weight, int taps, float sigma)
{
    float sum = 0;

    for (int k = 0; k < taps; k++) {
        const float x = ((float)k - 0.5f * (float)(taps - 1)) / sigma;
        weight[k] = expf(-0.5f * x * x);
        sum += weight[k];
    }
    for (int k = 0; k < taps; k++)
        weight[k] /= sum;
}

size_t fv__exact_blur_scratch(int h, int w)
{
    return (size_t)h * (size_t)w * 3;
}

void fv__exact_blur(uint8_t *dst, const uint8_t *src, int h, int w, int taps, double sigma,
                    float *scratch)
{
    const size_t stride = (size_t)w * 3;
    float weight[FV_BLUR_MOST];

    gaussian(weight, taps, (float)sigma);
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++)
            for (int c = 0; c < 3; c++) {
                float sum = 0;
                for (int k = 0; k < taps; k++)
                    sum += weight[k] * src[(size_t)y * stride +
                                           (size_t)reflect(x + k - taps / 2, w) * 3 + (size_t)c];
                scratch[(size_t)y * stride + (size_t)x * 3 + (size_t)c] = sum;
            }
    for (int y = 0; y < h; y++)
        for (size_t i = 0; i < stride; i++) {
            float sum = 0;
            for (int k = 0; k < taps; k++)
                sum += weight[k] * scratch[(size_t)reflect(y + k - taps / 2, h) * stride + i];
            *dst++ = round_even(sum);
        }
}
