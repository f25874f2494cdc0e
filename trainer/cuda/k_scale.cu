/* SPDX-License-Identifier: MIT */
/* What belongs to an image and a channel: means over pixels, and the factors of squeeze and excitation.
 *
 * Each image has blocks of its own (grid.z), so that its factors stay in registers; where a sum over its pixels is
 * wanted, one block an image and chunk of channels adds it up.
 */
#include "trainer/cuda/act.cuh"
#include "trainer/cuda/columns.cuh"

static inline int images_make(fv__columns *k, const char *what, int n, int pixels, int c)
{
    FV_TRY(fv__columns_make(k, what, pixels, c));
    if (n < 1 || n > 65535)
        return fv_err(FV_EINVAL, "kernel %s: %d images, which must be 1 .. 65535", what, n);
    return 0;
}

static inline dim3 images_grid(const fv__columns *k, int n, bool sums)
{
    dim3 grid = fv__columns_grid(k, 8, sums ? 1 : 65535);
    grid.z = (unsigned)n;
    return grid;
}

template <typename T, int CLASS>
FV_KERNEL(FV_COLUMN_THREADS)
scale_forward(const T *x, const T *__restrict__ factor_of, const T *residual, T *y, float high,
              fv__columns k)
{
    const fv__place p = fv__find_place(k);
    const int c = 8 * k.all_groups;
    const int64_t image = (int64_t)blockIdx.z * k.rows * c;
    float factor[8];
    if (!p.works)
        return;
    fv_load8(factor_of + (int64_t)blockIdx.z * c + 8 * p.group, factor);
    for (int64_t row = p.row; row < k.rows; row += p.step) {
        const int64_t at = image + row * c + 8 * p.group;
        float v[8], r[8] = {0};
        fv_load8(x + at, v);
        if (residual)
            fv_load8(residual + at, r);
        FV_UNROLL
        for (int i = 0; i < 8; i++)
            v[i] = fv__act<CLASS>(v[i] * factor[i] + r[i], 0, high);
        fv_store8(y + at, v);
    }
}

template <typename T, int CLASS>
FV_KERNEL(FV_COLUMN_THREADS)
scale_reduce(const T *dy, const T *dy2, const T *y, const T *x, T *dz, T *dfactor, float high,
             fv__columns k)
{
    FV_SHARED(float, shared, 8 * FV_COLUMN_THREADS);
    const fv__place p = fv__find_place(k);
    const int c = 8 * k.all_groups;
    const int64_t image = (int64_t)blockIdx.z * k.rows * c;
    float sum[8] = {0};
    for (int64_t row = p.row; p.works && row < k.rows; row += p.step) {
        const int64_t at = image + row * c + 8 * p.group;
        float g[8], v[8], more[8] = {0}, out[8] = {0};
        fv_load8(dy + at, g);
        fv_load8(x + at, v);
        if (dy2)
            fv_load8(dy2 + at, more);
        if (CLASS != FV_ACT_NONE)
            fv_load8(y + at, out);
        FV_UNROLL
        for (int i = 0; i < 8; i++) {
            g[i] = fv__act_gradient<CLASS>(g[i] + more[i], out[i], 0, high);
            if (dz)
                g[i] = fv_rounded<T>(g[i]);
            sum[i] += g[i] * v[i];
        }
        if (dz)
            fv_store8(dz + at, g);
    }
    fv__sum_lanes(k, p, shared, sum, dfactor + (int64_t)blockIdx.z * c);
}

/* dx = dz [* factor] [+ mean's gradient / pixels] [+ residual]; the gradient of a mean alone has no dz. */
template <typename T, typename M>
FV_KERNEL(FV_COLUMN_THREADS)
spread(const T *dz, const T *__restrict__ factor_of, const M *__restrict__ dmean, const T *residual,
       T *dx, fv__columns k)
{
    const fv__place p = fv__find_place(k);
    const int c = 8 * k.all_groups;
    const int64_t image = (int64_t)blockIdx.z * k.rows * c,
                  own = (int64_t)blockIdx.z * c + 8 * p.group;
    float factor[8] = {0}, even[8] = {0};
    if (!p.works)
        return;
    if (dz)
        fv_load8(factor_of + own, factor);
    if (dmean)
        fv_load8(dmean + own, even);
    FV_UNROLL
    for (int i = 0; i < 8; i++)
        even[i] *= 1 / (float)k.rows;
    for (int64_t row = p.row; row < k.rows; row += p.step) {
        const int64_t at = image + row * c + 8 * p.group;
        float v[8] = {0}, r[8] = {0};
        if (dz)
            fv_load8(dz + at, v);
        if (residual)
            fv_load8(residual + at, r);
        FV_UNROLL
        for (int i = 0; i < 8; i++)
            v[i] = v[i] * factor[i] + even[i] + r[i];
        fv_store8(dx + at, v);
    }
}

template <typename T, typename O>
FV_KERNEL(FV_COLUMN_THREADS)
gap_forward(const T *__restrict__ x, O *__restrict__ y, fv__columns k)
{
    FV_SHARED(float, shared, 8 * FV_COLUMN_THREADS);
    const fv__place p = fv__find_place(k);
    const int c = 8 * k.all_groups;
    const int64_t image = (int64_t)blockIdx.z * k.rows * c;
    float sum[8] = {0};
    for (int64_t row = p.row; p.works && row < k.rows; row += p.step) {
        float v[8];
        fv_load8(x + image + row * c + 8 * p.group, v);
        FV_UNROLL
        for (int i = 0; i < 8; i++)
            sum[i] += v[i];
    }
    fv__sum_lanes(k, p, shared, sum, y + (int64_t)blockIdx.z * c, 1 / (float)k.rows);
}

/* --- launches --- */

template <typename T, int CLASS>
static int forward_launch(const struct fv_k_scale_forward *a, fv_stream s)
{
    fv__columns k = {};
    FV_TRY(images_make(&k, "scale_forward", a->n, a->pixels, a->c));
    return FV_LAUNCH("scale_forward", (scale_forward<T, CLASS>), images_grid(&k, a->n, false),
                     FV_COLUMN_THREADS, s, (const T *)a->x, (const T *)a->factor,
                     (const T *)a->residual, (T *)a->y, fv__act_high(a->act), k);
}

template <typename T, int CLASS>
static int reduce_launch(const struct fv_k_scale_reduce *a, fv_stream s)
{
    fv__columns k = {};
    FV_TRY(images_make(&k, "scale_reduce", a->n, a->pixels, a->c));
    return FV_LAUNCH("scale_reduce", (scale_reduce<T, CLASS>), images_grid(&k, a->n, true),
                     FV_COLUMN_THREADS, s, (const T *)a->dy, (const T *)a->dy2, (const T *)a->y,
                     (const T *)a->x, (T *)a->dz, (T *)a->dfactor, fv__act_high(a->act), k);
}

static int no_such_act(const char *what, enum fv_k_act act)
{
    return fv_err(FV_EINVAL, "kernel %s: an activation numbered %d", what, (int)act);
}

template <typename T> static int forward(const struct fv_k_scale_forward *a, fv_stream s)
{
    return a->act == FV_K_NONE                           ? forward_launch<T, FV_ACT_NONE>(a, s)
           : a->act == FV_K_RELU || a->act == FV_K_RELU6 ? forward_launch<T, FV_ACT_CLAMP>(a, s)
                                                         : no_such_act("scale_forward", a->act);
}

template <typename T> static int reduce(const struct fv_k_scale_reduce *a, fv_stream s)
{
    return a->act == FV_K_NONE                           ? reduce_launch<T, FV_ACT_NONE>(a, s)
           : a->act == FV_K_RELU || a->act == FV_K_RELU6 ? reduce_launch<T, FV_ACT_CLAMP>(a, s)
                                                         : no_such_act("scale_reduce", a->act);
}

template <typename T> static int backward(const struct fv_k_scale_backward *a, fv_stream s)
{
    fv__columns k = {};
    FV_TRY(images_make(&k, "scale_backward", a->n, a->pixels, a->c));
    return FV_LAUNCH("scale_backward", (spread<T, T>), images_grid(&k, a->n, false),
                     FV_COLUMN_THREADS, s, (const T *)a->dz, (const T *)a->factor,
                     (const T *)a->dmean, (const T *)NULL, (T *)a->dx, k);
}

template <typename T, typename O>
static int gap_launch(const struct fv_k_gap_forward *a, fv_stream s)
{
    fv__columns k = {};
    FV_TRY(images_make(&k, "gap_forward", a->n, a->pixels, a->c));
    return FV_LAUNCH("gap_forward", (gap_forward<T, O>), images_grid(&k, a->n, true),
                     FV_COLUMN_THREADS, s, (const T *)a->x, (O *)a->y, k);
}

template <typename T> static int gap(const struct fv_k_gap_forward *a, fv_stream s)
{
    return a->y_type == a->type ? gap_launch<T, T>(a, s) : gap_launch<T, float>(a, s);
}

template <typename T, typename M>
static int gap_back_launch(const struct fv_k_gap_backward *a, fv_stream s)
{
    fv__columns k = {};
    FV_TRY(images_make(&k, "gap_backward", a->n, a->pixels, a->c));
    return FV_LAUNCH("gap_backward", (spread<T, M>), images_grid(&k, a->n, false),
                     FV_COLUMN_THREADS, s, (const T *)NULL, (const T *)NULL, (const M *)a->dy,
                     (const T *)a->residual, (T *)a->dx, k);
}

template <typename T> static int gap_back(const struct fv_k_gap_backward *a, fv_stream s)
{
    return a->y_type == a->type ? gap_back_launch<T, T>(a, s) : gap_back_launch<T, float>(a, s);
}

static int check_y_type(const char *what, enum fv_k_type type, enum fv_k_type y_type)
{
    if (y_type != type && y_type != FV_K_F32)
        return fv_err(FV_EINVAL, "kernel %s: a mean of type %d of values of type %d", what,
                      (int)y_type, (int)type);
    return 0;
}

extern "C" {

int fv_k_scale_forward(const struct fv_k_scale_forward *a, fv_stream s)
{
    return FV_BY_TYPE(a->type, forward, a, s);
}

int fv_k_scale_reduce(const struct fv_k_scale_reduce *a, fv_stream s)
{
    return FV_BY_TYPE(a->type, reduce, a, s);
}

int fv_k_scale_backward(const struct fv_k_scale_backward *a, fv_stream s)
{
    return FV_BY_TYPE(a->type, backward, a, s);
}

int fv_k_gap_forward(const struct fv_k_gap_forward *a, fv_stream s)
{
    FV_TRY(check_y_type("gap_forward", a->type, a->y_type));
    return FV_BY_TYPE(a->type, gap, a, s);
}

int fv_k_gap_backward(const struct fv_k_gap_backward *a, fv_stream s)
{
    FV_TRY(check_y_type("gap_backward", a->type, a->y_type));
    return FV_BY_TYPE(a->type, gap_back, a, s);
}
}
