/* SPDX-License-Identifier: MIT */
/* The 16-bit types as storage: kernels load them, compute in fp32, and store them rounded to nearest even.
 *
 * They are structs of our own, and not those of cuda_fp16.h, so that a C++ compiler without the toolkit compiles the
 * same kernels (launch.cuh). On the device the conversion instructions do the work, two values at a time where the
 * architecture can (sm_80 and later); on the host integer arithmetic gives the same bits, NaNs included.
 */
#ifndef FV_TRAINER_CUDA_HALF_CUH
#define FV_TRAINER_CUDA_HALF_CUH

#include <stdint.h>
#include <string.h>

struct fv_bf16 {
    uint16_t bits;
};
struct fv_f16 {
    uint16_t bits;
};

__device__ inline uint32_t fv__bits_of_float(float f)
{
#ifdef __CUDACC__
    return __float_as_uint(f);
#else
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    return u;
#endif
}

__device__ inline float fv__float_of_bits(uint32_t u)
{
#ifdef __CUDACC__
    return __uint_as_float(u);
#else
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
#endif
}

/* A NaN becomes 0x7fff, as the device's instruction makes it. */
__device__ inline uint16_t fv__bf16_bits(float f)
{
    uint32_t u = fv__bits_of_float(f);
    if ((u & 0x7fffffffu) > 0x7f800000u)
        return 0x7fff;
    return (uint16_t)((u + 0x7fffu + ((u >> 16) & 1)) >> 16);
}

__device__ inline float fv__bf16_value(uint16_t bits)
{
    return fv__float_of_bits((uint32_t)bits << 16);
}

#ifndef __CUDACC__
inline uint16_t fv__f16_bits(float f)
{
    uint32_t u = fv__bits_of_float(f), sign = (u >> 16) & 0x8000u;
    u &= 0x7fffffffu;
    if (u > 0x7f800000u)
        return 0x7fff;
    if (u >= 0x477ff000u) /* 65520 and more round to infinity */
        return (uint16_t)(sign | 0x7c00u);
    if (u <
        0x38800000u) { /* subnormal: the unit in the last place of 0.5f is that of fp16's subnormals */
        float sum = fv__float_of_bits(u) + 0.5f;
        return (uint16_t)(sign | (fv__bits_of_float(sum) - 0x3f000000u));
    }
    u += 0xfffu + ((u >> 13) & 1);
    return (uint16_t)(sign | ((u - 0x38000000u) >> 13));
}

inline float fv__f16_value(uint16_t bits)
{
    uint32_t sign = (uint32_t)(bits & 0x8000u) << 16, rest = bits & 0x7fffu;
    if (rest >= 0x7c00u)
        return fv__float_of_bits(sign | 0x7f800000u | ((rest & 0x3ffu) << 13));
    if (rest < 0x400u) { /* subnormal: a multiple of 2^-24 */
        float value = (float)rest * 5.9604644775390625e-8f;
        return sign ? -value : value;
    }
    return fv__float_of_bits(sign | ((rest << 13) + 0x38000000u));
}
#else
__device__ inline uint16_t fv__f16_bits(float f)
{
    uint16_t bits;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(f));
    return bits;
}

__device__ inline float fv__f16_value(uint16_t bits)
{
    float f;
    asm("cvt.f32.f16 %0, %1;" : "=f"(f) : "h"(bits));
    return f;
}
#endif

/* One value to and from its storage. */
__device__ inline float fv_get(float v)
{
    return v;
}
__device__ inline float fv_get(fv_bf16 v)
{
    return fv__bf16_value(v.bits);
}
__device__ inline float fv_get(fv_f16 v)
{
    return fv__f16_value(v.bits);
}
__device__ inline void fv_put(float *p, float v)
{
    *p = v;
}
__device__ inline void fv_put(fv_bf16 *p, float v)
{
    p->bits = fv__bf16_bits(v);
}
__device__ inline void fv_put(fv_f16 *p, float v)
{
    p->bits = fv__f16_bits(v);
}

/* What a value becomes when it is stored. */
template <typename T> __device__ inline float fv_rounded(float v)
{
    T t;
    fv_put(&t, v);
    return fv_get(t);
}

/* Two values in one word, the first in the low half. The first argument only says the type. */
__device__ inline uint32_t fv__pack(fv_bf16, float low, float high)
{
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
    uint32_t word;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(word) : "f"(high), "f"(low));
    return word;
#else
    return (uint32_t)fv__bf16_bits(low) | (uint32_t)fv__bf16_bits(high) << 16;
#endif
}

__device__ inline uint32_t fv__pack(fv_f16, float low, float high)
{
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
    uint32_t word;
    asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(word) : "f"(high), "f"(low));
    return word;
#else
    return (uint32_t)fv__f16_bits(low) | (uint32_t)fv__f16_bits(high) << 16;
#endif
}

__device__ inline void fv__unpack(fv_bf16, uint32_t word, float *low, float *high)
{
    *low = fv__float_of_bits(word << 16);
    *high = fv__float_of_bits(word & 0xffff0000u);
}

__device__ inline void fv__unpack(fv_f16, uint32_t word, float *low, float *high)
{
    *low = fv__f16_value((uint16_t)(word & 0xffffu));
    *high = fv__f16_value((uint16_t)(word >> 16));
}

/* Eight channels of one pixel: 16 or 32 bytes, aligned to 16. */
struct alignas(16) fv__words {
    uint32_t w[4];
};
struct alignas(16) fv__floats {
    float f[4];
};

/* The same as they lie in memory: for what is loaded long before it is needed, since fp32 takes twice the registers. */
template <typename T> struct fv_raw8 {
    fv__words q;
};
template <> struct fv_raw8<float> {
    fv__floats a, b;
};

template <typename T> __device__ inline fv_raw8<T> fv_load_raw8(const T *p)
{
    return *reinterpret_cast<const fv_raw8<T> *>(p);
}

template <typename T> __device__ inline void fv_unpack8(const fv_raw8<T> &raw, float (&v)[8])
{
    FV_UNROLL
    for (int i = 0; i < 4; i++)
        fv__unpack(T(), raw.q.w[i], &v[2 * i], &v[2 * i + 1]);
}

template <> __device__ inline void fv_unpack8<float>(const fv_raw8<float> &raw, float (&v)[8])
{
    FV_UNROLL
    for (int i = 0; i < 4; i++) {
        v[i] = raw.a.f[i];
        v[4 + i] = raw.b.f[i];
    }
}

template <typename T> __device__ inline void fv_load8(const T *p, float (&v)[8])
{
    fv_unpack8<T>(fv_load_raw8(p), v);
}

template <> __device__ inline void fv_load8<float>(const float *p, float (&v)[8])
{
    const fv__floats a = reinterpret_cast<const fv__floats *>(p)[0];
    const fv__floats b = reinterpret_cast<const fv__floats *>(p)[1];
    FV_UNROLL
    for (int i = 0; i < 4; i++) {
        v[i] = a.f[i];
        v[4 + i] = b.f[i];
    }
}

template <typename T> __device__ inline void fv_store8(T *p, const float (&v)[8])
{
    fv__words q;
    FV_UNROLL
    for (int i = 0; i < 4; i++)
        q.w[i] = fv__pack(T(), v[2 * i], v[2 * i + 1]);
    *reinterpret_cast<fv__words *>(p) = q;
}

template <> __device__ inline void fv_store8<float>(float *p, const float (&v)[8])
{
    fv__floats a, b;
    FV_UNROLL
    for (int i = 0; i < 4; i++) {
        a.f[i] = v[i];
        b.f[i] = v[4 + i];
    }
    reinterpret_cast<fv__floats *>(p)[0] = a;
    reinterpret_cast<fv__floats *>(p)[1] = b;
}

#endif
