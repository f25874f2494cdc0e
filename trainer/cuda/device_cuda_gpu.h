/* SPDX-License-Identifier: MIT */
/* Inside device_cuda*.c: the device, with CUDA's types. */
#ifndef FV_TRAINER_CUDA_DEVICE_CUDA_GPU_H
#define FV_TRAINER_CUDA_DEVICE_CUDA_GPU_H

#include "trainer/cuda/cudnn_plan.h"
#include "trainer/cuda/device_cuda.h"

#include <cublasLt.h>
#include <cuda_runtime_api.h>
#include <nccl.h>
#include <pthread.h>

struct fv__gpu_gemm_plan {
    struct fv_gpu_gemm shape;
    uint32_t align[3]; /* of A, B and C, in cuBLASLt's order */
    cublasLtMatmulDesc_t op;
    cublasLtMatrixLayout_t a, b, c;
    cublasLtMatmulAlgo_t algo;
};

struct fv_gpu {
    char name[160];
    int index, major, minor;
    double bytes_per_us; /* of its memory at its peak; 0: the driver does not say */
    cudaStream_t stream[FV_GPU_STREAMS];
    struct fv_cudnn *cudnn;
    int bound;                /* cuDNN enqueues on FV_GPU_WORK */
    char *cache;              /* folder of plans; NULL: none */
    struct fv_gpu_conv *conv; /* a list: plans found, and refusals */
    cublasLtHandle_t blas;
    void *blas_workspace;
    struct fv__gpu_gemm_plan gemm[64];
    int gemms;
    ncclComm_t ranks; /* NULL: none, or given up */
    struct fv_gpu_patience patience;
    pthread_t aborter; /* of ranks that were given up */
    int aborting;
};

/* FV_EBACKEND with CUDA's own words, FV_ENOMEM when memory ran out. */
int fv__gpu_check(cudaError_t e, const char *what);
void fv__gpu_close_convs(struct fv_gpu *g);
int fv__gpu_open_blas(struct fv_gpu *g);
void fv__gpu_close_blas(struct fv_gpu *g);
void fv__gpu_leave_ranks(struct fv_gpu *g);

#endif
