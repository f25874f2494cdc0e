/* SPDX-License-Identifier: MIT */
/* How device_cuda_nccl.c deals with a communicator that does not block, on an NCCL that is played here by its guide: a
 * call returns ncclInProgress and is done some questions later or never; another call before that is an error; giving
 * up waits until graphs are gone. */
#include "common/clock.h"
#include "common/err.h"
#include "tests/cmocka_all.h"
#include "trainer/cuda/device_cuda_gpu.h"

#include <stdatomic.h>
#include <string.h>

#include <unistd.h>

enum { NEVER = 1 << 30 };

struct ncclComm {
    int questions; /* left until the call under way is done */
    ncclResult_t then;
};

static struct {
    int takes; /* questions that a call takes */
    ncclResult_t then;
    int calls, broken_rules, finalized, destroyed;
    atomic_int aborted, graphs;
} nccl;
static struct ncclComm comm;

/* As NCCL refuses it: "before the previous operation returned ncclSuccess". */
static ncclResult_t begin(ncclComm_t c)
{
    if (c->questions > 0) {
        nccl.broken_rules++;
        return ncclInvalidArgument;
    }
    nccl.calls++;
    c->questions = nccl.takes;
    c->then = nccl.then;
    return c->questions > 0 ? ncclInProgress : c->then;
}

ncclResult_t ncclGetUniqueId(ncclUniqueId *id)
{
    memset(id, 7, sizeof *id);
    return ncclSuccess;
}

ncclResult_t ncclCommInitRankConfig(ncclComm_t *out, int ranks, ncclUniqueId id, int rank,
                                    ncclConfig_t *config)
{
    if (config->blocking != 0 || id.internal[0] != 7 || rank >= ranks)
        nccl.broken_rules++;
    *out = &comm;
    return begin(&comm);
}

ncclResult_t ncclCommGetAsyncError(ncclComm_t c, ncclResult_t *state)
{
    *state = c->questions > 0 && --c->questions > 0 ? ncclInProgress : c->then;
    return ncclSuccess;
}

ncclResult_t ncclAllReduce(const void *from, void *to, size_t count, ncclDataType_t type,
                           ncclRedOp_t op, ncclComm_t c, cudaStream_t stream)
{
    (void)stream;
    if (from != to || count != 3 || type != ncclFloat32 || op != ncclAvg)
        nccl.broken_rules++;
    return begin(c);
}

ncclResult_t ncclAllGather(const void *from, void *to, size_t count, ncclDataType_t type,
                           ncclComm_t c, cudaStream_t stream)
{
    (void)stream;
    if (from == to || count != 3 || type != ncclFloat32)
        nccl.broken_rules++;
    return begin(c);
}

ncclResult_t ncclCommFinalize(ncclComm_t c)
{
    nccl.finalized++;
    return begin(c);
}

ncclResult_t ncclCommDestroy(ncclComm_t c)
{
    nccl.broken_rules += c->questions > 0;
    nccl.destroyed++;
    return ncclSuccess;
}

ncclResult_t ncclCommAbort(ncclComm_t c)
{
    (void)c;
    atomic_fetch_add(&nccl.aborted, 1);
    while (atomic_load(&nccl.graphs) > 0)
        usleep(1000);
    return ncclSuccess;
}

const char *ncclGetErrorString(ncclResult_t r)
{
    return r == ncclRemoteError ? "remote process exited" : "something else";
}

/* The caller's patience */

static int asked, patient_for;

static int ask(void *ctx, uint64_t waited_ns)
{
    assert_ptr_equal(ctx, &asked);
    assert_true(waited_ns < UINT64_C(60000000000));
    return ++asked > patient_for ? fv_err(FV_EIO, "rank 1 has ended") : 0;
}

static const struct fv_gpu_patience patience = {.ask = ask, .ctx = &asked};

static void begin_with(struct fv_gpu *g, int takes, int patient)
{
    memset(g, 0, sizeof *g);
    memset(&nccl, 0, sizeof nccl);
    memset(&comm, 0, sizeof comm);
    nccl.takes = takes;
    asked = 0;
    patient_for = patient;
}

static int join(struct fv_gpu *g)
{
    unsigned char id[FV_GPU_ID_BYTES];
    assert_int_equal(fv_gpu_ranks_id(id), 0);
    return fv_gpu_ranks_join(g, id, 1, 2, &patience);
}

/* Every call is done when it returns, however long that takes. */
static void test_settles(void **state)
{
    (void)state;
    static const int takes[] = {0, 1, 5, 400};
    struct fv_gpu g;
    float v[3] = {0}, all[6];
    for (size_t i = 0; i < sizeof takes / sizeof *takes; i++) {
        begin_with(&g, takes[i], NEVER);
        assert_int_equal(join(&g), 0);
        assert_int_equal(join(&g), FV_EINVAL);
        assert_int_equal(fv_gpu_ranks_mean(&g, v, 3, FV_LOW_F32), 0);
        assert_int_equal(fv_gpu_ranks_gather(&g, v, all, 3), 0);
        assert_int_equal(comm.questions, 0);
        assert_int_equal(fv_gpu_ranks_check(&g), 0);
        fv__gpu_leave_ranks(&g);
        assert_int_equal(nccl.calls, 4);
        assert_int_equal(nccl.finalized + 10 * nccl.destroyed + 100 * nccl.aborted, 11);
        assert_int_equal(nccl.broken_rules, 0);
        assert_null(g.ranks);
    }
}

/* Joining, or a sum, that never comes about ends when the caller has had enough, with the caller's words. */
static void test_gives_up(void **state)
{
    (void)state;
    struct fv_gpu g;
    float v[3] = {0};
    begin_with(&g, NEVER, 3);
    assert_int_equal(join(&g), FV_EIO);
    assert_string_equal(fv_err_text(), "rank 1 has ended");
    assert_int_equal(asked, 4);
    fv__gpu_leave_ranks(&g);
    assert_int_equal(nccl.aborted, 1);
    assert_int_equal(nccl.destroyed + nccl.finalized, 0);

    begin_with(&g, 2, 0);
    assert_int_equal(join(&g), 0);
    nccl.takes = NEVER;
    assert_int_equal(fv_gpu_ranks_mean(&g, v, 3, FV_LOW_F32), FV_EIO);
    assert_int_equal(fv_gpu_ranks_mean(&g, v, 3, FV_LOW_F32), FV_EBACKEND);
    assert_int_equal(fv_gpu_ranks_check(&g), FV_EBACKEND);
    fv__gpu_leave_ranks(&g);
    assert_int_equal(nccl.aborted, 1);
}

/* NCCL notices first: its words, unless the caller knows better. */
static void test_fails(void **state)
{
    (void)state;
    struct fv_gpu g;
    for (int known = 0; known < 2; known++) {
        begin_with(&g, 5, known ? 0 : NEVER);
        nccl.then = ncclRemoteError;
        assert_int_equal(join(&g), known ? FV_EIO : FV_EBACKEND);
        assert_non_null(
            strstr(fv_err_text(), known ? "rank 1 has ended" : "remote process exited"));
        fv__gpu_leave_ranks(&g);
        assert_int_equal(nccl.aborted, 1);
    }
}

/* Graphs are there while ranks are given up: who gives up goes on, to destroy them. */
static void test_graphs(void **state)
{
    (void)state;
    struct fv_gpu g;
    begin_with(&g, 1, NEVER);
    assert_int_equal(join(&g), 0);
    nccl.graphs = 2;
    const uint64_t before = fv_now_ns();
    fv_gpu_ranks_abort(&g);
    fv_gpu_ranks_abort(&g);
    assert_true(fv_now_ns() - before < UINT64_C(1000000000));
    nccl.graphs = 0;
    fv__gpu_leave_ranks(&g);
    assert_int_equal(nccl.aborted, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_settles),
                                       cmocka_unit_test(test_gives_up),
                                       cmocka_unit_test(test_fails), cmocka_unit_test(test_graphs)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
