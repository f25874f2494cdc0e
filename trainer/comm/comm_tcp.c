/* SPDX-License-Identifier: MIT */
/* Processes that talk by TCP, as torchrun and srun start them: for the CPU backend, and for others to meet by.
 *
 * A wait listens to the line to rank 0 as well as to the neighbours, and rank 0 to all lines. A process that
 * ends takes its line with it, one that fails says why on it first, and rank 0 tells the others. */
#include "trainer/comm/comm.h"

#include "trainer/comm/meet.h"

#include "common/clock.h"
#include "common/err.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { TELL_S = 3 }; /* how long a broken ring waits to hear what broke it */

struct tcp {
    struct fv_comm comm; /* first: what others see of it */
    struct fv__meeting m;
    struct pollfd *poll;         /* next, previous, the lines */
    char over[FV_MEET_TEXT + 1]; /* why the run is over, for the others */
};

static int tcp_open(struct fv_comm **out, const struct fv_comm_settings *s)
{
    struct fv__launch l;
    struct tcp *t = calloc(1, sizeof *t);
    *out = NULL;
    if (!t)
        return fv_err(FV_ENOMEM, "out of memory");
    int rc = fv__launch_read(&l);
    if (rc == 0)
        rc = fv__meet(&t->m, &l, s->timeout_s);
    if (rc == 0 && !(t->poll = calloc((size_t)t->m.lines + 2, sizeof *t->poll))) {
        fv__meet_leave(&t->m);
        rc = fv_err(FV_ENOMEM, "out of memory");
    }
    if (rc < 0) {
        free(t);
        return rc;
    }
    t->comm.rank = l.rank;
    t->comm.world = l.world;
    *out = &t->comm;
    return 0;
}

static void tcp_close(struct fv_comm *c, const char *why)
{
    struct tcp *t = (struct tcp *)c;
    for (int i = 0; i < t->m.lines; i++)
        if (t->m.line[i] >= 0 && why)
            fv__note_write(t->m.line[i], FV_MEET_FAILED, t->over[0] ? t->over : why);
        else if (t->m.line[i] >= 0)
            fv__note_write(t->m.line[i], FV_MEET_DONE, "");
    fv__meet_leave(&t->m);
    free(t->poll);
    free(t);
}

/* A line has something to say: that the run is over, or that one who was faster at the end has left. */
static int hear(struct tcp *t, int i)
{
    struct fv__meet_note note = {0};
    const int from = t->m.rank == 0 ? i : 0;
    const int said = fv__note_read(t->m.line[i], &note, TELL_S);
    close(t->m.line[i]);
    t->m.line[i] = -1;
    if (note.kind == FV_MEET_DONE)
        return 0;
    if (!said)
        snprintf(t->over, sizeof t->over, "rank %d has ended", from);
    else if (from == 0)
        snprintf(t->over, sizeof t->over, "%s", note.text);
    else
        snprintf(t->over, sizeof t->over, "rank %d gave up: %.300s", from, note.text);
    if (said && from == 0 && strncmp(note.text, "rank ", 5) != 0)
        return fv_err(FV_EIO, "rank 0 gave up: %s", t->over);
    return fv_err(FV_EIO, "%s", t->over);
}

/* The ring broke: whose fault it was comes on a line, in a moment. */
static int broken(struct tcp *t, int neighbour)
{
    const uint64_t deadline = fv_now_ns() + TELL_S * UINT64_C(1000000000);
    const int why = errno;
    do {
        for (int i = 0; i < t->m.lines; i++)
            t->poll[i] = (struct pollfd){.fd = t->m.line[i], .events = POLLIN};
        if (poll(t->poll, (nfds_t)t->m.lines, 100) > 0)
            for (int i = 0; i < t->m.lines; i++)
                if (t->poll[i].revents)
                    FV_TRY(hear(t, i));
    } while (fv_now_ns() < deadline);
    snprintf(t->over, sizeof t->over, "the connection between ranks %d and %d broke", t->m.rank,
             neighbour);
    return fv_err(FV_EIO, "%s (%s)", t->over, why ? strerror(why) : "it ended");
}

struct transfer {
    const char *send;
    char *receive;
    size_t out, in;
};

/* Moves what can be moved: 1, or 0 where nothing could. */
static int move_on(struct tcp *t, struct transfer *x)
{
    const int w = t->m.world, rank = t->m.rank;
    int moved = 0;
    if (x->out > 0) {
        const ssize_t n = send(t->m.next, x->send, x->out, MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN && errno != EINTR)
            return broken(t, (rank + 1) % w);
        moved |= n > 0;
        x->send += n > 0 ? n : 0;
        x->out -= n > 0 ? (size_t)n : 0;
    }
    if (x->in > 0) {
        const ssize_t n = read(t->m.previous, x->receive, x->in);
        if (n == 0)
            errno = 0;
        if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
            return broken(t, (rank + w - 1) % w);
        moved |= n > 0;
        x->receive += n > 0 ? n : 0;
        x->in -= n > 0 ? (size_t)n : 0;
    }
    return moved;
}

/* Until something can be moved, a line speaks, or a second is over. */
static int await(struct tcp *t, const struct transfer *x)
{
    t->poll[0] = (struct pollfd){.fd = x->out ? t->m.next : -1, .events = POLLOUT};
    t->poll[1] = (struct pollfd){.fd = x->in ? t->m.previous : -1, .events = POLLIN};
    for (int i = 0; i < t->m.lines; i++)
        t->poll[2 + i] = (struct pollfd){.fd = t->m.line[i], .events = POLLIN};
    if (poll(t->poll, (nfds_t)t->m.lines + 2, 1000) <= 0)
        return 0;
    for (int i = 0; i < t->m.lines; i++)
        if (t->poll[2 + i].revents)
            FV_TRY(hear(t, i));
    return 0;
}

static int tcp_shift(struct fv_comm *c, const void *send_from, size_t out, void *receive, size_t in)
{
    struct tcp *t = (struct tcp *)c;
    struct transfer x = {send_from, receive, out, in};
    const double timeout_s = c->timeout_s > 0 ? c->timeout_s : 60;
    uint64_t moved_ns = fv_now_ns();
    if (t->over[0])
        return fv_err(FV_EIO, "%s", t->over);
    while (x.out > 0 || x.in > 0) {
        const int moved = move_on(t, &x);
        FV_TRY(moved);
        if (moved)
            moved_ns = fv_now_ns();
        else if ((double)(fv_now_ns() - moved_ns) * 1e-9 > timeout_s)
            return fv_err(
                FV_EIO,
                "rank %d has heard nothing of rank %d for %.0f s (--comm-timeout): it, or "
                "one that it waits for, hangs",
                c->rank, (c->rank + (x.in ? c->world - 1 : 1)) % c->world, timeout_s);
        if (x.out > 0 || x.in > 0)
            FV_TRY(await(t, &x));
    }
    return 0;
}

static int tcp_watch(struct fv_comm *c)
{
    struct tcp *t = (struct tcp *)c;
    if (t->over[0])
        return fv_err(FV_EIO, "%s", t->over);
    for (int i = 0; i < t->m.lines; i++)
        t->poll[i] = (struct pollfd){.fd = t->m.line[i], .events = POLLIN};
    if (poll(t->poll, (nfds_t)t->m.lines, 0) <= 0)
        return 0;
    for (int i = 0; i < t->m.lines; i++)
        if (t->poll[i].revents)
            FV_TRY(hear(t, i));
    return 0;
}

const struct fv_comm_kind fv__comm_tcp = {.name = "tcp",
                                          .help = "processes started by torchrun, srun or by hand",
                                          .open = tcp_open,
                                          .close = tcp_close,
                                          .shift = tcp_shift,
                                          .watch = tcp_watch};
