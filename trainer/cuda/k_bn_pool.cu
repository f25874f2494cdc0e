/* SPDX-License-Identifier: MIT */
/* A batch norm, its activation and the max pool behind them, without what lies between: windows of 3, stride 2, padding
 * 1, as the stems of residual nets have them.
 *
 * The normalised map is four times the pool's output, and nothing but the pool reads it. So forward normalises while it
 * looks for the maximum, and writes that alone. Where the activation is closed at the maximum (relu: below 0) no input
 * gets a gradient: the winner's place is then 254, and backward needs neither y nor z. Backward spreads the gradient
 * while it reads: a thread takes an output's place (y, x), whose four inputs (2y, 2x) to (2y + 1, 2x + 1) lie under the
 * windows of it and its neighbours below and to the right, and under no other. Places outside of the image are read as
 * their neighbours inside, so that all loads can be under way at once; they win nothing.
 */
#include "trainer/cuda/act.cuh"
#include "trainer/cuda/columns.cuh"

#include <math.h>

enum { THREADS = 256, CLOSED = 254 };

struct pool {
    int in_h, in_w, h, w, groups;
    unsigned count; /* outputs, times groups */
};

struct alignas(8) bytes8 {
    uint8_t b[8];
};

struct spot {
    int y, x;
    int64_t image;
};

__device__ static inline spot spot_of(const pool &k, unsigned row)
{
    const unsigned line = row / (unsigned)k.w;
    return {(int)(line % (unsigned)k.h), (int)(row % (unsigned)k.w), line / (unsigned)k.h};
}

/* Channels of an input, or of an output. */
__device__ static inline int64_t input_at(const pool &k, const spot &s, int y, int x, int group)
{
    return (((s.image * k.in_h + y) * k.in_w + x) * k.groups + group) * 8;
}
__device__ static inline int64_t output_at(const pool &k, const spot &s, int y, int x, int group)
{
    return (((s.image * k.h + y) * k.w + x) * k.groups + group) * 8;
}

__device__ static inline int within(int v, int end)
{
    return v < 0 ? 0 : v < end ? v : end - 1;
}

/* --- forward --- */

template <typename T, int CLASS>
FV_KERNEL(THREADS)
bn_pool(const T *__restrict__ x, const float *__restrict__ scale_of,
        const float *__restrict__ shift_of, T *__restrict__ y, uint8_t *__restrict__ winner,
        float high, pool k)
{
    const unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= k.count)
        return;
    const int group = (int)(i % (unsigned)k.groups);
    const spot at = spot_of(k, i / (unsigned)k.groups);
    float scale[8], shift[8], v[9][8], best[8];
    int tap[9], place[8];
    FV_UNROLL
    for (int t = 0; t < 9; t++) {
        const int top = 2 * at.y - 1, left = 2 * at.x - 1;
        const int iy = within(top + t / 3, k.in_h), ix = within(left + t % 3, k.in_w);
        tap[t] = (iy - top) * 3 + ix - left;
        fv_load8(x + input_at(k, at, iy, ix, group), v[t]);
    }
    fv__channel8(scale_of, group, scale);
    fv__channel8(shift_of, group, shift);
    FV_UNROLL
    for (int j = 0; j < 8; j++) {
        best[j] = -INFINITY;
        place[j] = tap[0];
    }
    FV_UNROLL
    for (int t = 0; t < 9; t++)
        FV_UNROLL
    for (int j = 0; j < 8; j++) {
        const float z = v[t][j] * scale[j] + shift[j];
        if (z > best[j] || z != z) { /* the first of equals; a NaN beats all */
            best[j] = z;
            place[j] = tap[t];
        }
    }
    bytes8 won;
    FV_UNROLL
    for (int j = 0; j < 8; j++) {
        const bool open = CLASS == FV_ACT_NONE || (best[j] > 0 && best[j] < high);
        won.b[j] = (uint8_t)(open ? place[j] : CLOSED);
        best[j] = fv__act<CLASS>(best[j], 0, high);
    }
    fv_store8(y + (int64_t)8 * i, best);
    if (winner)
        *(bytes8 *)(winner + (int64_t)8 * i) = won;
}

/* --- backward --- */

template <typename T> struct incoming {
    const T *dy, *dy2;
    const uint8_t *winner;
};

/* The gradients by four inputs, row by row; those of the windows in a fixed order. */
template <bool TWO, typename T>
__device__ static inline void spread(const incoming<T> &in, const pool &k, const spot &at,
                                     int group, float (&g)[4][8])
{
    /* by window: the tap under which it has each of the four inputs; 100: it has it not */
    constexpr int taps[4][4] = {
        {4, 5, 7, 8}, {100, 3, 100, 6}, {100, 100, 1, 2}, {100, 100, 100, 0}};
    FV_UNROLL
    for (int u = 0; u < 4; u++)
        FV_UNROLL
    for (int j = 0; j < 8; j++)
        g[u][j] = 0;
    FV_UNROLL
    for (int q = 0; q < 4; q++) {
        const int y = at.y + q / 2, x = at.x + q % 2;
        const bool inside = y < k.h && x < k.w;
        const int64_t from = output_at(k, at, within(y, k.h), within(x, k.w), group);
        float v[8], more[8] = {0};
        fv_load8(in.dy + from, v);
        if (TWO)
            fv_load8(in.dy2 + from, more);
        const bytes8 won = *(const bytes8 *)(in.winner + from);
        FV_UNROLL
        for (int j = 0; j < 8; j++) {
            const float d = inside ? v[j] + more[j] : 0;
            FV_UNROLL
            for (int u = 0; u < 4; u++)
                if (taps[q][u] < 9)
                    g[u][j] += won.b[j] == taps[q][u] ? d : 0;
        }
    }
}

template <typename T, bool TWO>
FV_KERNEL_OF(FV_COLUMN_THREADS, sizeof(T) == 2 ? 2 : 1)
bn_pool_reduce(const T *__restrict__ x, incoming<T> in, const float *__restrict__ mean_of,
               float *__restrict__ partial, pool k, fv__columns columns)
{
    FV_SHARED(float, shared, 8 * FV_COLUMN_THREADS);
    const fv__place p = fv__find_place(columns);
    const int c = 8 * columns.all_groups;
    float sum[8] = {0}, dot[8] = {0}, mean[8];
    if (p.works) {
        fv__channel8(mean_of, p.group, mean);
        for (int64_t row = p.row; row < columns.rows; row += p.step) {
            const spot at = spot_of(k, (unsigned)row);
            float g[4][8];
            spread<TWO>(in, k, at, p.group, g); /* 0 where there is no such input */
            FV_UNROLL
            for (int u = 0; u < 4; u++) {
                float v[8];
                fv_load8(x + input_at(k, at, within(2 * at.y + u / 2, k.in_h),
                                      within(2 * at.x + u % 2, k.in_w), p.group),
                         v);
                FV_UNROLL
                for (int j = 0; j < 8; j++) {
                    sum[j] += g[u][j];
                    dot[j] += g[u][j] * (v[j] - mean[j]);
                }
            }
        }
    }
    float *out = partial + (size_t)blockIdx.x * 3 * c;
    fv__sum_lanes(columns, p, shared, sum, out);
    __syncthreads();
    fv__sum_lanes(columns, p, shared, dot, out + c);
}

template <typename T, bool TWO>
FV_KERNEL_OF(FV_COLUMN_THREADS, sizeof(T) == 2 ? 2 : 1)
bn_pool_backward(const T *x, incoming<T> in, const float *__restrict__ coefficients, T *dx, pool k,
                 fv__columns columns)
{
    const fv__place p = fv__find_place(columns);
    const int c = 8 * columns.all_groups;
    if (!p.works)
        return;
    float by_dz[8], by_x[8], constant[8];
    fv__channel8(coefficients, p.group, by_dz);
    fv__channel8(coefficients + c, p.group, by_x);
    fv__channel8(coefficients + 2 * c, p.group, constant);
    for (int64_t row = p.row; row < columns.rows; row += p.step) {
        const spot at = spot_of(k, (unsigned)row);
        float g[4][8], v[4][8];
        spread<TWO>(in, k, at, p.group, g);
        FV_UNROLL
        for (int u = 0; u < 4; u++)
            fv_load8(x + input_at(k, at, within(2 * at.y + u / 2, k.in_h),
                                  within(2 * at.x + u % 2, k.in_w), p.group),
                     v[u]);
        FV_UNROLL
        for (int u = 0; u < 4; u++) {
            const int y = 2 * at.y + u / 2, left = 2 * at.x + u % 2;
            FV_UNROLL
            for (int j = 0; j < 8; j++)
                g[u][j] = by_dz[j] * g[u][j] + (by_x[j] * v[u][j] + constant[j]);
            if (y < k.in_h && left < k.in_w)
                fv_store8(dx + input_at(k, at, y, left, p.group), g[u]);
        }
    }
}

/* --- launches --- */

static int pool_make(pool *k, const char *what, int n, int in_h, int in_w, int c)
{
    if (n < 1 || in_h < 1 || in_w < 1 || c < 8 || c % 8)
        return fv_err(FV_EINVAL, "kernel %s: %d images of (%d, %d, %d)", what, n, in_h, in_w, c);
    *k = {in_h, in_w, (in_h + 1) / 2, (in_w + 1) / 2, c / 8, 0};
    const int64_t count = (int64_t)n * k->h * k->w * k->groups;
    if (4 * count > INT32_MAX)
        return fv_err(FV_EINVAL, "kernel %s: %d images of (%d, %d, %d): too many for one launch",
                      what, n, in_h, in_w, c);
    k->count = (unsigned)count;
    return 0;
}

template <typename T, int CLASS>
static int forward_launch(const struct fv_k_bn_pool *a, const pool *k, fv_stream s)
{
    return FV_LAUNCH("bn_pool", (bn_pool<T, CLASS>), (k->count + THREADS - 1) / THREADS, THREADS, s,
                     (const T *)a->x, a->scale, a->shift, (T *)a->y, a->winner,
                     fv__act_high(a->act), *k);
}

template <typename T> static int forward(const struct fv_k_bn_pool *a, fv_stream s)
{
    pool k = {};
    FV_TRY(pool_make(&k, "bn_pool", a->n, a->in_h, a->in_w, a->c));
    switch (a->act) {
    case FV_K_NONE:
        return forward_launch<T, FV_ACT_NONE>(a, &k, s);
    case FV_K_RELU:
    case FV_K_RELU6:
        return forward_launch<T, FV_ACT_CLAMP>(a, &k, s);
    default:
        return fv_err(FV_EINVAL, "kernel bn_pool: an activation numbered %d", (int)a->act);
    }
}

/* Outputs are the rows of the sum. */
static int backward_make(pool *k, fv__columns *columns, const char *what,
                         const struct fv_k_bn_pool_backward *a)
{
    FV_TRY(pool_make(k, what, a->n, a->in_h, a->in_w, a->c));
    return fv__columns_make(columns, what, k->count / (unsigned)k->groups, a->c);
}

template <typename T> static int reduce(const struct fv_k_bn_pool_backward *a, fv_stream s)
{
    pool k = {};
    fv__columns columns = {};
    FV_TRY(backward_make(&k, &columns, "bn_pool_reduce", a));
    const incoming<T> in = {(const T *)a->dy, (const T *)a->dy2, a->winner};
    const dim3 grid = fv__sum_grid(&columns);
    return a->dy2 ? FV_LAUNCH("bn_pool_reduce", (bn_pool_reduce<T, true>), grid, FV_COLUMN_THREADS,
                              s, (const T *)a->x, in, a->mean, a->partial, k, columns)
                  : FV_LAUNCH("bn_pool_reduce", (bn_pool_reduce<T, false>), grid, FV_COLUMN_THREADS,
                              s, (const T *)a->x, in, a->mean, a->partial, k, columns);
}

template <typename T> static int backward(const struct fv_k_bn_pool_backward *a, fv_stream s)
{
    pool k = {};
    fv__columns columns = {};
    FV_TRY(backward_make(&k, &columns, "bn_pool_backward", a));
    const incoming<T> in = {(const T *)a->dy, (const T *)a->dy2, a->winner};
    const dim3 grid = fv__columns_grid(&columns, 2, 1 << 20);
    return a->dy2
               ? FV_LAUNCH("bn_pool_backward", (bn_pool_backward<T, true>), grid, FV_COLUMN_THREADS,
                           s, (const T *)a->x, in, a->coefficients, (T *)a->dx, k, columns)
               : FV_LAUNCH("bn_pool_backward", (bn_pool_backward<T, false>), grid,
                           FV_COLUMN_THREADS, s, (const T *)a->x, in, a->coefficients, (T *)a->dx,
                           k, columns);
}

extern "C" {

int fv_k_bn_pool(const struct fv_k_bn_pool *a, fv_stream s)
{
    return FV_BY_TYPE(a->type, forward, a, s);
}

int fv_k_bn_pool_reduce(const struct fv_k_bn_pool_backward *a, fv_stream s)
{
    return FV_BY_TYPE(a->type, reduce, a, s);
}

int fv_k_bn_pool_backward(const struct fv_k_bn_pool_backward *a, fv_stream s)
{
    return FV_BY_TYPE(a->type, backward, a, s);
}
}
