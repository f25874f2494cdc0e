/* SPDX-License-Identifier: MIT */
/* The arithmetic of a device that is the host (device_host.c): numbers of the storage types, convolutions with what
 * cuDNN's graphs fuse to them, matrix products. */
#ifndef FV_TESTS_DEVICE_HOST_MATH_H
#define FV_TESTS_DEVICE_HOST_MATH_H

#include "trainer/cuda/device_cuda.h"

float host_load(const void *p, enum fv_low_dtype t, size_t i);
void host_store(void *p, enum fv_low_dtype t, size_t i,
                double v); /* rounds to nearest, ties to even */
float *host_widened(const void *p, enum fv_low_dtype t, size_t count); /* to be freed */
/* Of any kind and direction, by its graph. */
void host_convolution(const struct fv_low_op *op, enum fv_low_dtype t, void *const arg[]);
void host_product(const struct fv_gpu_gemm *s, const void *a, const void *b, void *c);

#endif
