/* SPDX-License-Identifier: MIT */
/* The arena of gradients: a part in the storage type, a part in fp32, eight elements at a time. */
#ifndef FV_TRAINER_CUDA_GRADIENTS_CUH
#define FV_TRAINER_CUDA_GRADIENTS_CUH

#include "trainer/cuda/launch.cuh"

#include <math.h>

enum { FV_BLOCK = 256 };

template <typename T>
__device__ static inline void fv__load_gradient(const struct fv_k_gradients &g, size_t at,
                                                float (&v)[8])
{
    if (at < g.low_count)
        fv_load8((const T *)g.low + at, v);
    else
        fv_load8(g.high + (at - g.low_count), v);
}

static inline int fv__gradients_check(const char *what, const struct fv_k_gradients *g)
{
    if (g->count < 1 || g->count % FV_BLOCK || g->low_count % FV_BLOCK || g->low_count > g->count)
        return fv_err(FV_EINVAL, "kernel %s: %zu of %zu gradients, which must be multiples of 256",
                      what, g->low_count, g->count);
    return 0;
}

#endif
