/* SPDX-License-Identifier: MIT */
/* Gaussian blur in two integer passes, a row of the result at a time: down into a line of 16-bit values, along into
 * the picture. The rows above are already blurred when a row's turn comes, so both passes read from a copy. */
#include "augment/render_parts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

_Static_assert((int)FV_BLUR_MOST <= (int)FV_DSP_BLUR_TAPS, "the kernels take every blur of a plan");

static size_t picture_bytes(int h, int w)
{
    return ((size_t)h * (size_t)w * 3 + 63) & ~(size_t)63;
}

size_t fv__render_blur_scratch(int h, int w)
{
    return picture_bytes(h, w) + ((size_t)w + FV_DSP_BLUR_TAPS - 1) * 3 * sizeof(int16_t);
}

/* i reflected into 0..n-1 about the outermost pixels, as often as it takes. */
static int reflect(int i, int n)
{
    if (n == 1)
        return 0;
    i = abs(i) % (2 * (n - 1));
    return i < n ? i : 2 * (n - 1) - i;
}

/* Whole weights that add up exactly; gives the number of taps without the outer ones that came out as 0. */
static int gaussian(int16_t *weight, int taps, double sigma)
{
    const int radius = taps / 2;
    double exact[FV_DSP_BLUR_TAPS / 2 + 1], sum = 0;
    int used = 0, rest = 1 << FV_DSP_BLUR_BITS;

    for (int k = 0; k <= radius; k++) {
        exact[k] = exp(-0.5 * (k / sigma) * (k / sigma));
        sum += k > 0 ? 2 * exact[k] : exact[k];
    }
    for (int k = 1; k <= radius; k++)
        if (lround(exact[k] / sum * (1 << FV_DSP_BLUR_BITS)) > 0)
            used = k;
    for (int k = 1; k <= used; k++) {
        const int w = (int)lround(exact[k] / sum * (1 << FV_DSP_BLUR_BITS));
        weight[used - k] = weight[used + k] = (int16_t)w;
        rest -= 2 * w;
    }
    weight[used] = (int16_t)rest;
    return 2 * used + 1;
}

void fv__render_blur(const struct fv_dsp *dsp, uint8_t *px, int h, int w, int taps, double sigma,
                     void *scratch)
{
    const size_t stride = (size_t)w * 3;
    uint8_t *copy = scratch;
    int16_t *line = (int16_t *)(void *)(copy + picture_bytes(h, w));
    int16_t weight[FV_DSP_BLUR_TAPS];
    const uint8_t *row[FV_DSP_BLUR_TAPS];

    taps = gaussian(weight, taps, sigma);
    const int radius = taps / 2;
    int16_t *const middle = line + 3 * (size_t)radius;
    memcpy(copy, px, (size_t)h * stride);
    for (int y = 0; y < h; y++) {
        for (int k = 0; k < taps; k++)
            row[k] = copy + (size_t)reflect(y + k - radius, h) * stride;
        dsp->blur_down(middle, row, weight, taps, (int)stride);
        for (int x = 1; x <= radius; x++) {
            memcpy(middle - 3 * (ptrdiff_t)x, middle + 3 * (ptrdiff_t)reflect(-x, w),
                   3 * sizeof *line);
            memcpy(middle + 3 * (ptrdiff_t)(w - 1 + x),
                   middle + 3 * (ptrdiff_t)reflect(w - 1 + x, w), 3 * sizeof *line);
        }
        dsp->blur_along(px + (size_t)y * stride, line, weight, taps, (int)stride);
    }
}
