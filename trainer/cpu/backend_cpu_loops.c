/* SPDX-License-Identifier: MIT */
/* The steps that are not oneDNN's. The element-wise ones work on any layout: operands of one step are laid out alike,
 * and padding is zero in all of them and stays so.
 */
#include "trainer/cpu/backend_cpu.h"

#include "trainer/cpu/backend_cpu_threads.h"

#include <math.h>
#include <string.h>

enum { CACHE_LINE = 16 }; /* floats */

struct elements {
    const float *a, *b, *y;
    float *out;
    float limit;
};

static void share(const struct fv__cpu_run *r, size_t count, size_t granule,
                  void (*fn)(void *ctx, size_t begin, size_t end), void *ctx)
{
    fv__threads_share(r->program->device->threads, count, granule, fn, ctx);
}

/* A NaN is no less than zero and passes, so that it reaches the loss. */
static inline float relu(float x, float limit)
{
    float y = x < 0.0f ? 0.0f : x;
    return y > limit ? limit : y;
}

/* In locals, since what is written through `out` might be a member of *e: that would forbid vectors. */
static void add_elements(void *ctx, size_t begin, size_t end)
{
    const struct elements *e = ctx;
    const float *a = e->a, *b = e->b, limit = e->limit;
    float *out = e->out;
    if (limit > 0)
        for (size_t i = begin; i < end; i++)
            out[i] = relu(a[i] + b[i], limit);
    else
        for (size_t i = begin; i < end; i++)
            out[i] = a[i] + b[i];
}

void fv__cpu_loop_add(const struct fv__cpu_step *s, struct fv__cpu_run *r)
{
    struct elements e = {.a = s->data[0], .b = s->data[1], .out = s->data[2], .limit = s->limit};
    share(r, s->count, CACHE_LINE, add_elements, &e);
}

static void relu_elements(void *ctx, size_t begin, size_t end)
{
    const struct elements *e = ctx;
    const float *a = e->a, limit = e->limit;
    float *out = e->out;
    for (size_t i = begin; i < end; i++)
        out[i] = relu(a[i], limit);
}

void fv__cpu_loop_relu(const struct fv__cpu_step *s, struct fv__cpu_run *r)
{
    struct elements e = {.a = s->data[0], .out = s->data[1], .limit = s->limit};
    share(r, s->count, CACHE_LINE, relu_elements, &e);
}

/* The gradient g behind a ReLU that put out y: nothing where it has cut off, at y = 0 or y = limit. By its
 * bits, since a condition forbids vectors. */
static inline float pass(float g, float y, float limit)
{
    uint32_t bits;
    memcpy(&bits, &g, sizeof bits);
    bits &= -(uint32_t)(y > 0.0f) & -(uint32_t)(y < limit);
    memcpy(&g, &bits, sizeof bits);
    return g;
}

static void mask_elements(void *ctx, size_t begin, size_t end)
{
    const struct elements *e = ctx;
    const float *a = e->a, *y = e->y, limit = e->limit;
    float *out = e->out;
    for (size_t i = begin; i < end; i++)
        out[i] = pass(a[i], y[i], limit);
}

void fv__cpu_loop_mask(const struct fv__cpu_step *s, struct fv__cpu_run *r)
{
    struct elements e = {.a = s->data[0], .y = s->data[1], .out = s->data[2], .limit = s->limit};
    share(r, s->count, CACHE_LINE, mask_elements, &e);
}

static void add_mask_elements(void *ctx, size_t begin, size_t end)
{
    const struct elements *e = ctx;
    const float *a = e->a, *b = e->b, *y = e->y, limit = e->limit;
    float *out = e->out;
    for (size_t i = begin; i < end; i++)
        out[i] = pass(a[i] + b[i], y[i], limit);
}

void fv__cpu_loop_add_mask(const struct fv__cpu_step *s, struct fv__cpu_run *r)
{
    struct elements e = {
        .a = s->data[0], .b = s->data[1], .y = s->data[2], .out = s->data[3], .limit = s->limit};
    share(r, s->count, CACHE_LINE, add_mask_elements, &e);
}

struct pixels {
    const uint8_t *pixels;
    float *out;
    size_t area;
    size_t given; /* images; the rest is zero */
    float value[3][256];
};

static void input_planes(void *ctx, size_t begin, size_t end)
{
    const struct pixels *p = ctx;
    for (size_t i = begin; i < end; i++) {
        const uint8_t *in = p->pixels + i / 3 * p->area * 3 + i % 3;
        const float *value = p->value[i % 3];
        float *out = p->out + i * p->area;
        for (size_t k = 0; k < p->area; k++)
            out[k] = i / 3 < p->given ? value[in[3 * k]] : 0.0f;
    }
}

void fv__cpu_loop_input(const struct fv__cpu_step *s, struct fv__cpu_run *r)
{
    const struct fv_node *o = &r->program->net->node[s->node];
    struct pixels p = {.pixels = r->pixels,
                       .out = s->data[0],
                       .area = (size_t)o->h * (size_t)o->w,
                       .given = (size_t)r->n};
    for (int c = 0; c < 3; c++)
        for (int v = 0; v < 256; v++)
            p.value[c][v] = (float)((v / 255.0 - (double)o->mean[c]) / (double)o->std[c]);
    share(r, s->count * 3, 1, input_planes, &p);
}
