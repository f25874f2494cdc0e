/* SPDX-License-Identifier: MIT */
/* What each kind of op computes, by its definition in lower.h: those of the forward pass, and a row each at the end. */
#include "tests/cuda/interpret_ops.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

size_t interp_rows(const struct interp_call *c)
{
    const struct fv_low_shape *s = &c->op->shape;
    return (size_t)s->n * (size_t)s->h * (size_t)s->w;
}

size_t interp_rows_in(const struct interp_call *c)
{
    const struct fv_low_shape *s = &c->op->shape;
    return (size_t)s->n * (size_t)s->in_h * (size_t)s->in_w;
}

void interp_free_all(int count, float **list)
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
    for (size_t i = 0; i < interp_rows(c); i++)
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
    size_t channels = (size_t)c->op->shape.c, rows = interp_rows(c);
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
    double m = (double)interp_rows(c), rstd = 1 / sqrt(var + (double)c->op->eps);
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
        double mean, var, m = (double)interp_rows(c);
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
    interp_free_all(5, (float *[]){x, s0, s1, n.gamma, n.beta});
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
    interp_free_all(4, (float *[]){gamma, beta, mean, var});
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

float interp_act_slope(enum fv_low_act act, float v, float slope)
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
    uint8_t *open = c->arg[FV_LOW_OPEN];
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
        if (open && i % 8 == 0)
            open[i / 8] = 0;
        if (open && interp_act_slope(c->op->act, z, 0) > 0)
            open[i / 8] |= (uint8_t)(1 << i % 8);
    }
    interp_put(c, FV_LOW_Y, y);
    interp_free_all(8, (float *[]){x, r, scale, shift, scale2, shift2, slope, s});
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

/* --- pooling ----------------------------------------------------------------------------------------------------- */

size_t interp_under(const struct fv_low_shape *s, size_t n, int p, int t, size_t k)
{
    int y = p / s->w * s->stride - s->pad + t / s->window;
    int x = p % s->w * s->stride - s->pad + t % s->window;
    if (y < 0 || y >= s->in_h || x < 0 || x >= s->in_w)
        return SIZE_MAX;
    size_t row = (n * (size_t)s->in_h + (size_t)y) * (size_t)s->in_w + (size_t)x;
    return row * (size_t)s->c + k;
}

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
            size_t at = interp_under(s, i / channels / pixels, (int)(i / channels % pixels), t,
                                     i % channels);
            if (at == SIZE_MAX || (best >= 0 && !(x[at] > most || isnan(x[at]))))
                continue;
            best = t;
            most = x[at];
        }
        y[i] = act_of(c->op->act, most, 0);
        if (index)
            index[i] = (uint8_t)(interp_act_slope(c->op->act, most, 0) > 0 ? best : 254);
    }
    interp_put(c, FV_LOW_Y, y);
    interp_free_all(3, (float *[]){x, scale, shift});
}

size_t interp_pixels_in(const struct interp_call *c)
{
    return (size_t)c->op->shape.in_h * (size_t)c->op->shape.in_w;
}

static void run_gap(struct interp_call *c)
{
    float *x = interp_take(c, FV_LOW_X), *y = interp_new(c, FV_LOW_Y);
    size_t channels = (size_t)c->op->shape.c, pixels = interp_pixels_in(c);
    for (size_t i = 0; i < interp_count(c, FV_LOW_Y); i++) {
        double sum = 0;
        for (size_t p = 0; p < pixels; p++)
            sum += (double)x[(i / channels * pixels + p) * channels + i % channels];
        y[i] = (float)(sum / (double)pixels);
    }
    interp_put(c, FV_LOW_Y, y);
    free(x);
}

/* --- rows of unit length ---------------------------------------------------------------------------------------- */

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
    [FV_LOW_LOSS] = interp_run_loss,
    [FV_LOW_NORMALISE] = run_normalise,
    [FV_LOW_NORMALISE_BACKWARD] = interp_run_normalise_backward,
    [FV_LOW_BN_REDUCE] = interp_run_bn_reduce,
    [FV_LOW_BN_SUMS] = interp_run_bn_sums,
    [FV_LOW_BN_BACKWARD] = interp_run_bn_backward,
    [FV_LOW_BN_REDUCE_POOL] = interp_run_bn_reduce,
    [FV_LOW_BN_BACKWARD_POOL] = interp_run_bn_backward,
    [FV_LOW_ACT_BACKWARD] = interp_run_act_backward,
    [FV_LOW_SCALE_REDUCE] = interp_run_scale_reduce,
    [FV_LOW_SCALE_BACKWARD] = interp_run_scale_backward,
    [FV_LOW_MAXPOOL_BACKWARD] = interp_run_maxpool_backward,
    [FV_LOW_GAP_BACKWARD] = interp_run_gap_backward,
    [FV_LOW_FC_DGRAD] = interp_conv,
    [FV_LOW_FC_WGRAD] = interp_conv,
    [FV_LOW_BIAS_GRAD] = interp_run_bias_grad,
    [FV_LOW_CONV_DGRAD] = interp_conv,
    [FV_LOW_CONV_WGRAD] = interp_conv,
    [FV_LOW_DEPTHWISE_DGRAD] = interp_conv,
    [FV_LOW_DEPTHWISE_WGRAD] = interp_conv,
    [FV_LOW_BUCKET] = interp_run_nothing,
    [FV_LOW_CHECK] = interp_run_check,
    [FV_LOW_OPTIM] = interp_run_optim,
    [FV_LOW_RUNNING_UPDATE] = interp_run_running_update,
};

void interp_run(struct interp_call *c)
{
    if (!interp_by_kernel(c))
        run[c->op->kind](c);
}
