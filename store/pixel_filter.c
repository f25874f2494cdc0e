/* SPDX-License-Identifier: MIT */
#include "store/pixel_filter.h"
#include "common/cpu.h"

#include <stddef.h>

void fv__pixels_filter(const uint8_t *rgb, int width, int height, uint8_t *planes)
{
    const size_t n = (size_t)width * (size_t)height;
    uint8_t *const g = planes, *const r = planes + n, *const b = planes + 2 * n;

    for (size_t i = 0; i < n; i++) {
        g[i] = rgb[3 * i + 1];
        r[i] = (uint8_t)(rgb[3 * i] - rgb[3 * i + 1]);
        b[i] = (uint8_t)(rgb[3 * i + 2] - rgb[3 * i + 1]);
    }
    /* From the last row up, so that the row above is still whole. */
    for (int p = 0; p < 3; p++)
        for (size_t i = n - 1; i >= (size_t)width; i--)
            planes[(size_t)p * n + i] =
                (uint8_t)(planes[(size_t)p * n + i] - planes[(size_t)p * n + i - (size_t)width]);
}

void fv__pixels_unfilter_c(uint8_t *planes, int width, int height, uint8_t *rgb)
{
    const size_t n = (size_t)width * (size_t)height;
    uint8_t *const g = planes, *const r = planes + n, *const b = planes + 2 * n;

    for (size_t i = (size_t)width; i < n; i++) {
        g[i] = (uint8_t)(g[i] + g[i - (size_t)width]);
        r[i] = (uint8_t)(r[i] + r[i - (size_t)width]);
        b[i] = (uint8_t)(b[i] + b[i - (size_t)width]);
    }
    for (size_t i = 0; i < n; i++) {
        rgb[3 * i] = (uint8_t)(r[i] + g[i]);
        rgb[3 * i + 1] = g[i];
        rgb[3 * i + 2] = (uint8_t)(b[i] + g[i]);
    }
}

fv_unfilter_fn fv__pixels_unfilter(void)
{
#if defined(__x86_64__)
    if (fv_cpu_flags() & FV_CPU_AVX2)
        return fv__pixels_unfilter_avx2;
#endif
    return fv__pixels_unfilter_c;
}
