/* SPDX-License-Identifier: MIT */
/* Sums over ranks, a GPU each, by NCCL. How ranks find each other is the caller's business: it hands rank 0's id to all
 * of them.
 *
 * NCCL's own waits know no limit: joining waits for every rank, and so does the first sum, which connects them. So
 * the communicator is a non-blocking one (`blocking` 0): its calls come back at once with ncclInProgress, a thread of
 * NCCL's does the work, and we ask for its state until it is ncclSuccess, and the caller, meanwhile, whether to go on.
 * By NCCL's guide and source (2.14 to 2.28):
 * - Before that, nothing is on the stream yet, and another call on the communicator is an error. So no call returns in
 *   between here, and after each one the communicator is as fit as a blocking one. A sum then costs the host a thread,
 *   some tens of microseconds: in a captured step only when it is captured.
 * - Capture: NCCL launches from its thread into the stream that we capture. That is allowed, since a capture belongs to
 *   the stream, and what capturing forbids (memory, when ranks connect) it forbids our thread alone
 *   (cudaStreamCaptureModeThreadLocal). The work must be on the stream before the next fork or end of the capture: it
 *   is, since we wait for ncclSuccess.
 * - Groups: ncclGroupEnd would be what returns ncclInProgress, and all communicators of a group must be alike. There is
 *   one communicator, and a call by itself is a group of its own.
 * - ncclCommAbort and ncclCommFinalize wait until every graph that holds one of the communicator's sums is destroyed.
 *   When we abort, the captured step is there yet, and waits for the sum. So a thread aborts, and the caller goes on to
 *   free what it waits for; and ranks are left when programs are gone. */
#include "trainer/cuda/device_cuda_gpu.h"

#include "common/clock.h"
#include "common/err.h"

#include <sched.h>
#include <string.h>
#include <time.h>

enum { SPIN_NS = 2 * 1000 * 1000, NAP_NS = 50 * 1000, ASK_NS = 20 * 1000 * 1000, LEAVE_S = 5 };

_Static_assert(sizeof(ncclUniqueId) == FV_GPU_ID_BYTES, "NCCL's id");
_Static_assert(NCCL_VERSION_CODE >= NCCL_VERSION(2, 14, 0), "NCCL without ncclCommInitRankConfig");

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

/* Whether to go on waiting, or what to make of an error: the caller knows best who is to blame. */
static int ask(struct fv_gpu *g, uint64_t waited_ns)
{
    char why[FV_ERR_TEXT_MAX];
    const int rc = g->patience.ask ? g->patience.ask(g->patience.ctx, waited_ns) : 0;
    if (rc >= 0)
        return 0;
    fv_err_save(why);
    fv_gpu_ranks_abort(g);
    return fv_err_restore(rc, why);
}

/* Until what a call began is done; r is what it returned. */
static int settle(struct fv_gpu *g, ncclResult_t r, const char *what)
{
    const uint64_t begin = fv_now_ns();
    const struct timespec nap = {.tv_nsec = NAP_NS};
    uint64_t asked = begin;
    while (r == ncclInProgress) {
        ncclResult_t state = ncclSuccess;
        const uint64_t now = fv_now_ns();
        r = ncclCommGetAsyncError(g->ranks, &state);
        r = r == ncclSuccess ? state : r;
        if (r != ncclInProgress)
            break;
        if (now - asked > ASK_NS) {
            asked = now;
            FV_TRY(ask(g, now - begin));
        }
        if (now - begin < SPIN_NS)
            sched_yield();
        else
            nanosleep(&nap, NULL);
    }
    if (r != ncclSuccess)
        FV_TRY(ask(g, fv_now_ns() - begin));
    return check(r, what);
}

int fv_gpu_ranks_id(unsigned char id[FV_GPU_ID_BYTES])
{
    ncclUniqueId u;
    FV_TRY(check(ncclGetUniqueId(&u), "an id for the ranks"));
    memcpy(id, &u, sizeof u);
    return 0;
}

int fv_gpu_ranks_join(struct fv_gpu *g, const unsigned char id[FV_GPU_ID_BYTES], int rank,
                      int ranks, const struct fv_gpu_patience *patience)
{
    ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
    ncclUniqueId u;
    memcpy(&u, id, sizeof u);
    if (g->ranks)
        return fv_err(FV_EINVAL, "backend cuda: this device has joined its ranks already");
    config.blocking = 0;
    g->patience = *patience;
    const int rc =
        settle(g, ncclCommInitRankConfig(&g->ranks, ranks, u, rank, &config), "joining the ranks");
    if (rc < 0)
        fv_gpu_ranks_abort(g);
    return rc;
}

int fv_gpu_ranks_mean(struct fv_gpu *g, void *p, size_t count, enum fv_low_dtype type)
{
    const ncclDataType_t t = type == FV_LOW_BF16  ? ncclBfloat16
                             : type == FV_LOW_F16 ? ncclFloat16
                                                  : ncclFloat32;
    FV_TRY(need_ranks(g));
    return settle(g, ncclAllReduce(p, p, count, t, ncclAvg, g->ranks, g->stream[FV_GPU_COMM]),
                  "the mean over ranks");
}

int fv_gpu_ranks_gather(struct fv_gpu *g, const float *mine, float *all, size_t count)
{
    FV_TRY(need_ranks(g));
    return settle(g, ncclAllGather(mine, all, count, ncclFloat32, g->ranks, g->stream[FV_GPU_COMM]),
                  "gathering from ranks");
}

int fv_gpu_ranks_check(struct fv_gpu *g)
{
    ncclResult_t now = ncclSuccess;
    FV_TRY(need_ranks(g));
    FV_TRY(check(ncclCommGetAsyncError(g->ranks, &now), "asking after the ranks"));
    if (now == ncclRemoteError)
        return fv_err(FV_EIO, "NCCL: another rank has ended or cannot be reached: %s",
                      ncclGetErrorString(now));
    return now == ncclInProgress ? 0 : check(now, "sums over ranks");
}

static void *abort_ranks(void *ranks)
{
    ncclCommAbort(ranks);
    return NULL;
}

void fv_gpu_ranks_abort(struct fv_gpu *g)
{
    if (g->ranks && !g->aborting)
        g->aborting = pthread_create(&g->aborter, NULL, abort_ranks, g->ranks) == 0;
    g->ranks = NULL;
}

static int leave_late(void *ctx, uint64_t waited_ns)
{
    (void)ctx;
    return waited_ns < LEAVE_S * UINT64_C(1000000000)
               ? 0
               : fv_err(FV_EBACKEND, "NCCL: leaving the ranks takes too long");
}

/* Programs are gone, and so is the caller's patience: what is not done within LEAVE_S is left as it is. */
void fv__gpu_leave_ranks(struct fv_gpu *g)
{
    struct timespec until;
    g->patience = (struct fv_gpu_patience){.ask = leave_late};
    if (g->ranks && settle(g, ncclCommFinalize(g->ranks), "leaving the ranks") < 0)
        fv_gpu_ranks_abort(g);
    if (g->ranks)
        ncclCommDestroy(g->ranks);
    g->ranks = NULL;
    if (!g->aborting)
        return;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += LEAVE_S;
    if (pthread_timedjoin_np(g->aborter, NULL, &until) != 0)
        pthread_detach(g->aborter);
    g->aborting = 0;
}
