/* SPDX-License-Identifier: MIT */
#include "tests/cuda/conv_reference.h"

#include "tests/cuda/device_host_math.h"

#include <math.h>
#include <stdlib.h>

enum fv_low_dtype conv_reference_type(const struct fv_conv_key *k, enum fv_conv_role role)
{
    static const enum fv_low_dtype storage[FV_CUDNN_TYPES] = {FV_LOW_F32, FV_LOW_BF16, FV_LOW_F16};
    const int io = role == FV_CONV_X || role == FV_CONV_W || role == FV_CONV_Y ||
                   role == FV_CONV_SCALE || role == FV_CONV_SHIFT || role == FV_CONV_G;
    return io ? storage[k->type] : FV_LOW_F32;
}

size_t conv_reference_count(const struct fv_conv_key *k, enum fv_conv_role role)
{
    return fv_conv_role_bytes(k, role) / (conv_reference_type(k, role) == FV_LOW_F32 ? 4 : 2);
}

int conv_reference_is_output(const struct fv_conv_key *k, enum fv_conv_role role)
{
    const enum fv_conv_graph g = k->graph;
    switch (role) {
    case FV_CONV_X:
        return g == FV_CONV_DGRAD;
    case FV_CONV_W:
        return g == FV_CONV_WGRAD || g == FV_CONV_BN_WGRAD;
    case FV_CONV_Y:
        return g == FV_CONV_FORWARD || g == FV_CONV_FORWARD_STATS || g == FV_CONV_BN_FORWARD_STATS;
    case FV_CONV_SUM:
    case FV_CONV_SQUARES:
    case FV_CONV_G:
    case FV_CONV_DGAMMA:
    case FV_CONV_DBETA:
    case FV_CONV_EQ_DY:
    case FV_CONV_EQ_X:
    case FV_CONV_EQ_B:
        return fv_conv_role_bytes(k, role) > 0;
    default:
        return 0;
    }
}

static double rounded(const struct fv_conv_key *k, double v)
{
    uint32_t one;
    host_store(&one, conv_reference_type(k, FV_CONV_X), 0, v);
    return (double)host_load(&one, conv_reference_type(k, FV_CONV_X), 0);
}

/* Adds a b to out for every product of the convolution: which[] names x, w and y. */
static void products(const struct fv_conv_key *k, const double *x, const double *w, const double *y,
                     double *out, double *size)
{
    const int oh = fv_conv_out_size(k, k->h), ow = fv_conv_out_size(k, k->w);
    for (int n = 0; n < k->n; n++)
        for (int p = 0; p < oh * ow; p++)
            for (int tap = 0; tap < k->window * k->window; tap++) {
                const int iy = p / ow * k->stride - k->pad + tap / k->window,
                          ix = p % ow * k->stride - k->pad + tap % k->window;
                if (iy < 0 || ix < 0 || iy >= k->h || ix >= k->w)
                    continue;
                for (int o = 0; o < k->k; o++)
                    for (int c = 0; c < k->c; c++) {
                        const int at_x = ((n * k->h + iy) * k->w + ix) * k->c + c,
                                  at_w = (o * k->window * k->window + tap) * k->c + c,
                                  at_y = (n * oh * ow + p) * k->k + o;
                        const double v = (x ? x[at_x] : 1) * (w ? w[at_w] : 1) * (y ? y[at_y] : 1);
                        const int at = !x ? at_x : !w ? at_w : at_y;
                        out[at] += v;
                        size[at] += fabs(v);
                    }
            }
}

static void zero(double *v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        v[i] = 0;
}

/* x as the convolution sees it; to be freed */
static double *seen(const struct fv_conv_key *k, double *const value[])
{
    const size_t count = conv_reference_count(k, FV_CONV_X);
    double *a = malloc(count * sizeof *a);
    for (size_t i = 0; i < count; i++) {
        const size_t c = i % (size_t)k->c;
        a[i] = value[FV_CONV_X][i];
        if (fv_conv_role_bytes(k, FV_CONV_SCALE) > 0)
            a[i] = rounded(k, fmax(0, a[i] * value[FV_CONV_SCALE][c] + value[FV_CONV_SHIFT][c]));
    }
    return a;
}

static void sums(const struct fv_conv_key *k, double *const value[], double *const size[])
{
    const size_t count = conv_reference_count(k, FV_CONV_Y);
    zero(value[FV_CONV_SUM], (size_t)k->k);
    zero(value[FV_CONV_SQUARES], (size_t)k->k);
    zero(size[FV_CONV_SUM], (size_t)k->k);
    zero(size[FV_CONV_SQUARES], (size_t)k->k);
    for (size_t i = 0; i < count; i++) {
        const size_t c = i % (size_t)k->k;
        const double y = value[FV_CONV_Y][i];
        value[FV_CONV_SUM][c] += y;
        value[FV_CONV_SQUARES][c] += y * y;
        size[FV_CONV_SUM][c] += fabs(y);
        size[FV_CONV_SQUARES][c] += y * y;
    }
}

/* The backward of y = relu(bn(x)), from the gradient by y in G. The gradient of x is
 * gamma rstd (g - mean(g) - xhat mean(g xhat)) (Ioffe and Szegedy, 2015), here by its three coefficients. */
static void batch_norm(const struct fv_conv_key *k, double *const value[], double *const size[])
{
    const size_t count = conv_reference_count(k, FV_CONV_X), c = (size_t)k->c;
    for (size_t ch = 0; ch < c; ch++) {
        const double mean = value[FV_CONV_MEAN][ch], rstd = value[FV_CONV_RSTD][ch],
                     gamma = value[FV_CONV_GAMMA][ch], m = (double)(count / c);
        double g_sum = 0, gx_sum = 0, g_size = 0, gx_size = 0;
        for (size_t i = ch; i < count; i += c) {
            const double xhat = (value[FV_CONV_X][i] - mean) * rstd;
            const double g = value[FV_CONV_G][i];
            g_sum += g;
            gx_sum += g * xhat;
            g_size += fabs(g);
            gx_size += fabs(g * xhat);
        }
        value[FV_CONV_DBETA][ch] = g_sum;
        value[FV_CONV_DGAMMA][ch] = gx_sum;
        value[FV_CONV_EQ_DY][ch] = gamma * rstd;
        value[FV_CONV_EQ_X][ch] = -gamma * rstd * rstd * gx_sum / m;
        value[FV_CONV_EQ_B][ch] = gamma * rstd * (mean * rstd * gx_sum - g_sum) / m;
        size[FV_CONV_DBETA][ch] = g_size;
        size[FV_CONV_DGAMMA][ch] = gx_size;
        size[FV_CONV_EQ_DY][ch] = fabs(gamma * rstd);
        size[FV_CONV_EQ_X][ch] = fabs(gamma) * rstd * rstd * gx_size / m;
        size[FV_CONV_EQ_B][ch] = fabs(gamma) * rstd * (fabs(mean * rstd) * gx_size + g_size) / m;
    }
}

static void mask(const struct fv_conv_key *k, double *const value[])
{
    for (size_t i = 0; i < conv_reference_count(k, FV_CONV_X); i++) {
        const size_t c = i % (size_t)k->c;
        const double xhat = (value[FV_CONV_X][i] - value[FV_CONV_MEAN][c]) * value[FV_CONV_RSTD][c];
        if (!(xhat * value[FV_CONV_GAMMA][c] + value[FV_CONV_BETA][c] > 0))
            value[FV_CONV_G][i] = 0;
    }
}

enum fv_conv_role conv_reference_made(const struct fv_conv_key *k)
{
    const enum fv_conv_graph g = k->graph;
    return g == FV_CONV_DGRAD                            ? FV_CONV_X
           : g == FV_CONV_DGRAD_BN                       ? FV_CONV_G
           : g == FV_CONV_WGRAD || g == FV_CONV_BN_WGRAD ? FV_CONV_W
                                                         : FV_CONV_Y;
}

void conv_reference(const struct fv_conv_key *k, double *const value[FV_CONV_ROLES],
                    double *const size[FV_CONV_ROLES])
{
    const enum fv_conv_role made = conv_reference_made(k);
    const int data = made == FV_CONV_X || made == FV_CONV_G;
    double *x = data ? NULL : seen(k, value);
    zero(value[made], conv_reference_count(k, made));
    zero(size[made], conv_reference_count(k, made));
    products(k, x, made == FV_CONV_W ? NULL : value[FV_CONV_W],
             made == FV_CONV_Y ? NULL : value[FV_CONV_Y], value[made], size[made]);
    if (made == FV_CONV_G)
        mask(k, value);
    free(x);
}

void conv_reference_sums(const struct fv_conv_key *k, double *const value[FV_CONV_ROLES],
                         double *const size[FV_CONV_ROLES])
{
    if (fv_conv_role_bytes(k, FV_CONV_SUM) > 0)
        sums(k, value, size);
    if (k->graph == FV_CONV_DGRAD_BN)
        batch_norm(k, value, size);
}
