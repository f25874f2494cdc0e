/* SPDX-License-Identifier: MIT */
/* How long a plan takes on this device, with operands of its own: they are zeros, which no engine's choice of tiles
 * looks at. The stream is the default one; nothing else runs yet when plans are chosen. */
#include "trainer/cuda/cudnn_plan.h"

#include "common/err.h"

#include <cuda_runtime_api.h>

enum { WARM = 3, TIMED = 10, ALIGN = 256 };

static int check(cudaError_t e, const char *what)
{
    return e == cudaSuccess ? 0 : fv_err(FV_EBACKEND, "CUDA: %s: %s", what, cudaGetErrorString(e));
}

static int time_runs(struct fv_cudnn *c, const struct fv_cudnn_plan *p,
                     void *const arg[FV_CONV_ROLES], void *workspace, cudaEvent_t begin,
                     cudaEvent_t end, double *us)
{
    float ms = 0;
    for (int i = 0; i < WARM; i++)
        FV_TRY(fv_cudnn_plan_run(c, p, arg, workspace));
    FV_TRY(check(cudaEventRecord(begin, NULL), "timing"));
    for (int i = 0; i < TIMED; i++)
        FV_TRY(fv_cudnn_plan_run(c, p, arg, workspace));
    FV_TRY(check(cudaEventRecord(end, NULL), "timing"));
    FV_TRY(check(cudaEventSynchronize(end), "timing"));
    FV_TRY(check(cudaEventElapsedTime(&ms, begin, end), "timing"));
    *us = (double)ms * 1e3 / TIMED;
    return 0;
}

int fv__cudnn_time(struct fv_cudnn *c, const struct fv_cudnn_plan *p, double *us)
{
    void *arg[FV_CONV_ROLES] = {NULL}, *memory = NULL;
    size_t offset[FV_CONV_ROLES], total = p->workspace;
    cudaEvent_t begin = NULL, end = NULL;
    for (int role = 0; role < FV_CONV_ROLES; role++) {
        offset[role] = total;
        total += (fv_conv_role_bytes(&p->key, role) + ALIGN - 1) / ALIGN * ALIGN;
    }
    const cudaError_t room = cudaMalloc(&memory, total);
    if (room == cudaErrorMemoryAllocation) {
        (void)cudaGetLastError();
        return fv_err(FV_ENOMEM, "no memory to time a convolution in");
    }
    int rc = check(room, "memory for timing");
    for (int role = 0; role < FV_CONV_ROLES && rc == 0; role++)
        arg[role] = (char *)memory + offset[role];
    if (rc == 0)
        rc = check(cudaMemset(memory, 0, total), "timing");
    if (rc == 0)
        rc = check(cudaEventCreate(&begin), "timing");
    if (rc == 0)
        rc = check(cudaEventCreate(&end), "timing");
    if (rc == 0)
        rc = time_runs(c, p, arg, memory, begin, end, us);
    if (begin)
        cudaEventDestroy(begin);
    if (end)
        cudaEventDestroy(end);
    cudaStreamSynchronize(NULL); /* a run that failed may have others before it */
    cudaFree(memory);
    (void)cudaGetLastError(); /* a candidate that failed must not fail what follows */
    return rc;
}
