/* SPDX-License-Identifier: MIT */
/* A weight of 23 bits does not fit the 16-bit multiply-add, so each is used in two parts, high << 15 + low.
 * Both sums may wrap; put together they are right, since the whole sum fits 32 bits.
 */
#include "prep/photo/resample_dsp.h"

#include <immintrin.h>
#include <string.h>

struct sums {
    __m256i high, low;
};

static inline __m256i join(struct sums s, __m256i start)
{
    __m256i high = _mm256_slli_epi32(s.high, FV_RESAMPLE_LOW_BITS);
    return _mm256_add_epi32(_mm256_add_epi32(high, s.low), start);
}

static inline struct sums add(struct sums s, __m256i pixels, __m256i high, __m256i low)
{
    s.high = _mm256_add_epi32(s.high, _mm256_madd_epi16(pixels, high));
    s.low = _mm256_add_epi32(s.low, _mm256_madd_epi16(pixels, low));
    return s;
}

/* --- across --------------------------------------------------------------------------------------- */

/* Four weights: the first two four times, then the other two four times. */
static inline __m256i spread_weights(const int16_t *k)
{
    const __m256i order = _mm256_setr_epi8(0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 4, 5, 6,
                                           7, 4, 5, 6, 7, 4, 5, 6, 7, 4, 5, 6, 7);
    int64_t four;
    memcpy(&four, k, sizeof four);
    return _mm256_shuffle_epi8(_mm256_set1_epi64x(four), order);
}

/* Four pixels to 16 bits, ordered r0 r1 g0 g1 b0 b1 0 0 and the same of pixels 2 and 3. */
static inline __m256i load_pixels(const uint8_t *p)
{
    const __m256i order =
        _mm256_setr_epi8(0, -1, 3, -1, 1, -1, 4, -1, 2, -1, 5, -1, -1, -1, -1, -1, 6, -1, 9, -1, 7,
                         -1, 10, -1, 8, -1, 11, -1, -1, -1, -1, -1);
    __m128i bytes = _mm_loadu_si128((const __m128i *)p);
    return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(bytes), order);
}

/* Writes 3 bytes and one of no meaning. */
static inline void store_pixel(uint8_t *out, struct sums s, __m256i start)
{
    __m256i both = join(s, start);
    __m128i v = _mm_add_epi32(_mm256_castsi256_si128(both), _mm256_extracti128_si256(both, 1));
    v = _mm_srai_epi32(v, FV_RESAMPLE_BITS);
    v = _mm_packs_epi32(v, v);
    int32_t pixel = _mm_cvtsi128_si32(_mm_packus_epi16(v, v));
    memcpy(out, &pixel, sizeof pixel);
}

/* One output pixel of `rows` rows, which share the weights. */
static inline void across_pixel(uint8_t *out, size_t out_stride, const uint8_t *in,
                                size_t in_stride, const struct fv_resample_axis *a, int i, int rows)
{
    const int16_t *high = a->high + (size_t)i * (size_t)a->taps;
    const int16_t *low = a->low + (size_t)i * (size_t)a->taps;
    const __m256i start = _mm256_castsi128_si256(_mm_set1_epi32(a->start[i]));
    struct sums s[4];

    for (int y = 0; y < rows; y++)
        s[y].high = s[y].low = _mm256_setzero_si256();
    in += 3 * (size_t)a->first[i];
    for (int t = 0; t < a->count[i]; t += 4) {
        __m256i h = spread_weights(high + t), l = spread_weights(low + t);
        for (int y = 0; y < rows; y++)
            s[y] = add(s[y], load_pixels(in + (size_t)y * in_stride + 3 * (size_t)t), h, l);
    }
    for (int y = 0; y < rows; y++)
        store_pixel(out + (size_t)y * out_stride + 3 * (size_t)i, s[y],
                    _mm256_inserti128_si256(start, _mm_setzero_si128(), 1));
}

static void across(uint8_t *out, size_t out_stride, const uint8_t *in, size_t in_stride, int n,
                   const struct fv_resample_axis *a)
{
    int y = 0;
    for (; y + 4 <= n; y += 4, out += 4 * out_stride, in += 4 * in_stride)
        for (int i = 0; i < a->out; i++)
            across_pixel(out, out_stride, in, in_stride, a, i, 4);
    for (; y < n; y++, out += out_stride, in += in_stride)
        for (int i = 0; i < a->out; i++)
            across_pixel(out, out_stride, in, in_stride, a, i, 1);
}

/* --- down ----------------------------------------------------------------------------------------- */

static inline __m256i load_pair(const int16_t *k)
{
    int32_t two;
    memcpy(&two, k, sizeof two);
    return _mm256_set1_epi32(two);
}

/* Rows two by two, their bytes woven, so that one multiply-add serves both. The unpacking works within each
 * half of a register, and so does the packing, which restores the order. */
static inline __m256i down_32(const uint8_t *in, size_t in_stride, const int16_t *high,
                              const int16_t *low, int count, int32_t start)
{
    const __m256i zero = _mm256_setzero_si256(), first = _mm256_set1_epi32(start);
    struct sums s[4] = {{zero, zero}, {zero, zero}, {zero, zero}, {zero, zero}};

    for (int t = 0; t < count; t += 2, in += 2 * in_stride) {
        __m256i a = _mm256_loadu_si256((const __m256i *)in);
        __m256i b = _mm256_loadu_si256((const __m256i *)(in + in_stride));
        __m256i ab[2] = {_mm256_unpacklo_epi8(a, b), _mm256_unpackhi_epi8(a, b)};
        __m256i h = load_pair(high + t), l = load_pair(low + t);
        for (int i = 0; i < 2; i++) {
            s[2 * i] = add(s[2 * i], _mm256_unpacklo_epi8(ab[i], zero), h, l);
            s[2 * i + 1] = add(s[2 * i + 1], _mm256_unpackhi_epi8(ab[i], zero), h, l);
        }
    }
    __m256i v[4];
    for (int i = 0; i < 4; i++)
        v[i] = _mm256_srai_epi32(join(s[i], first), FV_RESAMPLE_BITS);
    return _mm256_packus_epi16(_mm256_packs_epi32(v[0], v[1]), _mm256_packs_epi32(v[2], v[3]));
}

static void down(uint8_t *out, int bytes, const uint8_t *in, size_t in_stride,
                 const struct fv_resample_axis *a, int i)
{
    const int16_t *high = a->high + (size_t)i * (size_t)a->taps;
    const int16_t *low = a->low + (size_t)i * (size_t)a->taps;
    int x = 0;
    for (; x + 32 <= bytes; x += 32)
        _mm256_storeu_si256((__m256i *)(out + x),
                            down_32(in + x, in_stride, high, low, a->count[i], a->start[i]));
    if (x < bytes) {
        uint8_t rest[32];
        _mm256_storeu_si256((__m256i *)rest,
                            down_32(in + x, in_stride, high, low, a->count[i], a->start[i]));
        memcpy(out + x, rest, (size_t)(bytes - x));
    }
}

void fv__resample_dsp_init_avx2(struct fv_resample_dsp *d)
{
    d->across = across;
    d->down = down;
}
