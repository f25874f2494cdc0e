/* SPDX-License-Identifier: MIT */
/* Eight pixels between memory, where a pixel has three bytes, and a register, where it has four. */
#ifndef FV_AUGMENT_RGB_AVX2_H
#define FV_AUGMENT_RGB_AVX2_H

#include <immintrin.h>
#include <stdint.h>
#include <string.h>

/* RGB0 quadruples without the gaps: 24 bytes, then 8 of no meaning. */
static inline __m256i fv__rgb_squeeze(__m256i rgb0)
{
    const __m256i squeeze =
        _mm256_setr_epi8(0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1, 0, 1, 2, 4, 5, 6,
                         8, 9, 10, 12, 13, 14, -1, -1, -1, -1);
    const __m256i join = _mm256_setr_epi32(0, 1, 2, 4, 5, 6, 3, 7);

    return _mm256_permutevar8x32_epi32(_mm256_shuffle_epi8(rgb0, squeeze), join);
}

/* Writes the first n pixels, and nothing behind them. `room`: how many pixels may be written; the bytes behind the
 * eighth are then of no meaning. */
static inline void fv__rgb_store(uint8_t *dst, __m256i rgb0, int room)
{
    const __m256i v = fv__rgb_squeeze(rgb0);

    if (room >= 11) {
        _mm256_storeu_si256((__m256i *)dst, v);
    } else if (room >= 8) {
        _mm_storeu_si128((__m128i *)dst, _mm256_castsi256_si128(v));
        _mm_storel_epi64((__m128i *)(dst + 16), _mm256_extracti128_si256(v, 1));
    } else {
        uint8_t whole[32];
        _mm256_storeu_si256((__m256i *)whole, v);
        memcpy(dst, whole, (size_t)room * 3);
    }
}

/* 24 bytes as RGB0 quadruples; reads exactly those bytes. */
static inline __m256i fv__rgb_load(const uint8_t *src)
{
    const __m256i spread = _mm256_setr_epi8(0, 1, 2, -1, 3, 4, 5, -1, 6, 7, 8, -1, 9, 10, 11, -1, 4,
                                            5, 6, -1, 7, 8, 9, -1, 10, 11, 12, -1, 13, 14, 15, -1);
    const __m128i low = _mm_loadu_si128((const __m128i *)src);
    const __m128i high = _mm_loadu_si128((const __m128i *)(src + 8));

    return _mm256_shuffle_epi8(_mm256_inserti128_si256(_mm256_castsi128_si256(low), high, 1),
                               spread);
}

#endif
