/* SPDX-License-Identifier: MIT */
/* What several ranks of the cuda backend must not do: wait for ever for one that has ended, decide differently whether
 * a step counts, or fall out of step where one looks into a fault. The ranks are forks, each with a device that is the
 * host (device_host.h); what their training computes is the business of test_ranks.c. */
#include "common/err.h"
#include "tests/cmocka_all.h"
#include "tests/cuda/device_host.h"
#include "tests/cuda/noise.h"
#include "tests/trainer/tcp_ranks.h"
#include "trainer/backend.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <unistd.h>

enum { RANKS = 2, EACH = 4, SIZE = 16, CLASSES = 6 };

extern const struct fv_backend fv_backend_cuda;
static const struct fv_backend *const cuda = &fv_backend_cuda;
static const struct fv_optim sgd = {.kind = FV_OPTIM_SGD, .lr = .05, .momentum = .9};

#define CHECK(what)                                                                                \
    do {                                                                                           \
        if (!(what)) {                                                                             \
            fprintf(stderr, "line %d: %s\n", __LINE__, #what);                                     \
            _exit(1);                                                                              \
        }                                                                                          \
    } while (0)

static void must(int rc)
{
    if (rc < 0) {
        fprintf(stderr, "%s\n", fv_err_text());
        _exit(1);
    }
}

struct rig {
    struct fv_comm *comm;
    struct fv_net *net;
    struct fv_device *device;
    struct fv_program *program;
    struct noise *noise;
    float *arena, *other;
    size_t count;
};

static void open_program(struct rig *r, const char *type, int batch, int sync_bn)
{
    const struct fv_device_settings ds = {.dtype = type, .no_graph = 1};
    must(cuda->open(&r->device, &ds));
    must(cuda->compile(r->device, r->net, batch, 1, NULL, &r->program));
    must(cuda->params_set(r->program, r->arena));
    if (sync_bn >= 0)
        must(cuda->set_comm(r->program, r->comm, sync_bn));
}

static void close_program(struct rig *r)
{
    cuda->release(&r->program);
    cuda->close(&r->device);
}

/* This rank's part of batch `number`. */
static struct fv_step_result step(struct rig *r, uint32_t number, const struct fv_optim *o)
{
    struct fv_step_result result;
    noise_draw(r->noise, number * RANKS + (uint32_t)r->comm->rank, EACH, CLASSES);
    must(cuda->step(r->program, &r->noise->b, o));
    must(cuda->result(r->program, &result));
    return result;
}

static void same_everywhere(struct rig *r)
{
    must(cuda->params_get(r->program, r->other));
    must(fv_comm_same(r->comm, "weights and statistics", r->other, r->count * sizeof(float)));
}

static void spoil(struct rig *r, int rank)
{
    memcpy(r->other, r->arena, r->count * sizeof(float));
    if (r->comm->rank == rank)
        r->other[0] = NAN;
    must(cuda->params_set(r->program, r->other));
}

/* One rank's numbers go bad: none takes the step, all look for the layer, and training goes on. */
static void check_find_bad(struct rig *r)
{
    for (int sync_bn = 0; sync_bn < 2; sync_bn++) {
        int node = -1, gradient = -1;
        open_program(r, "fp32", EACH, sync_bn);
        spoil(r, 1);
        CHECK(!step(r, 0, &sgd).finite);
        const int rc = cuda->find_bad(r->program, &node, &gradient);
        CHECK(r->comm->rank == 0 || (rc == 0 && strcmp(r->net->node[node].name, "conv1") == 0));
        must(cuda->params_set(r->program, r->arena));
        CHECK(step(r, 1, &sgd).finite);
        same_everywhere(r);
        close_program(r);
    }
}

/* Weights of the head by which the loss stays finite, and gradients do not fit fp16 under the loss scale. */
static void enlarge(struct rig *r, int rank)
{
    const struct fv_tensor *fc = &r->net->tensor[fv_net_find_tensor(r->net, "fc.weight")];
    memcpy(r->other, r->arena, r->count * sizeof(float));
    for (size_t i = 0; i < fc->count && r->comm->rank == rank; i++)
        r->other[fc->offset + i] *= 1e6f;
    must(cuda->params_set(r->program, r->other));
}

/* The first part of a step is not finite on one rank: no rank's statistics follow that part, none takes the step. */
static void check_parts_of(struct rig *r, const char *type, void (*harm)(struct rig *r, int rank))
{
    struct fv_optim o = sgd;
    o.parts = 2;
    open_program(r, type, EACH, 0);
    harm(r, 1);
    CHECK(!step(r, 0, &o).finite);
    must(cuda->params_get(r->program, r->other));
    CHECK(memcmp(r->other + r->net->params, r->arena + r->net->params,
                 r->net->buffers * sizeof(float)) == 0);
    must(cuda->params_set(r->program, r->arena));
    o.part = 1;
    CHECK(!step(r, 1, &o).finite);
    same_everywhere(r);
    CHECK(memcmp(r->other, r->arena, r->net->params * sizeof(float)) == 0);
    o.part = 0;
    CHECK(step(r, 2, &o).finite);
    o.part = 1;
    CHECK(step(r, 3, &o).finite);
    same_everywhere(r);
    CHECK(memcmp(r->other, r->arena, r->net->params * sizeof(float)) != 0);
    close_program(r);
}

static void check_parts(struct rig *r)
{
    check_parts_of(r, "fp32", spoil);
    check_parts_of(r, "fp16", enlarge);
}

/* Batch norms over all ranks where convolutions make the sums: beside one rank with all images. */
static void check_fused(struct rig *r)
{
    struct rig whole = *r;
    struct noise *all = noise_new(RANKS * EACH, SIZE);
    double dot = 0, a = 0, b = 0;
    float *want = malloc(r->count * sizeof *want);
    fv_device_host.fused = 1;
    open_program(r, "fp16", EACH, 1);
    CHECK(step(r, 0, &sgd).finite);
    CHECK(fv_device_host.fused_convs > 0);
    open_program(&whole, "fp16", RANKS * EACH, -1);
    for (int rank = 0; rank < RANKS; rank++) {
        noise_draw(r->noise, (uint32_t)rank, EACH, CLASSES);
        noise_put(all, rank * EACH, r->noise);
    }
    must(cuda->step(whole.program, &all->b, &sgd));
    must(cuda->grads_get(whole.program, want));
    must(cuda->grads_get(r->program, r->other));
    for (size_t i = 0; i < r->net->params; i++) {
        dot += (double)want[i] * (double)r->other[i];
        a += (double)want[i] * (double)want[i];
        b += (double)r->other[i] * (double)r->other[i];
    }
    CHECK(dot / sqrt(a * b) > 0.998 && fabs(sqrt(b / a) - 1) < 0.02);
    must(cuda->params_get(whole.program, want));
    must(cuda->params_get(r->program, r->other));
    for (size_t i = r->net->params; i < r->count; i++)
        CHECK(fabsf(want[i] - r->other[i]) < 2e-3f * (1 + fabsf(want[i])));
    close_program(&whole);
    close_program(r);
    noise_free(&all);
    free(want);
    fv_device_host.fused = 0;
}

/* Each rank times graphs for itself, so that one may take those that another does not: sums still come in one order. */
static void check_unlike(struct rig *r)
{
    const int fuses = r->comm->rank == 0;
    for (int sync_bn = 0; sync_bn < 2; sync_bn++) {
        fv_device_host.fused = fuses;
        fv_device_host.fused_convs = 0;
        open_program(r, "fp16", EACH, sync_bn);
        for (uint32_t i = 0; i < 3; i++)
            CHECK(step(r, i, &sgd).finite);
        CHECK((fv_device_host.fused_convs > 0) == fuses);
        same_everywhere(r);
        close_program(r);
        fv_device_host.fused = 0;
    }
}

/* A sum that never comes: the wait ends when a rank does, and when it has lasted too long. */
static void check_rank_ends(struct rig *r)
{
    struct fv_step_result result;
    open_program(r, "fp32", EACH, 0);
    CHECK(step(r, 0, &sgd).finite);
    if (r->comm->rank == 1) {
        usleep(200 * 1000); /* what it has sent has arrived */
        _exit(0);
    }
    fv_device_host.stuck = 1;
    CHECK(cuda->result(r->program, &result) == FV_EIO);
    CHECK(strstr(fv_err_text(), "rank 1"));
    cuda->release(&r->program); /* and does not wait either */
    _exit(0);
}

static void check_rank_hangs(struct rig *r)
{
    struct fv_step_result result;
    open_program(r, "fp32", EACH, 0);
    CHECK(step(r, 0, &sgd).finite);
    if (r->comm->rank == 1) {
        usleep(600 * 1000);
        _exit(0);
    }
    r->comm->timeout_s = 0.1;
    fv_device_host.stuck = 1;
    CHECK(cuda->result(r->program, &result) == FV_EIO);
    CHECK(strstr(fv_err_text(), "--comm-timeout"));
    cuda->release(&r->program);
    _exit(0);
}

static void be_rank(int rank, int port, void (*check)(struct rig *r))
{
    const struct fv_arch_settings a = {.size = SIZE,
                                       .classes = CLASSES,
                                       .stem = "auto",
                                       .mean = {.5f, .4f, .3f},
                                       .std = {.2f, .25f, .3f}};
    struct rig r = {.noise = noise_new(EACH, SIZE)};
    set_rank(rank, RANKS, port);
    must(fv_comm_open(&r.comm, &(struct fv_comm_settings){.kind = "tcp", .timeout_s = 30}));
    must(fv_net_build(&r.net, "tiny", &a));
    r.count = r.net->params + r.net->buffers;
    r.arena = malloc(r.count * sizeof(float));
    r.other = malloc(r.count * sizeof(float));
    fv_net_init(r.net, 3, r.arena);
    check(&r);
    fv_comm_close(&r.comm);
    fv_net_free(&r.net);
    noise_free(&r.noise);
    free(r.arena);
    free(r.other);
    _exit(0);
}

static void run(void (*check)(struct rig *r))
{
    const int port = free_port();
    pid_t pid[RANKS];
    setenv("MASTER_ADDR", "127.0.0.1", 1);
    for (int rank = 0; rank < RANKS; rank++) {
        pid[rank] = fork();
        assert_true(pid[rank] >= 0);
        if (pid[rank] == 0)
            be_rank(rank, port, check);
    }
    assert_all_ended(pid, RANKS);
}

static void test_find_bad(void **state)
{
    (void)state;
    run(check_find_bad);
}

static void test_parts(void **state)
{
    (void)state;
    run(check_parts);
}

static void test_fused(void **state)
{
    (void)state;
    run(check_fused);
}

static void test_unlike(void **state)
{
    (void)state;
    run(check_unlike);
}

static void test_rank_ends(void **state)
{
    (void)state;
    run(check_rank_ends);
}

static void test_rank_hangs(void **state)
{
    (void)state;
    run(check_rank_hangs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_find_bad),  cmocka_unit_test(test_parts),
        cmocka_unit_test(test_fused),     cmocka_unit_test(test_unlike),
        cmocka_unit_test(test_rank_ends), cmocka_unit_test(test_rank_hangs)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
