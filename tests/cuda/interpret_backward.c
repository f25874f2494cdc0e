/* SPDX-License-Identifier: MIT */
/* The ops of the backward pass: what reaches them, then the gradients by what they had read. */
#include "tests/cuda/interpret_ops.h"

#include <math.h>
#include <stdlib.h>

/* act'(z) * (dy [+ dy2]), by the bits that BN_APPLY left if it did; with `dslope`, also its sums for the slopes. */
static float *masked(struct interp_call *c, double *dslope)
{
    float *dy = interp_take(c, FV_LOW_DY), *dy2 = interp_take(c, FV_LOW_DY2);
    float *x = interp_take(c, FV_LOW_X), *y = interp_take(c, FV_LOW_Y);
    float *scale = interp_take(c, FV_LOW_SCALE_V), *shift = interp_take(c, FV_LOW_SHIFT_V);
    float *slope = interp_take(c, FV_LOW_SLOPE);
    const uint8_t *open = c->arg[FV_LOW_OPEN];
    size_t channels = (size_t)c->op->shape.c;
    for (size_t i = 0; i < interp_count(c, FV_LOW_DY); i++) {
        size_t k = i % channels;
        dy[i] += dy2 ? dy2[i] : 0;
        if (c->op->act == FV_LOW_ACT_NONE)
            continue;
        if (open) {
            dy[i] *= (float)(open[i / 8] >> i % 8 & 1);
            continue;
        }
        float v = y ? y[i] : scale ? x[i] * scale[k] + shift[k] : x[i];
        if (dslope && v < 0)
            dslope[k] += (double)dy[i] * (double)v;
        dy[i] *= interp_act_slope(c->op->act, v, slope ? slope[k] : 0);
    }
    interp_free_all(6, (float *[]){dy2, x, y, scale, shift, slope});
    return dy;
}

/* The gradient by a pool's input: each output's goes to the winner of its window. */
static float *spread(struct interp_call *c)
{
    const struct fv_low_shape *s = &c->op->shape;
    float *dy = masked(c, NULL);
    size_t channels = (size_t)s->c, pixels = (size_t)s->h * (size_t)s->w;
    size_t count = interp_rows_in(c) * channels;
    const uint8_t *index = c->arg[FV_LOW_INDEX];
    float *dx = calloc(count, sizeof *dx);
    if (!dx)
        abort();
    for (size_t i = 0; i < interp_count(c, FV_LOW_DY); i++) {
        size_t at = interp_under(s, i / channels / pixels, (int)(i / channels % pixels), index[i],
                                 i % channels);
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
    double m =
        c->op->kind == FV_LOW_BN_REDUCE_POOL ? (double)interp_rows_in(c) : (double)interp_rows(c);
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
    interp_free_all(3, (float *[]){gamma, mean, rstd});
}

/* Of a gradient that a pool spreads over its input, or of the one that comes. */
static float *spread_or_masked(struct interp_call *c, double *dslope)
{
    return c->arg[FV_LOW_INDEX] ? spread(c) : masked(c, dslope);
}

void interp_run_bn_reduce(struct interp_call *c)
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
    interp_free_all(3, (float *[]){x, mean, rstd});
    free(dslope);
    free(sum);
    free(sum_h);
}

void interp_run_bn_sums(struct interp_call *c)
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
    interp_free_all(4, (float *[]){s0, s1, mean, rstd});
    free(sum);
    free(sum_h);
}

void interp_run_bn_backward(struct interp_call *c)
{
    float *dx = spread_or_masked(c, NULL), *x = interp_take(c, FV_LOW_X);
    float *coef = interp_take(c, FV_LOW_COEF);
    size_t channels = (size_t)c->op->shape.c;
    for (size_t i = 0; i < interp_count(c, FV_LOW_DX); i++) {
        size_t k = i % channels;
        dx[i] = coef[k] * dx[i] + coef[channels + k] * x[i] + coef[2 * channels + k];
    }
    interp_put(c, FV_LOW_DX, dx);
    interp_free_all(2, (float *[]){x, coef});
}

void interp_run_act_backward(struct interp_call *c)
{
    double *dslope = new_slope(c);
    interp_put(c, FV_LOW_DX, masked(c, dslope));
    put_slope(c, dslope);
    free(dslope);
}

void interp_run_scale_reduce(struct interp_call *c)
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

void interp_run_scale_backward(struct interp_call *c)
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
    interp_free_all(2, (float *[]){s, dmean});
}

void interp_run_bias_grad(struct interp_call *c)
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

void interp_run_maxpool_backward(struct interp_call *c)
{
    interp_put(c, FV_LOW_DX, spread(c));
}

void interp_run_gap_backward(struct interp_call *c)
{
    float *dy = interp_take(c, FV_LOW_DY), *r = interp_take(c, FV_LOW_R);
    float *dx = interp_new(c, FV_LOW_DX);
    size_t channels = (size_t)c->op->shape.c, pixels = interp_pixels_in(c);
    for (size_t i = 0; i < interp_count(c, FV_LOW_DX); i++)
        dx[i] =
            dy[i / (pixels * channels) * channels + i % channels] / (float)pixels + (r ? r[i] : 0);
    interp_put(c, FV_LOW_DX, dx);
    interp_free_all(2, (float *[]){dy, r});
}

/* dx = (dy - y (y . dy)) / norm. */
void interp_run_normalise_backward(struct interp_call *c)
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
    interp_free_all(3, (float *[]){dy, y, norm});
}
