/* SPDX-License-Identifier: MIT */
/* Processes that mpirun started.
 *
 * MPI carries bytes between neighbours and nothing else (comm.c says why). Waiting is testing, with the
 * processor given to others meanwhile: ranks often share cores with the loader's threads, and a blocking call of
 * most MPIs spins and knows no time limit. Beginning and ending MPI are such calls, which wait for every process, and
 * must be made by one thread: so a thread of its own makes them, and we wait for it as long as --comm-timeout says.
 * When a process dies mpirun ends the rest; when one fails, MPI_Abort does. */
#include "trainer/comm/comm.h"

#include "common/clock.h"
#include "common/err.h"

#include <mpi.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <time.h>

enum { TAG = 1, PIECE_BYTES = 1 << 30, SPIN_NS = 20 * 1000 * 1000, NAP_NS = 100 * 1000 };

static int mpi_fail(int code, const char *what)
{
    char text[MPI_MAX_ERROR_STRING] = "";
    int length = 0;
    if (code == MPI_SUCCESS)
        return 0;
    MPI_Error_string(code, text, &length);
    return fv_err(FV_EIO, "MPI cannot %s: %s", what, text);
}

/* MPI begins once in a process. */
enum stage { BEGINNING, BEGUN, ENDING, ENDED };
static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    enum stage stage;
    int code, level;
} mpi = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, BEGINNING, MPI_SUCCESS,
         MPI_THREAD_SINGLE};

static void reach(enum stage stage)
{
    pthread_mutex_lock(&mpi.lock);
    mpi.stage = stage;
    pthread_cond_broadcast(&mpi.changed);
    pthread_mutex_unlock(&mpi.lock);
}

/* Whether that stage is reached in time. */
static int await_stage(enum stage stage, double timeout_s)
{
    const uint64_t begin = fv_now_ns();
    pthread_mutex_lock(&mpi.lock);
    while (mpi.stage < stage && (double)(fv_now_ns() - begin) * 1e-9 < timeout_s) {
        /* This waits by a clock that may be set; so a second at a time. */
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec++;
        pthread_cond_timedwait(&mpi.changed, &mpi.lock, &until);
    }
    const int rc = mpi.stage >= stage;
    pthread_mutex_unlock(&mpi.lock);
    return rc;
}

static void *keep_mpi(void *unused)
{
    int there = 0;
    mpi.code = MPI_Initialized(&there);
    if (mpi.code == MPI_SUCCESS)
        mpi.code = there ? MPI_Query_thread(&mpi.level)
                         : MPI_Init_thread(NULL, NULL, MPI_THREAD_SERIALIZED, &mpi.level);
    reach(BEGUN);
    while (!await_stage(ENDING, 3600))
        ;
    MPI_Finalize();
    reach(ENDED);
    return unused;
}

static int begin_mpi(double timeout_s)
{
    pthread_t keeper;
    if (pthread_create(&keeper, NULL, keep_mpi, NULL) != 0)
        return fv_err(FV_ENOMEM, "no thread can be started for MPI");
    pthread_detach(keeper);
    if (!await_stage(BEGUN, timeout_s))
        return fv_err(FV_EIO,
                      "the processes that mpirun started have not all come within %.0f s "
                      "(--comm-timeout): one of them, or its machine, hangs",
                      timeout_s);
    FV_TRY(mpi_fail(mpi.code, "start"));
    if (mpi.level < MPI_THREAD_SERIALIZED)
        return fv_err(FV_EUNSUPPORTED,
                      "this MPI was built without threads (MPI_THREAD_SERIALIZED): use one that "
                      "has them, or --comm tcp");
    return 0;
}

static int mpi_open(struct fv_comm **out, const struct fv_comm_settings *s)
{
    FV_TRY(begin_mpi(s->timeout_s));
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    int rank, world;
    FV_TRY(mpi_fail(MPI_Comm_rank(MPI_COMM_WORLD, &rank), "say which rank this is"));
    FV_TRY(mpi_fail(MPI_Comm_size(MPI_COMM_WORLD, &world), "say how many ranks there are"));
    *out = calloc(1, sizeof **out);
    if (!*out)
        return fv_err(FV_ENOMEM, "out of memory");
    (*out)->rank = rank;
    (*out)->world = world;
    return 0;
}

static void mpi_close(struct fv_comm *c, const char *why)
{
    if (why && c->world > 1)
        MPI_Abort(MPI_COMM_WORLD, 1);
    reach(ENDING);
    (void)await_stage(ENDED, c->timeout_s);
    free(c);
}

static int await(const struct fv_comm *c, MPI_Request *request, int before)
{
    const uint64_t begin = fv_now_ns();
    const struct timespec nap = {.tv_nsec = NAP_NS};
    for (;;) {
        int done;
        FV_TRY(mpi_fail(MPI_Testall(2, request, &done, MPI_STATUSES_IGNORE), "pass data on"));
        if (done)
            return 0;
        const uint64_t waited = fv_now_ns() - begin;
        if ((double)waited * 1e-9 > c->timeout_s)
            return fv_err(
                FV_EIO,
                "rank %d has heard nothing of rank %d for %.0f s (--comm-timeout): it, or "
                "one that it waits for, hangs",
                c->rank, before, c->timeout_s);
        if (waited < SPIN_NS)
            sched_yield();
        else
            nanosleep(&nap, NULL);
    }
}

static int mpi_shift(struct fv_comm *c, const void *send, size_t out, void *receive, size_t in)
{
    const int after = (c->rank + 1) % c->world, before = (c->rank + c->world - 1) % c->world;
    for (size_t at = 0; at < out || at < in; at += PIECE_BYTES) {
        MPI_Request request[2] = {MPI_REQUEST_NULL, MPI_REQUEST_NULL};
        const size_t give = at >= out ? 0 : out - at, take = at >= in ? 0 : in - at;
        if (take > 0)
            FV_TRY(mpi_fail(MPI_Irecv((char *)receive + at,
                                      (int)(take < PIECE_BYTES ? take : PIECE_BYTES), MPI_BYTE,
                                      before, TAG, MPI_COMM_WORLD, &request[0]),
                            "receive"));
        if (give > 0)
            FV_TRY(mpi_fail(MPI_Isend((const char *)send + at,
                                      (int)(give < PIECE_BYTES ? give : PIECE_BYTES), MPI_BYTE,
                                      after, TAG, MPI_COMM_WORLD, &request[1]),
                            "send"));
        FV_TRY(await(c, request, before));
    }
    return 0;
}

const struct fv_comm_kind fv__comm_mpi = {.name = "mpi",
                                          .help = "processes started by mpirun",
                                          .open = mpi_open,
                                          .close = mpi_close,
                                          .shift = mpi_shift};
