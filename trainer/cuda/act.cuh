/* SPDX-License-Identifier: MIT */
/* Activations, as a kernel's template argument: what they do to a value, and their derivative. */
#ifndef FV_TRAINER_CUDA_ACT_CUH
#define FV_TRAINER_CUDA_ACT_CUH

#include "trainer/cuda/launch.cuh"

/* What the kernels are compiled for; relu and relu6 differ in a bound only. */
enum fv__act_class { FV_ACT_NONE, FV_ACT_CLAMP, FV_ACT_PRELU, FV_ACT_SIGMOID };

static inline float fv__act_high(enum fv_k_act act)
{
    return act == FV_K_RELU6 ? 6.0f : INFINITY;
}

template <int CLASS> __device__ static inline float fv__act(float z, float slope, float high)
{
    if (CLASS == FV_ACT_CLAMP)
        return z < 0 ? 0 : z > high ? high : z;
    if (CLASS == FV_ACT_PRELU)
        return z < 0 ? z * slope : z;
    if (CLASS == FV_ACT_SIGMOID)
        return 1 / (1 + expf(-z));
    return z;
}

/* The derivative times dy. `from` is the output for the sigmoid, the input for prelu, either for relu and relu6. */
template <int CLASS>
__device__ static inline float fv__act_gradient(float dy, float from, float slope, float high)
{
    if (CLASS == FV_ACT_CLAMP)
        return from > 0 && from < high ? dy : 0;
    if (CLASS == FV_ACT_PRELU)
        return from < 0 ? dy * slope : dy;
    if (CLASS == FV_ACT_SIGMOID)
        return dy * from * (1 - from);
    return dy;
}

/* run<T, CLASS>(...) for an activation; sigmoid only where the kernel has it. */
#define FV_BY_ACT(act, run, T, ...)                                                                \
    ((act) == FV_K_NONE                          ? run<T, FV_ACT_NONE>(__VA_ARGS__)                \
     : (act) == FV_K_RELU || (act) == FV_K_RELU6 ? run<T, FV_ACT_CLAMP>(__VA_ARGS__)               \
     : (act) == FV_K_PRELU                                                                         \
         ? run<T, FV_ACT_PRELU>(__VA_ARGS__)                                                       \
         : fv_err(FV_EINVAL, "a kernel for an activation numbered %d", (int)(act)))

#endif
