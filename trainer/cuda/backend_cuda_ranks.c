/* SPDX-License-Identifier: MIT */
/* Several processes, a GPU each. They find each other by way of trainer/comm; gradients then go from GPU to GPU by
 * NCCL, bucket by bucket on a stream of its own, while backward goes on with the layers before. */
#include "trainer/cuda/backend_cuda.h"

#include "common/err.h"
#include "trainer/comm/comm.h"

int fv__cuda_set_comm(struct fv_program *p, struct fv_comm *comm, int sync_bn)
{
    struct fv_gpu *g = p->device->gpu;
    unsigned char id[FV_GPU_ID_BYTES] = {0};
    if (fv_comm_world(comm) == 1)
        return 0;
    if (sync_bn)
        return fv_err(FV_EUNSUPPORTED, "backend cuda has no batch norms over several ranks: leave "
                                       "--sync-bn out, or use --backend cpu");
    int rc = fv_comm_rank(comm) == 0 ? fv_gpu_ranks_id(id) : 0;
    FV_TRY(rc);
    FV_TRY(fv_comm_broadcast(comm, id, sizeof id));
    FV_TRY(fv_gpu_ranks_join(g, id, fv_comm_rank(comm), fv_comm_world(comm)));
    FV_TRY(fv_gpu_event_new(g, &p->ready, 0));
    FV_TRY(fv_gpu_event_new(g, &p->joined, 0));
    p->comm = comm;
    return 0;
}

/* The other stream goes on where the work is now. */
static int fork_ranks(struct fv_program *p)
{
    struct fv_gpu *g = p->device->gpu;
    FV_TRY(fv_gpu_event_record(g, p->ready, FV_GPU_WORK));
    return fv_gpu_event_wait(g, p->ready, FV_GPU_COMM);
}

int fv__cuda_join_ranks(struct fv_program *p)
{
    struct fv_gpu *g = p->device->gpu;
    if (!p->comm)
        return 0;
    FV_TRY(fork_ranks(
        p)); /* also where no bucket was sent: a capture needs the stream to have begun */
    FV_TRY(fv_gpu_event_record(g, p->joined, FV_GPU_COMM));
    return fv_gpu_event_wait(g, p->joined, FV_GPU_WORK);
}

int fv__cuda_bucket(struct fv_program *p, const struct fv_low_bucket *b)
{
    if (!p->comm || !fv__cuda_sends_buckets(p))
        return 0;
    FV_TRY(fork_ranks(p));
    return fv_gpu_ranks_mean(p->device->gpu, p->space[FV_LOW_GRAD] + b->offset,
                             b->bytes / fv_low_dtype_bytes(b->dtype), b->dtype);
}

int fv__cuda_mean_of_ranks(struct fv_program *p, void *v, size_t count, enum fv_low_dtype type)
{
    if (!p->comm || count == 0)
        return 0;
    FV_TRY(fork_ranks(p));
    FV_TRY(fv_gpu_ranks_mean(p->device->gpu, v, count, type));
    return fv__cuda_join_ranks(p);
}
