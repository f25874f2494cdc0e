/* SPDX-License-Identifier: MIT */
/* Colour maps and hue for AVX2, eight pixels at a time, each channel as floats: the same operations in the same order
 * as in dsp.c, so the same bits. */
#include "augment/dsp.h"
#include "augment/rgb_avx2.h"

struct rgb {
    __m256 r, g, b;
};

struct map {
    __m256 scale, grey, offset;
};

static inline struct map map_of(const struct fv_colour *k, float rounding)
{
    return (struct map){_mm256_set1_ps(k->scale), _mm256_set1_ps(k->grey),
                        _mm256_set1_ps(k->offset + rounding)};
}

static inline struct rgb to_floats(__m256i rgb0)
{
    const __m256i byte = _mm256_set1_epi32(255);

    return (struct rgb){
        _mm256_cvtepi32_ps(_mm256_and_si256(rgb0, byte)),
        _mm256_cvtepi32_ps(_mm256_and_si256(_mm256_srli_epi32(rgb0, 8), byte)),
        _mm256_cvtepi32_ps(_mm256_srli_epi32(rgb0, 16)), /* the fourth byte is 0 */
    };
}

/* Cuts off what is behind the point, and what is below 0 or above 255. */
static inline __m256i to_bytes(struct rgb c)
{
    const __m256i rg = _mm256_packs_epi32(_mm256_cvttps_epi32(c.r), _mm256_cvttps_epi32(c.g));
    const __m256i b0 = _mm256_packs_epi32(_mm256_cvttps_epi32(c.b), _mm256_setzero_si256());
    const __m256i weave = _mm256_setr_epi8(0, 4, 8, 12, 1, 5, 9, 12, 2, 6, 10, 12, 3, 7, 11, 12, 0,
                                           4, 8, 12, 1, 5, 9, 12, 2, 6, 10, 12, 3, 7, 11, 12);

    return _mm256_shuffle_epi8(_mm256_packus_epi16(rg, b0), weave);
}

static inline struct rgb map_colour(struct rgb c, const struct map *m)
{
    const __m256 luma = _mm256_add_ps(_mm256_add_ps(_mm256_mul_ps(c.r, _mm256_set1_ps(FV_LUMA_R)),
                                                    _mm256_mul_ps(c.g, _mm256_set1_ps(FV_LUMA_G))),
                                      _mm256_mul_ps(c.b, _mm256_set1_ps(FV_LUMA_B)));
    const __m256 common = _mm256_add_ps(_mm256_mul_ps(luma, m->grey), m->offset);

    return (struct rgb){
        _mm256_add_ps(_mm256_mul_ps(c.r, m->scale), common),
        _mm256_add_ps(_mm256_mul_ps(c.g, m->scale), common),
        _mm256_add_ps(_mm256_mul_ps(c.b, m->scale), common),
    };
}

static inline __m256 clamp(__m256 v, __m256 hi)
{
    return _mm256_min_ps(_mm256_max_ps(v, _mm256_setzero_ps()), hi);
}

static inline struct rgb clip(struct rgb c)
{
    const __m256 most = _mm256_set1_ps(255);

    return (struct rgb){clamp(c.r, most), clamp(c.g, most), clamp(c.b, most)};
}

static inline __m256 distance(__m256 a, __m256 b)
{
    return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), _mm256_sub_ps(a, b));
}

static inline struct rgb turn_hue(struct rgb c, __m256 sixths)
{
    const __m256 zero = _mm256_setzero_ps();
    const __m256 most = _mm256_max_ps(c.r, _mm256_max_ps(c.g, c.b));
    const __m256 least = _mm256_min_ps(c.r, _mm256_min_ps(c.g, c.b));
    const __m256 range = _mm256_sub_ps(most, least), twice = _mm256_add_ps(range, range);
    const __m256 fourfold = _mm256_add_ps(twice, twice);
    const __m256 circle = _mm256_mul_ps(range, _mm256_set1_ps(6));
    const __m256 of_r = _mm256_sub_ps(c.g, c.b);
    const __m256 of_g = _mm256_add_ps(_mm256_sub_ps(c.b, c.r), twice);
    const __m256 of_b = _mm256_add_ps(_mm256_sub_ps(c.r, c.g), fourfold);
    __m256 h = _mm256_blendv_ps(_mm256_blendv_ps(of_b, of_g, _mm256_cmp_ps(most, c.g, _CMP_EQ_OQ)),
                                of_r, _mm256_cmp_ps(most, c.r, _CMP_EQ_OQ));

    h = _mm256_add_ps(h, _mm256_mul_ps(range, sixths));
    h = _mm256_sub_ps(h, _mm256_and_ps(_mm256_cmp_ps(h, circle, _CMP_GE_OQ), circle));
    h = _mm256_add_ps(h, _mm256_and_ps(_mm256_cmp_ps(h, zero, _CMP_LT_OQ), circle));
    const __m256 r = _mm256_sub_ps(distance(h, _mm256_add_ps(twice, range)), range);
    const __m256 g = _mm256_sub_ps(twice, distance(h, twice));
    const __m256 b = _mm256_sub_ps(twice, distance(h, fourfold));
    return (struct rgb){
        _mm256_add_ps(least, clamp(r, range)),
        _mm256_add_ps(least, clamp(g, range)),
        _mm256_add_ps(least, clamp(b, range)),
    };
}

/* The last few pixels, in a register's worth of room. */
static inline __m256i load_rest(const uint8_t *px, int n)
{
    uint8_t rest[24] = {0};

    memcpy(rest, px, (size_t)n * 3);
    return fv__rgb_load(rest);
}

/* In place a store must not touch what is still to be read: at most eight pixels of room. */
static inline int room(int n)
{
    return n < 8 ? n : 8;
}

static inline __m256i load_some(const uint8_t *px, int n)
{
    return n >= 8 ? fv__rgb_load(px) : load_rest(px, n);
}

static void colour(uint8_t *px, int n, const struct fv_colour *k)
{
    const struct map m = map_of(k, 0.5f);

    for (; n > 0; n -= 8, px += 24)
        fv__rgb_store(px, to_bytes(map_colour(to_floats(load_some(px, n)), &m)), room(n));
}

/* In three steps over some pixels at a time: all these operations in one chain are more than a processor keeps in
 * view, and it would wait for one pixel's before it begins the next one's. */
enum { CHUNK = 64 };

static void hue(uint8_t *px, int n, const struct fv_colour *before, float sixths,
                const struct fv_colour *after)
{
    const struct map first = map_of(before, 0), second = map_of(after, 0.5f);
    const __m256 turn = _mm256_set1_ps(sixths);
    struct rgb c[CHUNK / 8];

    for (; n > 0; n -= CHUNK) {
        const int some = n < CHUNK ? n : CHUNK, vectors = (some + 7) / 8;
        for (int i = 0; i < vectors; i++)
            c[i] = clip(map_colour(to_floats(load_some(px + 24 * i, some - 8 * i)), &first));
        for (int i = 0; i < vectors; i++)
            c[i] = turn_hue(c[i], turn);
        for (int i = 0; i < vectors; i++, px += 24)
            fv__rgb_store(px, to_bytes(map_colour(c[i], &second)), room(some - 8 * i));
    }
}

void fv__dsp_init_colour_avx2(struct fv_dsp *dsp)
{
    dsp->colour = colour;
    dsp->hue = hue;
}
