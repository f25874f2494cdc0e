/* SPDX-License-Identifier: MIT */
/* Depthwise convolution of windows of 3, padding 1: nine multiplications a value, so memory is all that counts.
 *
 * A thread owns eight channels of one output column and goes down a strip of rows. Each input row's three pixels are
 * loaded once by it, and used for all the outputs that they touch, whose sums wait in registers, as the 72 weights do.
 * Neighbouring columns load the same pixels from the cache. Pixels outside of the image are loaded as their neighbours
 * inside and given weights of zero, so that no load waits for a comparison; rows are loaded one or two ahead, and the
 * thread's own pixel of a row further down is called into the cache. The gradient by the input is the same walk with
 * the window turned around (stride 1), or a walk over blocks of four inputs, which see one, two, two and four outputs
 * (stride 2). The gradient by the weight keeps its 72 sums in registers over many strips. Other windows:
 * k_depthwise_any.cu.
 */
#include "trainer/cuda/act.cuh"
#include "trainer/cuda/columns.cuh"
#include "trainer/cuda/depthwise.cuh"

enum { THREADS = 128, STRIP = 16, SOON = 5 /* rows */ };

__device__ static inline int within(int v, int end)
{
    return v < 0 ? 0 : v < end ? v : end - 1;
}

/* Where a thread reads: a column of an image and its neighbours, from the first of `group`'s channels on. */
template <typename T> struct column {
    const T *at;          /* row 0 of the middle one */
    int row, left, right; /* elements to the next row, and to the neighbours; 0: there is none */
    int rows;
};

template <typename T>
__device__ static inline column<T> column_of(const T *__restrict__ x, const fv__depthwise &k,
                                             const fv__strip &at, int middle)
{
    column<T> c;
    c.row = k.in_w * k.groups * 8;
    c.at = x + (int64_t)at.image * k.in_h * c.row + (middle * k.groups + at.group) * 8;
    c.left = middle > 0 ? -k.groups * 8 : 0;
    c.right = middle + 1 < k.in_w ? k.groups * 8 : 0;
    c.rows = k.in_h;
    return c;
}

/* Three pixels of a row; of a row outside, those of the nearest. */
template <typename T> struct three {
    fv_raw8<T> p[3];
};
template <typename T> __device__ static inline three<T> load_row(const column<T> &c, int y)
{
    const T *p = c.at + within(y, c.rows) * c.row;
    return {{fv_load_raw8(p + c.left), fv_load_raw8(p), fv_load_raw8(p + c.right)}};
}

template <typename T> __device__ static inline void call_row(const column<T> &c, int y)
{
    if (y < c.rows)
        fv_prefetch(c.at + y * c.row);
}

/* Eight channels of an input pixel, after the prologue. */
template <typename T, bool PROLOGUE>
__device__ static inline void take(const fv_raw8<T> &raw, const fv__depthwise &k,
                                   const float (&scale)[8], const float (&shift)[8], float (&v)[8])
{
    fv_unpack8<T>(raw, v);
    if (PROLOGUE) {
        FV_UNROLL
        for (int i = 0; i < 8; i++) {
            const float z = v[i] * scale[i] + shift[i];
            v[i] = z < k.low ? k.low : z > k.high ? k.high : z;
        }
    }
}

template <typename T>
__device__ static inline void load_weights(const T *__restrict__ weight, int groups, int group,
                                           bool turned, float (&w)[9][8])
{
    FV_UNROLL
    for (int t = 0; t < 9; t++)
        fv_load8(weight + (int64_t)((turned ? 8 - t : t) * groups + group) * 8, w[t]);
}

__device__ static inline void add_product(float (&sum)[8], const float (&a)[8], const float (&b)[8])
{
    FV_UNROLL
    for (int i = 0; i < 8; i++)
        sum[i] += a[i] * b[i];
}

__device__ static inline void shift_to(float (&to)[8], const float (&from)[8])
{
    FV_UNROLL
    for (int i = 0; i < 8; i++)
        to[i] = from[i];
}

__device__ static inline void clear(float (&v)[8])
{
    FV_UNROLL
    for (int i = 0; i < 8; i++)
        v[i] = 0;
}

/* Weights of columns outside of the image become zero. */
template <typename T>
__device__ static inline void close_columns(const column<T> &c, float (&w)[9][8])
{
    FV_UNROLL
    for (int r = 0; r < 3; r++) {
        if (c.left == 0)
            clear(w[3 * r]);
        if (c.right == 0)
            clear(w[3 * r + 2]);
    }
}

/* --- stride 1, and the gradient by its input --- */

template <typename T, bool PROLOGUE>
FV_KERNEL_OF(THREADS, 2)
depthwise_1(const T *__restrict__ x, const T *__restrict__ weight, T *__restrict__ y, bool turned,
            fv__depthwise k)
{
    const fv__strip at = fv__find_strip(k, blockIdx.x * blockDim.x + threadIdx.x);
    if (!at.works)
        return;
    const column<T> c = column_of(x, k, at, at.x);
    const int first = at.y0 > 0 ? at.y0 - 1 : 0, end = at.y1 < k.h ? at.y1 + 1 : k.h;
    float w[9][8], scale[8], shift[8], sum[3][8];
    load_weights(weight, k.groups, at.group, turned, w);
    three<T> ahead[3]; /* by the row's number from the first, modulo 3; so are the sums */
    FV_UNROLL
    for (int u = 0; u < 3; u++)
        ahead[u] = load_row(c, first + u);
    close_columns(c, w);
    if (PROLOGUE) {
        fv__channel8(k.scale, at.group, scale);
        fv__channel8(k.shift, at.group, shift);
    }
    T *out = y + (c.at - x); /* as large as x */
    clear(sum[2]);
    clear(sum[0]);
    for (int from = first; from < end; from += 3)
        FV_UNROLL
    for (int u = 0; u < 3; u++) {
        const int row = from + u, above = (u + 2) % 3, below = (u + 1) % 3;
        if (row >= end)
            break;
        clear(sum[below]);
        FV_UNROLL
        for (int s = 0; s < 3; s++) {
            float v[8];
            take<T, PROLOGUE>(ahead[u].p[s], k, scale, shift, v);
            add_product(sum[above], v, w[6 + s]);
            add_product(sum[u], v, w[3 + s]);
            add_product(sum[below], v, w[s]);
        }
        ahead[u] = load_row(c, row + 3);
        call_row(c, row + SOON);
        if (row > at.y0)
            fv_store8(out + (row - 1) * c.row, sum[above]);
        if (row == k.h - 1) /* nothing is below it */
            fv_store8(out + row * c.row, sum[u]);
    }
}

/* --- stride 2 --- */

template <typename T, bool PROLOGUE>
FV_KERNEL_OF(THREADS, sizeof(T) == 2 ? 3 : 2)
depthwise_2(const T *__restrict__ x, const T *__restrict__ weight, T *__restrict__ y,
            fv__depthwise k)
{
    const fv__strip at = fv__find_strip(k, blockIdx.x * blockDim.x + threadIdx.x);
    if (!at.works)
        return;
    const column<T> c = column_of(x, k, at, 2 * at.x);
    const three<T> top = load_row(c, 2 * at.y0 - 1);
    FV_UNROLL
    for (int soon = 2; soon < SOON; soon++)
        call_row(c, 2 * at.y0 + soon);
    float w[9][8], scale[8], shift[8], here[8], below[8];
    load_weights(weight, k.groups, at.group, false, w);
    close_columns(c, w);
    if (PROLOGUE) {
        fv__channel8(k.scale, at.group, scale);
        fv__channel8(k.shift, at.group, shift);
    }
    const int64_t down = (int64_t)k.w * k.groups * 8;
    T *out = y + (int64_t)at.image * k.h * down + ((int64_t)at.x * k.groups + at.group) * 8;
    clear(here);
    FV_UNROLL
    for (int s = 0; s < 3 && at.y0 > 0; s++) {
        float v[8];
        take<T, PROLOGUE>(top.p[s], k, scale, shift, v);
        add_product(here, v, w[s]);
    }
    for (int row = at.y0; row < at.y1; row++) {
        const three<T> a = load_row(c, 2 * row), b = load_row(c, 2 * row + 1);
        call_row(c, 2 * row + SOON);
        call_row(c, 2 * row + SOON + 1);
        const bool whole = 2 * row + 1 < k.in_h;
        clear(below);
        FV_UNROLL
        for (int s = 0; s < 3; s++) {
            float v[8];
            take<T, PROLOGUE>(a.p[s], k, scale, shift, v);
            add_product(here, v, w[3 + s]);
            take<T, PROLOGUE>(b.p[s], k, scale, shift, v);
            if (!whole)
                clear(v);
            add_product(here, v, w[6 + s]);
            add_product(below, v, w[s]);
        }
        fv_store8(out + row * down, here);
        shift_to(here, below);
    }
}

/* Input (2y + a, 2x + b) of outputs (y, x) and their neighbours below and to the right: row 2y is under row 1 of the
 * window of y, row 2y + 1 under row 2 of y's and row 0 of y + 1's; columns likewise. */
template <typename T>
FV_KERNEL_OF(THREADS, sizeof(T) == 2 ? 3 : 2)
depthwise_2_data(const T *__restrict__ dy, const T *__restrict__ weight, T *__restrict__ dx,
                 fv__depthwise k)
{
    const fv__strip at = fv__find_strip(k, blockIdx.x * blockDim.x + threadIdx.x);
    if (!at.works)
        return;
    const int64_t down = (int64_t)k.w * k.groups * 8;
    const T *image =
        dy + (int64_t)at.image * k.h * down + ((int64_t)at.x * k.groups + at.group) * 8;
    T *out = dx + ((int64_t)at.image * k.in_h * k.in_w + 2 * at.x) * k.groups * 8 + at.group * 8;
    const int right = at.x + 1 < k.w ? k.groups * 8 : 0;
    const bool odd = 2 * at.x + 1 < k.in_w;
    fv_raw8<T> ahead
        [2]
        [2]; /* by the row's number from the first, modulo 2: its pixel, and the one to the right */
    FV_UNROLL
    for (int u = 0; u < 2; u++) {
        const T *p = image + within(at.y0 + u, k.h) * down;
        ahead[u][0] = fv_load_raw8(p);
        ahead[u][1] = fv_load_raw8(p + right);
    }
    float w[9][8], own[2][8], other[2][8];
    load_weights(weight, k.groups, at.group, false, w);
    if (right == 0) {
        clear(w[0]);
        clear(w[3]);
        clear(w[6]);
    }
    clear(own[1]);
    clear(other[1]);
    for (int from = at.y0; from <= at.y1; from += 2)
        FV_UNROLL
    for (int u = 0; u < 2; u++) {
        const int row = from + u;
        if (row > at.y1)
            break;
        float(&a)[8] = own[1 - u], (&b)[8] = other[1 - u], (&c)[8] = own[u], (&d)[8] = other[u];
        fv_unpack8<T>(ahead[u][0], c);
        fv_unpack8<T>(ahead[u][1], d);
        if (row == k.h) {
            clear(c);
            clear(d);
        }
        const T *p = image + within(row + 2, k.h) * down;
        ahead[u][0] = fv_load_raw8(p);
        ahead[u][1] = fv_load_raw8(p + right);
        if (row + SOON < k.h)
            fv_prefetch(image + (row + SOON) * down);
        if (row == at.y0)
            continue;
        T *to = out + (int64_t)2 * (row - 1) * k.in_w * k.groups * 8;
        float v[8];
        clear(v);
        add_product(v, a, w[4]);
        fv_store8(to, v);
        if (odd) {
            clear(v);
            add_product(v, a, w[5]);
            add_product(v, b, w[3]);
            fv_store8(to + 8 * k.groups, v);
        }
        if (2 * row - 1 >= k.in_h)
            continue;
        to += (int64_t)k.in_w * k.groups * 8;
        clear(v);
        add_product(v, a, w[7]);
        add_product(v, c, w[1]);
        fv_store8(to, v);
        if (odd) {
            clear(v);
            add_product(v, a, w[8]);
            add_product(v, b, w[6]);
            add_product(v, c, w[2]);
            add_product(v, d, w[0]);
            fv_store8(to + 8 * k.groups, v);
        }
    }
}

/* --- the gradient by the weight --- */

/* Adds a strip's products to the sums. Row by row of the input; gradients of the row above, of the row and of the one
 * below are kept by their number from the first, modulo 3. */
template <typename T, bool PROLOGUE>
__device__ static inline void add_strip_1(const T *__restrict__ x, const T *__restrict__ dy,
                                          const fv__depthwise &k, const fv__strip &at,
                                          const float (&scale)[8], const float (&shift)[8],
                                          float (&sum)[9][8])
{
    const column<T> c = column_of(x, k, at, at.x);
    const int64_t down = c.row;
    const T *out = dy + (int64_t)at.image * k.h * down + ((int64_t)at.x * k.groups + at.group) * 8;
    const int first = at.y0 > 0 ? at.y0 - 1 : 0, end = at.y1 < k.h ? at.y1 + 1 : k.h;
    three<T> ahead[3];
    fv_raw8<T> dy_ahead[3]; /* of the row below */
    float g[3][8], v[8];
    FV_UNROLL
    for (int u = 0; u < 3; u++) {
        ahead[u] = load_row(c, first + u);
        dy_ahead[u] = fv_load_raw8(out + within(first + u + 1, k.h) * down);
    }
    clear(g[2]);
    clear(g[0]);
    if (first == at.y0) /* the first of the image: its own gradient counts */
        fv_load8(out, g[0]);
    for (int from = first; from < end; from += 3)
        FV_UNROLL
    for (int u = 0; u < 3; u++) {
        const int row = from + u, above = (u + 2) % 3, below = (u + 1) % 3;
        if (row >= end)
            break;
        clear(g[below]);
        if (row + 1 < at.y1)
            fv_unpack8<T>(dy_ahead[u], g[below]);
        FV_UNROLL
        for (int s = 0; s < 3; s++) {
            take<T, PROLOGUE>(ahead[u].p[s], k, scale, shift, v);
            if ((s == 0 && c.left == 0) || (s == 2 && c.right == 0))
                clear(v);
            add_product(sum[s], v, g[below]);
            add_product(sum[3 + s], v, g[u]);
            add_product(sum[6 + s], v, g[above]);
        }
        ahead[u] = load_row(c, row + 3);
        dy_ahead[u] = fv_load_raw8(out + within(row + 4, k.h) * down);
        call_row(c, row + SOON);
        if (row + SOON + 1 < k.h)
            fv_prefetch(out + (row + SOON + 1) * down);
    }
}

/* Row by row of the output. */
template <typename T, bool PROLOGUE>
__device__ static inline void add_strip_2(const T *__restrict__ x, const T *__restrict__ dy,
                                          const fv__depthwise &k, const fv__strip &at,
                                          const float (&scale)[8], const float (&shift)[8],
                                          float (&sum)[9][8])
{
    const column<T> c = column_of(x, k, at, 2 * at.x);
    const int64_t down = (int64_t)k.w * k.groups * 8;
    const T *out = dy + (int64_t)at.image * k.h * down + ((int64_t)at.x * k.groups + at.group) * 8;
    for (int row = at.y0; row < at.y1; row++) {
        three<T> line[3];
        FV_UNROLL
        for (int r = 0; r < 3; r++)
            line[r] = load_row(c, 2 * row - 1 + r);
        float g[8], v[8];
        fv_load8(out + row * down, g);
        call_row(c, 2 * row + SOON);
        call_row(c, 2 * row + SOON + 1);
        FV_UNROLL
        for (int t = 0; t < 9; t++) {
            const int y = 2 * row - 1 + t / 3, s = t % 3;
            take<T, PROLOGUE>(line[t / 3].p[s], k, scale, shift, v);
            if ((s == 0 && c.left == 0) || (s == 2 && c.right == 0) || y < 0 || y >= k.in_h)
                clear(v);
            add_product(sum[t], v, g);
        }
    }
}

template <typename T, int STRIDE, bool PROLOGUE>
__device__ static inline void
add_strip(const T *__restrict__ x, const T *__restrict__ dy, const fv__depthwise &k,
          const fv__strip &at, const float (&scale)[8], const float (&shift)[8], float (&sum)[9][8])
{
    if (STRIDE == 1)
        add_strip_1<T, PROLOGUE>(x, dy, k, at, scale, shift, sum);
    else
        add_strip_2<T, PROLOGUE>(x, dy, k, at, scale, shift, sum);
}

template <typename T, int STRIDE, bool PROLOGUE>
FV_KERNEL_OF(FV_COLUMN_THREADS, 1)
depthwise_weight(const T *__restrict__ x, const T *__restrict__ dy, float *__restrict__ partial,
                 fv__depthwise k, fv__columns columns)
{
    FV_SHARED(float, shared, 8 * FV_COLUMN_THREADS);
    const fv__place p = fv__find_place(columns);
    float sum[9][8], scale[8], shift[8];
    FV_UNROLL
    for (int t = 0; t < 9; t++)
        clear(sum[t]);
    if (p.works && PROLOGUE) {
        fv__channel8(k.scale, p.group, scale);
        fv__channel8(k.shift, p.group, shift);
    }
    for (int64_t i = p.row; p.works && i < columns.rows; i += p.step)
        add_strip<T, STRIDE, PROLOGUE>(x, dy, k, fv__strip_of(k, (unsigned)i, p.group), scale,
                                       shift, sum);
    float *out = partial + (size_t)blockIdx.x * 9 * k.groups * 8;
    FV_UNROLL
    for (int t = 0; t < 9; t++) {
        if (t > 0)
            __syncthreads();
        fv__sum_lanes(columns, p, shared, sum[t], out + t * k.groups * 8);
    }
}

/* --- launches --- */

static unsigned blocks_of(const fv__depthwise *k)
{
    return (unsigned)((k->strips_all * (int64_t)k->groups + THREADS - 1) / THREADS);
}

template <typename T, bool PROLOGUE>
static int forward_launch(const fv__depthwise *k, int stride, const void *x, const void *w, void *y,
                          bool turned, fv_stream s)
{
    if (stride == 1)
        return FV_LAUNCH("depthwise_1", (depthwise_1<T, PROLOGUE>), blocks_of(k), THREADS, s,
                         (const T *)x, (const T *)w, (T *)y, turned, *k);
    return FV_LAUNCH("depthwise_2", (depthwise_2<T, PROLOGUE>), blocks_of(k), THREADS, s,
                     (const T *)x, (const T *)w, (T *)y, *k);
}

template <typename T>
static int forward(const struct fv_k_depthwise_forward *a, const fv__depthwise *k, fv_stream s)
{
    return a->conv.scale
               ? forward_launch<T, true>(k, a->conv.stride, a->x, a->weight, a->y, false, s)
               : forward_launch<T, false>(k, a->conv.stride, a->x, a->weight, a->y, false, s);
}

template <typename T>
static int data(const struct fv_k_depthwise_data *a, const fv__depthwise *k, fv_stream s)
{
    if (a->conv.stride == 1)
        return forward_launch<T, false>(k, 1, a->dy, a->weight, a->dx, true, s);
    return FV_LAUNCH("depthwise_2_data", (depthwise_2_data<T>), blocks_of(k), THREADS, s,
                     (const T *)a->dy, (const T *)a->weight, (T *)a->dx, *k);
}

/* The strips of all images are the rows of a sum over rows. */
static int strip_columns(fv__columns *columns, const fv__depthwise *k)
{
    return fv__columns_make(columns, "depthwise_weight", k->strips_all, 8 * k->groups);
}

static dim3 weight_grid(const fv__columns *columns)
{
    return fv__columns_grid(columns, 1, FV_COLUMN_PARTS / 2);
}

template <typename T, int STRIDE, bool PROLOGUE>
static int weight_launch(const struct fv_k_depthwise_weight *a, const fv__depthwise *k, fv_stream s)
{
    fv__columns columns = {};
    FV_TRY(strip_columns(&columns, k));
    return FV_LAUNCH("depthwise_weight", (depthwise_weight<T, STRIDE, PROLOGUE>),
                     weight_grid(&columns), FV_COLUMN_THREADS, s, (const T *)a->x, (const T *)a->dy,
                     a->partial, *k, columns);
}

template <typename T>
static int weight(const struct fv_k_depthwise_weight *a, const fv__depthwise *k, fv_stream s)
{
    if (a->conv.scale)
        return a->conv.stride == 1 ? weight_launch<T, 1, true>(a, k, s)
                                   : weight_launch<T, 2, true>(a, k, s);
    return a->conv.stride == 1 ? weight_launch<T, 1, false>(a, k, s)
                               : weight_launch<T, 2, false>(a, k, s);
}

static bool is_fast(const struct fv_k_depthwise *conv)
{
    return conv->window == 3 && conv->pad == 1 && (conv->stride == 1 || conv->stride == 2);
}

extern "C" {

int fv_k_depthwise_forward(const struct fv_k_depthwise_forward *a, fv_stream s)
{
    fv__depthwise k = {};
    FV_TRY(fv__depthwise_make(&k, &a->conv, STRIP));
    return is_fast(&a->conv) ? FV_BY_TYPE(a->conv.type, forward, a, &k, s)
                             : fv__depthwise_any_forward(a, &k, s);
}

int fv_k_depthwise_data(const struct fv_k_depthwise_data *a, fv_stream s)
{
    fv__depthwise k = {};
    FV_TRY(fv__depthwise_make(&k, &a->conv, STRIP));
    return is_fast(&a->conv) ? FV_BY_TYPE(a->conv.type, data, a, &k, s)
                             : fv__depthwise_any_data(a, &k, s);
}

int fv_k_depthwise_parts(const struct fv_k_depthwise *conv)
{
    fv__depthwise k = {};
    fv__columns columns = {};
    FV_TRY(fv__depthwise_make(&k, conv, STRIP));
    if (!is_fast(conv))
        return fv_k_parts((int64_t)conv->n * conv->h * conv->w, conv->c);
    FV_TRY(strip_columns(&columns, &k));
    return (int)weight_grid(&columns).x;
}

int fv_k_depthwise_weight(const struct fv_k_depthwise_weight *a, fv_stream s)
{
    fv__depthwise k = {};
    FV_TRY(fv__depthwise_make(&k, &a->conv, STRIP));
    return is_fast(&a->conv) ? FV_BY_TYPE(a->conv.type, weight, a, &k, s)
                             : fv__depthwise_any_weight(a, &k, s);
}
}
