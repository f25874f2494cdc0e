/* SPDX-License-Identifier: MIT */
/* 32 pixels a step: the running sums of a column stay in the planes (the row above), and the three channels
 * are woven into RGB 16 pixels at a time by byte shuffles. Bit-exact to the C version. */
#include "store/pixel_filter.h"

#include <immintrin.h>
#include <stddef.h>

static inline __m128i load(const uint8_t *p)
{
    return _mm_loadu_si128((const __m128i *)p);
}

static inline void store(uint8_t *p, __m128i v)
{
    _mm_storeu_si128((__m128i *)p, v);
}

/* The weave of 16 pixels: each of three output vectors takes 5 or 6 bytes of every channel; -1 gives zero. */
static inline void weave(__m128i r, __m128i g, __m128i b, uint8_t *out)
{
    const __m128i r0 = _mm_setr_epi8(0, -1, -1, 1, -1, -1, 2, -1, -1, 3, -1, -1, 4, -1, -1, 5);
    const __m128i g0 = _mm_setr_epi8(-1, 0, -1, -1, 1, -1, -1, 2, -1, -1, 3, -1, -1, 4, -1, -1);
    const __m128i b0 = _mm_setr_epi8(-1, -1, 0, -1, -1, 1, -1, -1, 2, -1, -1, 3, -1, -1, 4, -1);
    const __m128i r1 = _mm_setr_epi8(-1, -1, 6, -1, -1, 7, -1, -1, 8, -1, -1, 9, -1, -1, 10, -1);
    const __m128i g1 = _mm_setr_epi8(5, -1, -1, 6, -1, -1, 7, -1, -1, 8, -1, -1, 9, -1, -1, 10);
    const __m128i b1 = _mm_setr_epi8(-1, 5, -1, -1, 6, -1, -1, 7, -1, -1, 8, -1, -1, 9, -1, -1);
    const __m128i r2 =
        _mm_setr_epi8(-1, 11, -1, -1, 12, -1, -1, 13, -1, -1, 14, -1, -1, 15, -1, -1);
    const __m128i g2 =
        _mm_setr_epi8(-1, -1, 11, -1, -1, 12, -1, -1, 13, -1, -1, 14, -1, -1, 15, -1);
    const __m128i b2 =
        _mm_setr_epi8(10, -1, -1, 11, -1, -1, 12, -1, -1, 13, -1, -1, 14, -1, -1, 15);

    store(out, _mm_or_si128(_mm_or_si128(_mm_shuffle_epi8(r, r0), _mm_shuffle_epi8(g, g0)),
                            _mm_shuffle_epi8(b, b0)));
    store(out + 16, _mm_or_si128(_mm_or_si128(_mm_shuffle_epi8(r, r1), _mm_shuffle_epi8(g, g1)),
                                 _mm_shuffle_epi8(b, b1)));
    store(out + 32, _mm_or_si128(_mm_or_si128(_mm_shuffle_epi8(r, r2), _mm_shuffle_epi8(g, g2)),
                                 _mm_shuffle_epi8(b, b2)));
}

/* plane[i] += plane[i - width] over rows 1 .. height-1. */
static void sum_rows(uint8_t *plane, size_t width, size_t n)
{
    size_t i = width;

    /* A step of 32 must not read what it writes itself. */
    if (width >= 32)
        for (; i + 32 <= n; i += 32) {
            const __m256i above = _mm256_loadu_si256((const __m256i *)(plane + i - width));
            const __m256i here = _mm256_loadu_si256((const __m256i *)(plane + i));
            _mm256_storeu_si256((__m256i *)(plane + i), _mm256_add_epi8(here, above));
        }
    for (; i < n; i++)
        plane[i] = (uint8_t)(plane[i] + plane[i - width]);
}

void fv__pixels_unfilter_avx2(uint8_t *planes, int width, int height, uint8_t *rgb)
{
    const size_t n = (size_t)width * (size_t)height;
    uint8_t *const g = planes, *const r = planes + n, *const b = planes + 2 * n;
    size_t i = 0;

    for (int p = 0; p < 3; p++)
        sum_rows(planes + (size_t)p * n, (size_t)width, n);
    for (; i + 16 <= n; i += 16) {
        const __m128i gv = load(g + i);
        weave(_mm_add_epi8(load(r + i), gv), gv, _mm_add_epi8(load(b + i), gv), rgb + 3 * i);
    }
    for (; i < n; i++) {
        rgb[3 * i] = (uint8_t)(r[i] + g[i]);
        rgb[3 * i + 1] = g[i];
        rgb[3 * i + 2] = (uint8_t)(b[i] + g[i]);
    }
}
