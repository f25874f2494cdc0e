/* SPDX-License-Identifier: MIT */
/* Max pooling. Forward keeps the winner's place in the window, one byte a value; backward asks every window that an
 * input lies under whether it won there, so that no two threads add to one place. */
#include "trainer/cuda/columns.cuh"

#include <math.h>

enum { THREADS = 256, WINDOW_MAX = 15 };

struct pool {
    int in_h, in_w, h, w, groups, window, stride, pad;
    unsigned count; /* threads' worth of work */
};

struct alignas(8) bytes8 {
    uint8_t b[8];
};

/* A thread's pixel and group, from its number; the pixels are the outputs forward and the inputs backward. */
struct spot {
    int group, x, y;
    int64_t image;
};

__device__ static inline spot find_spot(unsigned i, int groups, int w, int h)
{
    spot s;
    s.group = (int)(i % (unsigned)groups);
    const unsigned pixel = i / (unsigned)groups, row = pixel / (unsigned)w;
    s.x = (int)(pixel % (unsigned)w);
    s.y = (int)(row % (unsigned)h);
    s.image = row / (unsigned)h;
    return s;
}

template <typename T>
FV_KERNEL(THREADS)
maxpool_forward(const T *__restrict__ x, T *__restrict__ y, uint8_t *__restrict__ winner, pool k)
{
    const unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= k.count)
        return;
    const spot at = find_spot(i, k.groups, k.w, k.h);
    float best[8];
    bytes8 place;
    for (int j = 0; j < 8; j++) {
        best[j] = -INFINITY;
        place.b[j] = 255; /* nothing yet */
    }
    for (int r = 0; r < k.window; r++) {
        const int iy = at.y * k.stride - k.pad + r;
        for (int s = 0; s < k.window; s++) {
            const int ix = at.x * k.stride - k.pad + s;
            if (iy < 0 || iy >= k.in_h || ix < 0 || ix >= k.in_w)
                continue;
            float v[8];
            fv_load8(x + (((at.image * k.in_h + iy) * k.in_w + ix) * k.groups + at.group) * 8, v);
            FV_UNROLL
            for (int j = 0; j < 8; j++)
                /* the first of equals; a NaN beats all but an earlier NaN */
                if (v[j] > best[j] || place.b[j] == 255 || (v[j] != v[j] && best[j] == best[j])) {
                    best[j] = v[j];
                    place.b[j] = (uint8_t)(r * k.window + s);
                }
        }
    }
    fv_store8(y + (int64_t)8 * i, best);
    if (winner)
        *(bytes8 *)(winner + (int64_t)8 * i) = place;
}

template <typename T>
FV_KERNEL_OF(THREADS, 3)
maxpool_backward(const T *__restrict__ dy, const T *__restrict__ dy2,
                 const uint8_t *__restrict__ winner, T *__restrict__ dx, pool k)
{
    const unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= k.count)
        return;
    const spot at = find_spot(i, k.groups, k.in_w, k.in_h);
    float sum[8] = {0};
    /* windows whose rows y * stride - pad .. + window - 1 have this one */
    const int bottom = at.y + k.pad, right = at.x + k.pad;
    const int y0 = bottom < k.window ? 0 : (bottom - k.window) / k.stride + 1,
              y1 = bottom / k.stride;
    const int x0 = right < k.window ? 0 : (right - k.window) / k.stride + 1, x1 = right / k.stride;
    for (int y = y0; y <= y1 && y < k.h; y++)
        for (int x = x0; x <= x1 && x < k.w; x++) {
            const int64_t from = (((at.image * k.h + y) * k.w + x) * k.groups + at.group) * 8;
            const int place = (bottom - y * k.stride) * k.window + right - x * k.stride;
            const bytes8 won = *(const bytes8 *)(winner + from);
            float v[8], more[8] = {0};
            fv_load8(dy + from, v);
            if (dy2)
                fv_load8(dy2 + from, more);
            FV_UNROLL
            for (int j = 0; j < 8; j++)
                sum[j] += won.b[j] == place ? v[j] + more[j] : 0;
        }
    fv_store8(dx + (int64_t)8 * i, sum);
}

static int pool_make(pool *k, const char *what, int n, int in_h, int in_w, int h, int w, int c,
                     int window, int stride, int pad)
{
    if (n < 1 || c < 8 || c % 8 || window < 1 || window > WINDOW_MAX || stride < 1 || pad < 0 ||
        2 * pad > window || h != (in_h + 2 * pad - window) / stride + 1 ||
        w != (in_w + 2 * pad - window) / stride + 1)
        return fv_err(
            FV_EINVAL,
            "kernel %s: a window of %d, stride %d, padding %d on (%d, %d, %d) giving (%d, %d)",
            what, window, stride, pad, in_h, in_w, c, h, w);
    *k = {in_h, in_w, h, w, c / 8, window, stride, pad, 0};
    return 0;
}

static int pool_count(pool *k, const char *what, int64_t pixels)
{
    if (pixels * k->groups > INT32_MAX)
        return fv_err(FV_EINVAL, "kernel %s: %lld pixels of %d channels: too many for one launch",
                      what, (long long)pixels, 8 * k->groups);
    k->count = (unsigned)(pixels * k->groups);
    return 0;
}

template <typename T> static int forward(const struct fv_k_maxpool_forward *a, fv_stream s)
{
    pool k = {};
    FV_TRY(pool_make(&k, "maxpool_forward", a->n, a->in_h, a->in_w, a->h, a->w, a->c, a->window,
                     a->stride, a->pad));
    FV_TRY(pool_count(&k, "maxpool_forward", (int64_t)a->n * a->h * a->w));
    return FV_LAUNCH("maxpool_forward", (maxpool_forward<T>),
                     (unsigned)((k.count + THREADS - 1) / THREADS), THREADS, s, (const T *)a->x,
                     (T *)a->y, a->winner, k);
}

template <typename T> static int backward(const struct fv_k_maxpool_backward *a, fv_stream s)
{
    pool k = {};
    FV_TRY(pool_make(&k, "maxpool_backward", a->n, a->in_h, a->in_w, a->h, a->w, a->c, a->window,
                     a->stride, a->pad));
    FV_TRY(pool_count(&k, "maxpool_backward", (int64_t)a->n * a->in_h * a->in_w));
    return FV_LAUNCH("maxpool_backward", (maxpool_backward<T>),
                     (unsigned)((k.count + THREADS - 1) / THREADS), THREADS, s, (const T *)a->dy,
                     (const T *)a->dy2, a->winner, (T *)a->dx, k);
}

extern "C" {

int fv_k_maxpool_forward(const struct fv_k_maxpool_forward *a, fv_stream s)
{
    return FV_BY_TYPE(a->type, forward, a, s);
}

int fv_k_maxpool_backward(const struct fv_k_maxpool_backward *a, fv_stream s)
{
    return FV_BY_TYPE(a->type, backward, a, s);
}
}
