/* SPDX-License-Identifier: MIT */
/* The loops of backend_cpu_acts.c: backend_cpu_strips.h says how they go. Sums are kept by column in fp32 within an
 * image and in double over images.
 */
#include "trainer/cpu/backend_cpu.h"

#include "trainer/cpu/backend_cpu_strips.h"
#include "trainer/cpu/backend_cpu_threads.h"

#include <math.h>

struct work {
    struct lanes v;
    const float *x, *g, *by; /* by: slopes (c), or factors (n, c) */
    float *out, *by_grad;
};

static struct work describe(const struct fv__cpu_step *s, const struct fv__cpu_run *r)
{
    const struct fv_node *o = &r->program->net->node[s->node];
    return (struct work){
        lanes_of(s->count, (size_t)o->c, (size_t)o->h * (size_t)o->w, s->lanes), 0, 0, 0, 0, 0};
}

/* A loop over strips: `row` is inlined, with a constant width where the strip is whole. */
typedef void row_fn(const float *x, const float *g, const float *by, float *out, float *sum,
                    size_t width);

static inline __attribute__((always_inline)) void
over_rows(const struct work *w, const struct strip *t, const float *by, float *sum, row_fn *row)
{
    const float *x = w->x + t->at, *g = w->g ? w->g + t->at : NULL;
    float *out = w->out + t->at;
    if (t->width == STRIP)
        for (size_t i = 0; i < t->rows; i++)
            row(x + i * t->step, g ? g + i * t->step : NULL, by, out + i * t->step, sum, STRIP);
    else
        for (size_t i = 0; i < t->rows; i++)
            row(x + i * t->step, g ? g + i * t->step : NULL, by, out + i * t->step, sum, t->width);
    size_t done = t->rows * t->step;
    if (t->rest > 0)
        row(x + done, g ? g + done : NULL, by, out + done, sum, t->rest);
}

static inline __attribute__((always_inline)) void
prelu_row(const float *x, const float *g, const float *by, float *out, float *sum, size_t width)
{
    (void)g, (void)sum;
    for (size_t l = 0; l < width; l++) {
        float v = x[l], below = by[l] * v;
        out[l] = v > 0.0f ? v : below;
    }
}

static inline __attribute__((always_inline)) void prelu_grad_row(const float *x, const float *g,
                                                                 const float *by, float *out,
                                                                 float *sum, size_t width)
{
    for (size_t l = 0; l < width; l++) {
        float v = x[l], w = g[l], slope = by[l], below = v > 0.0f ? 0.0f : v;
        slope = v > 0.0f ? 1.0f : slope;
        sum[l] += below * w;
        out[l] = slope * w;
    }
}

static inline __attribute__((always_inline)) void
scale_row(const float *x, const float *g, const float *by, float *out, float *sum, size_t width)
{
    (void)g, (void)sum;
    for (size_t l = 0; l < width; l++)
        out[l] = x[l] * by[l];
}

static inline __attribute__((always_inline)) void scale_grad_row(const float *x, const float *g,
                                                                 const float *by, float *out,
                                                                 float *sum, size_t width)
{
    for (size_t l = 0; l < width; l++) {
        sum[l] += g[l] * x[l];
        out[l] = g[l] * by[l];
    }
}

/* i counts strips of all images. */
static void prelu_strips(void *ctx, size_t begin, size_t end)
{
    const struct work *w = ctx;
    const struct lanes *v = &w->v;
    float by[STRIP];
    for (size_t i = begin; i < end; i++) {
        size_t each = v->blocks * v->strips;
        struct strip t = find_strip(v, i / each, i % each);
        spread(v, &t, w->by, by);
        over_rows(w, &t, by, NULL, prelu_row);
    }
}

/* i counts strips: the slopes' gradients are sums over all images. */
static void prelu_grad_strips(void *ctx, size_t begin, size_t end)
{
    const struct work *w = ctx;
    const struct lanes *v = &w->v;
    float by[STRIP];
    for (size_t i = begin; i < end; i++) {
        double sums[STRIP] = {0};
        struct strip t = {0};
        for (size_t n = 0; n < v->images; n++) {
            float sum[STRIP] = {0};
            t = find_strip(v, n, i);
            spread(v, &t, w->by, by);
            over_rows(w, &t, by, sum, prelu_grad_row);
            for (size_t l = 0; l < STRIP; l++)
                sums[l] += (double)sum[l];
        }
        gather(v, &t, sums, w->by_grad);
    }
}

static void scale_strips(void *ctx, size_t begin, size_t end)
{
    const struct work *w = ctx;
    const struct lanes *v = &w->v;
    float by[STRIP];
    for (size_t i = begin; i < end; i++) {
        size_t each = v->blocks * v->strips, n = i / each;
        struct strip t = find_strip(v, n, i % each);
        spread(v, &t, w->by + n * v->channels, by);
        over_rows(w, &t, by, NULL, scale_row);
    }
}

static void scale_grad_strips(void *ctx, size_t begin, size_t end)
{
    const struct work *w = ctx;
    const struct lanes *v = &w->v;
    float by[STRIP];
    for (size_t i = begin; i < end; i++) {
        size_t each = v->blocks * v->strips, n = i / each;
        struct strip t = find_strip(v, n, i % each);
        float sum[STRIP] = {0};
        double sums[STRIP];
        spread(v, &t, w->by + n * v->channels, by);
        over_rows(w, &t, by, sum, scale_grad_row);
        for (size_t l = 0; l < STRIP; l++)
            sums[l] = (double)sum[l];
        gather(v, &t, sums, w->by_grad + n * v->channels);
    }
}

static void share(const struct fv__cpu_run *r, size_t count, size_t granule,
                  void (*fn)(void *ctx, size_t begin, size_t end), void *ctx)
{
    fv__threads_share(r->program->device->threads, count, granule, fn, ctx);
}

/* Operands: in, factor, out. */
static void by_factor(const struct fv__cpu_step *s, const struct fv__cpu_run *r,
                      void (*strips)(void *ctx, size_t begin, size_t end))
{
    struct work w = describe(s, r);
    w.x = s->data[0];
    w.by = s->data[1];
    w.out = s->data[2];
    share(r, w.v.images * w.v.blocks * w.v.strips, 1, strips, &w);
}

/* Operands: in, g, factor, out, factor's gradient. */
static struct work by_factor_grad(const struct fv__cpu_step *s, const struct fv__cpu_run *r)
{
    struct work w = describe(s, r);
    w.x = s->data[0];
    w.g = s->data[1];
    w.by = s->data[2];
    w.out = s->data[3];
    w.by_grad = s->data[4];
    return w;
}

void fv__cpu_loop_prelu(const struct fv__cpu_step *s, struct fv__cpu_run *r)
{
    by_factor(s, r, prelu_strips);
}

/* A slope sums over the images, so its strips are those of one. */
void fv__cpu_loop_prelu_grad(const struct fv__cpu_step *s, struct fv__cpu_run *r)
{
    struct work w = by_factor_grad(s, r);
    share(r, w.v.blocks * w.v.strips, 1, prelu_grad_strips, &w);
}

void fv__cpu_loop_scale(const struct fv__cpu_step *s, struct fv__cpu_run *r)
{
    by_factor(s, r, scale_strips);
}

void fv__cpu_loop_scale_grad(const struct fv__cpu_step *s, struct fv__cpu_run *r)
{
    struct work w = by_factor_grad(s, r);
    share(r, w.v.images * w.v.blocks * w.v.strips, 1, scale_grad_strips, &w);
}

struct curve {
    const float *a, *y;
    float *out;
};

static void sigmoid_elements(void *ctx, size_t begin, size_t end)
{
    const struct curve *c = ctx;
    for (size_t i = begin; i < end; i++)
        c->out[i] = 1.0f / (1.0f + expf(-c->a[i]));
}

void fv__cpu_loop_sigmoid(const struct fv__cpu_step *s, struct fv__cpu_run *r)
{
    struct curve c = {.a = s->data[0], .out = s->data[1]};
    share(r, s->count, STRIP, sigmoid_elements, &c);
}

static void sigmoid_grad_elements(void *ctx, size_t begin, size_t end)
{
    const struct curve *c = ctx;
    for (size_t i = begin; i < end; i++)
        c->out[i] = c->a[i] * c->y[i] * (1.0f - c->y[i]);
}

void fv__cpu_loop_sigmoid_grad(const struct fv__cpu_step *s, struct fv__cpu_run *r)
{
    struct curve c = {.a = s->data[0], .y = s->data[1], .out = s->data[2]};
    share(r, s->count, STRIP, sigmoid_grad_elements, &c);
}

struct dropout {
    const struct fv_net *net;
    int node;
    uint64_t ticket;
    const float *in;
    float *out;
    size_t channels, pixels;
};

/* i counts pixels of all images. The draws count through the channels of a pixel, the values through its plane. */
static void dropout_pixels(void *ctx, size_t begin, size_t end)
{
    enum { PIECE = 256 };
    const struct dropout *d = ctx;
    float factor[PIECE];
    for (size_t i = begin; i < end; i++) {
        size_t base = i / d->pixels * d->channels * d->pixels + i % d->pixels;
        for (size_t c = 0; c < d->channels; c += PIECE) {
            size_t count = d->channels - c < PIECE ? d->channels - c : PIECE;
            fv_net_dropout_factors(d->net, d->node, d->ticket, i * d->channels + c, count, factor);
            for (size_t k = 0; k < count; k++) {
                size_t at = base + (c + k) * d->pixels;
                d->out[at] = d->in[at] * factor[k];
            }
        }
    }
}

void fv__cpu_loop_dropout(const struct fv__cpu_step *s, struct fv__cpu_run *r)
{
    const struct fv_node *o = &r->program->net->node[s->node];
    struct dropout d = {.net = r->program->net,
                        .node = s->node,
                        .ticket = r->batch->ticket,
                        .in = s->data[0],
                        .out = s->data[1],
                        .channels = (size_t)o->c,
                        .pixels = (size_t)o->h * (size_t)o->w};
    share(r, s->count * d.pixels, 1, dropout_pixels, &d);
}
