/* SPDX-License-Identifier: MIT */
/* Processes that mpirun started.
 *
 * MPI carries bytes between neighbours and nothing else (comm.c says why). Waiting is testing, with the
 * processor given to others meanwhile: ranks often share cores with the loader's threads, and a blocking call of
 * most MPIs spins and knows no time limit. When a process dies mpirun ends the rest; when one fails, MPI_Abort
 * does. */
#include "trainer/comm/comm.h"

#include "common/clock.h"
#include "common/err.h"

#include <mpi.h>
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

static int mpi_open(struct fv_comm **out, const struct fv_comm_settings *s)
{
    int there = 0, level;
    (void)s;
    FV_TRY(mpi_fail(MPI_Initialized(&there), "start"));
    if (!there)
        FV_TRY(mpi_fail(MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &level), "start"));
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
    free(c);
    MPI_Finalize();
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
