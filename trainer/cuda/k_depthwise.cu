/* SPDX-License-Identifier: MIT */
/* Depthwise convolution of windows of 3, padding 1: nine multiplications a value, so memory is all that counts.
 *
 * A thread owns eight channels of one output column and goes down a strip of rows. Each input row's three pixels are
 * loaded once by it, and used for all the outputs that they touch, whose sums wait in registers, as the 72 weights do.
 * Neighbouring columns load the same pixels from the cache. The gradient by the input is the same walk with the window
 * turned around (stride 1), or a walk over blocks of four inputs, which see one, two, two and four outputs (stride 2).
 * The gradient by the weight keeps its 72 sums in registers over many strips. Other windows: k_depthwise_any.cu.
 */
#include "trainer/cuda/act.cuh"
#include "trainer/cuda/columns.cuh"
#include "trainer/cuda/depthwise.cuh"

enum { THREADS = 128, STRIP = 16 };

/* Eight channels of an input pixel, after the prologue; zero outside the image. */
template <typename T, bool PROLOGUE>
__device__ static inline void load_pixel(const T *__restrict__ image, const fv__depthwise &k, int y,
                                         int x, int group, const float (&scale)[8],
                                         const float (&shift)[8], float (&v)[8])
{
    FV_UNROLL
    for (int i = 0; i < 8; i++)
        v[i] = 0;
    if (y < 0 || y >= k.in_h || x < 0 || x >= k.in_w)
        return;
    fv_load8(image + ((int64_t)(y * k.in_w + x) * k.groups + group) * 8, v);
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

/* --- stride 1, and the gradient by its input --- */

template <typename T, bool PROLOGUE>
FV_KERNEL(THREADS)
depthwise_1(const T *__restrict__ x, const T *__restrict__ weight, T *__restrict__ y, bool turned,
            fv__depthwise k)
{
    const fv__strip at = fv__find_strip(k, blockIdx.x * blockDim.x + threadIdx.x);
    if (!at.works)
        return;
    float w[9][8], scale[8], shift[8], above[8], here[8], below[8];
    load_weights(weight, k.groups, at.group, turned, w);
    if (PROLOGUE) {
        fv__channel8(k.scale, at.group, scale);
        fv__channel8(k.shift, at.group, shift);
    }
    const T *image = x + (int64_t)at.image * k.in_h * k.in_w * k.groups * 8;
    T *out = y + (int64_t)at.image * k.h * k.w * k.groups * 8;
    clear(above);
    clear(here);
    for (int row = at.y0 - 1; row <= at.y1; row++) {
        clear(below);
        FV_UNROLL
        for (int s = 0; s < 3; s++) {
            float v[8];
            load_pixel<T, PROLOGUE>(image, k, row, at.x - 1 + s, at.group, scale, shift, v);
            add_product(above, v, w[6 + s]);
            add_product(here, v, w[3 + s]);
            add_product(below, v, w[s]);
        }
        if (row > at.y0)
            fv_store8(out + ((int64_t)((row - 1) * k.w + at.x) * k.groups + at.group) * 8, above);
        shift_to(above, here);
        shift_to(here, below);
    }
}

/* --- stride 2 --- */

template <typename T, bool PROLOGUE>
FV_KERNEL(THREADS)
depthwise_2(const T *__restrict__ x, const T *__restrict__ weight, T *__restrict__ y,
            fv__depthwise k)
{
    const fv__strip at = fv__find_strip(k, blockIdx.x * blockDim.x + threadIdx.x);
    if (!at.works)
        return;
    float w[9][8], scale[8], shift[8], here[8], below[8];
    load_weights(weight, k.groups, at.group, false, w);
    if (PROLOGUE) {
        fv__channel8(k.scale, at.group, scale);
        fv__channel8(k.shift, at.group, shift);
    }
    const T *image = x + (int64_t)at.image * k.in_h * k.in_w * k.groups * 8;
    T *out = y + (int64_t)at.image * k.h * k.w * k.groups * 8;
    clear(here);
    FV_UNROLL
    for (int s = 0; s < 3; s++) {
        float v[8];
        load_pixel<T, PROLOGUE>(image, k, 2 * at.y0 - 1, 2 * at.x - 1 + s, at.group, scale, shift,
                                v);
        add_product(here, v, w[s]);
    }
    for (int row = at.y0; row < at.y1; row++) {
        clear(below);
        FV_UNROLL
        for (int s = 0; s < 3; s++) {
            float a[8], b[8];
            load_pixel<T, PROLOGUE>(image, k, 2 * row, 2 * at.x - 1 + s, at.group, scale, shift, a);
            load_pixel<T, PROLOGUE>(image, k, 2 * row + 1, 2 * at.x - 1 + s, at.group, scale, shift,
                                    b);
            add_product(here, a, w[3 + s]);
            add_product(here, b, w[6 + s]);
            add_product(below, b, w[s]);
        }
        fv_store8(out + ((int64_t)(row * k.w + at.x) * k.groups + at.group) * 8, here);
        shift_to(here, below);
    }
}

/* Input (2y + a, 2x + b) of outputs (y, x) and their neighbours below and to the right: row 2y is under row 1 of the
 * window of y, row 2y + 1 under row 2 of y's and row 0 of y + 1's; columns likewise. */
template <typename T>
FV_KERNEL_OF(THREADS, 3)
depthwise_2_data(const T *__restrict__ dy, const T *__restrict__ weight, T *__restrict__ dx,
                 fv__depthwise k)
{
    const fv__strip at = fv__find_strip(k, blockIdx.x * blockDim.x + threadIdx.x);
    if (!at.works)
        return;
    float w[9][8], a[8], b[8], c[8], d[8];
    load_weights(weight, k.groups, at.group, false, w);
    const T *image = dy + (int64_t)at.image * k.h * k.w * k.groups * 8;
    T *out = dx + (int64_t)at.image * k.in_h * k.in_w * k.groups * 8;
    const bool right = at.x + 1 < k.w, odd = 2 * at.x + 1 < k.in_w;
    clear(c);
    clear(d);
    for (int row = at.y0; row <= at.y1; row++) {
        shift_to(a, c);
        shift_to(b, d);
        clear(c);
        clear(d);
        if (row < k.h) {
            const T *p = image + ((int64_t)(row * k.w + at.x) * k.groups + at.group) * 8;
            fv_load8(p, c);
            if (right)
                fv_load8(p + 8 * k.groups, d);
        }
        if (row == at.y0)
            continue;
        T *to = out + ((int64_t)(2 * (row - 1) * k.in_w + 2 * at.x) * k.groups + at.group) * 8;
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

/* Adds a strip's products to the sums. */
template <typename T, int STRIDE, bool PROLOGUE>
__device__ static inline void
add_strip(const T *__restrict__ x, const T *__restrict__ dy, const fv__depthwise &k,
          const fv__strip &at, const float (&scale)[8], const float (&shift)[8], float (&sum)[9][8])
{
    const T *image = x + (int64_t)at.image * k.in_h * k.in_w * k.groups * 8;
    const T *out = dy + ((int64_t)at.image * k.h * k.w + at.x) * k.groups * 8 + at.group * 8;
    float above[8], here[8], below[8], v[8];
    clear(above);
    clear(here);
    /* STRIDE 1: row is of the input, and of the output in its middle. STRIDE 2: of the output. */
    for (int row = STRIDE == 1 ? at.y0 - 1 : at.y0; row <= at.y1; row++) {
        const int next = STRIDE == 1 ? row + 1 : row;
        clear(below);
        if (next < at.y1)
            fv_load8(out + (int64_t)next * k.w * k.groups * 8, below);
        FV_UNROLL
        for (int s = 0; s < 3; s++) {
            load_pixel<T, PROLOGUE>(image, k, STRIDE == 1 ? row : 2 * row - 1,
                                    STRIDE * at.x - 1 + s, at.group, scale, shift, v);
            add_product(sum[s], v, below);
            add_product(sum[6 + s], v, above);
            if (STRIDE == 1) {
                add_product(sum[3 + s], v, here);
            } else {
                load_pixel<T, PROLOGUE>(image, k, 2 * row, 2 * at.x - 1 + s, at.group, scale, shift,
                                        v);
                add_product(sum[3 + s], v, below);
            }
        }
        if (STRIDE == 1) {
            shift_to(above, here);
            shift_to(here, below);
        } else {
            shift_to(above, below);
        }
    }
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
