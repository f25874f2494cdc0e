/* SPDX-License-Identifier: MIT */
/* Mirroring, halving, averaging, blending and sums for AVX2: whole numbers, so in any order the bits of dsp.c. */
#include "augment/dsp.h"

#include <immintrin.h>
#include <stddef.h>
#include <string.h>

static inline __m128i load16(const void *p)
{
    return _mm_loadu_si128((const __m128i *)p);
}

static inline __m256i load32(const void *p)
{
    return _mm256_loadu_si256((const __m256i *)p);
}

/* Two places 16 bytes long in one register. */
static inline __m256i load_two(const uint8_t *low, const uint8_t *high)
{
    return _mm256_inserti128_si256(_mm256_castsi128_si256(load16(low)), load16(high), 1);
}

/* Five pixels a step, from bytes 1 to 15 of a load; what the sixteenth byte of a store spoils, the next step
 * writes again. */
static void mirror(uint8_t *dst, const uint8_t *src, int n)
{
    const __m128i turn = _mm_setr_epi8(13, 14, 15, 10, 11, 12, 7, 8, 9, 4, 5, 6, 1, 2, 3, -1);
    const uint8_t *from = src + 3 * (ptrdiff_t)n;
    int left = n;

    for (; left > 5; left -= 5, dst += 15) {
        from -= 15;
        _mm_storeu_si128((__m128i *)dst, _mm_shuffle_epi8(load16(from - 1), turn));
    }
    for (; left > 0; left--, dst += 3) {
        from -= 3;
        memcpy(dst, from, 3);
    }
}

/* Two results in words R G B R G B 0 0 of each half: sums of four pixels each in the rows a and b. */
static inline __m256i sum_pairs(const uint8_t *a, const uint8_t *b)
{
    const __m256i pair = _mm256_setr_epi8(0, 3, 1, 4, 2, 5, 6, 9, 7, 10, 8, 11, -1, -1, -1, -1, 0,
                                          3, 1, 4, 2, 5, 6, 9, 7, 10, 8, 11, -1, -1, -1, -1);
    const __m256i one = _mm256_set1_epi8(1);

    return _mm256_add_epi16(
        _mm256_maddubs_epi16(_mm256_shuffle_epi8(load_two(a, a + 12), pair), one),
        _mm256_maddubs_epi16(_mm256_shuffle_epi8(load_two(b, b + 12), pair), one));
}

static inline __m256i quarter(__m256i sum)
{
    return _mm256_srli_epi16(_mm256_add_epi16(sum, _mm256_set1_epi16(2)), 2);
}

static void halve(uint8_t *dst, const uint8_t *a, const uint8_t *b, int n)
{
    int i = 0;

    /* 16 pixels a step; the last load ends 4 bytes behind them */
    for (; i + 18 <= n; i += 16, dst += 24) {
        const ptrdiff_t at = 3 * (ptrdiff_t)i;
        const __m256i low = quarter(sum_pairs(a + at, b + at));
        const __m256i high = quarter(sum_pairs(a + at + 24, b + at + 24));
        /* in each half: 6 bytes of low, 2 of no meaning, 6 bytes of high, 2 of no meaning */
        const __m256i v = _mm256_packus_epi16(low, high);
        const __m128i even = _mm256_castsi256_si128(v), odd = _mm256_extracti128_si256(v, 1);
        /* each store leaves 2 bytes that the next one writes again; the last one is short */
        _mm_storel_epi64((__m128i *)dst, even);
        _mm_storel_epi64((__m128i *)(dst + 6), odd);
        _mm_storel_epi64((__m128i *)(dst + 12), _mm_unpackhi_epi64(even, even));
        const uint64_t last = (uint64_t)_mm_extract_epi64(odd, 1);
        memcpy(dst + 18, &last, 6);
    }
    for (; i < n; i += 2) {
        const ptrdiff_t left = 3 * (ptrdiff_t)i, right = i + 1 < n ? left + 3 : left;
        for (int c = 0; c < 3; c++)
            *dst++ = (uint8_t)((a[left + c] + a[right + c] + b[left + c] + b[right + c] + 2) >> 2);
    }
}

static void average(uint8_t *dst, const uint8_t *a, const uint8_t *b, int n)
{
    int i = 0;

    for (; i + 32 <= n; i += 32)
        _mm256_storeu_si256((__m256i *)(dst + i), _mm256_avg_epu8(load32(a + i), load32(b + i)));
    for (; i < n; i++)
        dst[i] = (uint8_t)((a[i] + b[i] + 1) >> 1);
}

/* Of 16 pairs of bytes dst, other in two registers of 8. */
static inline __m256i blend_pairs(__m256i pairs, __m256i weights)
{
    const __m256i half = _mm256_set1_epi32(1 << (FV_DSP_BLEND_BITS - 1));
    const __m256i low =
        _mm256_madd_epi16(_mm256_unpacklo_epi8(pairs, _mm256_setzero_si256()), weights);
    const __m256i high =
        _mm256_madd_epi16(_mm256_unpackhi_epi8(pairs, _mm256_setzero_si256()), weights);

    return _mm256_packs_epi32(_mm256_srli_epi32(_mm256_add_epi32(low, half), FV_DSP_BLEND_BITS),
                              _mm256_srli_epi32(_mm256_add_epi32(high, half), FV_DSP_BLEND_BITS));
}

static void blend(uint8_t *dst, const uint8_t *other, size_t n, int weight)
{
    const int one = 1 << FV_DSP_BLEND_BITS;
    const __m256i weights = _mm256_set1_epi32(weight | (one - weight) << 16);
    size_t i = 0;

    for (; i + 32 <= n; i += 32) {
        const __m256i a = load32(dst + i), b = load32(other + i);
        _mm256_storeu_si256((__m256i *)(dst + i),
                            _mm256_packus_epi16(blend_pairs(_mm256_unpacklo_epi8(a, b), weights),
                                                blend_pairs(_mm256_unpackhi_epi8(a, b), weights)));
    }
    for (; i < n; i++)
        dst[i] =
            (uint8_t)((dst[i] * weight + other[i] * (one - weight) + one / 2) >> FV_DSP_BLEND_BITS);
}

static inline uint64_t total(__m256i four)
{
    const __m128i two =
        _mm_add_epi64(_mm256_castsi256_si128(four), _mm256_extracti128_si256(four, 1));

    return (uint64_t)_mm_extract_epi64(two, 0) + (uint64_t)_mm_extract_epi64(two, 1);
}

/* 32 pixels a step: three loads, in which red begins at byte 0, 1 and 2. */
static void sum(const uint8_t *src, int n, uint32_t sums[3])
{
    static const uint8_t third[34] = {255, 0, 0, 255, 0, 0, 255, 0, 0, 255, 0, 0,
                                      255, 0, 0, 255, 0, 0, 255, 0, 0, 255, 0, 0,
                                      255, 0, 0, 255, 0, 0, 255, 0, 0, 255};
    const __m256i zero = _mm256_setzero_si256();
    __m256i red = zero, green = zero, all = zero;
    int i = 0;

    for (; i + 32 <= n; i += 32)
        for (int k = 0; k < 96; k += 32) {
            const __m256i v = load32(src + 3 * (ptrdiff_t)i + k);
            const __m256i r = load32(third + k % 3), g = load32(third + (k + 2) % 3);
            red = _mm256_add_epi64(red, _mm256_sad_epu8(_mm256_and_si256(v, r), zero));
            green = _mm256_add_epi64(green, _mm256_sad_epu8(_mm256_and_si256(v, g), zero));
            all = _mm256_add_epi64(all, _mm256_sad_epu8(v, zero));
        }
    uint64_t r = total(red), g = total(green), b = total(all) - r - g;
    for (; i < n; i++) {
        r += src[3 * (ptrdiff_t)i];
        g += src[3 * (ptrdiff_t)i + 1];
        b += src[3 * (ptrdiff_t)i + 2];
    }
    sums[0] = (uint32_t)r;
    sums[1] = (uint32_t)g;
    sums[2] = (uint32_t)b;
}

void fv__dsp_init_filter_avx2(struct fv_dsp *dsp)
{
    dsp->mirror = mirror;
    dsp->halve = halve;
    dsp->average = average;
    dsp->blend = blend;
    dsp->sum = sum;
}
