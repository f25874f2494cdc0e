/* SPDX-License-Identifier: MIT */
/* Convolutions and their two gradients, of any stride, dilation, padding and groups, over values in the order n, y, x,
 * channel. Sums are of floats in blocks of channels, so that whole nets take seconds. */
#include "tests/cuda/standin/standin_cudnn_graph.h"

#include <stdlib.h>
#include <string.h>

enum { BLOCK = 16 };

/* Channels of input and output of one group, taps, and the places of images. */
struct job {
    const struct standin_op *op;
    const int64_t *x, *w, *y; /* dims */
    int64_t groups, taps;
    int64_t from, to; /* channels in a group that are summed over and that are made */
};

static int64_t blocks(int64_t n)
{
    return (n + BLOCK - 1) / BLOCK;
}

/* The pixel of x that pixel (oy, ox) of y meets under a tap; -1: padding. CUDNN_CONVOLUTION turns the window round. */
static int64_t met(const struct job *j, int64_t n, int64_t oy, int64_t ox, int64_t tap)
{
    const int64_t s = j->w[3], r = tap / s, t = tap % s, turned = j->op->mode == CUDNN_CONVOLUTION;
    const int64_t iy =
        oy * j->op->step[0] - j->op->pre[0] + (turned ? j->w[2] - 1 - r : r) * j->op->dilation[0];
    const int64_t ix =
        ox * j->op->step[1] - j->op->pre[1] + (turned ? s - 1 - t : t) * j->op->dilation[1];
    if (iy < 0 || ix < 0 || iy >= j->x[2] || ix >= j->x[3])
        return -1;
    return (n * j->x[2] + iy) * j->x[3] + ix;
}

typedef float four __attribute__((vector_size(16)));

/* out[i] += in[k] * w[k][i], for BLOCK i */
static void add_products(four out[BLOCK / 4], const float *in, const four *w, int64_t n)
{
    four a = out[0], b = out[1], c = out[2], d = out[3];
    for (int64_t k = 0; k < n; k++, w += BLOCK / 4) {
        a += in[k] * w[0];
        b += in[k] * w[1];
        c += in[k] * w[2];
        d += in[k] * w[3];
    }
    out[0] = a;
    out[1] = b;
    out[2] = c;
    out[3] = d;
}

/* w (k, r, s, c) as [group][block of what is made][tap][summed][BLOCK]. */
static four *packed_weights(const struct job *j, const float *w, int backward)
{
    const int64_t c = j->w[1], per = j->w[0] / j->groups, each = blocks(j->to);
    four *packed =
        calloc((size_t)(j->groups * each * j->taps * j->from), BLOCK / 4 * sizeof *packed);
    float *out = (float *)packed;
    for (int64_t k = 0; k < j->w[0]; k++)
        for (int64_t tap = 0; tap < j->taps; tap++)
            for (int64_t i = 0; i < c; i++) {
                const int64_t makes = backward ? i : k % per, sums = backward ? k % per : i;
                const int64_t block = (k / per) * each + makes / BLOCK;
                out[((block * j->taps + tap) * j->from + sums) * BLOCK + makes % BLOCK] =
                    w[(k * j->taps + tap) * c + i];
            }
    return packed;
}

/* The pixels of `in` that each pixel of `out` sums over, [pixel of out][tap], -1 for none. */
static int32_t *gather_table(const struct job *j, int backward)
{
    const int64_t outs = backward ? j->x[2] * j->x[3] : j->y[2] * j->y[3];
    int32_t *table = malloc((size_t)(outs * j->taps) * sizeof *table);
    memset(table, 0xff, (size_t)(outs * j->taps) * sizeof *table);
    for (int64_t oy = 0; oy < j->y[2]; oy++)
        for (int64_t ox = 0; ox < j->y[3]; ox++)
            for (int64_t tap = 0; tap < j->taps; tap++) {
                const int64_t ip = met(j, 0, oy, ox, tap), op = oy * j->y[3] + ox;
                if (ip >= 0 && backward)
                    table[ip * j->taps + tap] = (int32_t)op;
                else if (ip >= 0)
                    table[op * j->taps + tap] = (int32_t)ip;
            }
    return table;
}

/* One gather for both directions: y from x, or dx from dy. */
static void gather(const struct job *j, int backward, const float *in, const float *w, float *out)
{
    const int64_t *di = backward ? j->y : j->x, *dn = backward ? j->x : j->y;
    const int64_t ins = di[2] * di[3], outs = dn[2] * dn[3], each = blocks(j->to);
    four *packed = packed_weights(j, w, backward);
    int32_t *table = gather_table(j, backward);
    for (int64_t n = 0; n < dn[0]; n++)
        for (int64_t b = 0; b < j->groups * each; b++)
            for (int64_t p = 0; p < outs; p++) {
                const int64_t group = b / each, first = b % each * BLOCK;
                four sum[BLOCK / 4] = {{0}};
                for (int64_t tap = 0; tap < j->taps; tap++)
                    if (table[p * j->taps + tap] >= 0)
                        add_products(sum,
                                     in + (n * ins + table[p * j->taps + tap]) * di[1] +
                                         group * j->from,
                                     packed + (b * j->taps + tap) * j->from * (BLOCK / 4), j->from);
                for (int64_t i = 0; i < BLOCK && first + i < j->to; i++)
                    out[(n * outs + p) * dn[1] + group * j->to + first + i] = sum[i / 4][i % 4];
            }
    free(packed);
    free(table);
}

static void add_scaled(float *restrict out, float factor, const float *restrict v, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        out[i] += factor * v[i];
}

/* dw (k, r, s, c): for one tap and one channel of dy at a time, blocks of channels of x. */
static void weights(const struct job *j, const float *x, const float *dy, float *dw)
{
    const int64_t outs = j->y[2] * j->y[3], cx = j->x[1], cy = j->y[1], c = j->w[1],
                  per = cy / j->groups;
    int64_t *place = malloc((size_t)outs * sizeof *place);
    double *total = malloc((size_t)(cy * c) * sizeof *total);
    float *part = malloc((size_t)c * sizeof *part);
    for (int64_t tap = 0; tap < j->taps; tap++) {
        memset(total, 0, (size_t)(cy * c) * sizeof *total);
        for (int64_t n = 0; n < j->y[0]; n++) {
            for (int64_t p = 0; p < outs; p++)
                place[p] = met(j, n, p / j->y[3], p % j->y[3], tap);
            for (int64_t k = 0; k < cy; k++) {
                memset(part, 0, (size_t)c * sizeof *part);
                for (int64_t p = 0; p < outs; p++)
                    if (place[p] >= 0)
                        add_scaled(part, dy[(n * outs + p) * cy + k],
                                   x + place[p] * cx + k / per * c, c);
                for (int64_t i = 0; i < c; i++)
                    total[k * c + i] += (double)part[i];
            }
        }
        for (int64_t k = 0; k < cy; k++)
            for (int64_t i = 0; i < c; i++)
                dw[(k * j->taps + tap) * c + i] = (float)total[k * c + i];
    }
    free(place);
    free(total);
    free(part);
}

static int64_t count_of(const int64_t d[4])
{
    return d[0] * d[1] * d[2] * d[3];
}

static int all_zero(const float *v, int64_t n)
{
    while (n > 0 && v[n - 1] == 0)
        n--;
    return n == 0;
}

/* What was in `out` is its former contents, where beta asks for them. */
void standin_cudnn_convolve(const struct standin_program *p, const struct standin_op *op,
                            float *const in[], float *out)
{
    const int forward = op->kind == CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR,
              data = op->kind == CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR;
    const int64_t *first = p->tensor[op->in[0]].dim, *second = p->tensor[op->in[1]].dim,
                  *made = p->tensor[op->out[0]].dim;
    struct job j = {.op = op,
                    .x = data ? made : first,
                    .w = forward || data ? second : made,
                    .y = forward ? made
                         : data  ? first
                                 : second};
    const size_t count = (size_t)count_of(made);
    float *before = NULL;
    if (op->beta != 0) {
        before = malloc(count * sizeof *before);
        memcpy(before, out, count * sizeof *before);
    }
    j.groups = j.x[1] / j.w[1];
    j.taps = j.w[2] * j.w[3];
    j.from = data ? j.w[0] / j.groups : j.w[1];
    j.to = data ? j.w[1] : j.w[0] / j.groups;
    if (all_zero(in[0], count_of(first)) && all_zero(in[1], count_of(second)))
        memset(out, 0, count * sizeof *out); /* as candidates are timed with */
    else if (forward || data)
        gather(&j, data, in[0], in[1], out);
    else
        weights(&j, in[0], in[1], out);
    for (size_t i = 0; i < count && (op->alpha != 1 || before); i++)
        out[i] = (float)(op->alpha * (double)out[i] + (before ? op->beta * (double)before[i] : 0));
    free(before);
}
