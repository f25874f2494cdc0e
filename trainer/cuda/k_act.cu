/* SPDX-License-Identifier: MIT */
/* Activations, additions and biases where no batch norm takes them in, and sums over rows. */
#include "trainer/cuda/act.cuh"
#include "trainer/cuda/columns.cuh"

enum { FINISH_COUNT = 32, FINISH_SLICES = 32 };

template <typename T, int CLASS>
FV_KERNEL(FV_COLUMN_THREADS)
act_forward(const T *x, const T *residual, const float *bias_of, const float *slope_of, T *y,
            float high, int channels, fv__columns k)
{
    const fv__place p = fv__find_place(k);
    const int c = 8 * k.all_groups;
    if (!p.works)
        return;
    float bias[8] = {0}, slope[8] = {0};
    if (bias_of)
        fv__channel8(bias_of, p.group, bias);
    if (CLASS == FV_ACT_PRELU)
        fv__channel8(slope_of, p.group, slope);
    for (int64_t row = p.row; row < k.rows; row += p.step) {
        const int64_t at = row * c + 8 * p.group;
        float v[8], r[8] = {0};
        fv_load8(x + at, v);
        if (residual)
            fv_load8(residual + at, r);
        FV_UNROLL
        for (int i = 0; i < 8; i++) {
            v[i] = fv__act<CLASS>(v[i] + bias[i] + r[i], slope[i], high);
            if (CLASS == FV_ACT_SIGMOID && 8 * p.group + i >= channels)
                v[i] = 0; /* of all activations this one does not keep padding */
        }
        fv_store8(y + at, v);
    }
}

template <typename T, int CLASS>
FV_KERNEL(FV_COLUMN_THREADS)
act_backward(const T *dy, const T *dy2, const T *saved, const float *slope_of, T *dx,
             float *partial, float high, fv__columns k)
{
    FV_SHARED(float, shared, 8 * FV_COLUMN_THREADS);
    const fv__place p = fv__find_place(k);
    const int c = 8 * k.all_groups;
    float sum[8] = {0}, gain[8] = {0}, slope[8] = {0};
    if (p.works && CLASS == FV_ACT_PRELU)
        fv__channel8(slope_of, p.group, slope);
    for (int64_t row = p.row; p.works && row < k.rows; row += p.step) {
        const int64_t at = row * c + 8 * p.group;
        float g[8], more[8] = {0}, from[8] = {0};
        fv_load8(dy + at, g);
        if (dy2)
            fv_load8(dy2 + at, more);
        if (CLASS != FV_ACT_NONE)
            fv_load8(saved + at, from);
        FV_UNROLL
        for (int i = 0; i < 8; i++) {
            g[i] += more[i];
            if (CLASS == FV_ACT_PRELU)
                gain[i] += from[i] < 0 ? g[i] * from[i] : 0;
            g[i] = fv__act_gradient<CLASS>(g[i], from[i], slope[i], high);
            if (dx)
                g[i] = fv_rounded<T>(g[i]);
            sum[i] += g[i];
        }
        if (dx)
            fv_store8(dx + at, g);
    }
    if (!partial)
        return;
    float *out = partial + (size_t)blockIdx.x * 2 * c;
    fv__sum_lanes(k, p, shared, sum, out);
    if (CLASS == FV_ACT_PRELU) {
        __syncthreads();
        fv__sum_lanes(k, p, shared, gain, out + c);
    }
}

template <typename T>
FV_KERNEL(FINISH_COUNT *FINISH_SLICES)
column_finish(const float *__restrict__ partial, int parts, int count, size_t stride,
              T *__restrict__ out)
{
    FV_SHARED(double, shared, FINISH_COUNT *FINISH_SLICES);
    const int slice = (int)threadIdx.x / FINISH_COUNT;
    const int at = (int)blockIdx.x * FINISH_COUNT + (int)threadIdx.x % FINISH_COUNT;
    double sum = 0;
    if (at < count) {
        FV_UNROLL_4
        for (int part = slice; part < parts; part += FINISH_SLICES)
            sum += (double)partial[part * stride + at];
    }
    shared[threadIdx.x] = sum;
    __syncthreads();
    if (slice > 0 || at >= count)
        return;
    for (int i = 1; i < FINISH_SLICES; i++)
        sum += shared[(int)threadIdx.x + i * FINISH_COUNT];
    fv_put(out + at, (float)sum);
}

template <typename T, int CLASS>
static int forward_launch(const struct fv_k_act_forward *a, const fv__columns *k, fv_stream s)
{
    return FV_LAUNCH("act_forward", (act_forward<T, CLASS>), fv__spread_grid(k), FV_COLUMN_THREADS,
                     s, (const T *)a->x, (const T *)a->residual, a->bias, a->slope, (T *)a->y,
                     fv__act_high(a->act), a->channels ? a->channels : a->c, *k);
}

template <typename T, int CLASS>
static int backward_launch(const struct fv_k_act_backward *a, const fv__columns *k, fv_stream s)
{
    const dim3 grid = a->partial ? fv__sum_grid(k) : fv__spread_grid(k);
    return FV_LAUNCH("act_backward", (act_backward<T, CLASS>), grid, FV_COLUMN_THREADS, s,
                     (const T *)a->dy, (const T *)a->dy2, (const T *)a->saved, a->slope, (T *)a->dx,
                     a->partial, fv__act_high(a->act), *k);
}

template <typename T> static int forward(const struct fv_k_act_forward *a, fv_stream s)
{
    fv__columns k = {};
    FV_TRY(fv__columns_make(&k, "act_forward", a->rows, a->c));
    if (a->act == FV_K_SIGMOID)
        return forward_launch<T, FV_ACT_SIGMOID>(a, &k, s);
    return FV_BY_ACT(a->act, forward_launch, T, a, &k, s);
}

template <typename T> static int backward(const struct fv_k_act_backward *a, fv_stream s)
{
    fv__columns k = {};
    FV_TRY(fv__columns_make(&k, "act_backward", a->rows, a->c));
    if (a->act == FV_K_SIGMOID)
        return backward_launch<T, FV_ACT_SIGMOID>(a, &k, s);
    return FV_BY_ACT(a->act, backward_launch, T, a, &k, s);
}

template <typename T> static int finish(const struct fv_k_column_finish *a, fv_stream s)
{
    return FV_LAUNCH("column_finish", (column_finish<T>),
                     (unsigned)(a->count + FINISH_COUNT - 1) / FINISH_COUNT,
                     FINISH_COUNT * FINISH_SLICES, s, a->partial + a->offset, a->parts, a->count,
                     a->stride, (T *)a->out);
}

extern "C" {

int fv_k_act_forward(const struct fv_k_act_forward *a, fv_stream s)
{
    return FV_BY_TYPE(a->type, forward, a, s);
}

size_t fv_k_act_backward_partial(int64_t rows, int c)
{
    return (size_t)fv_k_parts(rows, c) * 2 * (size_t)c;
}

int fv_k_act_backward(const struct fv_k_act_backward *a, fv_stream s)
{
    return FV_BY_TYPE(a->type, backward, a, s);
}

int fv_k_column_finish(const struct fv_k_column_finish *a, fv_stream s)
{
    if (a->count < 1 || a->parts < 1)
        return fv_err(FV_EINVAL, "kernel column_finish: %d parts of %d sums", a->parts, a->count);
    return FV_BY_TYPE(a->type, finish, a, s);
}
}
