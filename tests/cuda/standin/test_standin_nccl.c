/* SPDX-License-Identifier: MIT */
/* The stand-in's NCCL between two processes: what it computes, and each rule is seen to fire. */
#include "tests/cmocka_all.h"
#include "tests/cuda/standin/standin.h"
#include "tests/cuda/standin/standin_rule.h"

#include <nccl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { COUNT = 5 };

struct rank {
    int rank;
    ncclComm_t comm;
    cudaStream_t stream;
    float *device, *host; /* COUNT, and for each rank COUNT */
};

static void must(int failed)
{
    if (failed)
        standin_fail("a call failed: %d", failed);
}

/* Until a call that is in progress is done. */
static void settle(ncclComm_t c, ncclResult_t r)
{
    while (r == ncclInProgress)
        must(ncclCommGetAsyncError(c, &r));
    must(r);
}

static void join(struct rank *r, int rank, ncclUniqueId id, int blocking)
{
    ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
    void *p;
    config.blocking = blocking;
    r->rank = rank;
    const ncclResult_t begun = ncclCommInitRankConfig(&r->comm, 2, id, rank, &config);
    settle(r->comm, begun);
    must(cudaStreamCreateWithFlags(&r->stream, cudaStreamNonBlocking));
    must(cudaMalloc(&p, 3 * COUNT * sizeof(float)));
    r->device = p;
    must(cudaHostAlloc(&p, 3 * COUNT * sizeof(float), cudaHostAllocPortable));
    r->host = p;
    for (int i = 0; i < COUNT; i++)
        r->host[i] = (float)(i + 10 * rank);
    must(cudaMemcpyAsync(r->device, r->host, COUNT * sizeof(float), cudaMemcpyHostToDevice,
                         r->stream));
    must(cudaStreamSynchronize(r->stream));
}

/* Runs f as rank 1 in a process of its own and as rank 0 in this one; returns how rank 1 ended. It stays until rank 0
 * is through or gone: a process that ends breaks connections, with what is under way on them. */
static int both(void (*f)(struct rank *r), int blocking)
{
    ncclUniqueId id;
    struct rank r = {0};
    int status = 0, through[2];
    char none;
    must(ncclGetUniqueId(&id));
    must(pipe(through));
    const pid_t other = fork();
    close(through[other != 0 ? 0 : 1]);
    standin.seed = other == 0 ? 5 : 6;
    join(&r, other == 0, id, blocking);
    f(&r);
    if (other == 0)
        _exit(read(through[0], &none, 1) != 0);
    close(through[1]);
    waitpid(other, &status, 0);
    return status;
}

static void sum(struct rank *r)
{
    settle(r->comm,
           ncclAllReduce(r->device, r->device, COUNT, ncclFloat32, ncclAvg, r->comm, r->stream));
}

static void read_back(struct rank *r)
{
    must(cudaMemcpyAsync(r->host, r->device, 3 * COUNT * sizeof(float), cudaMemcpyDeviceToHost,
                         r->stream));
    must(cudaStreamSynchronize(r->stream));
}

static void mean_and_gather(struct rank *r)
{
    sum(r);
    settle(r->comm,
           ncclAllGather(r->device, r->device + COUNT, COUNT, ncclFloat32, r->comm, r->stream));
    read_back(r);
    for (int i = 0; i < 3 * COUNT; i++)
        must(r->host[i] != (float)(i % COUNT + 5));
    must(ncclCommDestroy(r->comm));
}

/* b = mean(a) by a graph that is launched twice; a changes between. */
static void captured(struct rank *r)
{
    cudaGraph_t g;
    cudaGraphExec_t x;
    must(cudaStreamBeginCapture(r->stream, cudaStreamCaptureModeThreadLocal));
    settle(r->comm, ncclAllReduce(r->device, r->device + COUNT, COUNT, ncclFloat32, ncclAvg,
                                  r->comm, r->stream));
    must(cudaStreamEndCapture(r->stream, &g));
    must(cudaGraphInstantiate(&x, g, 0));
    must(cudaGraphDestroy(g));
    must(cudaGraphLaunch(x, r->stream));
    read_back(r);
    must(r->host[COUNT] != 5);
    must(cudaMemsetAsync(r->device, 0, COUNT * sizeof(float), r->stream));
    must(cudaGraphLaunch(x, r->stream));
    read_back(r);
    must(r->host[COUNT + 1] != 0);
    must(cudaGraphExecDestroy(x));
    settle(r->comm, ncclCommFinalize(r->comm));
    must(ncclCommDestroy(r->comm));
}

/* Rank 1 does not come: rank 0's stream goes on when it gives up. */
static void given_up(struct rank *r)
{
    if (r->rank == 1)
        return;
    sum(r);
    must(cudaStreamQuery(r->stream) != cudaErrorNotReady);
    must(ncclCommAbort(r->comm));
    must(cudaStreamSynchronize(r->stream));
}

static void test_works(void **state)
{
    (void)state;
    for (int blocking = 0; blocking < 2; blocking++) {
        assert_int_equal(both(mean_and_gather, blocking), 0);
        assert_int_equal(both(captured, blocking), 0);
        assert_int_equal(both(given_up, blocking), 0);
    }
}

/* Faults */

static void other_count(struct rank *r)
{
    must(ncclAllReduce(r->device, r->device, COUNT - (size_t)r->rank, ncclFloat32, ncclAvg, r->comm,
                       r->stream));
    must(cudaStreamSynchronize(r->stream));
}

static void other_order(struct rank *r)
{
    for (int i = 0; i < 2; i++)
        if (i == r->rank)
            must(ncclAllReduce(r->device, r->device, COUNT, ncclFloat32, ncclAvg, r->comm,
                               r->stream));
        else
            must(ncclAllGather(r->device, r->device + COUNT, COUNT, ncclFloat32, r->comm,
                               r->stream));
    must(cudaStreamSynchronize(r->stream));
}

static void captured_on_one(struct rank *r)
{
    if (r->rank == 0) {
        captured(r);
        return;
    }
    settle(r->comm, ncclAllReduce(r->device, r->device + COUNT, COUNT, ncclFloat32, ncclAvg,
                                  r->comm, r->stream));
    must(cudaStreamSynchronize(r->stream));
}

static void call_in_between(struct rank *r)
{
    for (int i = 0; i < 64; i++)
        ncclAllReduce(r->device, r->device, COUNT, ncclFloat32, ncclAvg, r->comm, r->stream);
}

static void late_for_capture(struct rank *r)
{
    for (int i = 0; i < 64; i++) {
        cudaGraph_t g;
        must(cudaStreamBeginCapture(r->stream, cudaStreamCaptureModeThreadLocal));
        const ncclResult_t now =
            ncclAllReduce(r->device, r->device, COUNT, ncclFloat32, ncclAvg, r->comm, r->stream);
        must(cudaStreamEndCapture(r->stream, &g));
        settle(r->comm, now);
    }
}

static void graph_outlives(struct rank *r)
{
    cudaGraph_t g;
    must(cudaStreamBeginCapture(r->stream, cudaStreamCaptureModeThreadLocal));
    sum(r);
    must(cudaStreamEndCapture(r->stream, &g));
    must(ncclCommAbort(r->comm));
}

static void waited_for_blindly(struct rank *r)
{
    if (r->rank == 1)
        return;
    sum(r);
    must(cudaStreamSynchronize(r->stream));
}

static void short_output(struct rank *r)
{
    must(ncclAllGather(r->device, r->device + 2 * COUNT, COUNT, ncclFloat32, r->comm, r->stream));
}

#define FAULT(f, blocking)                                                                         \
    static void plant_##f(void)                                                                    \
    {                                                                                              \
        standin.patience_s = 1;                                                                    \
        both(f, blocking);                                                                         \
    }
FAULT(other_count, 1)
FAULT(other_order, 1)
FAULT(captured_on_one, 1)
FAULT(call_in_between, 0)
FAULT(late_for_capture, 0)
FAULT(graph_outlives, 1)
FAULT(waited_for_blindly, 1)
FAULT(short_output, 1)

static void test_rules(void **state)
{
    (void)state;
    expect_rule(plant_other_count, "rank 0 asks for a sum of 5 of type 7, rank 1");
    expect_rule(plant_other_order,
                "rank 0 asks for a sum of 5 of type 7, rank 1 as number 0 for a gather");
    expect_rule(plant_captured_on_one, "a sum of 5 of type 7, captured, rank 1");
    expect_rule(plant_call_in_between, "while a call of the communicator is in progress");
    expect_rule(plant_late_for_capture, "the capture has begun or ended meanwhile");
    expect_rule(plant_graph_outlives, "ncclCommAbort waits for ever");
    expect_rule(plant_waited_for_blindly, "waits for ever for a collective");
    expect_rule(plant_short_output, "a collective's output needs 40 bytes");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {cmocka_unit_test(test_works),
                                              cmocka_unit_test(test_rules)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
