/* SPDX-License-Identifier: MIT */
/* What a kernel is written in: CUDA under nvcc, and the emulator (emulate.cuh) under any C++ compiler.
 *
 * A kernel uses threadIdx, blockIdx, blockDim, gridDim, __syncthreads, the full-warp shuffles below and FV_SHARED,
 * and nothing else of CUDA. So one source runs on a GPU and, thread by thread, on a machine without a toolkit.
 *
 *   FV_KERNEL(256) name(args)            __global__ with launch bounds: its blocks have at most 256 threads
 *   FV_KERNEL_OF(256, 2) name(args)      and few enough registers that two blocks share a processor
 *   FV_SHARED(float, sum, 256)           an array in shared memory; sum[i] reads and writes
 *   FV_LAUNCH("name", (kernel<T>), grid, block, stream, args)   0, or FV_EBACKEND with the device's sentence
 *   fv_prefetch(p)                       what p points to will be read soon: a hint, without effect on results
 *   FV_BY_TYPE(type, run, ...)           run<T>(...) with T the storage type that `type` names
 */
#ifndef FV_TRAINER_CUDA_LAUNCH_CUH
#define FV_TRAINER_CUDA_LAUNCH_CUH

extern "C" {
#include "common/err.h"
}
#include "trainer/cuda/kernels.h"

#ifdef __CUDACC__
#define FV_UNROLL _Pragma("unroll")
#define FV_UNROLL_4 _Pragma("unroll 4")
#define FV_KERNEL(threads) __global__ void __launch_bounds__(threads)
#define FV_KERNEL_OF(threads, blocks) __global__ void __launch_bounds__(threads, blocks)
#define FV_SHARED(type, name, count) __shared__ type name[count]
#define FV_LAUNCH(what, kernel, grid, block, stream, ...)                                          \
    (kernel<<<(grid), (block), 0, (stream)>>>(__VA_ARGS__), fv__launched(what))

static inline int fv__launched(const char *what)
{
    const cudaError_t rc = cudaGetLastError();
    return rc == cudaSuccess ? 0
                             : fv_err(FV_EBACKEND, "kernel %s: %s", what, cudaGetErrorString(rc));
}

__device__ inline void fv_prefetch(const void *p)
{
    asm volatile("prefetch.global.L2 [%0];" ::"l"(p));
}

__device__ inline float fv_shuffle_xor(float v, int lanes)
{
    return __shfl_xor_sync(0xffffffffu, v, lanes);
}
__device__ inline int fv_shuffle_xor(int v, int lanes)
{
    return __shfl_xor_sync(0xffffffffu, v, lanes);
}
#else
#include "trainer/cuda/emulate.cuh"

inline void fv_prefetch(const void *)
{
}
#endif

#include "trainer/cuda/half.cuh"

#define FV_BY_TYPE(type, run, ...)                                                                 \
    ((type) == FV_K_BF16  ? run<fv_bf16>(__VA_ARGS__)                                              \
     : (type) == FV_K_F16 ? run<fv_f16>(__VA_ARGS__)                                               \
     : (type) == FV_K_F32                                                                          \
         ? run<float>(__VA_ARGS__)                                                                 \
         : fv_err(FV_EINVAL, "a kernel for a storage type numbered %d", (int)(type)))

#endif
