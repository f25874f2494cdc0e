/* SPDX-License-Identifier: MIT */
/* Depthwise convolution with any window, stride and padding: rare in nets (a last window over the whole picture is),
 * so a plain loop over the taps that trusts the cache. */
#include "trainer/cuda/columns.cuh"
#include "trainer/cuda/depthwise.cuh"

enum { THREADS = 256 };

template <typename T>
__device__ static inline void load_input(const T *__restrict__ x, const fv__depthwise &k,
                                         int64_t at, int group, float (&v)[8])
{
    fv_load8(x + at, v);
    if (!k.scale)
        return;
    float scale[8], shift[8];
    fv__channel8(k.scale, group, scale);
    fv__channel8(k.shift, group, shift);
    FV_UNROLL
    for (int i = 0; i < 8; i++) {
        const float z = v[i] * scale[i] + shift[i];
        v[i] = z < k.low ? k.low : z > k.high ? k.high : z;
    }
}

template <typename T>
FV_KERNEL_OF(THREADS, 2)
depthwise_any(const T *__restrict__ x, const T *__restrict__ weight, T *__restrict__ y,
              int64_t count, fv__depthwise k)
{
    const int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= count)
        return;
    const int group = (int)(i % k.groups), ox = (int)(i / k.groups % k.w),
              oy = (int)(i / k.groups / k.w % k.h);
    const int64_t image = i / k.groups / k.w / k.h;
    float sum[8] = {0};
    for (int r = 0; r < k.window; r++)
        for (int s = 0; s < k.window; s++) {
            const int iy = oy * k.stride - k.pad + r, ix = ox * k.stride - k.pad + s;
            if (iy < 0 || iy >= k.in_h || ix < 0 || ix >= k.in_w)
                continue;
            float v[8], w[8];
            load_input(x, k, (((image * k.in_h + iy) * k.in_w + ix) * k.groups + group) * 8, group,
                       v);
            fv_load8(weight + ((int64_t)(r * k.window + s) * k.groups + group) * 8, w);
            FV_UNROLL
            for (int j = 0; j < 8; j++)
                sum[j] += v[j] * w[j];
        }
    fv_store8(y + 8 * i, sum);
}

template <typename T>
FV_KERNEL_OF(THREADS, 2)
depthwise_any_data(const T *__restrict__ dy, const T *__restrict__ weight, T *__restrict__ dx,
                   int64_t count, fv__depthwise k)
{
    const int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= count)
        return;
    const int group = (int)(i % k.groups), ix = (int)(i / k.groups % k.in_w),
              iy = (int)(i / k.groups / k.in_w % k.in_h);
    const int64_t image = i / k.groups / k.in_w / k.in_h;
    float sum[8] = {0};
    for (int r = 0; r < k.window; r++)
        for (int s = 0; s < k.window; s++) {
            const int y = iy + k.pad - r, x = ix + k.pad - s; /* stride times the output's place */
            if (y < 0 || x < 0 || y % k.stride || x % k.stride || y / k.stride >= k.h ||
                x / k.stride >= k.w)
                continue;
            float v[8], w[8];
            fv_load8(dy + (((image * k.h + y / k.stride) * k.w + x / k.stride) * k.groups + group) *
                              8,
                     v);
            fv_load8(weight + ((int64_t)(r * k.window + s) * k.groups + group) * 8, w);
            FV_UNROLL
            for (int j = 0; j < 8; j++)
                sum[j] += v[j] * w[j];
        }
    fv_store8(dx + 8 * i, sum);
}

/* One tap of the window a block of the grid's third dimension. */
template <typename T>
FV_KERNEL_OF(FV_COLUMN_THREADS, 2)
depthwise_any_weight(const T *__restrict__ x, const T *__restrict__ dy, float *__restrict__ partial,
                     fv__depthwise k, fv__columns columns)
{
    FV_SHARED(float, shared, 8 * FV_COLUMN_THREADS);
    const fv__place p = fv__find_place(columns);
    const int tap = (int)blockIdx.z, r = tap / k.window, s = tap % k.window;
    float sum[8] = {0};
    const int rows = p.works ? (int)columns.rows : 0, step = (int)p.step;
    for (int i = (int)p.row; i < rows; i += step) {
        const unsigned line = (unsigned)i / (unsigned)k.w, image = line / (unsigned)k.h;
        const int iy = (int)(line % (unsigned)k.h) * k.stride - k.pad + r,
                  ix = (int)((unsigned)i % (unsigned)k.w) * k.stride - k.pad + s;
        if (iy < 0 || iy >= k.in_h || ix < 0 || ix >= k.in_w)
            continue;
        float v[8], g[8];
        load_input(x, k, ((((int64_t)image * k.in_h + iy) * k.in_w + ix) * k.groups + p.group) * 8,
                   p.group, v);
        fv_load8(dy + ((int64_t)i * k.groups + p.group) * 8, g);
        FV_UNROLL
        for (int j = 0; j < 8; j++)
            sum[j] += v[j] * g[j];
    }
    const size_t taps = (size_t)k.window * k.window;
    fv__sum_lanes(columns, p, shared, sum,
                  partial + ((size_t)blockIdx.x * taps + tap) * k.groups * 8);
}

template <typename T>
static int forward(const struct fv_k_depthwise_forward *a, const fv__depthwise *k, fv_stream s)
{
    const int64_t count = (int64_t)k->n * k->h * k->w * k->groups;
    return FV_LAUNCH("depthwise_any", (depthwise_any<T>),
                     (unsigned)((count + THREADS - 1) / THREADS), THREADS, s, (const T *)a->x,
                     (const T *)a->weight, (T *)a->y, count, *k);
}

template <typename T>
static int data(const struct fv_k_depthwise_data *a, const fv__depthwise *k, fv_stream s)
{
    const int64_t count = (int64_t)k->n * k->in_h * k->in_w * k->groups;
    return FV_LAUNCH("depthwise_any_data", (depthwise_any_data<T>),
                     (unsigned)((count + THREADS - 1) / THREADS), THREADS, s, (const T *)a->dy,
                     (const T *)a->weight, (T *)a->dx, count, *k);
}

template <typename T>
static int weight(const struct fv_k_depthwise_weight *a, const fv__depthwise *k, fv_stream s)
{
    fv__columns columns = {};
    FV_TRY(
        fv__columns_make(&columns, "depthwise_weight", (int64_t)k->n * k->h * k->w, 8 * k->groups));
    dim3 grid = fv__sum_grid(&columns);
    grid.z = (unsigned)(k->window * k->window);
    return FV_LAUNCH("depthwise_any_weight", (depthwise_any_weight<T>), grid, FV_COLUMN_THREADS, s,
                     (const T *)a->x, (const T *)a->dy, a->partial, *k, columns);
}

int fv__depthwise_any_forward(const struct fv_k_depthwise_forward *a, const fv__depthwise *k,
                              fv_stream s)
{
    return FV_BY_TYPE(a->conv.type, forward, a, k, s);
}

int fv__depthwise_any_data(const struct fv_k_depthwise_data *a, const fv__depthwise *k, fv_stream s)
{
    return FV_BY_TYPE(a->conv.type, data, a, k, s);
}

int fv__depthwise_any_weight(const struct fv_k_depthwise_weight *a, const fv__depthwise *k,
                             fv_stream s)
{
    return FV_BY_TYPE(a->conv.type, weight, a, k, s);
}
