/* SPDX-License-Identifier: MIT */
/* Processes that meet by TCP on this machine: sums, broadcasts, and what happens when one of them is missing, mistaken,
 * a stranger, or dies. Every process here is a fork of the test; its exit status says what came of it. */
#include "trainer/comm/comm.h"

#include "common/clock.h"
#include "common/err.h"
#include "tests/trainer/tcp_ranks.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MOST = 8, PORT_TEXT = 8 };

/* What the processes leave for the test to look at. */
struct board {
    char said[MOST][FV_ERR_TEXT_MAX];
    uint64_t hash[MOST];
    int code[MOST];
};
static struct board *board;
static double timeout_s;

/* A process of the run: meets the others, does its work, writes down what came of it. */
static pid_t start(int rank, int world, int port, int (*work)(struct fv_comm *c))
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid > 0)
        return pid;
    struct fv_comm_settings s;
    struct fv_comm *c;
    fv_comm_defaults(&s);
    s.kind = "tcp";
    s.timeout_s = timeout_s;
    set_rank(rank, world, port);
    int rc = fv_comm_open(&c, &s);
    if (rc == 0)
        rc = work(c);
    board->code[rank] = rc;
    if (rc < 0)
        strcpy(board->said[rank], fv_err_text());
    if (rc < 0)
        fv_comm_abort(&c, fv_err_text());
    else
        fv_comm_close(&c);
    _exit(rc < 0);
}

/* Exit status of the process; 128 + signal if one killed it. */
static int finish(pid_t pid)
{
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static void run(int world, int expected, int (*work)(struct fv_comm *c))
{
    const int port = free_port();
    pid_t pid[MOST];
    for (int r = 0; r < world; r++)
        pid[r] = start(r, world, port, work);
    for (int r = 0; r < world; r++) {
        const int status = finish(pid[r]);
        if (status != expected)
            fail_msg("rank %d of %d ended with %d: %s", r, world, status, board->said[r]);
    }
}

static void assert_said(int rank, const char *words)
{
    if (!strstr(board->said[rank], words))
        fail_msg("rank %d said \"%s\", not \"%s\"", rank, board->said[rank], words);
}

static int setup(void **state)
{
    (void)state;
    memset(board, 0, sizeof *board);
    timeout_s = 20;
    return 0;
}

/* Numbers whose sum depends on the order of addition, another one in each place. */
static float value(int rank, size_t i)
{
    const uint64_t h = fv_comm_hash((uint64_t)rank + 1, &i, sizeof i);
    return (float)((double)(h >> 40) / 16777216.0 - 0.5) * (float)(1 << (h & 15));
}

#define CHECK(what)                                                                                \
    do {                                                                                           \
        if (!(what))                                                                               \
            return fv_err(FV_EINVAL, "line %d: %s", __LINE__, #what);                              \
    } while (0)

static int sum_sizes(struct fv_comm *c)
{
    static const size_t size[] = {1, 2, 3, 7, 100, 4096, 4097, 200003};
    for (size_t k = 0; k < sizeof size / sizeof *size; k++) {
        const size_t n = size[k];
        float *f = malloc(n * sizeof *f);
        double *d = malloc(n * sizeof *d);
        for (size_t i = 0; i < n; i++) {
            f[i] = value(c->rank, i);
            d[i] = (double)value(c->rank, i);
        }
        FV_TRY(fv_comm_sum_floats(c, f, n));
        FV_TRY(fv_comm_sum_doubles(c, d, n));
        for (size_t i = 0; i < n; i++) {
            double truth = 0, size_of_all = 0;
            for (int r = 0; r < c->world; r++) {
                truth += (double)value(r, i);
                size_of_all += (double)(value(r, i) < 0 ? -value(r, i) : value(r, i));
            }
            const double off_f = (double)f[i] - truth, off_d = d[i] - truth;
            CHECK(off_f <= 5e-7 * size_of_all && off_f >= -5e-7 * size_of_all);
            CHECK(off_d <= 1e-14 * size_of_all && off_d >= -1e-14 * size_of_all);
        }
        board->hash[c->rank] = fv_comm_hash(board->hash[c->rank], f, n * sizeof *f);
        board->hash[c->rank] = fv_comm_hash(board->hash[c->rank], d, n * sizeof *d);
        free(f);
        free(d);
    }
    return 0;
}

static void test_sums(void **state)
{
    (void)state;
    for (int world = 1; world <= 5; world += 1 + (world == 3)) {
        memset(board, 0, sizeof *board);
        run(world, 0, sum_sizes);
        const uint64_t first = board->hash[0];
        for (int r = 0; r < world; r++)
            assert_int_equal(board->hash[r], first); /* the same bits everywhere */
        memset(board, 0, sizeof *board);
        run(world, 0, sum_sizes);
        assert_int_equal(board->hash[0], first); /* and every time */
    }
}

static int spread(struct fv_comm *c)
{
    enum { N = 5000001 };
    int ranks[MOST];
    unsigned char *bytes = malloc(N);
    for (size_t i = 0; i < N; i++)
        bytes[i] = c->rank == 0 ? (unsigned char)(i * i >> 7) : 0;
    FV_TRY(fv_comm_broadcast(c, bytes, N));
    for (size_t i = 0; i < N; i++)
        CHECK(bytes[i] == (unsigned char)(i * i >> 7));
    free(bytes);
    FV_TRY(fv_comm_gather(c, &c->rank, sizeof c->rank, ranks));
    for (int r = 0; r < c->world; r++)
        CHECK(ranks[r] == r);
    CHECK(c->local_world == c->world && c->local_rank == c->rank && c->sharers == c->world);
    for (int i = 0; i < 100; i++)
        FV_TRY(fv_comm_barrier(c));
    return fv_comm_same(c, "the test", "same", 4);
}

static void test_broadcast_gather(void **state)
{
    (void)state;
    for (int world = 1; world <= 4; world++)
        run(world, 0, spread);
}

static int differ(struct fv_comm *c)
{
    return fv_comm_same(c, "the settings", &c->rank, sizeof c->rank);
}

static void test_differences_are_named(void **state)
{
    (void)state;
    run(2, 1, differ);
    assert_said(0, "the settings of rank 1 and of rank 0 differ");
    assert_said(1, "the settings of rank 1 and of rank 0 differ");
}

static int meet_only(struct fv_comm *c)
{
    return fv_comm_barrier(c);
}

static void test_missing_ranks_are_named(void **state)
{
    (void)state;
    const int port = free_port();
    timeout_s = 1;
    const pid_t zero = start(0, 4, port, meet_only), two = start(2, 4, port, meet_only);
    assert_int_equal(finish(zero), 1);
    assert_int_equal(finish(two), 1);
    assert_said(0, "2 of 4 processes have not come");
    assert_said(0, "rank 1, 3");
    assert_said(2, "rank 0 gave up: 2 of 4 processes have not come");
}

static void test_no_rank_zero(void **state)
{
    (void)state;
    timeout_s = 1;
    assert_int_equal(finish(start(1, 2, free_port(), meet_only)), 1);
    assert_said(1, "rank 0 was not found: nobody answered at 127.0.0.1:");
    assert_said(1, "Connection refused");
}

static void test_wrong_world(void **state)
{
    (void)state;
    const int port = free_port();
    const pid_t zero = start(0, 2, port, meet_only), one = start(1, 3, port, meet_only);
    assert_int_equal(finish(zero), 1);
    assert_int_equal(finish(one), 1);
    assert_said(0, "rank 1 was told of 3 processes, rank 0 of 2");
    assert_said(1, "rank 1 was told of 3 processes, rank 0 of 2");
}

static void test_same_rank_twice(void **state)
{
    (void)state;
    const int port = free_port();
    const pid_t zero = start(0, 3, port, meet_only);
    const pid_t one = start(1, 3, port, meet_only), again = start(1, 3, port, meet_only);
    assert_int_equal(finish(zero), 1);
    assert_int_equal(finish(one), 1);
    assert_int_equal(finish(again), 1);
    assert_said(0, "two processes say that they are rank 1");
}

static int connect_to(int port)
{
    const struct sockaddr_in a = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    for (int i = 0; i < 500; i++) {
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        if (connect(fd, (const struct sockaddr *)&a, sizeof a) == 0)
            return fd;
        close(fd);
        usleep(10000);
    }
    fail_msg("nobody listens at port %d", port);
    return -1;
}

/* Some say nothing, some say nonsense, one is of another run: the run meets all the same. */
static void test_strangers(void **state)
{
    (void)state;
    const int port = free_port();
    const pid_t zero = start(0, 2, port, meet_only);
    char noise[300];
    int fd[80];
    memset(noise, 'x', sizeof noise);
    for (int i = 0; i < 80; i++) {
        fd[i] = connect_to(port);
        if (i % 2)
            assert_true(send(fd[i], noise, (size_t)i + 1, MSG_NOSIGNAL) > 0);
    }
    setenv("TORCHELASTIC_RUN_ID", "another", 1);
    const pid_t other = start(1, 2, port, meet_only);
    assert_int_equal(finish(other), 1);
    assert_said(1, "is not rank 0 of this run");
    unsetenv("TORCHELASTIC_RUN_ID");
    const pid_t one = start(1, 2, port, meet_only);
    assert_int_equal(finish(zero), 0);
    assert_int_equal(finish(one), 0);
    for (int i = 0; i < 80; i++)
        close(fd[i]);
}

static int doomed; /* the rank that something happens to */

static int die(struct fv_comm *c)
{
    FV_TRY(fv_comm_barrier(c));
    if (c->rank == doomed)
        raise(SIGKILL);
    return fv_comm_barrier(c);
}

static int give_up(struct fv_comm *c)
{
    FV_TRY(fv_comm_barrier(c));
    if (c->rank == doomed)
        return fv_err(FV_EIO, "photo.jpg: no space left");
    return fv_comm_barrier(c);
}

static int hang(struct fv_comm *c)
{
    FV_TRY(fv_comm_barrier(c));
    if (c->rank == doomed)
        sleep(3);
    FV_TRY(fv_comm_barrier(c));
    return fv_comm_barrier(c);
}

static void test_a_death_ends_all(void **state)
{
    (void)state;
    const uint64_t begin = fv_now_ns();
    for (doomed = 0; doomed < 3; doomed++) {
        const int port = free_port();
        pid_t pid[3];
        char words[40];
        for (int r = 0; r < 3; r++)
            pid[r] = start(r, 3, port, die);
        snprintf(words, sizeof words, "rank %d has ended", doomed);
        for (int r = 0; r < 3; r++)
            assert_int_equal(finish(pid[r]), r == doomed ? 128 + SIGKILL : 1);
        for (int r = 0; r < 3; r++)
            if (r != doomed)
                assert_said(r, words);
    }
    assert_true(fv_now_ns() - begin < UINT64_C(10000000000));
}

static void test_a_failure_is_told_to_all(void **state)
{
    (void)state;
    for (doomed = 0; doomed < 3; doomed++) {
        char words[60];
        memset(board, 0, sizeof *board);
        run(3, 1, give_up);
        snprintf(words, sizeof words, "rank %d gave up: photo.jpg: no space left", doomed);
        for (int r = 0; r < 3; r++)
            assert_said(r, r == doomed ? "photo.jpg: no space left" : words);
    }
}

static void test_a_hang_has_an_end(void **state)
{
    (void)state;
    doomed = 1;
    timeout_s = 1;
    run(2, 1, hang);
    assert_said(0, "rank 0 has heard nothing of rank 1 for 1 s");
}

static void expect_open(const char *kind, int code, const char *words)
{
    struct fv_comm_settings s;
    struct fv_comm *c;
    fv_comm_defaults(&s);
    s.kind = kind;
    s.timeout_s = 1;
    const int rc = fv_comm_open(&c, &s);
    if (rc != code || (rc < 0 && !strstr(fv_err_text(), words)))
        fail_msg("%d, \"%s\", not %d, \"%s\"", rc, fv_err_text(), code, words);
    if (rc == 0) {
        assert_string_equal(c->kind->name, words);
        assert_int_equal(c->world, 1);
        assert_int_equal(c->rank, 0);
    }
    fv_comm_close(&c);
    assert_null(c);
}

static int has_mpi(void)
{
    for (int i = 0; fv_comm_kinds[i]; i++)
        if (strcmp(fv_comm_kinds[i]->name, "mpi") == 0)
            return 1;
    return 0;
}

static void clear_launch(void)
{
    static const char *const names[] = {
        "RANK",         "WORLD_SIZE",           "LOCAL_RANK",
        "MASTER_ADDR",  "MASTER_PORT",          "SLURM_PROCID",
        "SLURM_NTASKS", "SLURM_STEP_NUM_TASKS", "SLURM_STEP_NODELIST",
        "SLURM_JOB_ID", "OMPI_COMM_WORLD_SIZE", "PMI_SIZE"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        unsetenv(names[i]);
}

static void test_what_the_environment_says(void **state)
{
    (void)state;
    clear_launch();
    expect_open("auto", 0, "none");
    expect_open("tcp", FV_EUSAGE, "RANK is not set");
    set_number("SLURM_NTASKS", 4); /* a batch script: one process */
    set_number("SLURM_PROCID", 0);
    expect_open("auto", 0, "none");
    set_number("RANK", 0);
    set_number("WORLD_SIZE", 1);
    expect_open("auto", 0, "none");
    expect_open("tcp", 0, "tcp");
    set_number("WORLD_SIZE", 2);
    expect_open("auto", FV_EUSAGE, "MASTER_ADDR is not set");
    setenv("SLURM_STEP_NODELIST", "[", 1);
    expect_open("auto", FV_EUSAGE, "SLURM_STEP_NODELIST is '['");
    setenv("SLURM_STEP_NODELIST", "gpu[01-04,7],cpu1", 1);
    expect_open("auto", FV_EUSAGE, "MASTER_PORT is not set");
    setenv("MASTER_ADDR", "127.0.0.1", 1);
    setenv("MASTER_PORT", "eighty", 1);
    expect_open("auto", FV_EUSAGE, "MASTER_PORT is 'eighty'");
    set_number("RANK", 2);
    expect_open("auto", FV_EUSAGE, "RANK is 2 and WORLD_SIZE is 2");
    setenv("RANK", "-1", 1);
    expect_open("auto", FV_EUSAGE, "RANK is '-1'");
    clear_launch();
    if (!has_mpi()) {
        set_number("OMPI_COMM_WORLD_SIZE", 2);
        expect_open("auto", FV_EUNSUPPORTED,
                    "mpirun started 2 processes, but this build has no MPI");
    }
    clear_launch();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_sums, setup),
        cmocka_unit_test_setup(test_broadcast_gather, setup),
        cmocka_unit_test_setup(test_differences_are_named, setup),
        cmocka_unit_test_setup(test_missing_ranks_are_named, setup),
        cmocka_unit_test_setup(test_no_rank_zero, setup),
        cmocka_unit_test_setup(test_wrong_world, setup),
        cmocka_unit_test_setup(test_same_rank_twice, setup),
        cmocka_unit_test_setup(test_strangers, setup),
        cmocka_unit_test_setup(test_a_death_ends_all, setup),
        cmocka_unit_test_setup(test_a_failure_is_told_to_all, setup),
        cmocka_unit_test_setup(test_a_hang_has_an_end, setup),
        cmocka_unit_test(test_what_the_environment_says),
    };
    clear_launch();
    setenv("MASTER_ADDR", "127.0.0.1", 1);
    board = mmap(NULL, sizeof *board, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return board == MAP_FAILED ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
