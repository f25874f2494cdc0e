/* SPDX-License-Identifier: MIT */
/* Center loss: one warp an item. The centres follow in a launch of their own, after the step was found finite: the warp
 * of a class's first item takes all of them, in the order of the batch, so that no two warps write to one centre. */
#include "trainer/cuda/launch.cuh"

enum { THREADS = 256, WARP = 32, ROWS = THREADS / WARP };

template <typename N> __device__ static inline N sum_of_warp(N v)
{
    for (int lanes = WARP / 2; lanes > 0; lanes /= 2)
        v += fv_shuffle_xor(v, lanes);
    return v;
}

template <typename A> __device__ static inline int class_of(const A &a, int row)
{
    return a.lambda[row] == 0 ? a.label_mix[row] : a.label[row];
}

FV_KERNEL(THREADS) center(struct fv_k_center a)
{
    const int lane = (int)threadIdx.x % WARP, row = (int)(blockIdx.x * ROWS + threadIdx.x / WARP);
    if (row >= a.rows) /* the whole warp */
        return;
    const bool counts = row < a.hyper->n;
    const float by = a.weight / (float)a.hyper->n * a.control->loss_scale;
    const float *centre = counts ? a.centre + (size_t)class_of(a, row) * a.centre_stride : a.centre;
    float squares = 0;
    for (int k = lane; k < a.stride; k += WARP) {
        const size_t at = (size_t)row * a.stride + k;
        const float d = counts && k < a.dim ? a.embedding[at] - centre[k] : 0;
        squares += d * d;
        a.gradient[at] = a.add_gradient ? a.gradient[at] + by * d : by * d;
    }
    const float item = a.weight * sum_of_warp(squares) / 2;
    if (lane == 0)
        a.items[row] = a.add_items ? a.items[row] + item : item;
}

FV_KERNEL(THREADS) center_follow(struct fv_k_center_follow a)
{
    const int lane = (int)threadIdx.x % WARP, row = (int)(blockIdx.x * ROWS + threadIdx.x / WARP);
    const int n = a.hyper->n;
    if (row >= n || !a.control->finite)
        return;
    const int own = class_of(a, row);
    int earlier = 0, count = 0;
    for (int j = lane; j < n; j += WARP) {
        const int same = class_of(a, j) == own;
        earlier += same && j < row;
        count += same;
    }
    if (sum_of_warp(earlier) > 0)
        return;
    const float share = a.alpha / (float)(1 + sum_of_warp(count));
    for (int k = lane; k < a.dim; k += WARP) {
        float *centre = a.centre + (size_t)own * a.centre_stride + k;
        float away = 0;
        for (int j = row; j < n; j++)
            if (class_of(a, j) == own)
                away += a.embedding[(size_t)j * a.stride + k] - *centre;
        *centre += share * away;
    }
}

static int check(const char *what, int rows, int dim, int stride, int centre_stride)
{
    if (rows < 1 || dim < 1 || stride < dim || centre_stride < dim)
        return fv_err(FV_EINVAL, "kernel %s: %d rows of %d in %d, centres in %d", what, rows, dim,
                      stride, centre_stride);
    return 0;
}

extern "C" {

int fv_k_center(const struct fv_k_center *a, fv_stream s)
{
    FV_TRY(check("center", a->rows, a->dim, a->stride, a->centre_stride));
    return FV_LAUNCH("center", center, (unsigned)(a->rows + ROWS - 1) / ROWS, THREADS, s, *a);
}

int fv_k_center_follow(const struct fv_k_center_follow *a, fv_stream s)
{
    FV_TRY(check("center_follow", a->rows, a->dim, a->stride, a->centre_stride));
    return FV_LAUNCH("center_follow", center_follow, (unsigned)(a->rows + ROWS - 1) / ROWS, THREADS,
                     s, *a);
}
}
