/* SPDX-License-Identifier: MIT */
/* Rows to unit length, for cosine heads: one warp a row. */
#include "trainer/cuda/launch.cuh"

#include <math.h>

enum { THREADS = 256, WARP = 32, ROWS = THREADS / WARP };

__device__ static inline float sum_of_warp(float v)
{
    for (int lanes = WARP / 2; lanes > 0; lanes /= 2)
        v += fv_shuffle_xor(v, lanes);
    return v;
}

FV_KERNEL(THREADS)
normalise_forward(const float *x, float *y, float *__restrict__ norm, int rows, int c, float eps)
{
    const int lane = (int)threadIdx.x % WARP, row = (int)(blockIdx.x * ROWS + threadIdx.x / WARP);
    const bool works = row < rows; /* the whole warp or none of it */
    float sum = 0;
    for (int i = lane; works && i < c; i += WARP) {
        const float v = x[(size_t)row * c + i];
        sum += v * v;
    }
    const float length = sqrtf(sum_of_warp(sum)), by = 1 / (length > eps       ? length
                                                            : length != length ? length
                                                                               : eps);
    for (int i = lane; works && i < c; i += WARP)
        y[(size_t)row * c + i] = x[(size_t)row * c + i] * by;
    if (works && lane == 0)
        norm[row] = length;
}

FV_KERNEL(THREADS)
normalise_backward(const float *dy, const float *__restrict__ y, const float *__restrict__ norm,
                   float *dx, int rows, int c, int add, float eps)
{
    const int lane = (int)threadIdx.x % WARP, row = (int)(blockIdx.x * ROWS + threadIdx.x / WARP);
    const bool works = row < rows;
    float sum = 0;
    for (int i = lane; works && i < c; i += WARP)
        sum += dy[(size_t)row * c + i] * y[(size_t)row * c + i];
    const float dot = sum_of_warp(sum);
    if (!works)
        return;
    const bool shortened = !(norm[row] < eps);
    const float by = 1 / (shortened ? norm[row] : eps), along = shortened ? dot : 0;
    for (int i = lane; i < c; i += WARP) {
        const size_t at = (size_t)row * c + i;
        const float v = (dy[at] - y[at] * along) * by;
        dx[at] = add ? dx[at] + v : v;
    }
}

static int check(const char *what, int rows, int c)
{
    return rows < 1 || c < 1 ? fv_err(FV_EINVAL, "kernel %s: %d rows of %d", what, rows, c) : 0;
}

extern "C" {

int fv_k_normalise_forward(const struct fv_k_normalise_forward *a, fv_stream s)
{
    FV_TRY(check("normalise_forward", a->rows, a->c));
    return FV_LAUNCH("normalise_forward", normalise_forward, (unsigned)(a->rows + ROWS - 1) / ROWS,
                     THREADS, s, a->x, a->y, a->norm, a->rows, a->c, a->eps);
}

int fv_k_normalise_backward(const struct fv_k_normalise_backward *a, fv_stream s)
{
    FV_TRY(check("normalise_backward", a->rows, a->c));
    return FV_LAUNCH("normalise_backward", normalise_backward,
                     (unsigned)(a->rows + ROWS - 1) / ROWS, THREADS, s, a->dy, a->y, a->norm, a->dx,
                     a->rows, a->c, a->add, a->eps);
}
}
