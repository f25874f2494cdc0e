/* SPDX-License-Identifier: MIT */
#include "tools/bench/batch_memory.h"

#include "common/err.h"
#include "common/rng.h"

#include <stdlib.h>
#include <string.h>

static size_t pixel_bytes(const struct fv_batch *b)
{
    return (size_t)b->capacity * (size_t)b->height * (size_t)b->width * 3;
}

int batch_alloc(struct fv_batch *b, int n, int height, int width)
{
    *b = (struct fv_batch){.n = n, .capacity = n, .height = height, .width = width};
    b->pixels = malloc(pixel_bytes(b));
    b->label = calloc((size_t)n, sizeof *b->label);
    b->label_mix = calloc((size_t)n, sizeof *b->label_mix);
    b->lambda = malloc((size_t)n * sizeof *b->lambda);
    b->image = calloc((size_t)n, sizeof *b->image);
    if (!b->pixels || !b->label || !b->label_mix || !b->lambda || !b->image) {
        batch_free(b);
        return fv_err(FV_ENOMEM, "out of memory for a batch of %d images", n);
    }
    for (int i = 0; i < n; i++)
        b->lambda[i] = 1;
    return FV_OK;
}

void batch_copy(struct fv_batch *to, const struct fv_batch *from)
{
    const size_t n = (size_t)from->capacity;

    to->ticket = from->ticket;
    to->epoch = from->epoch;
    to->step = from->step;
    to->n = from->n;
    memcpy(to->pixels, from->pixels, pixel_bytes(from));
    memcpy(to->label, from->label, n * sizeof *to->label);
    memcpy(to->label_mix, from->label_mix, n * sizeof *to->label_mix);
    memcpy(to->lambda, from->lambda, n * sizeof *to->lambda);
    memcpy(to->image, from->image, n * sizeof *to->image);
}

void batch_fill_noise(struct fv_batch *b, int classes)
{
    struct fv_rng r = fv_rng_at(1, 0, 0, FV_RNG_TEST);

    for (size_t i = 0; i < pixel_bytes(b); i++)
        b->pixels[i] = (uint8_t)fv_rng_u32(&r);
    for (int i = 0; i < b->capacity; i++)
        b->label[i] = b->label_mix[i] = i % classes;
}

void batch_free(struct fv_batch *b)
{
    free(b->pixels);
    free(b->label);
    free(b->label_mix);
    free(b->lambda);
    free(b->image);
    *b = (struct fv_batch){0};
}
