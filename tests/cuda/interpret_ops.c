/* SPDX-License-Identifier: MIT */
/* What each kind of op computes, by its definition in lower.h; a row each at the end. */
#include "tests/cuda/interpret.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static size_t rows_of(const struct interp_call *c)
{
    const struct fv_low_shape *s = &c->op->shape;
    return (size_t)s->n * (size_t)s->h * (size_t)s->w;
}

static size_t rows_in(const struct interp_call *c)
{
    const struct fv_low_shape *s = &c->op->shape;
    return (size_t)s->n * (size_t)s->in_h * (size_t)s->in_w;
}

static void free_all(int count, float **list)
{
    for (int i = 0; i < count; i++)
        free(list[i]);
}

static void run_input(struct interp_call *c)
{
    const struct fv_node *o = &c->l->net->node[c->op->node];
    const uint8_t *pixels = c->arg[FV_LOW_PIXELS];
    float *y = interp_new(c, FV_LOW_Y);
    size_t pad = (size_t)c->op->shape.c;
    for (size_t i = 0; i < rows_of(c); i++)
        for (size_t k = 0; k < 3; k++)
            y[i * pad + k] = ((float)pixels[i * 3 + k] / 255 - o->mean[k]) / o->std[k];
    interp_put(c, FV_LOW_Y, y);
}

static void run_bias(struct interp_call *c)
{
    float *y = interp_take(c, FV_LOW_Y), *b = interp_take(c, FV_LOW_B);
    for (size_t i = 0; i < interp_count(c, FV_LOW_Y); i++)
        y[i] += b[i % (size_t)c->op->shape.c];
    interp_put(c, FV_LOW_Y, y);
    free(b);
}

/* --- batch norm ------------------------------------------------------------------------------------------------ */

static void moments(struct interp_call *c, size_t k, const float *x, double *mean, double *var)
{
    size_t channels = (size_t)c->op->shape.c, rows = rows_of(c);
    double sum = 0, squares = 0;
    for (size_t i = 0; i < rows; i++)
        sum += (double)x[i * channels + k];
    *mean = sum / (double)rows;
    for (size_t i = 0; i < rows; i++) {
        double d = (double)x[i * channels + k] - *mean;
        squares += d * d;
    }
    *var = squares / (double)rows;
}

struct norm {
    float *gamma, *beta, *scale, *shift, *scale16, *shift16, *mean, *rstd, *batch_mean, *batch_var;
};

static void finish_norm(struct interp_call *c, struct norm *n, int k, double mean, double var)
{
    const struct fv_low_shape *s = &c->op->shape;
    double m = (double)rows_of(c), rstd = 1 / sqrt(var + (double)c->op->eps);
    int real = k < s->channels;
    double gamma = !real ? 0 : n->gamma ? (double)n->gamma[k] : 1;
    n->mean[k] = (float)mean;
    n->rstd[k] = (float)rstd;
    n->scale[k] = (float)(gamma * rstd);
    n->shift[k] = real ? (float)((double)n->beta[k] - mean * gamma * rstd) : 0;
    if (n->scale16)
        n->scale16[k] = n->scale[k];
    if (n->shift16)
        n->shift16[k] = n->shift[k];
    if (real) {
        n->batch_mean[k] = (float)mean;
        n->batch_var[k] = (float)(var * m / (m - 1));
    }
}

static void run_bn_stats(struct interp_call *c)
{
    float *x = interp_take(c, FV_LOW_X), *s0 = interp_take(c, FV_LOW_STAT0);
    float *s1 = interp_take(c, FV_LOW_STAT1);
    struct norm n = {interp_take(c, FV_LOW_GAMMA),      interp_take(c, FV_LOW_BETA),
                     interp_new(c, FV_LOW_SCALE_V),     interp_new(c, FV_LOW_SHIFT_V),
                     interp_new(c, FV_LOW_SCALE16),     interp_new(c, FV_LOW_SHIFT16),
                     interp_new(c, FV_LOW_MEAN),        interp_new(c, FV_LOW_RSTD),
                     interp_take(c, FV_LOW_BATCH_MEAN), interp_take(c, FV_LOW_BATCH_VAR)};
    for (int k = 0; k < c->op->shape.c; k++) {
        double mean, var, m = (double)rows_of(c);
        if (x) {
            moments(c, (size_t)k, x, &mean, &var);
        } else {
            mean = (double)s0[k] / m;
            var = (double)s1[k] / m - mean * mean;
        }
        finish_norm(c, &n, k, mean, var);
    }
    interp_put(c, FV_LOW_SCALE_V, n.scale);
    interp_put(c, FV_LOW_SHIFT_V, n.shift);
    interp_put(c, FV_LOW_SCALE16, n.scale16);
    interp_put(c, FV_LOW_SHIFT16, n.shift16);
    interp_put(c, FV_LOW_MEAN, n.mean);
    interp_put(c, FV_LOW_RSTD, n.rstd);
    interp_put(c, FV_LOW_BATCH_MEAN, n.batch_mean);
    interp_put(c, FV_LOW_BATCH_VAR, n.batch_var);
    free_all(5, (float *[]){x, s0, s1, n.gamma, n.beta});
}

static void run_bn_fold(struct interp_call *c)
{
    float *gamma = interp_take(c, FV_LOW_GAMMA), *beta = interp_take(c, FV_LOW_BETA);
    float *mean = interp_take(c, FV_LOW_RUN_MEAN), *var = interp_take(c, FV_LOW_RUN_VAR);
    float *scale = interp_new(c, FV_LOW_SCALE_V), *shift = interp_new(c, FV_LOW_SHIFT_V);
    for (int k = 0; k < c->op->shape.channels; k++) {
        double s = (gamma ? (double)gamma[k] : 1) / sqrt((double)var[k] + (double)c->op->eps);
        scale[k] = (float)s;
        shift[k] = (float)((double)beta[k] - (double)mean[k] * s);
    }
    float *coef = interp_new(c, FV_LOW_COEF);
    if (coef)
        memcpy(coef, scale, (size_t)c->op->shape.c * sizeof *coef);
    interp_put(c, FV_LOW_COEF, coef);
    interp_put(c, FV_LOW_SCALE_V, scale);
    interp_put(c, FV_LOW_SHIFT_V, shift);
    free_all(4, (float *[]){gamma, beta, mean, var});
}

/* --- elementwise ------------------------------------------------------------------------------------------------ */

static float act_of(enum fv_low_act act, float z, float slope)
{
    switch (act) {
    case FV_LOW_ACT_RELU:
        return z < 0 ? 0 : z;
    case FV_LOW_ACT_RELU6:
        return z < 0 ? 0 : z > 6 ? 6 : z;
    case FV_LOW_ACT_PRELU:
        return z < 0 ? slope * z : z;
    case FV_LOW_ACT_SIGMOID:
        return (float)(1 / (1 + exp(-(double)z)));
    default:
        return z;
    }
}

/* The derivative: for relu and relu6 from z or y alike, for prelu from z, for the sigmoid from y. */
static float act_slope(enum fv_low_act act, float v, float slope)
{
    switch (act) {
    case FV_LOW_ACT_RELU:
        return v > 0;
    case FV_LOW_ACT_RELU6:
        return v > 0 && v < 6;
    case FV_LOW_ACT_PRELU:
        return v < 0 ? slope : 1;
    case FV_LOW_ACT_SIGMOID:
        return v * (1 - v);
    default:
        return 1;
    }
}

/* BN_APPLY, ACT, ADD, SCALE: y = act(x [* scale + shift] [* s] [+ r [* scale2 + shift2]]). */
static void run_apply(struct interp_call *c)
{
    float *x = interp_take(c, FV_LOW_X), *r = interp_take(c, FV_LOW_R);
    float *scale = interp_take(c, FV_LOW_SCALE_V), *shift = interp_take(c, FV_LOW_SHIFT_V);
    float *scale2 = interp_take(c, FV_LOW_SCALE2), *shift2 = interp_take(c, FV_LOW_SHIFT2);
    float *slope = interp_take(c, FV_LOW_SLOPE), *s = interp_take(c, FV_LOW_S);
    float *y = interp_new(c, FV_LOW_Y);
    size_t channels = (size_t)c->op->shape.c;
    size_t image = (size_t)c->op->shape.h * (size_t)c->op->shape.w * channels;
    for (size_t i = 0; i < interp_count(c, FV_LOW_Y); i++) {
        size_t k = i % channels;
        float z = scale ? x[i] * scale[k] + shift[k] : x[i];
        if (s)
            z *= s[i / image * channels + k];
        if (r)
            z += scale2 ? r[i] * scale2[k] + shift2[k] : r[i];
        y[i] = act_of(c->op->act, z, slope ? slope[k] : 0);
        if (k >= (size_t)c->op->shape.channels)
            y[i] = 0; /* the sigmoid of padding */
    }
    interp_put(c, FV_LOW_Y, y);
    free_all(8, (float *[]){x, r, scale, shift, scale2, shift2, slope, s});
}

/* Elements count through (n, h, w, c) without padding. */
static void run_dropout(struct interp_call *c)
{
    float *x = interp_take(c, FV_LOW_X), factor;
    size_t channels = (size_t)c->op->shape.c, real = (size_t)c->op->shape.channels;
    for (size_t i = 0; i < interp_count(c, FV_LOW_X); i++) {
        if (i % channels >= real)
            continue;
        fv_net_dropout_factors(c->l->net, c->op->node, c->interp->ticket,
                               i / channels * real + i % channels, 1, &factor);
        x[i] *= factor;
    }
    interp_put(c, FV_LOW_Y, x);
}

/* Keeps what is a weight of the tensor. */
static void run_mask(struct interp_call *c)
{
    const struct fv_low_slot *s = &c->l->slot[c->l->net->node[c->op->node].tensor[0]];
    float *dw = interp_take(c, FV_LOW_DW), *kept = interp_new(c, FV_LOW_DW);
    for (int k = 0; k < s->real_k; k++)
        for (int i = 0; i < s->real_c; i++)
            for (int t = 0; t < s->r * s->s; t++) {
                size_t at = fv_low_slot_element(s, k, i, t) - s->offset;
                kept[at] = dw[at];
            }
    interp_put(c, FV_LOW_DW, kept);
    free(dw);
}

static void run_cast(struct interp_call *c)
{
    float *x = interp_take(c, FV_LOW_X);
    interp_put(c, FV_LOW_Y, x);
}

/* --- the incoming gradient --------------------------------------------------------------------------------------- */

/* act'(z) * (dy [+ dy2]); with `dslope`, also its sums for the slopes. */
static float *masked(struct interp_call *c, double *dslope)
{
    float *dy = interp_take(c, FV_LOW_DY), *dy2 = interp_take(c, FV_LOW_DY2);
    float *x = interp_take(c, FV_LOW_X), *y = interp_take(c, FV_LOW_Y);
    float *scale = interp_take(c, FV_LOW_SCALE_V), *shift = interp_take(c, FV_LOW_SHIFT_V);
    float *slope = interp_take(c, FV_LOW_SLOPE);
    size_t channels = (size_t)c->op->shape.c;
    for (size_t i = 0; i < interp_count(c, FV_LOW_DY); i++) {
        size_t k = i % channels;
        dy[i] += dy2 ? dy2[i] : 0;
        if (c->op->act == FV_LOW_ACT_NONE)
            continue;
        float v = y ? y[i] : scale ? x[i] * scale[k] + shift[k] : x[i];
        if (dslope && v < 0)
            dslope[k] += (double)dy[i] * (double)v;
        dy[i] *= act_slope(c->op->act, v, slope ? slope[k] : 0);
    }
    free_all(6, (float *[]){dy2, x, y, scale, shift, slope});
    return dy;
}

/* Index of the input under tap t of output pixel p of image n, channel k; SIZE_MAX if that is padding. */
static size_t under(const struct fv_low_shape *s, size_t n, int p, int t, size_t k)
{
    int y = p / s->w * s->stride - s->pad + t / s->window;
    int x = p % s->w * s->stride - s->pad + t % s->window;
    if (y < 0 || y >= s->in_h || x < 0 || x >= s->in_w)
        return SIZE_MAX;
    size_t row = (n * (size_t)s->in_h + (size_t)y) * (size_t)s->in_w + (size_t)x;
    return row * (size_t)s->c + k;
}

/* The gradient by a pool's input: each output's goes to the winner of its window. */
static float *spread(struct interp_call *c)
{
    const struct fv_low_shape *s = &c->op->shape;
    float *dy = masked(c, NULL);
    size_t channels = (size_t)s->c, pixels = (size_t)s->h * (size_t)s->w;
    size_t count = rows_in(c) * channels;
    const uint8_t *index = c->arg[FV_LOW_INDEX];
    float *dx = calloc(count, sizeof *dx);
    if (!dx)
        abort();
    for (size_t i = 0; i < interp_count(c, FV_LOW_DY); i++) {
        size_t at =
            under(s, i / channels / pixels, (int)(i / channels % pixels), index[i], i % channels);
        if (index[i] < s->window * s->window && at < count)
            dx[at] += dy[i];
    }
    free(dy);
    return dx;
}

static void put_slope(struct interp_call *c, const double *dslope)
{
    float *out = interp_take(c, FV_LOW_DSLOPE);
    for (int k = 0; out && k < c->op->shape.channels; k++)
        out[k] = (float)dslope[k];
    interp_put(c, FV_LOW_DSLOPE, out);
}

static double *new_slope(struct interp_call *c)
{
    double *d = calloc((size_t)c->op->shape.c, sizeof *d);
    if (!d)
        abort();
    return d;
}

/* dgamma, dbeta and the coefficients of dx = coef0 * dz + coef1 * x + coef2, from sum(dz) and sum(dz * h), where
 * h = (x - mean) * rstd. */
static void finish_gradient(struct interp_call *c, const double *sum, const double *sum_h)
{
    float *gamma = interp_take(c, FV_LOW_GAMMA), *mean = interp_take(c, FV_LOW_MEAN);
    float *rstd = interp_take(c, FV_LOW_RSTD), *coef = interp_new(c, FV_LOW_COEF);
    float *dgamma = interp_take(c, FV_LOW_DGAMMA), *dbeta = interp_take(c, FV_LOW_DBETA);
    int channels = c->op->shape.c, real = c->op->shape.channels;
    double m = c->op->kind == FV_LOW_BN_REDUCE_POOL ? (double)rows_in(c) : (double)rows_of(c);
    for (int k = 0; k < channels; k++) {
        double a = (k >= real ? 0 : gamma ? (double)gamma[k] : 1) * (double)rstd[k];
        double b = -a * (double)rstd[k] * sum_h[k] / m;
        coef[k] = (float)a;
        coef[channels + k] = (float)b;
        coef[2 * channels + k] = (float)(-a * sum[k] / m - b * (double)mean[k]);
        if (dgamma && k < real)
            dgamma[k] = (float)sum_h[k];
        if (dbeta && k < real)
            dbeta[k] = (float)sum[k];
    }
    interp_put(c, FV_LOW_COEF, coef);
    interp_put(c, FV_LOW_DGAMMA, dgamma);
    interp_put(c, FV_LOW_DBETA, dbeta);
    free_all(3, (float *[]){gamma, mean, rstd});
}

/* Of a gradient that a pool spreads over its input, or of the one that comes. */
static float *spread_or_masked(struct interp_call *c, double *dslope)
{
    return c->arg[FV_LOW_INDEX] ? spread(c) : masked(c, dslope);
}

static void run_bn_reduce(struct interp_call *c)
{
    double *dslope = new_slope(c), *sum = new_slope(c), *sum_h = new_slope(c);
    float *dz = spread_or_masked(c, dslope), *x = interp_take(c, FV_LOW_X);
    float *mean = interp_take(c, FV_LOW_MEAN), *rstd = interp_take(c, FV_LOW_RSTD);
    size_t channels = (size_t)c->op->shape.c;
    for (size_t i = 0; i < interp_count(c, FV_LOW_X); i++) {
        size_t k = i % channels;
        sum[k] += (double)dz[i];
        sum_h[k] += (double)dz[i] * ((double)x[i] - (double)mean[k]) * (double)rstd[k];
    }
    put_slope(c, dslope);
    finish_gradient(c, sum, sum_h);
    if (c->arg[FV_LOW_DZ])
        interp_put(c, FV_LOW_DZ, dz);
    else
        free(dz);
    free_all(3, (float *[]){x, mean, rstd});
    free(dslope);
    free(sum);
    free(sum_h);
}

static void run_bn_sums(struct interp_call *c)
{
    double *sum = new_slope(c), *sum_h = new_slope(c);
    float *s0 = interp_take(c, FV_LOW_STAT0), *s1 = interp_take(c, FV_LOW_STAT1);
    float *mean = interp_take(c, FV_LOW_MEAN), *rstd = interp_take(c, FV_LOW_RSTD);
    for (int k = 0; k < c->op->shape.c; k++) {
        sum[k] = (double)s0[k];
        sum_h[k] = c->op->centred ? (double)s1[k]
                                  : ((double)s1[k] - (double)mean[k] * sum[k]) * (double)rstd[k];
    }
    finish_gradient(c, sum, sum_h);
    free_all(4, (float *[]){s0, s1, mean, rstd});
    free(sum);
    free(sum_h);
}

static void run_bn_backward(struct interp_call *c)
{
    float *dx = spread_or_masked(c, NULL), *x = interp_take(c, FV_LOW_X);
    float *coef = interp_take(c, FV_LOW_COEF);
    size_t channels = (size_t)c->op->shape.c;
    for (size_t i = 0; i < interp_count(c, FV_LOW_DX); i++) {
        size_t k = i % channels;
        dx[i] = coef[k] * dx[i] + coef[channels + k] * x[i] + coef[2 * channels + k];
    }
    interp_put(c, FV_LOW_DX, dx);
    free_all(2, (float *[]){x, coef});
}

static void run_act_backward(struct interp_call *c)
{
    double *dslope = new_slope(c);
    interp_put(c, FV_LOW_DX, masked(c, dslope));
    put_slope(c, dslope);
    free(dslope);
}

static void run_scale_reduce(struct interp_call *c)
{
    float *dz = masked(c, NULL), *x = interp_take(c, FV_LOW_X), *ds = interp_new(c, FV_LOW_DS);
    size_t channels = (size_t)c->op->shape.c;
    size_t image = (size_t)c->op->shape.h * (size_t)c->op->shape.w * channels;
    for (size_t i = 0; i < interp_count(c, FV_LOW_X); i++)
        ds[i / image * channels + i % channels] += dz[i] * x[i];
    interp_put(c, FV_LOW_DS, ds);
    if (c->arg[FV_LOW_DZ])
        interp_put(c, FV_LOW_DZ, dz);
    else
        free(dz);
    free(x);
}

static void run_scale_backward(struct interp_call *c)
{
    float *dx = interp_take(c, FV_LOW_DY), *s = interp_take(c, FV_LOW_S);
    float *dmean = interp_take(c, FV_LOW_DMEAN);
    size_t channels = (size_t)c->op->shape.c;
    size_t pixels = (size_t)c->op->shape.h * (size_t)c->op->shape.w;
    for (size_t i = 0; i < interp_count(c, FV_LOW_DX); i++) {
        size_t at = i / (pixels * channels) * channels + i % channels;
        dx[i] = dx[i] * s[at] + (dmean ? dmean[at] / (float)pixels : 0);
    }
    interp_put(c, FV_LOW_DX, dx);
    free_all(2, (float *[]){s, dmean});
}

static void run_bias_grad(struct interp_call *c)
{
    double *sum = new_slope(c);
    float *dy = interp_take(c, FV_LOW_DY), *db = interp_take(c, FV_LOW_DB);
    size_t channels = (size_t)c->op->shape.c;
    for (size_t i = 0; i < interp_count(c, FV_LOW_DY); i++)
        sum[i % channels] += (double)dy[i];
    for (int k = 0; k < c->op->shape.channels; k++)
        db[k] = (float)sum[k];
    interp_put(c, FV_LOW_DB, db);
    free(dy);
    free(sum);
}

/* --- pooling ----------------------------------------------------------------------------------------------------- */

static void run_maxpool(struct interp_call *c)
{
    const struct fv_low_shape *s = &c->op->shape;
    float *x = interp_take(c, FV_LOW_X), *y = interp_new(c, FV_LOW_Y);
    float *scale = interp_take(c, FV_LOW_SCALE_V), *shift = interp_take(c, FV_LOW_SHIFT_V);
    uint8_t *index = c->arg[FV_LOW_INDEX];
    size_t channels = (size_t)s->c, pixels = (size_t)s->h * (size_t)s->w;
    for (size_t i = 0; scale && i < interp_count(c, FV_LOW_X); i++)
        x[i] = x[i] * scale[i % channels] + shift[i % channels];
    for (size_t i = 0; i < interp_count(c, FV_LOW_Y); i++) {
        int best = -1;
        float most = 0;
        for (int t = 0; t < s->window * s->window; t++) {
            size_t at =
                under(s, i / channels / pixels, (int)(i / channels % pixels), t, i % channels);
            if (at == SIZE_MAX || (best >= 0 && !(x[at] > most || isnan(x[at]))))
                continue;
            best = t;
            most = x[at];
        }
        y[i] = act_of(c->op->act, most, 0);
        if (index)
            index[i] = (uint8_t)(act_slope(c->op->act, most, 0) > 0 ? best : 254);
    }
    interp_put(c, FV_LOW_Y, y);
    free_all(3, (float *[]){x, scale, shift});
}

static void run_maxpool_backward(struct interp_call *c)
{
    interp_put(c, FV_LOW_DX, spread(c));
}

static size_t pixels_in(const struct interp_call *c)
{
    return (size_t)c->op->shape.in_h * (size_t)c->op->shape.in_w;
}

static void run_gap(struct interp_call *c)
{
    float *x = interp_take(c, FV_LOW_X), *y = interp_new(c, FV_LOW_Y);
    size_t channels = (size_t)c->op->shape.c, pixels = pixels_in(c);
    for (size_t i = 0; i < interp_count(c, FV_LOW_Y); i++) {
        double sum = 0;
        for (size_t p = 0; p < pixels; p++)
            sum += (double)x[(i / channels * pixels + p) * channels + i % channels];
        y[i] = (float)(sum / (double)pixels);
    }
    interp_put(c, FV_LOW_Y, y);
    free(x);
}

static void run_gap_backward(struct interp_call *c)
{
    float *dy = interp_take(c, FV_LOW_DY), *r = interp_take(c, FV_LOW_R);
    float *dx = interp_new(c, FV_LOW_DX);
    size_t channels = (size_t)c->op->shape.c, pixels = pixels_in(c);
    for (size_t i = 0; i < interp_count(c, FV_LOW_DX); i++)
        dx[i] =
            dy[i / (pixels * channels) * channels + i % channels] / (float)pixels + (r ? r[i] : 0);
    interp_put(c, FV_LOW_DX, dx);
    free_all(2, (float *[]){dy, r});
}

/* --- loss and update --------------------------------------------------------------------------------------------- */

static void run_normalise(struct interp_call *c)
{
    float *x = interp_take(c, FV_LOW_X), *y = interp_new(c, FV_LOW_Y);
    float *norm = interp_new(c, FV_LOW_NORM);
    size_t rows = (size_t)c->op->shape.h, columns = (size_t)c->op->shape.w;
    for (size_t i = 0; i < rows; i++) {
        double sum = 0;
        for (size_t k = 0; k < columns; k++)
            sum += (double)x[i * columns + k] * (double)x[i * columns + k];
        norm[i] = (float)sqrt(sum);
        for (size_t k = 0; k < columns; k++)
            y[i * columns + k] = x[i * columns + k] / fmaxf(norm[i], c->op->eps);
    }
    interp_put(c, FV_LOW_Y, y);
    interp_put(c, FV_LOW_NORM, norm);
    free(x);
}

/* dx = (dy - y (y . dy)) / norm. */
static void run_normalise_backward(struct interp_call *c)
{
    float *dy = interp_take(c, FV_LOW_DY), *y = interp_take(c, FV_LOW_Y);
    float *norm = interp_take(c, FV_LOW_NORM), *dx = interp_new(c, FV_LOW_DX);
    size_t rows = (size_t)c->op->shape.h, columns = (size_t)c->op->shape.w;
    for (size_t i = 0; i < rows; i++) {
        double dot = 0;
        for (size_t k = 0; k < columns; k++)
            dot += (double)y[i * columns + k] * (double)dy[i * columns + k];
        for (size_t k = i * columns; k < (i + 1) * columns; k++)
            dx[k] = (dy[k] - (float)dot * y[k]) / fmaxf(norm[i], c->op->eps);
    }
    interp_put(c, FV_LOW_DX, dx);
    free_all(3, (float *[]){dy, y, norm});
}

/* Rows without their padding; NULL if absent. */
static float *dense(struct interp_call *c, int role, size_t columns)
{
    float *all = interp_take(c, role);
    size_t n = (size_t)c->op->shape.n, stride = all ? interp_count(c, role) / n : 0;
    for (size_t i = 0; all && i < n; i++)
        memmove(all + i * columns, all + i * stride, columns * sizeof *all);
    return all;
}

static void put_dense(struct interp_call *c, int role, size_t columns, float *values)
{
    float *all = interp_new(c, role);
    size_t n = (size_t)c->op->shape.n, stride = all ? interp_count(c, role) / n : 0;
    for (size_t i = 0; all && i < n; i++)
        memcpy(all + i * stride, values + i * columns, columns * sizeof *all);
    interp_put(c, role, all);
    free(values);
}

/* The states of the loss's terms, in the net's own order. */
static void load_states(struct interp_call *c, struct fv_loss_call *loss)
{
    const struct fv_net *net = c->l->net;
    c->interp->states = calloc(net->params + net->buffers, sizeof(float));
    if (!c->interp->states)
        abort();
    interp_get(c->interp, c->interp->states);
    for (int t = 0; t < net->loss.terms; t++)
        for (int k = 0; k < FV_LOSS_STATES; k++)
            if (fv_net_loss_state(net, t, k) >= 0)
                loss->state[t][k] =
                    c->interp->states + net->tensor[fv_net_loss_state(net, t, k)].offset;
}

/* The loss itself is trainer/loss's: here it matters what it is given and where its gradients go. */
static void run_loss(struct interp_call *c)
{
    static const int in[] = {FV_LOW_Y, FV_LOW_COSINES, FV_LOW_EMBEDDING};
    static const int out[] = {FV_LOW_DX, FV_LOW_DCOSINES, FV_LOW_DEMBEDDING};
    const struct fv_net *net = c->l->net;
    int n = c->op->shape.n;
    struct fv_loss_call loss = {.spec = &net->loss,
                                .n = n,
                                .classes = net->classes,
                                .dim = net->embedding,
                                .label = c->arg[FV_LOW_LABEL],
                                .label_mix = c->arg[FV_LOW_LABEL_MIX],
                                .lambda = c->arg[FV_LOW_LAMBDA],
                                .epoch = INFINITY};
    size_t columns[] = {(size_t)net->classes, (size_t)net->classes, (size_t)net->embedding};
    float *items = interp_new(c, FV_LOW_ITEMS), *hits = interp_new(c, FV_LOW_HITS);
    loss.work = calloc(fv_loss_work(&net->loss, n, net->embedding) + 1, sizeof *loss.work);
    for (int k = 0; k < FV_LOSS_INPUTS; k++) {
        loss.in[k].f = dense(c, in[k], columns[k]);
        loss.in[k].grad_f = interp_new(c, out[k]);
    }
    load_states(c, &loss);
    fv_loss_run(&loss);
    for (int i = 0; i < net->loss.terms * n; i++) /* after the items' losses and hits */
        items[i] = (float)(net->loss.term[i / n].weight * loss.work[2 * n + i]);
    for (int i = 0; hits && i < n; i++)
        hits[i] = (float)loss.work[n + i];
    fv_loss_commit(&loss);
    interp_put_states(c->interp);
    for (int k = 0; k < FV_LOSS_INPUTS; k++) {
        free((float *)(uintptr_t)loss.in[k].f);
        if (loss.in[k].grad_f)
            put_dense(c, out[k], columns[k], loss.in[k].grad_f);
    }
    interp_put(c, FV_LOW_ITEMS, items);
    interp_put(c, FV_LOW_HITS, hits);
    free(loss.work);
}

/* Items and hits become the step's result. */
static void run_check(struct interp_call *c)
{
    float *items = interp_take(c, FV_LOW_ITEMS), *hits = interp_take(c, FV_LOW_HITS);
    const size_t n = (size_t)c->l->batch;
    c->interp->loss = c->interp->correct = 0;
    for (size_t i = 0; i < interp_count(c, FV_LOW_ITEMS); i++)
        c->interp->loss += (double)items[i] / (double)n;
    for (size_t i = 0; hits && i < n; i++)
        c->interp->correct += (double)hits[i];
    free_all(2, (float *[]){items, hits});
}

static void run_nothing(struct interp_call *c)
{
    (void)c;
}

/* Over whole slots, padding included: it is zero and has to stay zero. */
static void update_slot(struct interp_call *c, int t)
{
    const struct fv_low_slot *s = &c->l->slot[t];
    struct fv_optim_scalars k = fv_optim_scalars(c->optim, t);
    float *w = (float *)c->arg[FV_LOW_MASTERS] + s->offset;
    float *state = c->arg[FV_LOW_STATES];
    const unsigned char *grad = c->arg[FV_LOW_GRADS];
    enum fv_low_dtype type = s->is_t ? c->l->dtype : FV_LOW_F32;
    grad += fv_low_grad_byte(c->l, s->offset);
    float *g = malloc(s->count * sizeof *g);
    if (!g)
        abort();
    interp_widen(type, grad, g, s->count);
    for (size_t i = 0; !k.frozen && i < s->count; i++) {
        size_t first = s->offset + i, second = c->l->elements + first;
        double v = (double)w[i], st[2] = {(double)state[first], (double)state[second]};
        fv_optim_rules[c->optim->kind].update(&k, &v, (double)g[i], st);
        w[i] = (float)v;
        state[first] = (float)st[0];
        state[second] = (float)st[1];
    }
    free(g);
    if (s->is_t && c->arg[FV_LOW_WORKS])
        interp_narrow(c->l->dtype, w, (uint16_t *)c->arg[FV_LOW_WORKS] + s->offset, s->count);
}

static void run_optim(struct interp_call *c)
{
    for (int t = 0; c->optim && t < c->l->net->tensors; t++)
        if (!c->l->net->tensor[t].buffer)
            update_slot(c, t);
}

static void run_running_update(struct interp_call *c)
{
    float *running = c->arg[FV_LOW_RUNNINGS];
    const float *batch = c->arg[FV_LOW_BATCHSTATS];
    for (int i = 0; i < c->l->net->nodes; i++) {
        const struct fv_node *o = &c->l->net->node[i];
        if (o->kind != FV_NODE_BN || fv_optim_is_frozen_bn(c->optim, c->l->net, i))
            continue;
        for (int k = 2; k < 4; k++) {
            size_t at = c->l->slot[o->tensor[k]].offset;
            for (int j = 0; j < o->c; j++)
                running[at + (size_t)j] +=
                    o->momentum * (batch[at + (size_t)j] - running[at + (size_t)j]);
        }
    }
}

static void (*const run[FV_LOW_KINDS])(struct interp_call *) = {
    [FV_LOW_INPUT] = run_input,
    [FV_LOW_CONV] = interp_conv,
    [FV_LOW_DEPTHWISE] = interp_conv,
    [FV_LOW_BIAS] = run_bias,
    [FV_LOW_BN_STATS] = run_bn_stats,
    [FV_LOW_BN_FINALIZE] = run_bn_stats,
    [FV_LOW_BN_FOLD] = run_bn_fold,
    [FV_LOW_BN_APPLY] = run_apply,
    [FV_LOW_ACT] = run_apply,
    [FV_LOW_ADD] = run_apply,
    [FV_LOW_SCALE] = run_apply,
    [FV_LOW_MAXPOOL] = run_maxpool,
    [FV_LOW_GAP] = run_gap,
    [FV_LOW_FC] = interp_conv,
    [FV_LOW_CAST] = run_cast,
    [FV_LOW_DROPOUT] = run_dropout,
    [FV_LOW_MASK] = run_mask,
    [FV_LOW_LOSS] = run_loss,
    [FV_LOW_NORMALISE] = run_normalise,
    [FV_LOW_NORMALISE_BACKWARD] = run_normalise_backward,
    [FV_LOW_BN_REDUCE] = run_bn_reduce,
    [FV_LOW_BN_SUMS] = run_bn_sums,
    [FV_LOW_BN_BACKWARD] = run_bn_backward,
    [FV_LOW_BN_REDUCE_POOL] = run_bn_reduce,
    [FV_LOW_BN_BACKWARD_POOL] = run_bn_backward,
    [FV_LOW_ACT_BACKWARD] = run_act_backward,
    [FV_LOW_SCALE_REDUCE] = run_scale_reduce,
    [FV_LOW_SCALE_BACKWARD] = run_scale_backward,
    [FV_LOW_MAXPOOL_BACKWARD] = run_maxpool_backward,
    [FV_LOW_GAP_BACKWARD] = run_gap_backward,
    [FV_LOW_FC_DGRAD] = interp_conv,
    [FV_LOW_FC_WGRAD] = interp_conv,
    [FV_LOW_BIAS_GRAD] = run_bias_grad,
    [FV_LOW_CONV_DGRAD] = interp_conv,
    [FV_LOW_CONV_WGRAD] = interp_conv,
    [FV_LOW_DEPTHWISE_DGRAD] = interp_conv,
    [FV_LOW_DEPTHWISE_WGRAD] = interp_conv,
    [FV_LOW_BUCKET] = run_nothing,
    [FV_LOW_CHECK] = run_check,
    [FV_LOW_OPTIM] = run_optim,
    [FV_LOW_RUNNING_UPDATE] = run_running_update,
};

void interp_run(struct interp_call *c)
{
    if (!interp_by_kernel(c))
        run[c->op->kind](c);
}
