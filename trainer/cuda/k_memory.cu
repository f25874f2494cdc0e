/* SPDX-License-Identifier: MIT */
/* Moving and converting: zero, copy, cast, and convolution weights between the orders of checkpoints and of cuDNN. */
#include "trainer/cuda/launch.cuh"

enum { THREADS = 256 };

static unsigned blocks_for(size_t items)
{
    const size_t blocks = (items + THREADS - 1) / THREADS, most = 2048;
    return (unsigned)(blocks < 1 ? 1 : blocks > most ? most : blocks);
}

/* Whole words of 16 bytes and the bytes that are left; from NULL writes zeros. */
FV_KERNEL(THREADS) move(const fv__words *from, fv__words *to, size_t words, size_t bytes)
{
    const size_t me = (size_t)blockIdx.x * blockDim.x + threadIdx.x,
                 all = (size_t)gridDim.x * blockDim.x;
    const fv__words zero = {{0, 0, 0, 0}};
    for (size_t i = me; i < words; i += all)
        to[i] = from ? from[i] : zero;
    const size_t at = words * sizeof zero + me;
    if (at < bytes)
        ((char *)to)[at] = from ? ((const char *)from)[at] : (char)0;
}

template <typename A, typename B> FV_KERNEL(THREADS) cast(const A *from, B *to, size_t count)
{
    const size_t me = (size_t)blockIdx.x * blockDim.x + threadIdx.x,
                 all = (size_t)gridDim.x * blockDim.x;
    for (size_t i = me; i < count / 8; i += all) {
        float v[8];
        fv_load8(from + 8 * i, v);
        fv_store8(to + 8 * i, v);
    }
    const size_t at = count / 8 * 8 + me;
    if (at < count)
        fv_put(to + at, fv_get(from[at]));
}

template <typename A, typename B> static int cast_launch(const struct fv_k_cast *a, fv_stream s)
{
    return FV_LAUNCH("cast", (cast<A, B>), blocks_for((size_t)a->count / 8), THREADS, s,
                     (const A *)a->from, (B *)a->to, (size_t)a->count);
}

template <typename A> static int cast_from(const struct fv_k_cast *a, fv_stream s)
{
    switch (a->to_type) {
    case FV_K_F32:
        return cast_launch<A, float>(a, s);
    case FV_K_BF16:
        return cast_launch<A, fv_bf16>(a, s);
    case FV_K_F16:
        return cast_launch<A, fv_f16>(a, s);
    }
    return fv_err(FV_EINVAL, "a kernel for a storage type numbered %d", (int)a->to_type);
}

/* One thread for each element of the krsc side. */
template <typename T> FV_KERNEL(THREADS) pack(const float *from, T *to, struct fv_k_pack a)
{
    const size_t count = (size_t)a.k_pad * a.window * a.c_pad, all = (size_t)gridDim.x * blockDim.x;
    for (size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x; i < count; i += all) {
        const int c = (int)(i % a.c_pad), k = (int)(i / a.c_pad / a.window);
        const size_t tap = i / a.c_pad % a.window;
        const bool real = c < a.c && k < a.k;
        fv_put(to + i, real ? from[((size_t)k * a.c + c) * a.window + tap] : 0.0f);
    }
}

/* One thread for each element of the kcrs side. */
template <typename T> FV_KERNEL(THREADS) unpack(const T *from, float *to, struct fv_k_pack a)
{
    const size_t count = (size_t)a.k * a.c * a.window, all = (size_t)gridDim.x * blockDim.x;
    for (size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x; i < count; i += all) {
        const size_t tap = i % a.window, c = i / a.window % a.c, k = i / a.window / a.c;
        to[i] = fv_get(from[(k * a.window + tap) * a.c_pad + c]);
    }
}

template <typename T> static int pack_launch(const struct fv_k_pack *a, fv_stream s)
{
    return FV_LAUNCH("pack", (pack<T>), blocks_for((size_t)a->k_pad * a->window * a->c_pad),
                     THREADS, s, (const float *)a->from, (T *)a->to, *a);
}

template <typename T> static int unpack_launch(const struct fv_k_pack *a, fv_stream s)
{
    return FV_LAUNCH("unpack", (unpack<T>), blocks_for((size_t)a->k * a->window * a->c), THREADS, s,
                     (const T *)a->from, (float *)a->to, *a);
}

template <typename T> FV_KERNEL(THREADS) mask(T *w, struct fv_k_mask a)
{
    const size_t count = (size_t)a.k * a.window * a.c, all = (size_t)gridDim.x * blockDim.x;
    for (size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x; i < count; i += all) {
        const int c = (int)(i % a.c), k = (int)(i / a.c / a.window);
        if (c / a.group_c != k / a.group_k % a.merged)
            fv_put(w + i, 0.0f);
    }
}

template <typename T> static int mask_launch(const struct fv_k_mask *a, fv_stream s)
{
    return FV_LAUNCH("mask", (mask<T>), blocks_for((size_t)a->k * a->window * a->c), THREADS, s,
                     (T *)a->w, *a);
}

static int check_pack(const struct fv_k_pack *a)
{
    if (a->k < 1 || a->c < 1 || a->window < 1 || a->k_pad < a->k || a->c_pad < a->c)
        return fv_err(FV_EINVAL, "kernel pack: %d filters in %d, %d channels in %d, a window of %d",
                      a->k, a->k_pad, a->c, a->c_pad, a->window);
    return 0;
}

extern "C" {

size_t fv_k_type_bytes(enum fv_k_type type)
{
    return type == FV_K_F32 ? 4 : 2;
}

int fv_k_zero(void *p, size_t bytes, fv_stream s)
{
    return FV_LAUNCH("zero", move, blocks_for(bytes / 16), THREADS, s, (const fv__words *)NULL,
                     (fv__words *)p, bytes / 16, bytes);
}

int fv_k_copy(void *to, const void *from, size_t bytes, fv_stream s)
{
    return FV_LAUNCH("copy", move, blocks_for(bytes / 16), THREADS, s, (const fv__words *)from,
                     (fv__words *)to, bytes / 16, bytes);
}

int fv_k_cast(const struct fv_k_cast *a, fv_stream s)
{
    return FV_BY_TYPE(a->from_type, cast_from, a, s);
}

int fv_k_pack(const struct fv_k_pack *a, fv_stream s)
{
    FV_TRY(check_pack(a));
    return FV_BY_TYPE(a->type, pack_launch, a, s);
}

int fv_k_unpack(const struct fv_k_pack *a, fv_stream s)
{
    FV_TRY(check_pack(a));
    return FV_BY_TYPE(a->type, unpack_launch, a, s);
}

int fv_k_mask(const struct fv_k_mask *a, fv_stream s)
{
    if (a->k < 1 || a->window < 1 || a->c < 1 || a->merged < 1 || a->group_k < 1 || a->group_c < 1)
        return fv_err(FV_EINVAL, "kernel mask: %d filters of %d x %d in groups of %d x %d", a->k,
                      a->window, a->c, a->group_k, a->group_c);
    return FV_BY_TYPE(a->type, mask_launch, a, s);
}
}
