/* SPDX-License-Identifier: MIT */
/* NCCL between processes that meet by TCP. A collective is work of its stream that ends when all ranks have come to it:
 * a thread of its own talks meanwhile, so that the host can look, and give up. One whose other rank has ended never
 * ends by itself. A non-blocking communicator joins beside the host, and puts a collective on its stream when it has
 * been asked for its state a few times. Checked: every rank asks for the same collectives in the same order, captured
 * on all or on none; no call comes between; the stream is in the same capture still. Like NCCL (2.26 and later) it
 * does not end before the graphs that hold its collectives. */
#include "common/err.h"
#include "tests/cuda/device_host_math.h"
#include "tests/cuda/standin/standin_inside.h"
#include "trainer/comm/comm.h"

#include <arpa/inet.h>
#include <nccl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { COMM = 0x6e63636c, PATIENCE_S = 100, NAP_US = 200 };

struct ncclComm {
    uint64_t magic;
    struct fv_comm *comm;
    int rank, ranks, aborted, blocking;
    atomic_int references; /* whoever holds it, and each collective until its last thread is done */
    atomic_int joined;     /* 1; -1: failed */
    int here;              /* collectives in queues or in graphs that there are */
    unsigned long long made;
    atomic_int failed;
    /* a non-blocking one's call in progress */
    struct CUstream_st *queue; /* NULL: none */
    struct standin_capture *capture;
    struct standin_work pending;
    int polls; /* until it is done */
    int finalized;
};

/* What must be the same on all ranks. */
struct order {
    unsigned long long number, count;
    int what, type, operation, captured;
};
enum { REDUCE = 1, GATHER };

struct collective {
    struct ncclComm *comm;
    struct order order;
    const void *in;
    void *out;
    char *mine, *all;
    int talking;
    atomic_int references, heard; /* heard: 1, and -1 if a rank is gone */
    pthread_t thread;
};

static struct ncclComm *need(ncclComm_t c, const char *call)
{
    if (!c || c->magic != COMM)
        standin_fail("%s of a communicator that is not there, or was destroyed", call);
    return c;
}

const char *ncclGetErrorString(ncclResult_t r)
{
    return r == ncclSuccess       ? "no error"
           : r == ncclRemoteError ? "remote process exited or there was a network error"
           : r == ncclSystemError ? "unhandled system error (run with NCCL_DEBUG=INFO for details)"
           : r == ncclInvalidArgument ? "invalid argument (run with NCCL_DEBUG=WARN for details)"
           : r == ncclInProgress      ? "NCCL operation in progress"
                                      : "internal error";
}

/* How ranks meet: at a port that rank 0 found. */

ncclResult_t ncclGetUniqueId(ncclUniqueId *id)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof a;
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    memset(id, 0, sizeof *id);
    if (fd < 0 || bind(fd, (struct sockaddr *)&a, n) < 0 ||
        getsockname(fd, (struct sockaddr *)&a, &n) < 0)
        return ncclSystemError;
    close(fd);
    snprintf(id->internal, sizeof id->internal, "%d", ntohs(a.sin_port));
    return ncclSuccess;
}

static void set_number(const char *name, int value)
{
    char text[16];
    snprintf(text, sizeof text, "%d", value);
    setenv(name, text, 1);
}

static void *join(void *ctx)
{
    struct ncclComm *c = ctx;
    const int rc =
        fv_comm_open(&c->comm, &(struct fv_comm_settings){.kind = "tcp", .timeout_s = PATIENCE_S});
    atomic_store(&c->joined, rc < 0 ? -1 : 1);
    return NULL;
}

ncclResult_t ncclCommInitRankConfig(ncclComm_t *out, int ranks, ncclUniqueId id, int rank,
                                    ncclConfig_t *config)
{
    pthread_t thread;
    *out = NULL;
    if (rank < 0 || rank >= ranks)
        return ncclInvalidArgument;
    standin__settle();
    standin__may_not_capture("ncclCommInitRankConfig");
    struct ncclComm *c = *out = calloc(1, sizeof *c);
    *c = (struct ncclComm){.magic = COMM, .rank = rank, .ranks = ranks, .references = 1};
    c->blocking = !config || config->blocking != 0;
    setenv("MASTER_ADDR", "127.0.0.1", 1);
    setenv("MASTER_PORT", id.internal, 1);
    set_number("RANK", rank);
    set_number("WORLD_SIZE", ranks);
    pthread_create(&thread, NULL, join, c);
    if (!c->blocking) {
        pthread_detach(thread);
        return ncclInProgress;
    }
    pthread_join(thread, NULL);
    return atomic_load(&c->joined) > 0 ? ncclSuccess : ncclSystemError;
}

ncclResult_t ncclCommInitRank(ncclComm_t *out, int ranks, ncclUniqueId id, int rank)
{
    return ncclCommInitRankConfig(out, ranks, id, rank, NULL);
}

/* Numbers */

static size_t item(int type)
{
    return type == ncclFloat32 ? 4 : type == ncclFloat16 || type == ncclBfloat16 ? 2 : 0;
}

static enum fv_low_dtype low(int type)
{
    return type == ncclFloat32 ? FV_LOW_F32 : type == ncclFloat16 ? FV_LOW_F16 : FV_LOW_BF16;
}

/* A mean is a sum of shares; every partial sum is of the type. */
static void reduce(const struct collective *c)
{
    const size_t n = c->order.count;
    const enum fv_low_dtype t = low(c->order.type);
    const float share = c->order.operation == ncclAvg ? 1 / (float)c->comm->ranks : 1;
    for (size_t i = 0; i < n; i++)
        for (int r = 0; r < c->comm->ranks; r++) {
            const float v = host_load(c->all, t, (size_t)r * n + i) * share;
            host_store(c->out, t, i, r ? (double)(host_load(c->out, t, i) + v) : (double)v);
        }
}

/* The work */

static void drop_comm(struct ncclComm *c)
{
    if (atomic_fetch_sub(&c->references, 1) == 1)
        free(c);
}

/* A thread that talks outlives an abort, and needs the communicator until then. */
static void release(void *ctx)
{
    struct collective *c = ctx;
    if (atomic_fetch_sub(&c->references, 1) > 1)
        return;
    drop_comm(c->comm);
    free(c->mine);
    free(c->all);
    free(c);
}

static void same_order(const struct collective *c, const struct order *all)
{
    for (int r = 1; r < c->comm->ranks; r++)
        if (memcmp(&all[r], &all[0], sizeof all[r]) != 0)
            standin_fail("NCCL: as number %llu rank 0 asks for %s of %llu of type %d%s, rank %d as "
                         "number %llu for %s of %llu of type %d%s",
                         all[0].number, all[0].what == REDUCE ? "a sum" : "a gather", all[0].count,
                         all[0].type, all[0].captured ? ", captured" : "", r, all[r].number,
                         all[r].what == REDUCE ? "a sum" : "a gather", all[r].count, all[r].type,
                         all[r].captured ? ", captured" : "");
}

static void *talk(void *ctx)
{
    struct collective *c = ctx;
    struct order *orders = calloc((size_t)c->comm->ranks, sizeof *orders);
    int rc = fv_comm_gather(c->comm->comm, &c->order, sizeof c->order, orders);
    if (rc == 0)
        same_order(c, orders);
    if (rc == 0)
        rc = fv_comm_gather(c->comm->comm, c->mine, c->order.count * item(c->order.type), c->all);
    free(orders);
    if (rc < 0)
        atomic_store(&c->comm->failed, 1);
    atomic_store(&c->heard, rc < 0 ? -1 : 1);
    release(c);
    return NULL;
}

static enum standin_step step_collective(void *ctx)
{
    struct collective *c = ctx;
    const size_t bytes = c->order.count * item(c->order.type);
    if (c->comm->aborted) {
        c->talking = 0;
        return STANDIN_DONE; /* out is whatever it is */
    }
    if (!c->talking) {
        c->mine = realloc(c->mine, bytes);
        c->all = realloc(c->all, bytes * (size_t)c->comm->ranks);
        memcpy(c->mine, c->in, bytes);
        c->talking = 1;
        atomic_store(&c->heard, 0);
        atomic_fetch_add(&c->references, 1);
        pthread_create(&c->thread, NULL, talk, c);
        pthread_detach(c->thread);
        return STANDIN_WAITS;
    }
    if (atomic_load(&c->heard) != 1)
        return STANDIN_WAITS;
    if (c->order.what == REDUCE)
        reduce(c);
    else
        memcpy(c->out, c->all, bytes * (size_t)c->comm->ranks);
    c->talking = 0;
    return STANDIN_DONE;
}

static int collective_waits(void *ctx)
{
    struct collective *c = ctx;
    return !c->comm->aborted && c->talking && atomic_load(&c->heard) != 1;
}

static void drop_collective(void *ctx)
{
    struct collective *c = ctx;
    c->comm->here--;
    release(c);
}

/* The call in progress is done: what was asked for is on its stream. */
static void put_pending(struct ncclComm *n)
{
    struct CUstream_st *q = n->queue;
    if (q->capture != n->capture)
        standin_fail("NCCL: %s reaches its stream when the capture has begun or ended meanwhile: "
                     "its call was in progress",
                     n->pending.what);
    n->queue = NULL;
    standin__put(q, n->pending);
}

static void need_idle(const struct ncclComm *n, const char *call)
{
    if (atomic_load(&n->joined) == 0 || n->queue)
        standin_fail("%s while a call of the communicator is in progress", call);
}

static ncclResult_t collective(int what, const void *in, void *out, size_t count, int type, int op,
                               ncclComm_t comm, cudaStream_t s)
{
    struct ncclComm *n = need(comm, "a collective");
    if (!item(type) || (op != ncclAvg && op != ncclSum))
        standin_fail("NCCL: type %d or operation %d is not played", type, op);
    standin__lock();
    need_idle(n, "a collective");
    struct collective *c = calloc(1, sizeof *c);
    n->queue = standin__queue(s);
    n->capture = n->queue->capture;
    c->comm = n;
    c->order = (struct order){n->made++, count, what, type, op, n->capture != NULL};
    c->in = in;
    c->out = out;
    c->references = 1;
    atomic_fetch_add(&n->references, 1);
    n->here++;
    standin__need_room(in, count * item(type), "a collective's input");
    standin__need_room(out, count * item(type) * (what == GATHER ? (size_t)n->ranks : 1),
                       "a collective's output");
    standin_counts.collectives++;
    n->pending = (struct standin_work){step_collective,
                                       drop_collective,
                                       c,
                                       what == REDUCE ? "a sum over ranks" : "a gather",
                                       collective_waits,
                                       0};
    n->polls = n->blocking ? 0 : (int)standin__draw(4);
    const int now = n->polls == 0;
    if (now)
        put_pending(n);
    standin__unlock();
    return now ? ncclSuccess : ncclInProgress;
}

ncclResult_t ncclAllReduce(const void *in, void *out, size_t count, ncclDataType_t type,
                           ncclRedOp_t op, ncclComm_t c, cudaStream_t s)
{
    return collective(REDUCE, in, out, count, type, op, c, s);
}

ncclResult_t ncclAllGather(const void *in, void *out, size_t count, ncclDataType_t type,
                           ncclComm_t c, cudaStream_t s)
{
    return collective(GATHER, in, out, count, type, ncclSum, c, s);
}

/* Ends */

ncclResult_t ncclCommGetAsyncError(ncclComm_t c, ncclResult_t *now)
{
    struct ncclComm *n = need(c, "ncclCommGetAsyncError");
    standin__lock();
    if (n->queue && --n->polls <= 0)
        put_pending(n);
    if (n->finalized && n->here)
        standin__pass_time_for_all();
    const int joined = atomic_load(&n->joined);
    *now = joined < 0                                                 ? ncclSystemError
           : atomic_load(&n->failed)                                  ? ncclRemoteError
           : joined == 0 || n->queue || (n->finalized && n->here > 0) ? ncclInProgress
                                                                      : ncclSuccess;
    standin__unlock();
    return ncclSuccess;
}

/* Until none of its collectives is under way or in a graph. */
static void wait_for_end(struct ncclComm *c, const char *call)
{
    for (long naps = 0; c->here > 0; naps++) {
        standin__pass_time_for_all();
        if (naps * NAP_US > (standin.patience_s ? standin.patience_s : 60) * 1000000L)
            standin_fail("%s waits for ever: a graph with collectives of the communicator is still "
                         "there, or another rank has not come",
                         call);
        standin__unlock();
        usleep(NAP_US);
        standin__lock();
    }
}

ncclResult_t ncclCommFinalize(ncclComm_t c)
{
    standin__lock();
    standin__may_not_capture("ncclCommFinalize");
    need_idle(need(c, "ncclCommFinalize"), "ncclCommFinalize");
    if (c->finalized)
        standin_fail("ncclCommFinalize a second time");
    c->finalized = 1;
    if (c->blocking)
        wait_for_end(c, "ncclCommFinalize");
    standin__unlock();
    return c->blocking ? ncclSuccess : ncclInProgress;
}

ncclResult_t ncclCommDestroy(ncclComm_t c)
{
    standin__lock();
    standin__may_not_capture("ncclCommDestroy");
    need_idle(need(c, "ncclCommDestroy"), "ncclCommDestroy");
    wait_for_end(c, "ncclCommDestroy");
    c->magic = 0;
    fv_comm_close(&c->comm);
    drop_comm(c);
    standin__unlock();
    return ncclSuccess;
}

/* A thread that still talks or joins goes on by itself: what it needs is left to it. */
ncclResult_t ncclCommAbort(ncclComm_t c)
{
    standin__lock();
    need(c, "ncclCommAbort")->aborted = 1;
    standin_counts.aborts++;
    standin.stuck = 0;
    if (c->queue) { /* it has not come to its stream, and never will */
        c->pending.drop(c->pending.ctx);
        c->queue = NULL;
    }
    wait_for_end(c, "ncclCommAbort");
    c->magic = 0;
    if (atomic_load(&c->joined) != 0)
        drop_comm(c);
    standin__unlock();
    return ncclSuccess;
}
