/* SPDX-License-Identifier: MIT */
#include "tests/cmocka_all.h"
#include "tests/cuda/kernel_rig.h"

#include <cuda_runtime_api.h>
#include <stdio.h>
#include <stdlib.h>

const int place_shuffles = 0;

void place_open(void)
{
    int devices = 0;
    cudaError_t rc = cudaGetDeviceCount(&devices);
    if (rc == cudaSuccess && devices > 0)
        return;
    printf("skipped: no GPU: %s\n", cudaGetErrorString(rc));
    exit(77);
}

static void need(cudaError_t rc)
{
    if (rc != cudaSuccess)
        fail_msg("%s", cudaGetErrorString(rc));
}

void *place_take(size_t bytes)
{
    void *p = NULL;
    need(cudaMalloc(&p, bytes));
    return p;
}

void place_give(void *p)
{
    need(cudaFree(p));
}

void place_put(void *to, const void *from, size_t bytes)
{
    need(cudaMemcpy(to, from, bytes, cudaMemcpyHostToDevice));
}

void place_get(void *to, const void *from, size_t bytes)
{
    need(cudaDeviceSynchronize());
    need(cudaMemcpy(to, from, bytes, cudaMemcpyDeviceToHost));
}

void place_seed(uint64_t seed)
{
    (void)seed;
}
