/* SPDX-License-Identifier: MIT */
/* The passes of a blur for AVX2, sixteen values at a time. Taps go in pairs: one instruction multiplies and adds. */
#include "augment/dsp.h"

#include <immintrin.h>
#include <stddef.h>

enum { DOWN = FV_DSP_BLUR_BITS - FV_DSP_BLUR_KEPT, ALONG = FV_DSP_BLUR_BITS + FV_DSP_BLUR_KEPT };

struct sums {
    __m256i low, high; /* of elements 0-3 and 8-11; of 4-7 and 12-15 */
};

static struct sums half(int shift)
{
    const __m256i v = _mm256_set1_epi32(1 << (shift - 1));

    return (struct sums){v, v};
}

/* Weights k and k + 1; the one behind the last is 0. */
static __m256i weight_pair(const int16_t *weight, int taps, int k)
{
    const int second = k + 1 < taps ? weight[k + 1] : 0;

    return _mm256_set1_epi32((int)((uint32_t)(uint16_t)weight[k] | (uint32_t)second << 16));
}

static void add_pair(struct sums *s, __m256i a, __m256i b, __m256i weights)
{
    s->low = _mm256_add_epi32(s->low, _mm256_madd_epi16(_mm256_unpacklo_epi16(a, b), weights));
    s->high = _mm256_add_epi32(s->high, _mm256_madd_epi16(_mm256_unpackhi_epi16(a, b), weights));
}

static __m256i shifted(const struct sums *s, int shift)
{
    return _mm256_packs_epi32(_mm256_srai_epi32(s->low, shift), _mm256_srai_epi32(s->high, shift));
}

static __m256i widen(const uint8_t *p)
{
    return _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)p));
}

static void down_sixteen(int16_t *dst, const uint8_t *const *row, const int16_t *weight, int taps,
                         int i)
{
    struct sums s = half(DOWN);

    for (int k = 0; k < taps; k += 2)
        add_pair(&s, widen(row[k] + i), widen(row[k + 1 < taps ? k + 1 : k] + i),
                 weight_pair(weight, taps, k));
    _mm256_storeu_si256((__m256i *)(dst + i), shifted(&s, DOWN));
}

static void blur_down(int16_t *dst, const uint8_t *const *row, const int16_t *weight, int taps,
                      int n)
{
    int i = 0;

    for (; i + 16 <= n; i += 16)
        down_sixteen(dst, row, weight, taps, i);
    if (i < n && n >= 16) { /* the last ones once more, with some before them */
        down_sixteen(dst, row, weight, taps, n - 16);
        return;
    }
    for (; i < n; i++) {
        int32_t sum = 1 << (DOWN - 1);
        for (int k = 0; k < taps; k++)
            sum += weight[k] * row[k][i];
        dst[i] = (int16_t)(sum >> DOWN);
    }
}

static void along_sixteen(uint8_t *dst, const int16_t *src, const int16_t *weight, int taps, int i)
{
    struct sums s = half(ALONG);

    for (int k = 0; k < taps; k += 2) {
        const int16_t *a = src + i + 3 * k, *b = k + 1 < taps ? a + 3 : a;
        add_pair(&s, _mm256_loadu_si256((const __m256i *)(const void *)a),
                 _mm256_loadu_si256((const __m256i *)(const void *)b),
                 weight_pair(weight, taps, k));
    }
    const __m256i v = shifted(&s, ALONG);
    const __m256i bytes = _mm256_permute4x64_epi64(_mm256_packus_epi16(v, v), 0x08);
    _mm_storeu_si128((__m128i *)(dst + i), _mm256_castsi256_si128(bytes));
}

static void blur_along(uint8_t *dst, const int16_t *src, const int16_t *weight, int taps, int n)
{
    int i = 0;

    for (; i + 16 <= n; i += 16)
        along_sixteen(dst, src, weight, taps, i);
    if (i < n && n >= 16) {
        along_sixteen(dst, src, weight, taps, n - 16);
        return;
    }
    for (; i < n; i++) {
        int32_t sum = 1 << (ALONG - 1);
        for (int k = 0; k < taps; k++)
            sum += weight[k] * src[i + 3 * k];
        dst[i] = (uint8_t)(sum >> ALONG);
    }
}

void fv__dsp_init_blur_avx2(struct fv_dsp *dsp)
{
    dsp->blur_down = blur_down;
    dsp->blur_along = blur_along;
}
