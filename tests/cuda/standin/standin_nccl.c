/* SPDX-License-Identifier: MIT */
/* NCCL between processes that meet by TCP. A collective is work of its stream that ends when all ranks have come to it:
 * a thread of its own talks meanwhile, so that the host can look, and give up. One whose other rank has ended never
 * ends by itself. Checked: every rank asks for the same collectives in the same order, captured on all or on none; a
 * communicator outlives the graphs that hold its collectives (NCCL waits for their end when it is destroyed). */
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

enum { COMM = 0x6e63636c, PATIENCE_S = 100 };

struct ncclComm {
    uint64_t magic;
    struct fv_comm *comm;
    int rank, ranks, references, aborted;
    int captured; /* collectives in graphs that there are */
    unsigned long long made;
    atomic_int failed;
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

/* Sets an environment variable, or puts back what it was. */
static char *swap_variable(const char *name, const char *value)
{
    const char *was = getenv(name);
    char *kept = was ? strdup(was) : NULL;
    if (value)
        setenv(name, value, 1);
    else
        unsetenv(name);
    return kept;
}

ncclResult_t ncclCommInitRank(ncclComm_t *out, int ranks, ncclUniqueId id, int rank)
{
    static const char *const names[] = {"MASTER_ADDR", "MASTER_PORT", "RANK", "WORLD_SIZE"};
    char rank_text[16], ranks_text[16], *was[4];
    const char *const value[] = {"127.0.0.1", id.internal, rank_text, ranks_text};
    if (rank < 0 || rank >= ranks)
        return ncclInvalidArgument;
    standin__settle();
    struct ncclComm *c = calloc(1, sizeof *c);
    *c = (struct ncclComm){.magic = COMM, .rank = rank, .ranks = ranks, .references = 1};
    snprintf(rank_text, sizeof rank_text, "%d", rank);
    snprintf(ranks_text, sizeof ranks_text, "%d", ranks);
    for (int i = 0; i < 4; i++)
        was[i] = swap_variable(names[i], value[i]);
    const int rc =
        fv_comm_open(&c->comm, &(struct fv_comm_settings){.kind = "tcp", .timeout_s = PATIENCE_S});
    for (int i = 0; i < 4; i++) {
        free(swap_variable(names[i], was[i]));
        free(was[i]);
    }
    if (rc < 0) {
        free(c);
        return ncclSystemError;
    }
    *out = c;
    return ncclSuccess;
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

static void release(void *ctx)
{
    struct collective *c = ctx;
    if (atomic_fetch_sub(&c->references, 1) > 1)
        return;
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
    if (c->comm->aborted)
        return STANDIN_DONE; /* out is whatever it is */
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

static void drop_comm(struct ncclComm *c)
{
    if (--c->references == 0)
        free(c);
}

static void drop_collective(void *ctx)
{
    struct collective *c = ctx;
    c->comm->captured -= c->order.captured;
    drop_comm(c->comm);
    release(c);
}

static ncclResult_t collective(int what, const void *in, void *out, size_t count, int type, int op,
                               ncclComm_t comm, cudaStream_t s)
{
    struct collective *c = calloc(1, sizeof *c);
    struct ncclComm *n = need(comm, "a collective");
    if (!item(type) || (op != ncclAvg && op != ncclSum))
        standin_fail("NCCL: type %d or operation %d is not played", type, op);
    standin__lock();
    struct CUstream_st *q = standin__queue(s);
    c->comm = n;
    c->order = (struct order){n->made++, count, what, type, op, q->capture != NULL};
    c->in = in;
    c->out = out;
    c->references = 1;
    n->references++;
    n->captured += c->order.captured;
    standin__need_room(in, count * item(type), "a collective's input");
    standin__need_room(out, count * item(type) * (what == GATHER ? (size_t)n->ranks : 1),
                       "a collective's output");
    standin_counts.collectives++;
    standin__put(q, (struct standin_work){step_collective, drop_collective, c,
                                          what == REDUCE ? "a sum over ranks" : "a gather"});
    standin__unlock();
    return ncclSuccess;
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
    *now = atomic_load(&need(c, "ncclCommGetAsyncError")->failed) ? ncclRemoteError : ncclSuccess;
    return ncclSuccess;
}

/* All that is under way is done, and only then counted what graphs still hold. */
static void end(struct ncclComm *c, const char *call)
{
    standin__may_not_capture(call);
    standin__reach_all();
    if (c->captured)
        standin_fail("%s waits for ever: a graph with collectives of the communicator is still "
                     "there",
                     call);
    c->magic = 0;
}

ncclResult_t ncclCommDestroy(ncclComm_t c)
{
    standin__lock();
    end(need(c, "ncclCommDestroy"), "ncclCommDestroy");
    fv_comm_close(&c->comm);
    drop_comm(c);
    standin__unlock();
    return ncclSuccess;
}

/* A thread that still talks goes on by itself, and keeps what it needs. */
ncclResult_t ncclCommAbort(ncclComm_t c)
{
    standin__lock();
    need(c, "ncclCommAbort")->aborted = 1;
    end(c, "ncclCommAbort");
    drop_comm(c);
    standin__unlock();
    return ncclSuccess;
}
