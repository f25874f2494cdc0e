/* SPDX-License-Identifier: MIT */
#include "tests/cuda/noise.h"

#include <stdlib.h>
#include <string.h>

uint32_t noise_next(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

static size_t image_bytes(const struct fv_batch *b)
{
    return (size_t)b->height * (size_t)b->width * 3;
}

void noise_fill(struct fv_batch *b, uint32_t seed, int n, int classes)
{
    const uint32_t c = (uint32_t)classes;
    for (size_t i = 0; i < (size_t)b->capacity * image_bytes(b); i++)
        b->pixels[i] = (uint8_t)noise_next(&seed);
    for (int i = 0; i < b->capacity; i++) {
        b->label[i] = (int)(noise_next(&seed) % c);
        b->label_mix[i] = (int)(noise_next(&seed) % c);
        b->lambda[i] = (float)(noise_next(&seed) % 100) / 99;
    }
    b->n = n;
    b->ticket = 0;
}

static void *room(size_t count, size_t bytes)
{
    void *p = calloc(count, bytes);
    if (!p)
        abort();
    return p;
}

struct noise *noise_new(int capacity, int size)
{
    struct noise *d = room(1, sizeof *d);
    const size_t n = (size_t)capacity;
    d->b = (struct fv_batch){.n = capacity, .capacity = capacity, .height = size, .width = size};
    d->b.pixels = room(n, image_bytes(&d->b));
    d->b.label = room(n, sizeof *d->b.label);
    d->b.label_mix = room(n, sizeof *d->b.label_mix);
    d->b.lambda = room(n, sizeof *d->b.lambda);
    d->b.image = room(n, sizeof *d->b.image);
    return d;
}

void noise_free(struct noise **n)
{
    if (!n || !*n)
        return;
    free((*n)->b.pixels);
    free((*n)->b.label);
    free((*n)->b.label_mix);
    free((*n)->b.lambda);
    free((*n)->b.image);
    free(*n);
    *n = NULL;
}

void noise_draw(struct noise *d, uint32_t seed, int n, int classes)
{
    noise_fill(&d->b, seed, n, classes);
}

void noise_put(struct noise *to, int at, const struct noise *from)
{
    const size_t n = (size_t)from->b.n, first = (size_t)at, bytes = image_bytes(&to->b);
    memcpy(to->b.pixels + first * bytes, from->b.pixels, n * bytes);
    memcpy(to->b.label + first, from->b.label, n * sizeof *from->b.label);
    memcpy(to->b.label_mix + first, from->b.label_mix, n * sizeof *from->b.label_mix);
    memcpy(to->b.lambda + first, from->b.lambda, n * sizeof *from->b.lambda);
}
