/* SPDX-License-Identifier: MIT */
#include "synthetic.h"

#include "common/rng.h"

#include <stdlib.h>
#include <string.h>

static uint8_t clamp(double v)
{
    return v < 0 ? 0 : v > 255 ? 255 : (uint8_t)v;
}

static void draw(const struct synthetic *s, uint8_t *rgb, uint64_t image, int label)
{
    struct fv_rng pattern = fv_rng_at(77, 0, (uint64_t)label, FV_RNG_TEST);
    struct fv_rng noise = fv_rng_at(s->salt, 0, image, FV_RNG_TEST);
    const int h = s->source.height, w = s->source.width;
    double colour[4][3]; /* of the quarters */
    for (int i = 0; i < 12; i++)
        colour[i / 3][i % 3] = fv_rng_uniform(&pattern, 64, 192);
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++)
            for (int c = 0; c < 3; c++)
                *rgb++ = clamp(colour[2 * y / h * 2 + (2 * x / w ^ s->mirror)][c] +
                               fv_rng_uniform(&noise, -s->noise, s->noise));
}

static int next(void *ctx, const struct fv_batch **out)
{
    struct synthetic *s = ctx;
    struct fv_batch *b = &s->batch;
    const uint64_t per_epoch = s->source.batches_per_epoch;
    if (!s->endless && s->ticket >= per_epoch)
        return 0;
    b->ticket = s->ticket;
    b->epoch = (uint32_t)(s->ticket / per_epoch);
    b->step = (uint32_t)(s->ticket % per_epoch);
    if (s->before)
        s->before(s);
    const size_t bytes = (size_t)b->height * (size_t)b->width * 3;
    b->n = 0;
    for (int i = 0; i < b->capacity; i++) {
        uint64_t image = b->step * (uint64_t)b->capacity + (uint64_t)i;
        if (image >= s->images)
            break;
        if (s->endless)
            image = fv_rng_permute(s->salt, b->epoch, s->images, image);
        b->image[i] = (uint32_t)image;
        b->label[i] = b->label_mix[i] = (int32_t)(image % (uint64_t)s->source.classes);
        b->lambda[i] = 1;
        draw(s, b->pixels + (size_t)i * bytes, image, b->label[i]);
        if (s->wrong_labels)
            b->label[i] = b->label_mix[i] = (b->label[i] + 1) % s->source.classes;
        b->n++;
    }
    s->ticket++;
    *out = b;
    return 1;
}

static void release(void *ctx)
{
    (void)ctx;
}

static int seek(void *ctx, uint64_t ticket)
{
    ((struct synthetic *)ctx)->ticket = ticket;
    return 0;
}

void synthetic_open(struct synthetic *s, int classes, int images, int batch, int size, int endless,
                    uint64_t salt)
{
    const size_t n = (size_t)batch;
    memset(s, 0, sizeof *s);
    s->images = (uint64_t)images;
    s->endless = endless;
    s->salt = salt;
    s->noise = 40;
    s->batch = (struct fv_batch){.capacity = batch,
                                 .height = size,
                                 .width = size,
                                 .pixels = calloc(n, (size_t)size * (size_t)size * 3),
                                 .label = calloc(n, sizeof(int32_t)),
                                 .label_mix = calloc(n, sizeof(int32_t)),
                                 .lambda = calloc(n, sizeof(float)),
                                 .image = calloc(n, sizeof(uint32_t))};
    s->source = (struct fv_batch_source){
        .ctx = s,
        .next = next,
        .release = release,
        .seek = seek,
        .batches_per_epoch = (uint64_t)(endless ? images / batch : (images + batch - 1) / batch),
        .images_per_epoch = (uint64_t)images,
        .batch = batch,
        .height = size,
        .width = size,
        .classes = classes};
}

void synthetic_close(struct synthetic *s)
{
    free(s->batch.pixels);
    free(s->batch.label);
    free(s->batch.label_mix);
    free(s->batch.lambda);
    free(s->batch.image);
}
