/* SPDX-License-Identifier: MIT */
/* Pixels in: bytes to the storage type, normalised, with five channels of zeros so that a pixel is a vector. */
#include "trainer/cuda/launch.cuh"

#include <math.h>

enum { THREADS = 256 };

struct affine {
    float by[3], plus[3];
};

template <typename T>
FV_KERNEL(THREADS)
input(const uint8_t *__restrict__ pixels, T *__restrict__ y, unsigned count, unsigned width,
      int mirror, affine a)
{
    const unsigned all = gridDim.x * blockDim.x;
    for (unsigned i = blockIdx.x * blockDim.x + threadIdx.x; i < count; i += all) {
        const unsigned row = i / width, x = i % width;
        const uint8_t *from = pixels + (size_t)3 * (mirror ? row * width + (width - 1 - x) : i);
        float v[8] = {0};
        FV_UNROLL
        for (int c = 0; c < 3; c++)
            v[c] = (float)from[c] * a.by[c] + a.plus[c];
        fv_store8(y + (size_t)8 * i, v);
    }
}

template <typename T> static int launch(const struct fv_k_input *k, fv_stream s)
{
    const size_t count = (size_t)k->n * (size_t)k->h * (size_t)k->w,
                 blocks = (count + THREADS - 1) / THREADS;
    affine a;
    for (int c = 0; c < 3; c++) {
        a.by[c] = (float)(1 / (255.0 * (double)k->std[c]));
        a.plus[c] = (float)(-(double)k->mean[c] / (double)k->std[c]);
    }
    return FV_LAUNCH("input", (input<T>), (unsigned)(blocks < 65536 ? blocks : 65536), THREADS, s,
                     k->pixels, (T *)k->y, (unsigned)count, (unsigned)k->w, k->mirror, a);
}

extern "C" int fv_k_input(const struct fv_k_input *a, fv_stream s)
{
    if (a->n < 1 || a->h < 1 || a->w < 1 || (int64_t)a->n * a->h * a->w > INT32_MAX)
        return fv_err(FV_EINVAL, "kernel input: %d images of %d x %d", a->n, a->h, a->w);
    return FV_BY_TYPE(a->type, launch, a, s);
}
