/* SPDX-License-Identifier: MIT */
/* Warps for AVX2, eight pixels at a time: the same operations as in dsp.c, so the same bits.
 *
 * A sample needs 2 x 2 pixels. One 8-byte load brings two neighbours, so it takes two loads a pixel; gather
 * instructions are slower than that on most processors. The rest is 16-bit arithmetic on four pixels of four
 * words, the unit that the weights' 16 bits are made for. */
#include "augment/dsp.h"
#include "augment/rgb_avx2.h"

#include <stddef.h>

enum { ONE = 1 << FV_DSP_WEIGHT_BITS };

struct source {
    const uint8_t *px;
    int stride;
    int below;              /* from a pixel to the one below it; 0 where there is one row */
    __m256 right, bottom;   /* the picture's edges */
    __m256i last_x, last_y; /* largest coordinates of a sample's first pixel */
    __m256i steps;          /* 3 and the stride as 16 bits, or 0 where the stride has more */
};

static struct source describe(const uint8_t *src, int h, int w)
{
    const int stride = w * 3;

    return (struct source){
        .px = src,
        .stride = stride,
        .below = h > 1 ? stride : 0,
        .right = _mm256_set1_ps(((float)w - 0.5f) * ONE),
        .bottom = _mm256_set1_ps(((float)h - 0.5f) * ONE),
        .last_x = _mm256_set1_epi32((w - 1) * ONE),
        /* The last row as nearly all of the one below the last but one: the same result, without a row behind the
         * picture. */
        .last_y = _mm256_set1_epi32(h > 1 ? (h - 1) * ONE - 1 : 0),
        .steps = _mm256_set1_epi32(stride <= INT16_MAX ? stride << 16 | 3 : 0),
    };
}

/* The 8 bytes at four places: a and b in the lower half, c and d in the upper one. */
static inline __m256i load_four(const uint8_t *px, int a, int b, int c, int d)
{
    const __m128i low = _mm_castps_si128(_mm_loadh_pi(
        _mm_castsi128_ps(_mm_loadl_epi64((const __m128i *)(px + a))), (const __m64 *)(px + b)));
    const __m128i high = _mm_castps_si128(_mm_loadh_pi(
        _mm_castsi128_ps(_mm_loadl_epi64((const __m128i *)(px + c))), (const __m64 *)(px + d)));

    return _mm256_inserti128_si256(_mm256_castsi128_si256(low), high, 1);
}

static inline __m256i mix(__m256i a, __m256i b, __m256i rest, __m256i weight)
{
    return _mm256_add_epi16(_mm256_mulhi_epu16(a, rest), _mm256_mulhi_epu16(b, weight));
}

/* Four samples as words R G B 0. top and bottom: R G B R' G' B' and two more bytes of each; wx, wy: four times the
 * weight of each. */
static inline __m256i blend_four(__m256i top, __m256i bottom, __m256i wx, __m256i wy)
{
    const __m256i left =
        _mm256_setr_epi8(-1, 0, -1, 1, -1, 2, -1, -1, -1, 8, -1, 9, -1, 10, -1, -1, -1, 0, -1, 1,
                         -1, 2, -1, -1, -1, 8, -1, 9, -1, 10, -1, -1);
    const __m256i right =
        _mm256_setr_epi8(-1, 3, -1, 4, -1, 5, -1, -1, -1, 11, -1, 12, -1, 13, -1, -1, -1, 3, -1, 4,
                         -1, 5, -1, -1, -1, 11, -1, 12, -1, 13, -1, -1);
    const __m256i all = _mm256_set1_epi16(-1);
    const __m256i rest_y = _mm256_xor_si256(wy, all), rest_x = _mm256_xor_si256(wx, all);
    const __m256i a =
        mix(_mm256_shuffle_epi8(top, left), _mm256_shuffle_epi8(bottom, left), rest_y, wy);
    const __m256i b =
        mix(_mm256_shuffle_epi8(top, right), _mm256_shuffle_epi8(bottom, right), rest_y, wy);

    return _mm256_srli_epi16(_mm256_add_epi16(mix(a, b, rest_x, wx), _mm256_set1_epi16(128)), 8);
}

static inline __m256i clamp(__m256i v, __m256i hi)
{
    return _mm256_min_epi32(_mm256_max_epi32(v, _mm256_setzero_si256()), hi);
}

/* Where samples lie: made for some at once, so that the loads need not wait for the arithmetic before them. */
enum { CHUNK = 128 };
struct places {
    _Alignas(32) int32_t at[CHUNK];     /* of the sample's first pixel in the source */
    _Alignas(32) int32_t weight[CHUNK]; /* wx in the lower word, wy in the upper one */
    _Alignas(32) int32_t inside[CHUNK];
};

/* Sets place i to i + 7. x and y are in units of 1 / ONE pixel. */
static inline void place_eight(const struct source *s, __m256 x, __m256 y, struct places *p, int i)
{
    const __m256 edge = _mm256_set1_ps(-0.5f * ONE);
    const __m256 inside = _mm256_and_ps(
        _mm256_and_ps(_mm256_cmp_ps(x, edge, _CMP_GE_OQ), _mm256_cmp_ps(x, s->right, _CMP_LE_OQ)),
        _mm256_and_ps(_mm256_cmp_ps(y, edge, _CMP_GE_OQ), _mm256_cmp_ps(y, s->bottom, _CMP_LE_OQ)));
    const __m256i fx = clamp(_mm256_cvttps_epi32(x), s->last_x);
    const __m256i fy = clamp(_mm256_cvttps_epi32(y), s->last_y);
    const __m256i weight = _mm256_blend_epi16(fx, _mm256_slli_epi32(fy, 16), 0xAA);
    const __m256i x0 = _mm256_srli_epi32(fx, 16), y0 = _mm256_srli_epi32(fy, 16);
    const __m256i at = s->stride <= INT16_MAX
                           ? _mm256_madd_epi16(_mm256_blend_epi16(x0, fy, 0xAA), s->steps)
                           : _mm256_add_epi32(_mm256_mullo_epi32(y0, _mm256_set1_epi32(s->stride)),
                                              _mm256_add_epi32(x0, _mm256_add_epi32(x0, x0)));

    _mm256_store_si256((__m256i *)(p->at + i), at);
    _mm256_store_si256((__m256i *)(p->weight + i), weight);
    _mm256_store_ps((float *)(p->inside + i), inside);
}

/* Samples i to i + 7 as RGB0 quadruples. */
static inline __m256i sample_eight(const struct source *s, const struct places *p, int i)
{
    const uint8_t *const top = s->px, *const bottom = s->px + s->below;
    const __m256i weight = _mm256_load_si256((const __m256i *)(p->weight + i));
    const __m256i inside = _mm256_load_si256((const __m256i *)(p->inside + i));
    const __m256i x_even = _mm256_setr_epi8(0, 1, 0, 1, 0, 1, 0, 1, 4, 5, 4, 5, 4, 5, 4, 5, 0, 1, 0,
                                            1, 0, 1, 0, 1, 4, 5, 4, 5, 4, 5, 4, 5);
    const __m256i two = _mm256_set1_epi8(2), eight = _mm256_set1_epi8(8);
    const __m256i y_even = _mm256_add_epi8(x_even, two), x_odd = _mm256_add_epi8(x_even, eight);
    const __m256i y_odd = _mm256_add_epi8(x_odd, two);
    const int32_t *const at = p->at + i;
    /* pixels 0 1 and 4 5, then 2 3 and 6 7: packing puts them in order */
    const __m256i first = blend_four(
        load_four(top, at[0], at[1], at[4], at[5]), load_four(bottom, at[0], at[1], at[4], at[5]),
        _mm256_shuffle_epi8(weight, x_even), _mm256_shuffle_epi8(weight, y_even));
    const __m256i second = blend_four(
        load_four(top, at[2], at[3], at[6], at[7]), load_four(bottom, at[2], at[3], at[6], at[7]),
        _mm256_shuffle_epi8(weight, x_odd), _mm256_shuffle_epi8(weight, y_odd));

    return _mm256_and_si256(_mm256_packus_epi16(first, second), inside);
}

static void sample_chunk(uint8_t *dst, int n, const struct source *s, const struct places *p)
{
    for (int i = 0; i < n; i += 8)
        fv__rgb_store(dst + 3 * (ptrdiff_t)i, sample_eight(s, p, i), n - i);
}

/* One coordinate along a row. */
struct line {
    __m256 start, step;
};

static inline struct line line(float start, float step)
{
    return (struct line){_mm256_set1_ps(start), _mm256_set1_ps(step)};
}

static inline __m256 along(const struct line *l, __m256 at)
{
    return _mm256_add_ps(l->start, _mm256_mul_ps(at, l->step));
}

static void warp_affine(uint8_t *dst, int n, const uint8_t *src, int h, int w,
                        const struct fv_warp_row *row)
{
    const struct source s = describe(src, h, w);
    const struct line x = line(row->x * ONE, row->dx * ONE), y = line(row->y * ONE, row->dy * ONE);
    __m256 at = _mm256_setr_ps(0, 1, 2, 3, 4, 5, 6, 7);
    struct places p;

    for (int done = 0; done < n; done += CHUNK) {
        const int some = n - done < CHUNK ? n - done : CHUNK;
        for (int i = 0; i < some; i += 8) {
            place_eight(&s, along(&x, at), along(&y, at), &p, i);
            at = _mm256_add_ps(at, _mm256_set1_ps(8));
        }
        sample_chunk(dst + 3 * (ptrdiff_t)done, some, &s, &p);
    }
}

static void warp_projective(uint8_t *dst, int n, const uint8_t *src, int h, int w,
                            const struct fv_warp_row *row)
{
    const struct source s = describe(src, h, w);
    const struct line x = line(row->x, row->dx), y = line(row->y, row->dy);
    const struct line d = line(row->w, row->dw);
    __m256 at = _mm256_setr_ps(0, 1, 2, 3, 4, 5, 6, 7);
    struct places p;

    for (int done = 0; done < n; done += CHUNK) {
        const int some = n - done < CHUNK ? n - done : CHUNK;
        for (int i = 0; i < some; i += 8) {
            const __m256 scale = _mm256_div_ps(_mm256_set1_ps(ONE), along(&d, at));
            place_eight(&s, _mm256_mul_ps(along(&x, at), scale),
                        _mm256_mul_ps(along(&y, at), scale), &p, i);
            at = _mm256_add_ps(at, _mm256_set1_ps(8));
        }
        sample_chunk(dst + 3 * (ptrdiff_t)done, some, &s, &p);
    }
}

void fv__dsp_init_warp_avx2(struct fv_dsp *dsp)
{
    dsp->warp_affine = warp_affine;
    dsp->warp_projective = warp_projective;
}
