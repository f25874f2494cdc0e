/* SPDX-License-Identifier: MIT */
/* Walking over values of any layout channel by channel, for loops whose numbers go by channel.
 *
 * A value lies as (n, blocks, pixels, lanes): fv__dnn_md_lanes. A strip is up to STRIP lanes of one block: `rows` rows
 * of `width` numbers, `step` apart. In the plain layout, of one lane, a strip is a plane, cut into rows of STRIP
 * pixels that share their channel. So the inner loops always run over neighbours and have a constant length, wherever
 * the layout gives one.
 */
#ifndef FV_TRAINER_BACKEND_CPU_STRIPS_H
#define FV_TRAINER_BACKEND_CPU_STRIPS_H

#include <stddef.h>
#include <string.h>

enum { STRIP = 16 };

struct lanes {
    size_t images, channels, pixels, lanes, blocks, strips; /* strips in a block */
};

/* Plain values of one pixel are one block of all channels. */
static inline struct lanes lanes_of(size_t images, size_t channels, size_t pixels, size_t lanes)
{
    struct lanes v = {images, channels, pixels, lanes, 0, 0};
    if (lanes == 1 && pixels == 1)
        v.lanes = channels;
    v.blocks = (channels + v.lanes - 1) / v.lanes;
    v.strips = (v.lanes + STRIP - 1) / STRIP;
    return v;
}

/* Where strip number `strip` of an image lies. */
struct strip {
    size_t at;                      /* first number, within the batch */
    size_t channel, count;          /* first channel, channels that exist: the others are padding */
    size_t rows, step, width, rest; /* rest: pixels of a plane that fill no row, after the rows */
};

static inline struct strip find_strip(const struct lanes *v, size_t image, size_t strip)
{
    size_t block = strip / v->strips, lane = strip % v->strips * STRIP;
    struct strip t = {.at = (image * v->blocks + block) * v->pixels * v->lanes + lane,
                      .channel = block * v->lanes + lane,
                      .rows = v->pixels,
                      .step = v->lanes,
                      .width = v->lanes - lane < STRIP ? v->lanes - lane : STRIP};
    t.count = v->channels - t.channel < t.width ? v->channels - t.channel : t.width;
    if (v->lanes == 1) {
        t.rows = v->pixels / STRIP;
        t.rest = v->pixels % STRIP;
        t.step = t.width = STRIP;
    }
    return t;
}

/* The strip's slopes or factors, one a column. Padding gets zeros, and a plane its one number all over. */
static inline void spread(const struct lanes *v, const struct strip *t, const float *by,
                          float out[STRIP])
{
    if (t->count == STRIP)
        memcpy(out, by + t->channel, STRIP * sizeof *out);
    else
        for (size_t l = 0; l < STRIP; l++)
            out[l] = v->lanes == 1 ? by[t->channel] : l < t->count ? by[t->channel + l] : 0.0f;
}

/* What a column sum becomes: of a channel, or of its plane. */
static inline void gather(const struct lanes *v, const struct strip *t, const double sum[STRIP],
                          float *out)
{
    double all = 0;
    for (size_t l = 0; l < STRIP; l++)
        all += sum[l];
    for (size_t l = 0; l < t->count; l++)
        out[t->channel + l] = (float)(v->lanes == 1 ? all : sum[l]);
}

#endif
