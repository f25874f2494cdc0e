/* SPDX-License-Identifier: MIT */
/* Colour in 16 bits, as all versions of the colour kernels calculate it. A value has FV_FIXED_BITS behind the point:
 * 255 is 32640. A product is rounded to the nearest, (a * b + 2^14) >> 15, and sums are held within 16 bits, which
 * changes nothing: what is held there is below 0 or above 255 in the end too. */
#ifndef FV_AUGMENT_DSP_FIXED_H
#define FV_AUGMENT_DSP_FIXED_H

#include "augment/dsp.h"

enum {
    FV_FIXED_BITS = 7,
    FV_FIXED_WHITE = 255 << FV_FIXED_BITS,
    /* Hues go round a circle of six ranges, so they have fewer bits. */
    FV_FIXED_HUE_SHIFT = 3,
    FV_FIXED_HUE_WHITE = FV_FIXED_WHITE >> FV_FIXED_HUE_SHIFT,
    /* FV_LUMA_R and so on times 2^15 */
    FV_FIXED_LUMA_R = 9794,
    FV_FIXED_LUMA_G = 19235,
    FV_FIXED_LUMA_B = 3736,
};

/* A colour map, of which each result is to be doubled `doublings` times. */
struct fv_fixed_map {
    int16_t scale, grey, offset;
    int doublings;
};

static inline int16_t fv__fixed(float v)
{
    v = v > -32767.0f ? v : -32767.0f;
    v = v < 32767.0f ? v : 32767.0f;
    return (int16_t)(v < 0 ? v - 0.5f : v + 0.5f);
}

static inline struct fv_fixed_map fv__fixed_map(const struct fv_colour *k)
{
    struct fv_fixed_map m = {.doublings = 0};
    float part = 1.0f;

    /* Each must fit, a scale of 1 too. */
    while (m.doublings < 15 &&
           (k->scale * part >= 1.0f || k->grey * part >= 1.0f || k->grey * part <= -1.0f ||
            k->offset * part >= 255.0f || k->offset * part <= -255.0f)) {
        part *= 0.5f;
        m.doublings++;
    }
    m.scale = fv__fixed(k->scale * part * 32768.0f);
    m.grey = fv__fixed(k->grey * part * 32768.0f);
    m.offset = fv__fixed(k->offset * part * (1 << FV_FIXED_BITS));
    return m;
}

/* A quarter of the turn from -3 to 3 sixths that `sixths` from 0 to 6 is, times 2^15. */
static inline int16_t fv__fixed_turn(float sixths)
{
    return fv__fixed((sixths >= 3.0f ? sixths - 6.0f : sixths) * 8192.0f);
}

#endif
