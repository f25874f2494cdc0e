/* SPDX-License-Identifier: MIT */
/* The kernels for AVX2, eight pixels at a time. Same operations in the same order as dsp.c, so the same bits.
 *
 * A warp needs 2 x 2 pixels from eight places. One 8-byte load brings both pixels of a row pair, so it takes
 * two loads a pixel; gather instructions are slower than that on most processors.
 */
#include "augment/dsp.h"

#include <immintrin.h>
#include <stddef.h>
#include <string.h>

enum { ONE = 1 << FV_DSP_WEIGHT_BITS };

/* Eight pixels as RGB0 quadruples -> 24 bytes. */
static void store_rgb(uint8_t *dst, __m256i rgb0)
{
    const __m256i squeeze =
        _mm256_setr_epi8(0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1, 0, 1, 2, 4, 5, 6,
                         8, 9, 10, 12, 13, 14, -1, -1, -1, -1);
    const __m256i join = _mm256_setr_epi32(0, 1, 2, 4, 5, 6, 3, 7);
    const __m256i v = _mm256_permutevar8x32_epi32(_mm256_shuffle_epi8(rgb0, squeeze), join);

    _mm_storeu_si128((__m128i *)dst, _mm256_castsi256_si128(v));
    _mm_storel_epi64((__m128i *)(dst + 16), _mm256_extracti128_si256(v, 1));
}

/* 24 bytes -> eight pixels as RGB0 quadruples; reads exactly those bytes. */
static __m256i load_rgb(const uint8_t *src)
{
    const __m256i spread = _mm256_setr_epi8(0, 1, 2, -1, 3, 4, 5, -1, 6, 7, 8, -1, 9, 10, 11, -1, 4,
                                            5, 6, -1, 7, 8, 9, -1, 10, 11, 12, -1, 13, 14, 15, -1);
    const __m128i low = _mm_loadu_si128((const __m128i *)src);
    const __m128i high = _mm_loadu_si128((const __m128i *)(src + 8));

    return _mm256_shuffle_epi8(_mm256_inserti128_si256(_mm256_castsi128_si256(low), high, 1),
                               spread);
}

static __m128i load_pair(const uint8_t *top, const uint8_t *bottom)
{
    return _mm_castps_si128(_mm_loadh_pi(_mm_castsi128_ps(_mm_loadl_epi64((const __m128i *)top)),
                                         (const __m64 *)bottom));
}

/* Two pixels, one in each half: the bilinear mean of all three channels as 32-bit lanes R G B 0. */
static __m256i blend_two(__m256i taps, __m256i wx, __m256i wy)
{
    /* of each half: R G B R' G' B' of the upper row in bytes 0-5, of the lower row in bytes 8-13 */
    const __m256i upper =
        _mm256_setr_epi8(0, -1, 3, -1, 1, -1, 4, -1, 2, -1, 5, -1, -1, -1, -1, -1, 0, -1, 3, -1, 1,
                         -1, 4, -1, 2, -1, 5, -1, -1, -1, -1, -1);
    const __m256i lower =
        _mm256_setr_epi8(8, -1, 11, -1, 9, -1, 12, -1, 10, -1, 13, -1, -1, -1, -1, -1, 8, -1, 11,
                         -1, 9, -1, 12, -1, 10, -1, 13, -1, -1, -1, -1, -1);
    const __m256i top = _mm256_madd_epi16(_mm256_shuffle_epi8(taps, upper), wx);
    const __m256i bottom = _mm256_madd_epi16(_mm256_shuffle_epi8(taps, lower), wx);
    /* top (ONE - wy) + bottom wy */
    const __m256i v = _mm256_add_epi32(_mm256_slli_epi32(top, FV_DSP_WEIGHT_BITS),
                                       _mm256_mullo_epi32(_mm256_sub_epi32(bottom, top), wy));

    return _mm256_srli_epi32(_mm256_add_epi32(v, _mm256_set1_epi32(ONE * ONE / 2)),
                             2 * FV_DSP_WEIGHT_BITS);
}

struct source {
    const uint8_t *px;
    int stride;
    __m256 right, bottom; /* largest index coordinates of a pixel */
    __m256i last;         /* last row */
};

/* Eight pixels whose sampling points, in index coordinates, are x and y, as RGB0 quadruples. */
static __m256i sample_eight(const struct source *s, __m256 x, __m256 y)
{
    const __m256 half = _mm256_set1_ps(0.5f), one = _mm256_set1_ps(ONE), zero = _mm256_setzero_ps();
    const __m256 inside =
        _mm256_and_ps(_mm256_and_ps(_mm256_cmp_ps(x, _mm256_set1_ps(-0.5f), _CMP_GE_OQ),
                                    _mm256_cmp_ps(x, _mm256_add_ps(s->right, half), _CMP_LE_OQ)),
                      _mm256_and_ps(_mm256_cmp_ps(y, _mm256_set1_ps(-0.5f), _CMP_GE_OQ),
                                    _mm256_cmp_ps(y, _mm256_add_ps(s->bottom, half), _CMP_LE_OQ)));
    const __m256 cx = _mm256_min_ps(_mm256_max_ps(x, zero), s->right);
    const __m256 cy = _mm256_min_ps(_mm256_max_ps(y, zero), s->bottom);
    const __m256i fx = _mm256_cvttps_epi32(_mm256_add_ps(_mm256_mul_ps(cx, one), half));
    const __m256i fy = _mm256_cvttps_epi32(_mm256_add_ps(_mm256_mul_ps(cy, one), half));
    const __m256i low = _mm256_set1_epi32(ONE - 1), stride = _mm256_set1_epi32(s->stride);
    const __m256i x0 = _mm256_srli_epi32(fx, FV_DSP_WEIGHT_BITS);
    const __m256i y0 = _mm256_srli_epi32(fy, FV_DSP_WEIGHT_BITS);
    const __m256i wx = _mm256_and_si256(fx, low), wy = _mm256_and_si256(fy, low);
    /* (ONE - wx, wx) as a pair of 16 bits */
    const __m256i pair =
        _mm256_or_si256(_mm256_sub_epi32(_mm256_set1_epi32(ONE), wx), _mm256_slli_epi32(wx, 16));
    const __m256i at = _mm256_add_epi32(_mm256_mullo_epi32(y0, stride),
                                        _mm256_add_epi32(x0, _mm256_add_epi32(x0, x0)));
    const __m256i below =
        _mm256_add_epi32(at, _mm256_and_si256(stride, _mm256_cmpgt_epi32(s->last, y0)));
    _Alignas(32) int32_t top[8], bottom[8];
    __m256i two[4];

    _mm256_store_si256((__m256i *)top, at);
    _mm256_store_si256((__m256i *)bottom, below);
    for (int i = 0; i < 4; i++) {
        const int a = 2 * i, b = 2 * i + 1;
        const __m256i which = _mm256_setr_epi32(a, a, a, a, b, b, b, b);
        const __m256i taps = _mm256_inserti128_si256(
            _mm256_castsi128_si256(load_pair(s->px + top[a], s->px + bottom[a])),
            load_pair(s->px + top[b], s->px + bottom[b]), 1);
        two[i] = blend_two(taps, _mm256_permutevar8x32_epi32(pair, which),
                           _mm256_permutevar8x32_epi32(wy, which));
    }
    /* the halves hold pixels 0 2 4 6 and 1 3 5 7 */
    const __m256i mixed =
        _mm256_packus_epi16(_mm256_packs_epi32(two[0], two[1]), _mm256_packs_epi32(two[2], two[3]));
    const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    return _mm256_and_si256(_mm256_permutevar8x32_epi32(mixed, order), _mm256_castps_si256(inside));
}

static struct source describe(const uint8_t *src, int h, int w)
{
    return (struct source){src, w * 3, _mm256_set1_ps((float)(w - 1)),
                           _mm256_set1_ps((float)(h - 1)), _mm256_set1_epi32(h - 1)};
}

static void store_some(uint8_t *dst, __m256i rgb0, int n)
{
    uint8_t whole[24];

    if (n >= 8) {
        store_rgb(dst, rgb0);
    } else {
        store_rgb(whole, rgb0);
        memcpy(dst, whole, (size_t)n * 3);
    }
}

static __m256 along(float start, float step, int i)
{
    const __m256i lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    const __m256 at = _mm256_cvtepi32_ps(_mm256_add_epi32(_mm256_set1_epi32(i), lanes));

    return _mm256_add_ps(_mm256_set1_ps(start), _mm256_mul_ps(at, _mm256_set1_ps(step)));
}

static void warp_affine(uint8_t *dst, int n, const uint8_t *src, int h, int w,
                        const struct fv_warp_row *row)
{
    const struct source s = describe(src, h, w);

    for (int i = 0; i < n; i += 8)
        store_some(dst + 3 * (ptrdiff_t)i,
                   sample_eight(&s, along(row->x, row->dx, i), along(row->y, row->dy, i)), n - i);
}

static void warp_projective(uint8_t *dst, int n, const uint8_t *src, int h, int w,
                            const struct fv_warp_row *row)
{
    const struct source s = describe(src, h, w);

    for (int i = 0; i < n; i += 8) {
        const __m256 d = along(row->w, row->dw, i);
        store_some(dst + 3 * (ptrdiff_t)i,
                   sample_eight(&s, _mm256_div_ps(along(row->x, row->dx, i), d),
                                _mm256_div_ps(along(row->y, row->dy, i), d)),
                   n - i);
    }
}

/* One channel of RGB0 quadruples as floats. */
static __m256 channel(__m256i rgb0, int shift)
{
    return _mm256_cvtepi32_ps(
        _mm256_and_si256(_mm256_srl_epi32(rgb0, _mm_cvtsi32_si128(shift)), _mm256_set1_epi32(255)));
}

struct rgb {
    __m256 c[3];
};

static struct rgb split(__m256i rgb0)
{
    return (struct rgb){{channel(rgb0, 0), channel(rgb0, 8), channel(rgb0, 16)}};
}

/* Rounds values from 0 to 255. */
static __m256i join(const struct rgb *v)
{
    const __m256 half = _mm256_set1_ps(0.5f);
    const __m256i r = _mm256_cvttps_epi32(_mm256_add_ps(v->c[0], half));
    const __m256i g = _mm256_cvttps_epi32(_mm256_add_ps(v->c[1], half));
    const __m256i b = _mm256_cvttps_epi32(_mm256_add_ps(v->c[2], half));

    return _mm256_or_si256(r, _mm256_or_si256(_mm256_slli_epi32(g, 8), _mm256_slli_epi32(b, 16)));
}

static __m256 clip(__m256 v, float most)
{
    return _mm256_min_ps(_mm256_max_ps(v, _mm256_setzero_ps()), _mm256_set1_ps(most));
}

static struct rgb map_colour(const struct rgb *v, const struct fv_colour *k)
{
    const __m256 luma =
        _mm256_add_ps(_mm256_add_ps(_mm256_mul_ps(v->c[0], _mm256_set1_ps(FV_LUMA_R)),
                                    _mm256_mul_ps(v->c[1], _mm256_set1_ps(FV_LUMA_G))),
                      _mm256_mul_ps(v->c[2], _mm256_set1_ps(FV_LUMA_B)));
    const __m256 common =
        _mm256_add_ps(_mm256_mul_ps(luma, _mm256_set1_ps(k->grey)), _mm256_set1_ps(k->offset));
    const __m256 scale = _mm256_set1_ps(k->scale);
    struct rgb out;

    for (int c = 0; c < 3; c++)
        out.c[c] = clip(_mm256_add_ps(_mm256_mul_ps(v->c[c], scale), common), 255.0f);
    return out;
}

static __m256i colour_eight(__m256i rgb0, const struct fv_colour *k)
{
    const struct rgb before = split(rgb0), after = map_colour(&before, k);

    return join(&after);
}

static __m256 distance(__m256 h, float centre)
{
    const __m256 d = _mm256_sub_ps(h, _mm256_set1_ps(centre));

    return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), d);
}

static struct rgb turn_hue(const struct rgb *v, __m256 sixths)
{
    const __m256 r = v->c[0], g = v->c[1], b = v->c[2];
    const __m256 one = _mm256_set1_ps(1.0f), two = _mm256_set1_ps(2.0f), six = _mm256_set1_ps(6.0f);
    const __m256 zero = _mm256_setzero_ps();
    const __m256 most = _mm256_max_ps(r, _mm256_max_ps(g, b));
    const __m256 least = _mm256_min_ps(r, _mm256_min_ps(g, b));
    const __m256 range = _mm256_sub_ps(most, least);
    const __m256 over = _mm256_blendv_ps(one, range, _mm256_cmp_ps(range, zero, _CMP_GT_OQ));
    const __m256 is_r = _mm256_cmp_ps(most, r, _CMP_EQ_OQ);
    const __m256 is_g = _mm256_cmp_ps(most, g, _CMP_EQ_OQ);
    const __m256 ahead =
        _mm256_blendv_ps(_mm256_blendv_ps(_mm256_sub_ps(r, g), _mm256_sub_ps(b, r), is_g),
                         _mm256_sub_ps(g, b), is_r);
    const __m256 corner =
        _mm256_blendv_ps(_mm256_blendv_ps(_mm256_set1_ps(4.0f), two, is_g), zero, is_r);
    __m256 h = _mm256_add_ps(_mm256_add_ps(_mm256_div_ps(ahead, over), corner), sixths);

    h = _mm256_blendv_ps(h, _mm256_sub_ps(h, six), _mm256_cmp_ps(h, six, _CMP_GE_OQ));
    h = _mm256_blendv_ps(h, _mm256_add_ps(h, six), _mm256_cmp_ps(h, zero, _CMP_LT_OQ));
    const __m256 part[3] = {_mm256_sub_ps(distance(h, 3.0f), one),
                            _mm256_sub_ps(two, distance(h, 2.0f)),
                            _mm256_sub_ps(two, distance(h, 4.0f))};
    struct rgb out;
    for (int c = 0; c < 3; c++)
        out.c[c] = _mm256_add_ps(least, _mm256_mul_ps(range, clip(part[c], 1.0f)));
    return out;
}

static __m256i hue_eight(__m256i rgb0, const struct fv_colour *before, __m256 sixths,
                         const struct fv_colour *after)
{
    const struct rgb plain = split(rgb0), first = map_colour(&plain, before);
    const struct rgb turned = turn_hue(&first, sixths), last = map_colour(&turned, after);

    return join(&last);
}

static void colour(uint8_t *px, int n, const struct fv_colour *k)
{
    int i = 0;

    for (; i + 8 <= n; i += 8, px += 24)
        store_rgb(px, colour_eight(load_rgb(px), k));
    if (i < n) {
        uint8_t rest[24] = {0};
        memcpy(rest, px, (size_t)(n - i) * 3);
        store_some(px, colour_eight(load_rgb(rest), k), n - i);
    }
}

static void hue(uint8_t *px, int n, const struct fv_colour *before, float sixths,
                const struct fv_colour *after)
{
    const __m256 turn = _mm256_set1_ps(sixths);
    int i = 0;

    for (; i + 8 <= n; i += 8, px += 24)
        store_rgb(px, hue_eight(load_rgb(px), before, turn, after));
    if (i < n) {
        uint8_t rest[24] = {0};
        memcpy(rest, px, (size_t)(n - i) * 3);
        store_some(px, hue_eight(load_rgb(rest), before, turn, after), n - i);
    }
}

void fv__dsp_init_avx2(struct fv_dsp *dsp)
{
    dsp->warp_affine = warp_affine;
    dsp->warp_projective = warp_projective;
    dsp->colour = colour;
    dsp->hue = hue;
}
