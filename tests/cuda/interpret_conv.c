/* SPDX-License-Identifier: MIT */
/* Convolutions and matrix products of the interpreter, by their definition, and the extra inputs and outputs of
 * cuDNN's fused graphs. An fc layer is the convolution whose window covers its whole input. */
#include "tests/cuda/interpret.h"

#include <math.h>
#include <stdlib.h>

static struct fv_low_shape as_conv(const struct interp_call *c)
{
    struct fv_low_shape s = c->op->shape;
    s.groups = 1;
    s.window = s.in_h; /* in_w is the same: images are square */
    s.stride = 1;
    s.pad = 0;
    s.h = s.w = 1;
    return s;
}

/* What walks over all (output pixel, tap) pairs that meet. */
struct walk {
    struct fv_low_shape s;
    int gi, go;            /* channels of a group */
    int rsc;               /* depthwise weights: (r, s, c) */
    const float *by_input; /* (r, s, c, k) */
};

static struct walk start(struct fv_low_shape s, int depthwise)
{
    return (struct walk){s, s.in_c / s.groups, s.c / s.groups, depthwise, NULL};
}

enum what { FORWARD, DATA, WEIGHTS };

/* One tap of one output pixel: x (in_c), y (c), and the weights of the tap. */
static void tap(const struct walk *k, enum what what, float *x, float *y, float *w, int t)
{
    const struct fv_low_shape *s = &k->s;
    size_t taps = (size_t)(s->window * s->window);
    if (k->rsc) {
        float *v = w + (size_t)t * (size_t)s->c;
        for (int c = 0; c < s->c; c++) {
            if (what == FORWARD)
                y[c] += x[c] * v[c];
            else if (what == DATA)
                x[c] += y[c] * v[c];
            else
                v[c] += x[c] * y[c];
        }
        return;
    }
    if (what == FORWARD && s->groups == 1) {
        const float *v = k->by_input + (size_t)t * (size_t)k->gi * (size_t)s->c;
        for (int i = 0; i < k->gi; i++)
            for (int o = 0; o < s->c; o++)
                y[o] += x[i] * v[i * s->c + o];
        return;
    }
    for (int o = 0; o < s->c; o++) {
        float *v = w + ((size_t)o * taps + (size_t)t) * (size_t)k->gi;
        float *in = x + (o / k->go) * k->gi;
        for (int i = 0; i < k->gi; i++) {
            if (what == FORWARD)
                y[o] += in[i] * v[i];
            else if (what == DATA)
                in[i] += y[o] * v[i];
            else
                v[i] += in[i] * y[o];
        }
    }
}

/* (k, r, s, c) as (r, s, c, k), so that the innermost loop runs over neighbours. */
static float *transpose(const struct walk *k, const float *w)
{
    size_t taps = (size_t)(k->s.window * k->s.window), c = (size_t)k->gi, o = (size_t)k->s.c;
    float *to = malloc(taps * c * o * sizeof *to);
    if (!to)
        abort();
    for (size_t i = 0; i < o; i++)
        for (size_t t = 0; t < taps * c; t++)
            to[t * o + i] = w[i * taps * c + t];
    return to;
}

static void convolve(const struct walk *k, enum what what, float *x, float *y, float *w)
{
    const struct fv_low_shape *s = &k->s;
    for (int n = 0; n < s->n; n++) {
        for (int p = 0; p < s->h * s->w; p++) {
            float *out = y + ((size_t)n * (size_t)(s->h * s->w) + (size_t)p) * (size_t)s->c;
            for (int t = 0; t < s->window * s->window; t++) {
                int iy = p / s->w * s->stride - s->pad + t / s->window;
                int ix = p % s->w * s->stride - s->pad + t % s->window;
                if (iy < 0 || iy >= s->in_h || ix < 0 || ix >= s->in_w)
                    continue;
                size_t at = ((size_t)n * (size_t)s->in_h + (size_t)iy) * (size_t)s->in_w;
                tap(k, what, x + (at + (size_t)ix) * (size_t)s->in_c, out, w, t);
            }
        }
    }
}

/* act(x * scale + shift), as the prologue does it: a graph's is of the storage type, a depthwise convolution's fp32. */
static void apply_prologue(struct interp_call *c, float *x)
{
    int graph = c->op->graph != FV_LOW_GRAPH_NONE;
    float *scale = interp_take(c, graph ? FV_LOW_SCALE16 : FV_LOW_SCALE_V);
    float *shift = interp_take(c, graph ? FV_LOW_SHIFT16 : FV_LOW_SHIFT_V);
    size_t channels = (size_t)c->op->shape.in_c;
    for (size_t i = 0; scale && shift && i < interp_count(c, FV_LOW_X); i++) {
        x[i] = x[i] * scale[i % channels] + shift[i % channels];
        if (c->op->act != FV_LOW_ACT_NONE)
            x[i] = fmaxf(0, x[i]);
        if (c->op->act == FV_LOW_ACT_RELU6)
            x[i] = fminf(6, x[i]);
    }
    free(scale);
    free(shift);
}

/* Column sums of a and of a * b. */
static void sums(struct interp_call *c, const float *a, const float *b, size_t count)
{
    float *first = interp_new(c, FV_LOW_STAT0), *second = interp_new(c, FV_LOW_STAT1);
    size_t channels = first ? interp_count(c, FV_LOW_STAT0) : 1;
    for (size_t k = 0; first && second && k < channels; k++) {
        double s0 = 0, s1 = 0;
        for (size_t i = k; i < count; i += channels) {
            s0 += (double)a[i];
            s1 += (double)a[i] * (double)b[i];
        }
        first[k] = (float)s0;
        second[k] = (float)s1;
    }
    interp_put(c, FV_LOW_STAT0, first);
    interp_put(c, FV_LOW_STAT1, second);
}

static void forward(struct interp_call *c, struct walk *k)
{
    float *x = interp_take(c, FV_LOW_X), *w = interp_take(c, FV_LOW_W);
    float *y = interp_new(c, FV_LOW_Y), *bias = interp_take(c, FV_LOW_B);
    float *turned = !k->rsc && k->s.groups == 1 ? transpose(k, w) : NULL;
    k->by_input = turned;
    apply_prologue(c, x);
    convolve(k, FORWARD, x, y, w);
    free(turned);
    for (size_t i = 0; bias && i < interp_count(c, FV_LOW_Y); i++)
        y[i] += bias[i % (size_t)k->s.c];
    sums(c, y, y, interp_count(c, FV_LOW_Y));
    interp_put(c, FV_LOW_Y, y);
    free(x);
    free(w);
    free(bias);
}

/* The second half of a fused data gradient: mask, and the sums of the batch norm that is met next. */
static void mask_and_sum(struct interp_call *c, float *dx)
{
    float *x = interp_take(c, FV_LOW_X), *y = interp_take(c, FV_LOW_Y);
    float *r = interp_take(c, FV_LOW_R), *mean = interp_take(c, FV_LOW_MEAN);
    float *rstd = interp_take(c, FV_LOW_RSTD), *scale = interp_take(c, FV_LOW_SCALE_V);
    float *shift = interp_take(c, FV_LOW_SHIFT_V);
    size_t count = interp_count(c, FV_LOW_DX), channels = (size_t)c->op->shape.in_c;
    for (size_t i = 0; i < count; i++) {
        size_t k = i % channels;
        float z = y ? y[i] : x[i] * scale[k] + shift[k];
        dx[i] = z > 0 ? dx[i] + (r ? r[i] : 0) : 0;
        if (c->op->graph == FV_LOW_GRAPH_DGRAD_BN)
            x[i] = (x[i] - mean[k]) * rstd[k];
    }
    sums(c, dx, x, count);
    free(x);
    free(y);
    free(r);
    free(mean);
    free(rstd);
    free(scale);
    free(shift);
}

static void data_gradient(struct interp_call *c, const struct walk *k)
{
    float *dy = interp_take(c, FV_LOW_DY), *w = interp_take(c, FV_LOW_W);
    float *dx = interp_new(c, FV_LOW_DX);
    convolve(k, DATA, dx, dy, w);
    if (c->op->graph > FV_LOW_GRAPH_PLAIN)
        mask_and_sum(c, dx);
    interp_put(c, FV_LOW_DX, dx);
    free(dy);
    free(w);
}

static void weight_gradient(struct interp_call *c, const struct walk *k)
{
    float *dy = interp_take(c, FV_LOW_DY), *x = interp_take(c, FV_LOW_X);
    float *dw = interp_new(c, FV_LOW_DW);
    apply_prologue(c, x);
    convolve(k, WEIGHTS, x, dy, dw);
    interp_put(c, FV_LOW_DW, dw);
    free(dy);
    free(x);
}

void interp_conv(struct interp_call *c)
{
    enum fv_low_kind kind = c->op->kind;
    int fc = kind == FV_LOW_FC || kind == FV_LOW_FC_DGRAD || kind == FV_LOW_FC_WGRAD;
    int depthwise = kind == FV_LOW_DEPTHWISE || kind == FV_LOW_DEPTHWISE_DGRAD ||
                    kind == FV_LOW_DEPTHWISE_WGRAD;
    struct walk k = start(fc ? as_conv(c) : c->op->shape, depthwise);
    if (kind == FV_LOW_CONV || kind == FV_LOW_DEPTHWISE || kind == FV_LOW_FC)
        forward(c, &k);
    else if (kind == FV_LOW_CONV_DGRAD || kind == FV_LOW_DEPTHWISE_DGRAD || kind == FV_LOW_FC_DGRAD)
        data_gradient(c, &k);
    else
        weight_gradient(c, &k);
}
