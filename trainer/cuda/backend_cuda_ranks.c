/* SPDX-License-Identifier: MIT */
/* Several processes, a GPU each. They find each other by way of trainer/comm; gradients then go from GPU to GPU by
 * NCCL, bucket by bucket on a stream of its own, while backward goes on with the layers before.
 *
 * A sum over ranks never comes about if one of them has ended, and the device would wait for it for ever. So the host
 * waits for no such work without looking, meanwhile, whether the others are still there. */
#include "trainer/cuda/backend_cuda.h"

#include "common/clock.h"
#include "common/err.h"
#include "trainer/comm/comm.h"

#include <sched.h>
#include <time.h>

enum { SPIN_NS = 2 * 1000 * 1000, NAP_NS = 50 * 1000, WATCH_NS = 20 * 1000 * 1000 };

/* What a step sends and when must be the same everywhere. */
static uint64_t order_of_sums(const struct fv_lowered *l)
{
    uint64_t h = 0;
    for (int i = 0; i < l->ops; i++) {
        const struct fv_low_op *op = &l->op[i];
        const int forward = op->kind == FV_LOW_BN_STATS || op->kind == FV_LOW_BN_FINALIZE;
        const int backward = op->kind == FV_LOW_BN_REDUCE || op->kind == FV_LOW_BN_REDUCE_POOL ||
                             op->kind == FV_LOW_BN_SUMS;
        const size_t what[3] = {op->kind == FV_LOW_BUCKET ? l->bucket[op->bucket].offset + 1 : 0,
                                op->kind == FV_LOW_BUCKET ? l->bucket[op->bucket].bytes : 0,
                                forward || backward ? (size_t)op->node * 2 + (size_t)backward + 1
                                                    : 0};
        if (what[0] || what[2])
            h = fv_comm_hash(h, what, sizeof what);
    }
    return h;
}

/* Asked while the host waits for what only all ranks can bring about. */
static int still_there(void *program, uint64_t waited_ns)
{
    const struct fv_program *p = program;
    FV_TRY(fv_comm_watch(p->comm));
    if ((double)waited_ns * 1e-9 > p->comm->timeout_s)
        return fv_err(FV_EIO,
                      "rank %d has waited %.0f s for sums over all ranks (--comm-timeout): another "
                      "one hangs",
                      p->comm->rank, p->comm->timeout_s);
    return 0;
}

int fv__cuda_set_comm(struct fv_program *p, struct fv_comm *comm, int sync_bn)
{
    struct fv_gpu *g = p->device->gpu;
    struct fv__cuda_plan *plan = p->plan[0];
    unsigned char id[FV_GPU_ID_BYTES] = {0};
    if (fv_comm_world(comm) == 1)
        return 0;
    const uint64_t order = order_of_sums(plan->l);
    FV_TRY(fv_comm_same(comm, "the launches of a step (GPUs of two kinds?)", &order, sizeof order));
    int rc = fv_comm_rank(comm) == 0 ? fv_gpu_ranks_id(id) : 0;
    FV_TRY(rc);
    FV_TRY(fv_comm_broadcast(comm, id, sizeof id));
    p->comm = comm;
    const struct fv_gpu_patience patience = {.ask = still_there, .ctx = p};
    rc = fv_gpu_ranks_join(g, id, fv_comm_rank(comm), fv_comm_world(comm), &patience);
    if (rc < 0)
        p->comm = NULL;
    FV_TRY(rc);
    FV_TRY(fv_gpu_event_new(g, &p->ready, 0));
    FV_TRY(fv_gpu_event_new(g, &p->joined, 0));
    FV_TRY(fv_gpu_event_new(g, &p->idle, 0));
    p->sync_bn = sync_bn;
    const size_t scratch = sync_bn ? fv_dispatch_scratch(plan->l, fv_comm_world(comm)) : 0;
    plan->scratch = scratch > plan->scratch ? scratch : plan->scratch;
    return fv__cuda_plan_room(p, plan->l, plan->scratch);
}

/* The host's waiting */

int fv__cuda_wait(struct fv_program *p, void *event)
{
    struct fv_gpu *g = p->device->gpu;
    const uint64_t begin = fv_now_ns();
    const struct timespec nap = {.tv_nsec = NAP_NS};
    uint64_t watched = begin;
    if (!p->comm)
        return fv_gpu_event_sync(g, event);
    for (;;) {
        const int done = fv_gpu_event_done(g, event);
        const uint64_t now = fv_now_ns();
        if (done != 0)
            return done < 0 ? done : fv_gpu_event_sync(g, event);
        if (now - watched > WATCH_NS) {
            watched = now;
            int rc = still_there(p, now - begin);
            if (rc == 0)
                rc = fv_gpu_ranks_check(g);
            if (rc < 0) {
                char why[FV_ERR_TEXT_MAX];
                fv_err_save(why);
                fv_gpu_ranks_abort(g); /* so that the device comes to an end with it */
                return fv_err_restore(rc, why);
            }
        }
        if (now - begin < SPIN_NS)
            sched_yield();
        else
            nanosleep(&nap, NULL);
    }
}

int fv__cuda_wait_work(struct fv_program *p)
{
    struct fv_gpu *g = p->device->gpu;
    if (!p->comm)
        return fv_gpu_sync(g, FV_GPU_WORK);
    FV_TRY(fv_gpu_event_record(g, p->idle, FV_GPU_WORK));
    return fv__cuda_wait(p, p->idle);
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
    if (!p->comm)
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

int fv__cuda_gather_ranks(struct fv_program *p, const float *mine, float *all, size_t count)
{
    FV_TRY(fork_ranks(p));
    FV_TRY(fv_gpu_ranks_gather(p->device->gpu, mine, all, count));
    return fv__cuda_join_ranks(p);
}
