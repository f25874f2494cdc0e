/* SPDX-License-Identifier: MIT */
/* Colour maps and hue for AVX2, sixteen pixels at a time, a register a channel: the same operations on the same 16 bits
 * as in dsp.c. */
#include "augment/dsp.h"
#include "augment/dsp_fixed.h"

#include <immintrin.h>
#include <stddef.h>
#include <string.h>

enum { STEP = 16 };

struct rgb {
    __m256i r, g, b;
};

struct map {
    __m256i scale, grey, offset;
    int doublings;
};

static struct map map_of(const struct fv_colour *k)
{
    const struct fv_fixed_map m = fv__fixed_map(k);

    return (struct map){_mm256_set1_epi16(m.scale), _mm256_set1_epi16(m.grey),
                        _mm256_set1_epi16(m.offset), m.doublings};
}

/* Eight pixels; in each half the red bytes of four, the green and the blue ones, and four of no meaning. */
static inline __m256i load_eight(const uint8_t *px)
{
    const __m256i part = _mm256_setr_epi8(0, 3, 6, 9, 1, 4, 7, 10, 2, 5, 8, 11, 12, 13, 14, 15, 4,
                                          7, 10, 13, 5, 8, 11, 14, 6, 9, 12, 15, 0, 1, 2, 3);
    const __m128i low = _mm_loadu_si128((const __m128i *)px);
    const __m128i high = _mm_loadu_si128((const __m128i *)(px + 8));

    return _mm256_shuffle_epi8(_mm256_inserti128_si256(_mm256_castsi128_si256(low), high, 1), part);
}

/* Sixteen pixels in the order 0-3 8-11, 4-7 12-15. */
static inline struct rgb load(const uint8_t *px)
{
    const __m256i a = load_eight(px), b = load_eight(px + 24), zero = _mm256_setzero_si256();
    const __m256i rg = _mm256_unpacklo_epi32(a, b), b_ = _mm256_unpackhi_epi32(a, b);

    return (struct rgb){_mm256_srli_epi16(_mm256_unpacklo_epi8(zero, rg), 8 - FV_FIXED_BITS),
                        _mm256_srli_epi16(_mm256_unpackhi_epi8(zero, rg), 8 - FV_FIXED_BITS),
                        _mm256_srli_epi16(_mm256_unpacklo_epi8(zero, b_), 8 - FV_FIXED_BITS)};
}

/* The 24 bytes of eight pixels whose halves are like those of load_eight, then 8 of no meaning. */
static inline __m256i weave(__m256i parts)
{
    const __m256i pixels = _mm256_setr_epi8(0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11, -1, -1, -1, -1, 0,
                                            4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11, -1, -1, -1, -1);
    const __m256i join = _mm256_setr_epi32(0, 1, 2, 4, 5, 6, 3, 7);

    return _mm256_permutevar8x32_epi32(_mm256_shuffle_epi8(parts, pixels), join);
}

static inline __m256i rounded(__m256i v, int shift)
{
    return _mm256_srai_epi16(_mm256_adds_epi16(v, _mm256_set1_epi16((int16_t)(1 << (shift - 1)))),
                             shift);
}

static inline void store(uint8_t *px, struct rgb c)
{
    const __m256 rg = _mm256_castsi256_ps(
        _mm256_packus_epi16(rounded(c.r, FV_FIXED_BITS), rounded(c.g, FV_FIXED_BITS)));
    const __m256 b = _mm256_castsi256_ps(
        _mm256_packus_epi16(rounded(c.b, FV_FIXED_BITS), _mm256_setzero_si256()));
    const __m256i first = weave(_mm256_castps_si256(_mm256_shuffle_ps(rg, b, 0x88)));
    const __m256i second = weave(_mm256_castps_si256(_mm256_shuffle_ps(rg, b, 0xDD)));

    _mm256_storeu_si256((__m256i *)px, first);
    _mm_storeu_si128((__m128i *)(px + 24), _mm256_castsi256_si128(second));
    _mm_storel_epi64((__m128i *)(px + 40), _mm256_extracti128_si256(second, 1));
}

static inline __m256i map_channel(__m256i c, __m256i common, const struct map *m)
{
    c = _mm256_adds_epi16(_mm256_mulhrs_epi16(c, m->scale), common);
    for (int i = 0; i < m->doublings; i++)
        c = _mm256_adds_epi16(c, c);
    return c;
}

static inline struct rgb map_colour(struct rgb c, const struct map *m)
{
    const __m256i luma = _mm256_add_epi16(
        _mm256_add_epi16(_mm256_mulhrs_epi16(c.r, _mm256_set1_epi16(FV_FIXED_LUMA_R)),
                         _mm256_mulhrs_epi16(c.g, _mm256_set1_epi16(FV_FIXED_LUMA_G))),
        _mm256_mulhrs_epi16(c.b, _mm256_set1_epi16(FV_FIXED_LUMA_B)));
    const __m256i common = _mm256_adds_epi16(_mm256_mulhrs_epi16(luma, m->grey), m->offset);

    return (struct rgb){map_channel(c.r, common, m), map_channel(c.g, common, m),
                        map_channel(c.b, common, m)};
}

static inline __m256i clamp(__m256i v, __m256i hi)
{
    return _mm256_min_epi16(_mm256_max_epi16(v, _mm256_setzero_si256()), hi);
}

/* From the bits of a map to those of a hue. */
static inline struct rgb narrow(struct rgb c)
{
    const __m256i white = _mm256_set1_epi16(FV_FIXED_HUE_WHITE);

    return (struct rgb){clamp(rounded(c.r, FV_FIXED_HUE_SHIFT), white),
                        clamp(rounded(c.g, FV_FIXED_HUE_SHIFT), white),
                        clamp(rounded(c.b, FV_FIXED_HUE_SHIFT), white)};
}

static inline struct rgb widen(struct rgb c)
{
    return (struct rgb){_mm256_slli_epi16(c.r, FV_FIXED_HUE_SHIFT),
                        _mm256_slli_epi16(c.g, FV_FIXED_HUE_SHIFT),
                        _mm256_slli_epi16(c.b, FV_FIXED_HUE_SHIFT)};
}

static inline struct rgb turn_hue(struct rgb c, __m256i turn)
{
    const __m256i most = _mm256_max_epi16(c.r, _mm256_max_epi16(c.g, c.b));
    const __m256i least = _mm256_min_epi16(c.r, _mm256_min_epi16(c.g, c.b));
    const __m256i range = _mm256_sub_epi16(most, least), twice = _mm256_add_epi16(range, range);
    const __m256i thrice = _mm256_add_epi16(twice, range);
    const __m256i circle = _mm256_add_epi16(thrice, thrice);
    const __m256i of_r = _mm256_sub_epi16(c.g, c.b);
    const __m256i of_g = _mm256_add_epi16(_mm256_sub_epi16(c.b, c.r), twice);
    const __m256i of_b = _mm256_sub_epi16(_mm256_sub_epi16(c.r, c.g), twice);
    __m256i h = _mm256_blendv_epi8(_mm256_blendv_epi8(of_b, of_g, _mm256_cmpeq_epi16(most, c.g)),
                                   of_r, _mm256_cmpeq_epi16(most, c.r));

    h = _mm256_add_epi16(h, _mm256_mulhrs_epi16(_mm256_add_epi16(twice, twice), turn));
    h = _mm256_sub_epi16(h, _mm256_and_si256(_mm256_cmpgt_epi16(h, thrice), circle));
    const __m256i opposite = _mm256_sub_epi16(_mm256_setzero_si256(), thrice);
    h = _mm256_add_epi16(h, _mm256_and_si256(_mm256_cmpgt_epi16(opposite, h), circle));
    const __m256i r = _mm256_sub_epi16(twice, _mm256_abs_epi16(h));
    const __m256i g = _mm256_sub_epi16(_mm256_abs_epi16(_mm256_add_epi16(h, range)), range);
    const __m256i b = _mm256_sub_epi16(_mm256_abs_epi16(_mm256_sub_epi16(h, range)), range);
    return (struct rgb){
        _mm256_add_epi16(least, clamp(r, range)),
        _mm256_add_epi16(least, clamp(g, range)),
        _mm256_add_epi16(least, clamp(b, range)),
    };
}

static void colour_steps(uint8_t *px, int n, const struct map *m)
{
    for (; n > 0; n -= STEP, px += 3 * STEP)
        store(px, map_colour(load(px), m));
}

static void colour(uint8_t *px, int n, const struct fv_colour *k)
{
    const struct map m = map_of(k);
    const int whole = n / STEP * STEP;
    uint8_t rest[3 * STEP] = {0};

    colour_steps(px, whole, &m);
    if (whole == n)
        return;
    memcpy(rest, px + 3 * (ptrdiff_t)whole, 3 * (size_t)(n - whole));
    colour_steps(rest, STEP, &m);
    memcpy(px + 3 * (ptrdiff_t)whole, rest, 3 * (size_t)(n - whole));
}

struct hue {
    struct map before, after;
    __m256i turn;
};

/* In three steps over some pixels at a time: all these operations in one chain are more than a processor keeps in
 * view, and it would wait for some pixels' before it begins the next ones'. */
static void hue_steps(uint8_t *px, int n, const struct hue *k)
{
    enum { CHUNK = 128 };
    struct rgb c[CHUNK / STEP];

    for (; n > 0; n -= CHUNK) {
        const int steps = (n < CHUNK ? n : CHUNK) / STEP;
        for (int i = 0; i < steps; i++)
            c[i] = narrow(map_colour(load(px + 3 * STEP * i), &k->before));
        for (int i = 0; i < steps; i++)
            c[i] = widen(turn_hue(c[i], k->turn));
        for (int i = 0; i < steps; i++, px += 3 * STEP)
            store(px, map_colour(c[i], &k->after));
    }
}

static void hue(uint8_t *px, int n, const struct fv_colour *before, float sixths,
                const struct fv_colour *after)
{
    const struct hue k = {map_of(before), map_of(after), _mm256_set1_epi16(fv__fixed_turn(sixths))};
    const int whole = n / STEP * STEP;
    uint8_t rest[3 * STEP] = {0};

    hue_steps(px, whole, &k);
    if (whole == n)
        return;
    memcpy(rest, px + 3 * (ptrdiff_t)whole, 3 * (size_t)(n - whole));
    hue_steps(rest, STEP, &k);
    memcpy(px + 3 * (ptrdiff_t)whole, rest, 3 * (size_t)(n - whole));
}

void fv__dsp_init_colour_avx2(struct fv_dsp *dsp)
{
    dsp->colour = colour;
    dsp->hue = hue;
}
