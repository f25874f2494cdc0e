/* SPDX-License-Identifier: MIT */
/* Convolution, the reference: for every output pixel and every tap of the window, a small matrix product.
 *
 * The one liberty taken: weights are copied so that the innermost loop runs over neighbours in memory.
 * (K, C, R, S) becomes (R, S, C, K) for the forward pass and for the gradient of the weights, (R, S, K, C) for
 * the gradient of the input. C is the number of input channels of a group; groups lie side by side.
 */
#include "trainer/ref/backend_ref.h"

#include <string.h>

/* All that the loops need. Index of image, then row, column, channel. */
struct conv {
    int n, in_h, in_w, in_c, h, w, c; /* c: all output channels */
    int window, stride, pad, groups;
    int group_in, group_out;
};

static struct conv describe(const struct fv_program *p, int node)
{
    const struct fv_node *o = &p->net->node[node], *i = &p->net->node[o->in[0]];
    return (struct conv){.n = p->n,
                         .in_h = i->h,
                         .in_w = i->w,
                         .in_c = i->c,
                         .h = o->h,
                         .w = o->w,
                         .c = o->c,
                         .window = o->window,
                         .stride = o->stride,
                         .pad = o->pad,
                         .groups = o->groups,
                         .group_in = i->c / o->groups,
                         .group_out = o->c / o->groups};
}

/* Where weight (k, c, r, s) lies in (groups, R, S, C, K), k and c counted within the group. */
static size_t at_rsck(const struct conv *v, int g, int r, int s, int c, int k)
{
    size_t tap = ((size_t)g * (size_t)v->window + (size_t)r) * (size_t)v->window + (size_t)s;
    return (tap * (size_t)v->group_in + (size_t)c) * (size_t)v->group_out + (size_t)k;
}

static size_t at_rskc(const struct conv *v, int g, int r, int s, int k, int c)
{
    size_t tap = ((size_t)g * (size_t)v->window + (size_t)r) * (size_t)v->window + (size_t)s;
    return (tap * (size_t)v->group_out + (size_t)k) * (size_t)v->group_in + (size_t)c;
}

/* Calls body for every weight: `i` its index in canonical order, g, k, c, r, s its place. */
#define FOR_EACH_WEIGHT(v, i, body)                                                                \
    do {                                                                                           \
        size_t i = 0;                                                                              \
        for (int g = 0; g < (v)->groups; g++)                                                      \
            for (int k = 0; k < (v)->group_out; k++)                                               \
                for (int c = 0; c < (v)->group_in; c++)                                            \
                    for (int r = 0; r < (v)->window; r++)                                          \
                        for (int s = 0; s < (v)->window; s++, i++)                                 \
                            body;                                                                  \
    } while (0)

/* What one tap of the window does for one output pixel: `in` are the input pixel's channels of the group, `out` the
 * output pixel's, `weight` the tap's matrix. */
typedef void tap_fn(const struct conv *v, double *restrict in, double *restrict out,
                    double *restrict weight);

static void tap_forward(const struct conv *v, double *restrict in, double *restrict out,
                        double *restrict weight)
{
    for (int c = 0; c < v->group_in; c++)
        for (int k = 0; k < v->group_out; k++)
            out[k] += in[c] * weight[(size_t)c * (size_t)v->group_out + (size_t)k];
}

static void tap_backward_weight(const struct conv *v, double *restrict in, double *restrict out,
                                double *restrict weight)
{
    for (int c = 0; c < v->group_in; c++)
        for (int k = 0; k < v->group_out; k++)
            weight[(size_t)c * (size_t)v->group_out + (size_t)k] += in[c] * out[k];
}

static void tap_backward_input(const struct conv *v, double *restrict in, double *restrict out,
                               double *restrict weight)
{
    for (int k = 0; k < v->group_out; k++)
        for (int c = 0; c < v->group_in; c++)
            in[c] += out[k] * weight[(size_t)k * (size_t)v->group_in + (size_t)c];
}

/* Slides the window over every image; taps in the padding do nothing. */
static void slide(const struct conv *v, double *in, double *out, double *weight, tap_fn *tap)
{
    size_t matrix = (size_t)v->group_in * (size_t)v->group_out;
    for (int i = 0; i < v->n; i++) {
        for (int y = 0; y < v->h; y++) {
            for (int x = 0; x < v->w; x++, out += v->c) {
                for (int t = 0; t < v->window * v->window; t++) {
                    int iy = y * v->stride - v->pad + t / v->window;
                    int ix = x * v->stride - v->pad + t % v->window;
                    if (iy < 0 || iy >= v->in_h || ix < 0 || ix >= v->in_w)
                        continue;
                    double *pixel =
                        in + ((size_t)iy * (size_t)v->in_w + (size_t)ix) * (size_t)v->in_c;
                    for (int g = 0; g < v->groups; g++)
                        tap(v, pixel + g * v->group_in, out + g * v->group_out,
                            weight + (size_t)(g * v->window * v->window + t) * matrix);
                }
            }
        }
        in += (size_t)v->in_h * (size_t)v->in_w * (size_t)v->in_c;
    }
}

void fv__ref_conv_forward(struct fv_program *p, int node)
{
    const struct fv_node *o = &p->net->node[node];
    const struct conv v = describe(p, node);
    const float *w = fv__ref_value(p, o->tensor[0]), *bias = fv__ref_value(p, o->tensor[1]);
    double *out = p->node[node].out;
    size_t pixels = (size_t)v.n * (size_t)v.h * (size_t)v.w;
    FOR_EACH_WEIGHT(&v, i, p->weight[at_rsck(&v, g, r, s, c, k)] = (double)w[i]);
    for (size_t i = 0; i < pixels; i++)
        for (int k = 0; k < v.c; k++)
            *out++ = bias ? (double)bias[k] : 0;
    slide(&v, p->node[o->in[0]].out, p->node[node].out, p->weight, tap_forward);
}

void fv__ref_conv_backward(struct fv_program *p, int node)
{
    const struct fv_node *o = &p->net->node[node];
    const struct conv v = describe(p, node);
    const struct fv__ref_node *in = &p->node[o->in[0]];
    const float *w = fv__ref_value(p, o->tensor[0]);
    double *w_grad = fv__ref_grad(p, o->tensor[0]), *bias_grad = fv__ref_grad(p, o->tensor[1]);
    double *grad = p->node[node].grad;
    size_t pixels = (size_t)v.n * (size_t)v.h * (size_t)v.w;

    memset(p->weight_grad, 0, p->net->tensor[o->tensor[0]].count * sizeof *p->weight_grad);
    slide(&v, in->out, grad, p->weight_grad, tap_backward_weight);
    FOR_EACH_WEIGHT(&v, i, w_grad[i] += p->weight_grad[at_rsck(&v, g, r, s, c, k)]);
    if (in->grad) {
        FOR_EACH_WEIGHT(&v, i, p->weight[at_rskc(&v, g, r, s, k, c)] = (double)w[i]);
        slide(&v, in->grad, grad, p->weight, tap_backward_input);
    }
    for (size_t i = 0; bias_grad && i < pixels; i++)
        for (int k = 0; k < v.c; k++)
            bias_grad[k] += grad[i * (size_t)v.c + (size_t)k];
}
