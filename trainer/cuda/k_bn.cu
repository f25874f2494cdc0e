/* SPDX-License-Identifier: MIT */
/* Batch norm forward: statistics, scale and shift, and y = act(x * scale + shift [+ residual]).
 *
 * Bound by memory: statistics read x once, apply reads x (and the residual) once and writes y. Statistics are those of
 * x - x[first row], so that fp32 sums suffice; the few partial sums of a channel are added in double.
 */
#include "trainer/cuda/act.cuh"
#include "trainer/cuda/columns.cuh"

#include <math.h>

enum { FINAL_CHANNELS = 32, FINAL_SLICES = 32 }; /* of a block that adds up partial sums */

/* --- statistics --- */

template <typename T>
FV_KERNEL(FV_COLUMN_THREADS)
bn_stats(const T *__restrict__ x, float *__restrict__ partial, fv__columns k)
{
    FV_SHARED(float, shared, 8 * FV_COLUMN_THREADS);
    const fv__place p = fv__find_place(k);
    const int c = 8 * k.all_groups;
    float first[8], sum[8] = {0}, square[8] = {0};
    if (p.works) {
        fv_load8(x + 8 * p.group, first);
        int64_t row = p.row;
        for (; row + 3 * p.step < k.rows; row += 4 * p.step) {
            float v[4][8];
            FV_UNROLL
            for (int u = 0; u < 4; u++)
                fv_load8(x + (row + u * p.step) * c + 8 * p.group, v[u]);
            FV_UNROLL
            for (int u = 0; u < 4; u++)
                FV_UNROLL
            for (int i = 0; i < 8; i++) {
                const float d = v[u][i] - first[i];
                sum[i] += d;
                square[i] += d * d;
            }
        }
        for (; row < k.rows; row += p.step) {
            float v[8];
            fv_load8(x + row * c + 8 * p.group, v);
            FV_UNROLL
            for (int i = 0; i < 8; i++) {
                const float d = v[i] - first[i];
                sum[i] += d;
                square[i] += d * d;
            }
        }
    }
    float *out = partial + (size_t)blockIdx.x * 2 * c;
    fv__sum_lanes(k, p, shared, sum, out);
    __syncthreads();
    fv__sum_lanes(k, p, shared, square, out + c);
    if (blockIdx.x == 0 && p.lane == 0 && p.works)
        fv_store8(partial + (size_t)gridDim.x * 2 * c + 8 * p.group, first);
}

template <typename T> static int stats(const struct fv_k_bn_stats *a, fv_stream s)
{
    fv__columns k = {};
    FV_TRY(fv__columns_make(&k, "bn_stats", a->rows, a->c));
    return FV_LAUNCH("bn_stats", (bn_stats<T>), fv__sum_grid(&k), FV_COLUMN_THREADS, s,
                     (const T *)a->x, a->partial, k);
}

/* --- from sums to scale and shift --- */

struct finalize {
    const float *sum, *square, *shift;
    const float *gamma, *beta;
    float *mean, *rstd, *scale, *shift_out, *batch_mean, *batch_var;
    float *moments;
    const float *gathered;
    void *scale16, *shift16;
    enum fv_k_type type16;
    int parts, c, channels, ranks;
    size_t stride;
    double rows;
    float eps;
};

__device__ static inline void put_as(enum fv_k_type type, void *p, int i, float v)
{
    if (type == FV_K_BF16)
        fv_put((fv_bf16 *)p + i, v);
    else if (type == FV_K_F16)
        fv_put((fv_f16 *)p + i, v);
    else
        fv_put((float *)p + i, v);
}

/* count: rows that mean and variance are of. */
__device__ static inline void bn_write(const finalize &f, int channel, double mean, double var,
                                       double count)
{
    const float rstd = (float)(1 / sqrt(var + (double)f.eps));
    const bool real = channel < f.channels;
    const float gamma = !real ? 0 : f.gamma ? f.gamma[channel] : 1;
    const float beta = real && f.beta ? f.beta[channel] : 0;
    f.mean[channel] = (float)mean;
    f.rstd[channel] = rstd;
    const float scale = gamma * rstd, shift = (float)((double)beta - mean * (double)scale);
    f.scale[channel] = scale;
    f.shift_out[channel] = shift;
    if (f.scale16) {
        put_as(f.type16, f.scale16, channel, scale);
        put_as(f.type16, f.shift16, channel, shift);
    }
    if (real && f.batch_mean) {
        f.batch_mean[channel] = (float)mean;
        f.batch_var[channel] = (float)(var * (count / (count - 1)));
    }
}

/* The variance of all is the mean of the variances and the variance of the means: no digits are lost. */
__device__ static inline void bn_write_ranks(const finalize &f, int channel)
{
    double mean = 0, var = 0;
    for (int r = 0; r < f.ranks; r++)
        mean += (double)f.gathered[(size_t)r * 2 * f.c + channel];
    mean /= f.ranks;
    for (int r = 0; r < f.ranks; r++) {
        const float *at = f.gathered + (size_t)r * 2 * f.c + channel;
        const double apart = (double)at[0] - mean;
        var += (double)at[f.c] + apart * apart;
    }
    bn_write(f, channel, mean, var / f.ranks, f.rows * f.ranks);
}

FV_KERNEL(FINAL_CHANNELS *FINAL_SLICES) bn_finalize(finalize f)
{
    FV_SHARED(double, sums, FINAL_CHANNELS *FINAL_SLICES);
    FV_SHARED(double, squares, FINAL_CHANNELS *FINAL_SLICES);
    const int slice = (int)threadIdx.x / FINAL_CHANNELS;
    const int channel = (int)blockIdx.x * FINAL_CHANNELS + (int)threadIdx.x % FINAL_CHANNELS;
    double sum = 0, square = 0;
    if (channel < f.c && !f.gathered) {
        FV_UNROLL_4
        for (int part = slice; part < f.parts; part += FINAL_SLICES) {
            sum += (double)f.sum[part * f.stride + channel];
            square += (double)f.square[part * f.stride + channel];
        }
    }
    sums[threadIdx.x] = sum;
    squares[threadIdx.x] = square;
    __syncthreads();
    if (slice > 0 || channel >= f.c)
        return;
    if (f.gathered) {
        bn_write_ranks(f, channel);
        return;
    }
    for (int i = 1; i < FINAL_SLICES; i++) {
        sum += sums[(int)threadIdx.x + i * FINAL_CHANNELS];
        square += squares[(int)threadIdx.x + i * FINAL_CHANNELS];
    }
    const double offset = sum / f.rows;
    const double mean = offset + (f.shift ? (double)f.shift[channel] : 0);
    double var = square / f.rows - offset * offset;
    var = var < 0 ? 0 : var; /* a NaN stays one */
    if (f.moments) {
        f.moments[channel] = (float)mean;
        f.moments[f.c + channel] = (float)var;
    } else {
        bn_write(f, channel, mean, var, f.rows);
    }
}

FV_KERNEL(256)
bn_fold(const float *mean, const float *var, const float *gamma, const float *beta, float eps,
        int c, int channels, float *scale, float *shift)
{
    const int i = (int)(blockIdx.x * blockDim.x + threadIdx.x);
    if (i >= c)
        return;
    const bool real = i < channels;
    const float by = real ? (gamma ? gamma[i] : 1) / sqrtf(var[i] + eps) : 0;
    scale[i] = by;
    shift[i] = real ? (beta ? beta[i] : 0) - mean[i] * by : 0;
}

/* --- apply --- */

struct apply {
    const float *scale, *shift, *scale2, *shift2, *slope;
    uint8_t *open;
    float high;
};

/* RESIDUAL: 0 none, 1 added, 2 added after a scale and shift of its own. */
template <typename T, int CLASS, int RESIDUAL, bool OPEN>
FV_KERNEL_OF(FV_COLUMN_THREADS, 3)
bn_apply(const T *x, const T *residual, T *y, apply a, fv__columns k)
{
    const fv__place p = fv__find_place(k);
    const int c = 8 * k.all_groups;
    if (!p.works)
        return;
    float scale[8], shift[8], scale2[8], slope[8];
    fv__channel8(a.scale, p.group, scale);
    fv__channel8(a.shift, p.group, shift);
    if (RESIDUAL == 2) {
        float shift2[8];
        fv__channel8(a.scale2, p.group, scale2);
        fv__channel8(a.shift2, p.group, shift2);
        FV_UNROLL
        for (int i = 0; i < 8; i++)
            shift[i] += shift2[i];
    }
    if (CLASS == FV_ACT_PRELU)
        fv__channel8(a.slope, p.group, slope);
    enum { AT_ONCE = 2 };
    for (int64_t row = p.row; row < k.rows; row += AT_ONCE * p.step) {
        float v[AT_ONCE][8], r[AT_ONCE][8];
        FV_UNROLL
        for (int u = 0; u < AT_ONCE; u++) { /* past the end: the first row again, not stored */
            const int64_t there = row + u * p.step < k.rows ? row + u * p.step : row;
            fv_load8(x + there * c + 8 * p.group, v[u]);
            if (RESIDUAL)
                fv_load8(residual + there * c + 8 * p.group, r[u]);
        }
        FV_UNROLL
        for (int u = 0; u < AT_ONCE; u++) {
            unsigned open = 0;
            FV_UNROLL
            for (int i = 0; i < 8; i++) {
                float z = v[u][i] * scale[i] + shift[i];
                if (RESIDUAL)
                    z += RESIDUAL == 2 ? r[u][i] * scale2[i] : r[u][i];
                v[u][i] = fv__act<CLASS>(z, CLASS == FV_ACT_PRELU ? slope[i] : 0, a.high);
                if (OPEN)
                    open |= (z > 0 && z < a.high ? 1u : 0u) << i;
            }
            if (row + u * p.step < k.rows) {
                fv_store8(y + (row + u * p.step) * c + 8 * p.group, v[u]);
                if (OPEN)
                    a.open[(row + u * p.step) * k.all_groups + p.group] = (uint8_t)open;
            }
        }
    }
}

template <typename T, int CLASS, int RESIDUAL, bool OPEN>
static int apply_launch_of(const struct fv_k_bn_apply *a, const fv__columns *k, fv_stream s)
{
    const apply args = {a->scale, a->shift, a->scale2,           a->shift2,
                        a->slope, a->open,  fv__act_high(a->act)};
    return FV_LAUNCH("bn_apply", (bn_apply<T, CLASS, RESIDUAL, OPEN>), fv__spread_grid(k),
                     FV_COLUMN_THREADS, s, (const T *)a->x, (const T *)a->residual, (T *)a->y, args,
                     *k);
}

template <typename T, int CLASS, int RESIDUAL>
static int apply_launch(const struct fv_k_bn_apply *a, const fv__columns *k, fv_stream s)
{
    if (!a->open)
        return apply_launch_of<T, CLASS, RESIDUAL, false>(a, k, s);
    if (CLASS != FV_ACT_CLAMP)
        return fv_err(FV_EINVAL, "kernel bn_apply: bits of an activation numbered %d", (int)a->act);
    return apply_launch_of<T, FV_ACT_CLAMP, RESIDUAL, true>(a, k, s);
}

template <typename T, int CLASS>
static int apply_residual(const struct fv_k_bn_apply *a, const fv__columns *k, fv_stream s)
{
    return !a->residual ? apply_launch<T, CLASS, 0>(a, k, s)
           : !a->scale2 ? apply_launch<T, CLASS, 1>(a, k, s)
                        : apply_launch<T, CLASS, 2>(a, k, s);
}

template <typename T> static int apply_any(const struct fv_k_bn_apply *a, fv_stream s)
{
    fv__columns k = {};
    FV_TRY(fv__columns_make(&k, "bn_apply", a->rows, a->c));
    return FV_BY_ACT(a->act, apply_residual, T, a, &k, s);
}

extern "C" {

int fv_k_parts(int64_t rows, int c)
{
    fv__columns k = {};
    if (fv__columns_make(&k, "parts", rows, (c + 7) / 8 * 8) < 0)
        return 0;
    return (int)fv__sum_grid(&k).x;
}

size_t fv_k_bn_stats_partial(int64_t rows, int c)
{
    return ((size_t)fv_k_parts(rows, c) * 2 + 1) * (size_t)c;
}

int fv_k_bn_stats(const struct fv_k_bn_stats *a, fv_stream s)
{
    return FV_BY_TYPE(a->type, stats, a, s);
}

int fv_k_bn_finalize(const struct fv_k_bn_finalize *a, fv_stream s)
{
    finalize f = {};
    f.sum = a->sum;
    f.square = a->square;
    f.gamma = a->gamma;
    f.beta = a->beta;
    f.mean = a->mean;
    f.rstd = a->rstd;
    f.scale = a->scale;
    f.shift_out = a->shift;
    f.batch_mean = a->batch_mean;
    f.batch_var = a->batch_var;
    f.scale16 = a->scale16;
    f.shift16 = a->shift16;
    f.type16 = a->type16;
    f.parts = 1;
    f.c = a->c;
    f.channels = a->channels;
    f.rows = (double)a->rows;
    f.eps = a->eps;
    f.moments = a->moments;
    f.gathered = a->gathered;
    f.ranks = a->ranks;
    const int64_t least = a->moments || (a->gathered && a->ranks > 1) ? 1 : 2;
    if (a->rows < least || a->c < 1 || a->channels > a->c || (a->gathered && a->ranks < 1))
        return fv_err(FV_EINVAL, "kernel bn_finalize: %lld rows, %d of %d channels",
                      (long long)a->rows, a->channels, a->c);
    if (a->partial) {
        f.parts = fv_k_parts(a->rows, a->c);
        f.stride = 2 * (size_t)a->c;
        f.sum = a->partial;
        f.square = a->partial + a->c;
        f.shift = a->partial + (size_t)f.parts * f.stride;
    }
    return FV_LAUNCH("bn_finalize", bn_finalize,
                     (unsigned)(a->c + FINAL_CHANNELS - 1) / FINAL_CHANNELS,
                     FINAL_CHANNELS * FINAL_SLICES, s, f);
}

int fv_k_bn_fold(const struct fv_k_bn_fold *a, fv_stream s)
{
    return FV_LAUNCH("bn_fold", bn_fold, (unsigned)(a->c + 255) / 256, 256, s, a->mean, a->var,
                     a->gamma, a->beta, a->eps, a->c, a->channels, a->scale, a->shift);
}

int fv_k_bn_apply(const struct fv_k_bn_apply *a, fv_stream s)
{
    return FV_BY_TYPE(a->type, apply_any, a, s);
}
}
