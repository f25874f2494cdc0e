/* SPDX-License-Identifier: MIT */
/* Batch norm backward, with the activation and the residual that followed it forward.
 *
 * Two passes over memory, since the gradient by x needs sums over all rows: reduce reads the incoming gradient and x
 * (and, where a residual was added, the bits that say which values passed the activation), backward reads them again
 * and writes dx. Where reduce stores the masked gradient for a residual, backward reads that and x alone.
 */
#include "trainer/cuda/act.cuh"
#include "trainer/cuda/columns.cuh"

enum { FINAL_CHANNELS = 32, FINAL_SLICES = 32 };

/* Rows that a thread loads before it works on them: what is on its way should be about the same for each type. */
template <typename T, int CLASS, bool TWO> struct at_once {
    enum {
        ROWS = sizeof(T) == 4          ? 1
               : CLASS == FV_ACT_PRELU ? 2
               : TWO                   ? 2
               : CLASS == FV_ACT_NONE  ? 4
                                       : 3
    }; /* prelu has eight sums more to keep */
};

/* What a thread needs of its eight channels to turn dy into dz. */
struct masking {
    float scale[8], shift[8], slope[8];
};

template <int CLASS, bool AGAIN>
__device__ static inline void load_masking(const struct fv_k_bn_incoming &in, int group, masking &m)
{
    if (AGAIN) {
        fv__channel8(in.scale, group, m.scale);
        fv__channel8(in.shift, group, m.shift);
    }
    if (CLASS == FV_ACT_PRELU)
        fv__channel8(in.slope, group, m.slope);
}

/* Eight values of one row: x, g = dy + dy2, and bits of those that passed the activation, unless that is seen by x. */
struct eight {
    float g[8], x[8];
    unsigned open;
};

template <typename T, int CLASS, bool AGAIN, bool TWO>
__device__ static inline void load_row(const struct fv_k_bn_incoming &in, int64_t at, eight &v)
{
    fv_load8((const T *)in.dy + at, v.g);
    fv_load8((const T *)in.x + at, v.x);
    float more[8] = {0};
    if (TWO)
        fv_load8((const T *)in.dy2 + at, more);
    v.open = CLASS != FV_ACT_NONE && !AGAIN ? in.open[at / 8] : 0;
    FV_UNROLL
    for (int i = 0; i < 8; i++)
        v.g[i] += more[i];
}

/* g becomes dz; returns, for prelu, what the slopes' gradients gain. */
template <int CLASS, bool AGAIN>
__device__ static inline float mask_one(eight &v, int i, const masking &m, float high)
{
    if (CLASS == FV_ACT_NONE)
        return 0;
    if (!AGAIN) {
        v.g[i] = v.open >> i & 1 ? v.g[i] : 0;
        return 0;
    }
    const float z = v.x[i] * m.scale[i] + m.shift[i];
    const float gain = CLASS == FV_ACT_PRELU && z < 0 ? v.g[i] * z : 0;
    v.g[i] = fv__act_gradient<CLASS>(v.g[i], z, CLASS == FV_ACT_PRELU ? m.slope[i] : 0, high);
    return gain;
}

template <typename T, int CLASS, bool AGAIN, bool TWO>
FV_KERNEL_OF(FV_COLUMN_THREADS, 2)
bn_reduce(struct fv_k_bn_incoming in, const float *__restrict__ mean_of, T *dz,
          float *__restrict__ partial, float high, fv__columns k)
{
    FV_SHARED(float, shared, 8 * FV_COLUMN_THREADS);
    enum { AT_ONCE = at_once<T, CLASS, TWO>::ROWS };
    const fv__place p = fv__find_place(k);
    const int c = 8 * k.all_groups;
    float sum[8] = {0}, dot[8] = {0}, gain[8] = {0};
    if (p.works) {
        masking m;
        float mean[8];
        load_masking<CLASS, AGAIN>(in, p.group, m);
        fv__channel8(mean_of, p.group, mean);
        for (int64_t row = p.row; row < k.rows; row += AT_ONCE * p.step) {
            eight v[AT_ONCE];
            FV_UNROLL
            for (int u = 0; u < AT_ONCE; u++) /* past the end: the first row again, not counted */
                load_row<T, CLASS, AGAIN, TWO>(
                    in, (row + u * p.step < k.rows ? row + u * p.step : row) * c + 8 * p.group,
                    v[u]);
            FV_UNROLL
            for (int u = 0; u < AT_ONCE; u++) {
                if (row + u * p.step >= k.rows)
                    break;
                FV_UNROLL
                for (int i = 0; i < 8; i++) {
                    gain[i] += mask_one<CLASS, AGAIN>(v[u], i, m, high);
                    if (dz)
                        v[u].g[i] = fv_rounded<T>(v[u].g[i]);
                    sum[i] += v[u].g[i];
                    dot[i] += v[u].g[i] * (v[u].x[i] - mean[i]);
                }
                if (dz)
                    fv_store8(dz + (row + u * p.step) * c + 8 * p.group, v[u].g);
            }
        }
    }
    float *out = partial + (size_t)blockIdx.x * 3 * c;
    fv__sum_lanes(k, p, shared, sum, out);
    __syncthreads();
    fv__sum_lanes(k, p, shared, dot, out + c);
    if (CLASS == FV_ACT_PRELU) {
        __syncthreads();
        fv__sum_lanes(k, p, shared, gain, out + 2 * c);
    }
}

template <typename T, int CLASS, bool AGAIN, bool TWO>
FV_KERNEL_OF(FV_COLUMN_THREADS, 2)
bn_backward(struct fv_k_bn_incoming in, const float *__restrict__ coefficients, T *dx, float high,
            fv__columns k)
{
    enum { AT_ONCE = at_once<T, CLASS, TWO>::ROWS };
    const fv__place p = fv__find_place(k);
    const int c = 8 * k.all_groups;
    if (!p.works)
        return;
    masking m;
    float by_dz[8], by_x[8], constant[8];
    load_masking<CLASS, AGAIN>(in, p.group, m);
    fv__channel8(coefficients, p.group, by_dz);
    fv__channel8(coefficients + c, p.group, by_x);
    fv__channel8(coefficients + 2 * c, p.group, constant);
    for (int64_t row = p.row; row < k.rows; row += AT_ONCE * p.step) {
        eight v[AT_ONCE];
        FV_UNROLL
        for (int u = 0; u < AT_ONCE; u++)
            load_row<T, CLASS, AGAIN, TWO>(
                in, (row + u * p.step < k.rows ? row + u * p.step : row) * c + 8 * p.group, v[u]);
        FV_UNROLL
        for (int u = 0; u < AT_ONCE; u++) {
            FV_UNROLL
            for (int i = 0; i < 8; i++) {
                (void)mask_one<CLASS, AGAIN>(v[u], i, m, high);
                v[u].g[i] = by_dz[i] * v[u].g[i] + (by_x[i] * v[u].x[i] + constant[i]);
            }
            if (row + u * p.step < k.rows)
                fv_store8(dx + (row + u * p.step) * c + 8 * p.group, v[u].g);
        }
    }
}

/* --- from sums to gradients --- */

FV_KERNEL(FINAL_CHANNELS *FINAL_SLICES) bn_gradient(struct fv_k_bn_gradient a, int parts)
{
    FV_SHARED(double, shared, 3 * FINAL_CHANNELS * FINAL_SLICES);
    const int slice = (int)threadIdx.x / FINAL_CHANNELS, all = FINAL_CHANNELS * FINAL_SLICES;
    const int channel = (int)blockIdx.x * FINAL_CHANNELS + (int)threadIdx.x % FINAL_CHANNELS;
    double sum[3] = {0, 0, 0};
    if (channel < a.c) {
        FV_UNROLL_4
        for (int part = slice; part < parts; part += FINAL_SLICES) {
            const float *at = a.partial + (size_t)part * 3 * a.c + channel;
            sum[0] += (double)at[0];
            sum[1] += (double)at[a.c];
            sum[2] += a.dslope ? (double)at[2 * a.c] : 0;
        }
    }
    for (int i = 0; i < 3; i++)
        shared[i * all + (int)threadIdx.x] = sum[i];
    __syncthreads();
    if (slice > 0 || channel >= a.c)
        return;
    for (int other = 1; other < FINAL_SLICES; other++)
        for (int i = 0; i < 3; i++)
            sum[i] += shared[i * all + (int)threadIdx.x + other * FINAL_CHANNELS];

    const double mean = (double)a.mean[channel], rstd = (double)a.rstd[channel],
                 rows = (double)a.rows;
    if (!a.partial && !a.means) {
        sum[0] = (double)a.sum[channel];
        sum[1] = (double)a.dot[channel];
    }
    double dgamma = sum[1]; /* sum of dz * xhat */
    if (a.partial)
        dgamma *= rstd;
    else if (!a.centred)
        dgamma = rstd * (dgamma - mean * sum[0]);
    const bool real = channel < a.channels;
    const double mean_dz = a.means ? (double)a.means[channel] : sum[0] / rows;
    const double mean_dot = a.means ? (double)a.means[a.c + channel] : dgamma / rows;
    if (a.own) {
        a.own[channel] = (float)mean_dz;
        a.own[a.c + channel] = (float)mean_dot;
    } else {
        const double by_dz = !real ? 0 : (a.gamma ? (double)a.gamma[channel] : 1) * rstd;
        const double by_x = -by_dz * rstd * mean_dot;
        a.coefficients[channel] = (float)by_dz;
        a.coefficients[a.c + channel] = (float)by_x;
        a.coefficients[2 * a.c + channel] = (float)(-by_dz * mean_dz - by_x * mean);
    }
    if (!real || a.means)
        return;
    if (a.dgamma)
        a.dgamma[channel] = (float)dgamma;
    if (a.dbeta)
        a.dbeta[channel] = (float)sum[0];
    if (a.dslope)
        a.dslope[channel] = (float)sum[2];
}

/* --- launches --- */

template <typename T, int CLASS, bool AGAIN, bool TWO>
static int reduce_launch_of(const struct fv_k_bn_reduce *a, const fv__columns *k, fv_stream s)
{
    return FV_LAUNCH("bn_reduce", (bn_reduce<T, CLASS, AGAIN, TWO>), fv__sum_grid(k),
                     FV_COLUMN_THREADS, s, a->in, a->mean, (T *)a->dz, a->partial,
                     fv__act_high(a->in.act), *k);
}

template <typename T, int CLASS, bool AGAIN>
static int reduce_launch(const struct fv_k_bn_reduce *a, const fv__columns *k, fv_stream s)
{
    return a->in.dy2 ? reduce_launch_of<T, CLASS, AGAIN, true>(a, k, s)
                     : reduce_launch_of<T, CLASS, AGAIN, false>(a, k, s);
}

template <typename T, int CLASS, bool AGAIN, bool TWO>
static int backward_launch_of(const struct fv_k_bn_backward *a, const fv__columns *k, fv_stream s)
{
    return FV_LAUNCH("bn_backward", (bn_backward<T, CLASS, AGAIN, TWO>), fv__spread_grid(k),
                     FV_COLUMN_THREADS, s, a->in, a->coefficients, (T *)a->dx,
                     fv__act_high(a->in.act), *k);
}

template <typename T, int CLASS, bool AGAIN>
static int backward_launch(const struct fv_k_bn_backward *a, const fv__columns *k, fv_stream s)
{
    return a->in.dy2 ? backward_launch_of<T, CLASS, AGAIN, true>(a, k, s)
                     : backward_launch_of<T, CLASS, AGAIN, false>(a, k, s);
}

/* Whether z is computed again, given what there is. */
static int is_again(const char *what, const struct fv_k_bn_incoming *in)
{
    const bool clamp = in->act == FV_K_RELU || in->act == FV_K_RELU6,
               again = in->act == FV_K_PRELU || (clamp && !in->open);
    if (again && (!in->scale || !in->shift))
        return fv_err(
            FV_EINVAL,
            "kernel %s: neither bits nor scale and shift say where the activation was open", what);
    return again;
}

template <typename T> static int reduce(const struct fv_k_bn_reduce *a, fv_stream s)
{
    fv__columns k = {};
    FV_TRY(fv__columns_make(&k, "bn_reduce", a->in.rows, a->in.c));
    const int again = is_again("bn_reduce", &a->in);
    FV_TRY(again);
    switch (a->in.act) {
    case FV_K_NONE:
        return reduce_launch<T, FV_ACT_NONE, false>(a, &k, s);
    case FV_K_RELU:
    case FV_K_RELU6:
        return again ? reduce_launch<T, FV_ACT_CLAMP, true>(a, &k, s)
                     : reduce_launch<T, FV_ACT_CLAMP, false>(a, &k, s);
    case FV_K_PRELU:
        return reduce_launch<T, FV_ACT_PRELU, true>(a, &k, s);
    default:
        return fv_err(FV_EINVAL, "kernel bn_reduce: an activation numbered %d", (int)a->in.act);
    }
}

template <typename T> static int backward(const struct fv_k_bn_backward *a, fv_stream s)
{
    fv__columns k = {};
    FV_TRY(fv__columns_make(&k, "bn_backward", a->in.rows, a->in.c));
    const int again = is_again("bn_backward", &a->in);
    FV_TRY(again);
    switch (a->in.act) {
    case FV_K_NONE:
        return backward_launch<T, FV_ACT_NONE, false>(a, &k, s);
    case FV_K_RELU:
    case FV_K_RELU6:
        return again ? backward_launch<T, FV_ACT_CLAMP, true>(a, &k, s)
                     : backward_launch<T, FV_ACT_CLAMP, false>(a, &k, s);
    case FV_K_PRELU:
        return backward_launch<T, FV_ACT_PRELU, true>(a, &k, s);
    default:
        return fv_err(FV_EINVAL, "kernel bn_backward: an activation numbered %d", (int)a->in.act);
    }
}

extern "C" {

size_t fv_k_bn_reduce_partial(int64_t rows, int c)
{
    return (size_t)fv_k_parts(rows, c) * 3 * (size_t)c;
}

int fv_k_bn_reduce(const struct fv_k_bn_reduce *a, fv_stream s)
{
    return FV_BY_TYPE(a->in.type, reduce, a, s);
}

int fv_k_bn_gradient(const struct fv_k_bn_gradient *a, fv_stream s)
{
    if (a->rows < 1 || a->c < 1 || a->channels > a->c)
        return fv_err(FV_EINVAL, "kernel bn_gradient: %lld rows, %d of %d channels",
                      (long long)a->rows, a->channels, a->c);
    return FV_LAUNCH(
        "bn_gradient", bn_gradient, (unsigned)(a->c + FINAL_CHANNELS - 1) / FINAL_CHANNELS,
        FINAL_CHANNELS * FINAL_SLICES, s, *a,
        a->partial && !a->means ? fv_k_parts(a->part_rows ? a->part_rows : a->rows, a->c) : 0);
}

int fv_k_bn_backward(const struct fv_k_bn_backward *a, fv_stream s)
{
    return FV_BY_TYPE(a->in.type, backward, a, s);
}
}
