/* SPDX-License-Identifier: MIT */
/* Training by several ranks ends alike on all of them, however it ends.
 *
 *     test_train_ranks BACKEND DEVICE|HOST
 *
 * What one rank wants (a stop, a checkpoint) goes with its steps and becomes known to all by their results: all stop
 * after the same step, and training that was gone on with ends in the bytes of one that was not disturbed. Of a backend
 * whose ranks meet by their DEVICEs no step makes a host wait for another. The ranks are forks that meet by TCP. */
#include "common/err.h"
#include "tests/cmocka_all.h"
#include "tests/trainer/tcp_ranks.h"
#include "tests/trainer/train_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <unistd.h>

enum { MOST = 3, END = 3 * FIXTURE_STEPS };

static const char *backend_name;
static int by_device, ranks;
static struct fixture fix;

/* Of a rank: what it does at which batch. */
static uint64_t at_ticket;
static int at_rank, this_rank;
static void (*deed)(struct synthetic *s);

static void before(struct synthetic *s)
{
    if (deed && s->ticket == at_ticket && (at_rank == this_rank || at_rank < 0))
        deed(s);
}

static void stop(struct synthetic *s)
{
    (void)s;
    fv_train_stop = 1;
}

static void spoil_label(struct synthetic *s)
{
    s->source.classes = 1000; /* labels are image % classes */
}

#define CHECK(what)                                                                                \
    do {                                                                                           \
        if (!(what)) {                                                                             \
            fprintf(stderr, "rank %d, line %d: %s: %s\n", this_rank, __LINE__, #what,              \
                    fv_err_text());                                                                \
            _exit(1);                                                                              \
        }                                                                                          \
    } while (0)

static void join(int rank, int port, struct fv_comm **comm)
{
    this_rank = rank;
    set_rank(rank, ranks, port);
    CHECK(fv_comm_open(comm, &(struct fv_comm_settings){.kind = "tcp", .timeout_s = 30}) == 0);
    fix.data.comm = *comm;
    fix.train.salt = 1 + (uint64_t)rank; /* images of its own */
    fix.train.before = before;
}

typedef void ranks_do(struct fv_comm *comm, const char *run);

static void run_ranks(ranks_do *what, const char *run)
{
    const int port = free_port();
    pid_t pid[MOST];
    for (int rank = 0; rank < ranks; rank++) {
        struct fv_comm *comm;
        pid[rank] = fork();
        assert_true(pid[rank] >= 0);
        if (pid[rank] > 0)
            continue;
        join(rank, port, &comm);
        what(comm, run);
        fv_comm_close(&comm);
        _exit(0);
    }
    assert_all_ended(pid, ranks);
}

static void whole(struct fv_comm *comm, const char *run)
{
    (void)comm;
    CHECK(fixture_run(&fix, run, 0) == 0);
}

static void go_on(struct fv_comm *comm, const char *run)
{
    (void)comm;
    CHECK(fixture_run(&fix, run, 1) == 0);
}

/* All end and say the same. */
static int end_alike(struct fv_comm *comm, const char *run)
{
    char text[FV_ERR_TEXT_MAX] = "";
    const int rc = fixture_run(&fix, run, 0);
    CHECK(rc < 0);
    strncpy(text, fv_err_text(), sizeof text - 1);
    CHECK(fv_comm_same(comm, "the last words", text, strlen(text)) == 0);
    fv_err(rc, "%s", text);
    return rc;
}

static void stopped(struct fv_comm *comm, const char *run)
{
    unsigned long long step = 0;
    CHECK(end_alike(comm, run) == FV_EINTR);
    CHECK(sscanf(fv_err_text(), "interrupted after step %llu", &step) == 1);
    /* said with step at_ticket + 1; known when that has been read, which may be a step later */
    CHECK(step >= at_ticket + 1 && step <= at_ticket + 2);
}

static void diverged(struct fv_comm *comm, const char *run)
{
    end_alike(comm, run);
}

static void begin(void)
{
    fixture_open(&fix);
    fix.settings.backend = backend_name;
    fix.settings.dtype = "fp32";
    fix.settings.save_every = 0;
    deed = NULL;
}

/* At each rank, at several steps: in an epoch, the first of all, the last of an epoch, one before. */
static void check_stops(size_t stops)
{
    char run[32];
    static const uint64_t when[] = {2, 0, FIXTURE_STEPS - 1, FIXTURE_STEPS - 2, END - 2};
    run_ranks(whole, "whole");
    for (size_t i = 0; i < stops && i < sizeof when / sizeof *when; i++) {
        at_rank = i == 1 ? -1 : (int)(i + 1) % ranks;
        at_ticket = when[i];
        deed = stop;
        snprintf(run, sizeof run, "stopped %zu", i);
        run_ranks(stopped, run);
        deed = NULL;
        run_ranks(go_on, run);
        assert_same_file(&fix, "whole", run, "last.safetensors");
        assert_log_whole(&fix, run);
    }
}

static void test_stops(void **state)
{
    (void)state;
    begin();
    check_stops(9);
    fixture_close(&fix);
}

static void test_stops_in_parts(void **state)
{
    (void)state;
    begin();
    fix.settings.accumulate = 4;
    fix.settings.optim = "adamw";
    check_stops(by_device ? 3 : 9);
    fixture_close(&fix);
}

/* As fvtrain does: who fails says so to the others. */
static void failed(struct fv_comm *comm, const char *run)
{
    const int rc = fixture_run(&fix, run, 0);
    char why[FV_ERR_TEXT_MAX];
    fv_err_save(why);
    CHECK(rc == (this_rank == 1 ? FV_EINVAL : FV_EIO));
    fv_comm_abort(&comm, why);
    _exit(0);
}

/* Rank 0 asks for checkpoints all the time: the last before a rank fails, in an epoch, is gone on from. */
static void test_saves(void **state)
{
    (void)state;
    begin();
    run_ranks(whole, "whole");
    fix.settings.save_every = 1e-12;
    run_ranks(whole, "saved");
    assert_same_file(&fix, "whole", "saved", "last.safetensors");
    deed = spoil_label;
    at_rank = 1;
    at_ticket = 4;
    run_ranks(failed, "failed");
    deed = NULL;
    assert_int_equal(access(fixture_path(&fix, "failed", "last.safetensors"), R_OK), 0);
    run_ranks(go_on, "failed");
    assert_same_file(&fix, "whole", "failed", "last.safetensors");
    fixture_close(&fix);
}

/* Steps that are not finite end all, and a stop comes with one of them. */
static void test_not_finite(void **state)
{
    (void)state;
    begin();
    fix.settings.lr = 1e30;
    fix.settings.warmup = 0;
    fix.settings.epochs = 4;
    run_ranks(diverged, "diverged");
    deed = stop;
    at_rank = 1;
    at_ticket = 2;
    run_ranks(diverged, "stopped");
    fixture_close(&fix);
}

static void doze(struct synthetic *s)
{
    (void)s;
    if (this_rank == 0)
        usleep(700 * 1000);
}

static void hang(struct synthetic *s)
{
    if (s->ticket == 0)
        usleep(3500 * 1000);
}

static void slow(struct fv_comm *comm, const char *run)
{
    comm->timeout_s = 2;
    fix.val.before = doze;
    CHECK(fixture_run(&fix, run, 0) == 0);
}

static void hung(struct fv_comm *comm, const char *run)
{
    comm->timeout_s = 2;
    fix.val.before = hang;
    CHECK(fixture_run(&fix, run, 0) == FV_EIO);
    CHECK(strstr(fv_err_text(), "rank "));
    fv_comm_abort(&comm, "it waited for too long");
    _exit(0);
}

/* While rank 0 measures, longer than another may be silent, the others wait; unless it hangs. */
static void test_measuring(void **state)
{
    (void)state;
    if (by_device)
        skip(); /* the same, of all backends */
    begin();
    fix.settings.epochs = 1;
    run_ranks(slow, "slow");
    run_ranks(hung, "hung");
    fixture_close(&fix);
}

/* Exchanges of the hosts in an epoch of FIXTURE_STEPS steps and of twice as many: no more, if no step has any. */
static void count(struct fv_comm *comm, const char *run)
{
    uint64_t shifts[2];
    for (uint64_t k = 0; k < 2; k++) {
        char name[32];
        const uint64_t begin = comm->shifts;
        snprintf(name, sizeof name, "%s %d", run, (int)k);
        fix.train.source.batches_per_epoch = (k + 1) * FIXTURE_STEPS;
        fix.train.images = fix.train.source.images_per_epoch =
            (k + 1) * FIXTURE_STEPS * FIXTURE_BATCH;
        fix.train.ticket = fix.val.ticket = fix.verify.ticket = 0;
        CHECK(fixture_run(&fix, name, 0) == 0);
        shifts[k] = comm->shifts - begin;
    }
    if (this_rank == 0)
        printf("%s: %.1f exchanges of the hosts a step\n", backend_name,
               (double)(shifts[1] - shifts[0]) / FIXTURE_STEPS);
    fflush(stdout);
    CHECK(by_device ? shifts[1] == shifts[0] : shifts[1] >= shifts[0] + 2 * FIXTURE_STEPS);
}

static void test_exchanges(void **state)
{
    (void)state;
    begin();
    fix.settings.epochs = 1;
    run_ranks(count, "count");
    fixture_close(&fix);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stops),     cmocka_unit_test(test_stops_in_parts),
        cmocka_unit_test(test_saves),     cmocka_unit_test(test_not_finite),
        cmocka_unit_test(test_exchanges), cmocka_unit_test(test_measuring),
    };
    if (argc != 3)
        return 2;
    backend_name = argv[1];
    by_device = strcmp(argv[2], "DEVICE") == 0;
    ranks = by_device ? 2 : MOST; /* kernels on the host take their time */
    setenv("MASTER_ADDR", "127.0.0.1", 1);
    setenv("LOCAL_RANK", "0", 1); /* of a device that is the host there is one */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
