/* SPDX-License-Identifier: MIT */
/* The mean of gradients over ranks, a GPU each, by NCCL. How ranks find each other is the caller's business: it hands
 * rank 0's id to all of them. */
#include "trainer/cuda/device_cuda_gpu.h"

#include "common/err.h"

#include <string.h>

_Static_assert(sizeof(ncclUniqueId) == FV_GPU_ID_BYTES, "NCCL's id");

static int check(ncclResult_t r, const char *what)
{
    return r == ncclSuccess ? 0
                            : fv_err(FV_EBACKEND, "NCCL: %s: %s (NCCL_DEBUG=WARN says more)", what,
                                     ncclGetErrorString(r));
}

static int need_ranks(const struct fv_gpu *g)
{
    return g->ranks ? 0 : fv_err(FV_EBACKEND, "NCCL: the ranks have parted");
}

int fv_gpu_ranks_id(unsigned char id[FV_GPU_ID_BYTES])
{
    ncclUniqueId u;
    FV_TRY(check(ncclGetUniqueId(&u), "an id for the ranks"));
    memcpy(id, &u, sizeof u);
    return 0;
}

int fv_gpu_ranks_join(struct fv_gpu *g, const unsigned char id[FV_GPU_ID_BYTES], int rank,
                      int ranks)
{
    ncclUniqueId u;
    memcpy(&u, id, sizeof u);
    if (g->ranks)
        return fv_err(FV_EINVAL, "backend cuda: this device has joined its ranks already");
    return check(ncclCommInitRank(&g->ranks, ranks, u, rank), "joining the ranks");
}

int fv_gpu_ranks_mean(struct fv_gpu *g, void *p, size_t count, enum fv_low_dtype type)
{
    const ncclDataType_t t = type == FV_LOW_BF16  ? ncclBfloat16
                             : type == FV_LOW_F16 ? ncclFloat16
                                                  : ncclFloat32;
    FV_TRY(need_ranks(g));
    return check(ncclAllReduce(p, p, count, t, ncclAvg, g->ranks, g->stream[FV_GPU_COMM]),
                 "the mean over ranks");
}

int fv_gpu_ranks_gather(struct fv_gpu *g, const float *mine, float *all, size_t count)
{
    FV_TRY(need_ranks(g));
    return check(ncclAllGather(mine, all, count, ncclFloat32, g->ranks, g->stream[FV_GPU_COMM]),
                 "gathering from ranks");
}

int fv_gpu_ranks_check(struct fv_gpu *g)
{
    ncclResult_t now = ncclSuccess;
    FV_TRY(need_ranks(g));
    FV_TRY(check(ncclCommGetAsyncError(g->ranks, &now), "asking after the ranks"));
    return now == ncclSuccess || now == ncclInProgress
               ? 0
               : fv_err(FV_EIO, "NCCL: another rank has ended or cannot be reached: %s",
                        ncclGetErrorString(now));
}

void fv_gpu_ranks_abort(struct fv_gpu *g)
{
    if (g->ranks)
        ncclCommAbort(g->ranks);
    g->ranks = NULL;
}

void fv__gpu_leave_ranks(struct fv_gpu *g)
{
    if (g->ranks)
        ncclCommDestroy(g->ranks);
    g->ranks = NULL;
}
