/* SPDX-License-Identifier: MIT */
/* Anybody may connect to a port, so nothing is taken on trust: what comes first is a greeting of fixed length, with a
 * magic number, the protocol's and the program's version, the run, the rank and the number of processes. Who sends
 * something else, or of another run, is hung up on, and who sends nothing keeps nobody waiting.
 */
#include "trainer/comm/meet.h"

#include "trainer/comm/comm.h"
#include "trainer/comm/socket.h"

#include "common/clock.h"
#include "common/err.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PROTOCOL = 1, MAGIC = 0x46564d31, GUESTS = 64, GRACE_S = 5 };

/* In the order of bytes of the machine: a machine of the other order fails at the magic number. */
struct greeting {
    uint32_t magic, protocol;
    uint64_t program, run;
    uint32_t ring; /* 0: a line to rank 0, 1: a link of the ring */
    uint32_t rank, world;
    uint32_t port; /* where this rank listens for the one before it */
};

struct guest {
    int fd;
    size_t got;
    struct greeting hello;
};

/* Connections that have not yet said who they are. */
struct door {
    const struct fv__launch *l;
    int listener;
    struct guest guest[GUESTS];
    int guests;
};

static uint64_t program_hash(void)
{
    return fv_comm_hash(0, FV_VERSION, strlen(FV_VERSION));
}

static struct greeting greet(const struct fv__launch *l, int ring, int port)
{
    return (struct greeting){.magic = MAGIC,
                             .protocol = PROTOCOL,
                             .program = program_hash(),
                             .run = l->id,
                             .ring = (uint32_t)ring,
                             .rank = (uint32_t)l->rank,
                             .world = (uint32_t)l->world,
                             .port = (uint32_t)port};
}

void fv__note_write(int fd, enum fv__meet_kind kind, const char *text)
{
    unsigned char note[2 + FV_MEET_TEXT];
    const size_t n = strnlen(text, FV_MEET_TEXT);
    note[0] = (unsigned char)kind;
    note[1] = 0;
    memset(note + 2, 0, FV_MEET_TEXT);
    memcpy(note + 2, text, n);
    fv__socket_write(fd, note, sizeof note, fv_now_ns() + UINT64_C(1000000000));
}

int fv__note_read(int fd, struct fv__meet_note *note, double timeout_s)
{
    unsigned char bytes[2 + FV_MEET_TEXT];
    if (fv__socket_read(fd, bytes, sizeof bytes, fv_now_ns() + (uint64_t)(timeout_s * 1e9)) < 0)
        return 0;
    if (bytes[0] < FV_MEET_PLACE || bytes[0] > FV_MEET_DONE)
        return 0;
    note->kind = bytes[0];
    memcpy(note->text, bytes + 2, FV_MEET_TEXT);
    note->text[FV_MEET_TEXT] = '\0';
    for (char *c = note->text; *c; c++) /* it goes to a terminal */
        if ((unsigned char)*c < ' ' || *c == 127)
            *c = ' ';
    return 1;
}

static void forget(struct door *d, int i)
{
    d->guest[i] = d->guest[--d->guests];
}

static void admit(struct door *d)
{
    const int fd = fv__socket_accept(d->listener);
    if (fd < 0)
        return;
    if (d->guests == GUESTS) { /* the oldest has had its time */
        close(d->guest[0].fd);
        forget(d, 0);
    }
    d->guest[d->guests++] = (struct guest){.fd = fd};
}

/* 1: the greeting is whole and of this run. 0: not yet. -1: it was hung up on. */
static int listen_to(struct door *d, int i)
{
    struct guest *g = &d->guest[i];
    const ssize_t n = read(g->fd, (char *)&g->hello + g->got, sizeof g->hello - g->got);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    g->got += n > 0 ? (size_t)n : 0;
    if (n > 0 && g->got < sizeof g->hello)
        return 0;
    if (n > 0 && g->hello.magic == MAGIC && g->hello.run == d->l->id && g->hello.ring <= 1)
        return 1;
    close(g->fd);
    forget(d, i);
    return -1;
}

/* The next that has said who it is: its connection is the caller's. 0: none in time. */
static int next_guest(struct door *d, uint64_t deadline, int ring, struct guest *out)
{
    for (;;) {
        struct pollfd p[1 + GUESTS] = {{.fd = d->listener, .events = POLLIN}};
        for (int i = 0; i < d->guests; i++) /* a link of the ring may come before its time */
            p[1 + i] = (struct pollfd){
                .fd = d->guest[i].got < sizeof d->guest[i].hello ? d->guest[i].fd : -1,
                .events = POLLIN};
        for (int i = 0; i < d->guests; i++)
            if (d->guest[i].got == sizeof d->guest[i].hello &&
                d->guest[i].hello.ring == (uint32_t)ring) {
                *out = d->guest[i];
                forget(d, i);
                return 1;
            }
        const uint64_t now = fv_now_ns();
        if (now >= deadline)
            return 0;
        const uint64_t left_ms = (deadline - now) / 1000000 + 1;
        const int n = d->guests;
        if (poll(p, 1 + (nfds_t)n, left_ms < 1000 ? (int)left_ms : 1000) <= 0)
            continue;
        for (int i = n - 1; i >= 0; i--)
            if (p[1 + i].fd >= 0 && p[1 + i].revents)
                listen_to(d, i);
        if (p[0].revents)
            admit(d);
    }
}

static void shut(struct door *d)
{
    for (int i = 0; i < d->guests; i++)
        close(d->guest[i].fd);
    if (d->listener >= 0)
        close(d->listener);
}

/* Whether a greeting fits this run; the sentence is for both sides. */
static int judge(const struct fv__meeting *m, const struct greeting *g)
{
    if (g->protocol != PROTOCOL || g->program != program_hash())
        return fv_err(FV_EVERSION,
                      "rank %u is another version of the program than rank 0: start "
                      "the same one everywhere",
                      g->rank);
    if (g->world != (uint32_t)m->world)
        return fv_err(FV_EINVAL,
                      "rank %u was told of %u processes, rank 0 of %d: start all with "
                      "the same WORLD_SIZE",
                      g->rank, g->world, m->world);
    if (g->rank < 1 || g->rank >= (uint32_t)m->world || g->port > 65535)
        return fv_err(FV_EINVAL, "there is no rank %u beside rank 0 of %d", g->rank, m->world);
    if (m->line[g->rank] >= 0)
        return fv_err(FV_EINVAL,
                      "two processes say that they are rank %u: give each a RANK of its "
                      "own",
                      g->rank);
    return 0;
}

static void tell_all(const struct fv__meeting *m, const char *text)
{
    for (int r = 1; r < m->lines; r++)
        if (m->line[r] >= 0)
            fv__note_write(m->line[r], FV_MEET_FAILED, text);
}

static int name_missing(const struct fv__meeting *m, const struct fv__launch *l, double timeout_s)
{
    char list[160] = "";
    int missing = 0;
    for (int r = 1; r < m->world; r++) {
        const size_t used = strlen(list);
        missing += m->line[r] < 0;
        if (m->line[r] < 0 && used < sizeof list - 24)
            snprintf(list + used, sizeof list - used, "%s%d", used ? ", " : "", r);
    }
    return fv_err(FV_EIO,
                  "%d of %d processes have not come to %s:%d within %.0f s (--comm-timeout): rank "
                  "%s: see whether they were started, and what they said",
                  missing, m->world, l->host, l->port, timeout_s, list);
}

struct address {
    char host[64]; /* "": as rank 0's */
    int port;
};

/* Rank 0: everybody's line, and where each listens. */
static int gather_lines(struct fv__meeting *m, struct door *d, struct address *where,
                        double timeout_s)
{
    const uint64_t deadline = fv_now_ns() + (uint64_t)(timeout_s * 1e9);
    for (int come = 1; come < m->world; come++) {
        struct guest g;
        if (!next_guest(d, deadline, 0, &g))
            return name_missing(m, d->l, timeout_s);
        const int rc = judge(m, &g.hello);
        if (rc < 0) {
            fv__note_write(g.fd, FV_MEET_FAILED, fv_err_text());
            close(g.fd);
            return rc;
        }
        m->line[g.hello.rank] = g.fd;
        where[g.hello.rank].port = (int)g.hello.port;
        fv__socket_peer(g.fd, where[g.hello.rank].host, sizeof where->host);
    }
    return 0;
}

static int link_next(struct fv__meeting *m, const struct fv__launch *l, const struct address *to,
                     uint64_t deadline)
{
    const struct greeting hello = greet(l, 1, 0);
    const char *host = to->host[0] ? to->host : l->host;
    FV_TRY(fv__socket_connect(&m->next, host, to->port, deadline));
    if (fv__socket_write(m->next, &hello, sizeof hello, deadline) < 0)
        return fv_err_errno(FV_EIO, "rank %d: rank %d at %s:%d hung up", m->rank,
                            (m->rank + 1) % m->world, host, to->port);
    return 0;
}

static int link_previous(struct fv__meeting *m, struct door *d, uint64_t deadline)
{
    const uint32_t before = (uint32_t)((m->rank + m->world - 1) % m->world);
    struct guest g;
    while (next_guest(d, deadline, 1, &g)) {
        if (g.hello.rank == before && g.hello.world == (uint32_t)m->world &&
            g.hello.program == program_hash()) {
            m->previous = g.fd;
            return 0;
        }
        close(g.fd);
    }
    return fv_err(FV_EIO, "rank %d: rank %u has not connected: is a firewall between them?",
                  m->rank, before);
}

static int lead(struct fv__meeting *m, const struct fv__launch *l, double timeout_s)
{
    struct door d = {.l = l, .listener = -1};
    struct address *where = calloc((size_t)m->world + 1, sizeof *where);
    int port = l->port;
    int rc = where ? fv__socket_listen(&d.listener, l->host, &port)
                   : fv_err(FV_ENOMEM, "out of memory for %d processes", m->world);
    if (rc == 0)
        rc = gather_lines(m, &d, where, timeout_s);
    if (rc == 0) {
        where[m->world].port = l->port; /* the last one's next is rank 0 */
        for (int r = 1; r < m->world; r++) {
            char text[FV_MEET_TEXT];
            snprintf(text, sizeof text, "%d %s", where[r + 1].port, where[r + 1].host);
            fv__note_write(m->line[r], FV_MEET_PLACE, text);
        }
        const uint64_t deadline = fv_now_ns() + (uint64_t)(timeout_s * 1e9);
        rc = link_next(m, l, &where[1], deadline);
        if (rc == 0)
            rc = link_previous(m, &d, deadline);
    }
    if (rc < 0)
        tell_all(m, fv_err_text());
    shut(&d);
    free(where);
    return rc;
}

static int read_place(const struct fv__meet_note *note, struct address *to)
{
    char *end;
    const long port = strtol(note->text, &end, 10);
    if (port < 1 || port > 65535 || *end != ' ' || strlen(end + 1) >= sizeof to->host)
        return fv_err(FV_EIO, "rank 0 says that the next rank is at '%.80s'", note->text);
    to->port = (int)port;
    strcpy(to->host, end + 1);
    return 0;
}

static int follow(struct fv__meeting *m, const struct fv__launch *l, double timeout_s)
{
    struct door d = {.l = l, .listener = -1};
    struct address to;
    struct fv__meet_note note = {0};
    uint64_t deadline = fv_now_ns() + (uint64_t)(timeout_s * 1e9);
    int port = 0;
    int rc = fv__socket_connect(&m->line[0], l->host, l->port, deadline);
    if (rc < 0)
        return fv_err(rc, "rank %d: rank 0 was not found: %s", m->rank, fv_err_text());
    rc = fv__socket_listen_beside(&d.listener, m->line[0], l->host, &port);
    const struct greeting hello = greet(l, 0, port);
    if (rc == 0 && (fv__socket_write(m->line[0], &hello, sizeof hello, deadline) < 0 ||
                    !fv__note_read(m->line[0], &note, timeout_s + GRACE_S)))
        rc = fv_err(FV_EIO,
                    "rank %d: what listens at %s:%d is not rank 0 of this run, or it has ended",
                    m->rank, l->host, l->port);
    if (rc == 0 && note.kind == FV_MEET_FAILED)
        rc = fv_err(FV_EIO, "rank 0 gave up: %s", note.text);
    if (rc == 0)
        rc = read_place(&note, &to);
    deadline = fv_now_ns() + (uint64_t)(timeout_s * 1e9);
    if (rc == 0)
        rc = link_next(m, l, &to, deadline);
    if (rc == 0)
        rc = link_previous(m, &d, deadline);
    shut(&d);
    return rc;
}

int fv__meet(struct fv__meeting *m, const struct fv__launch *l, double timeout_s)
{
    *m = (struct fv__meeting){.rank = l->rank, .world = l->world, .next = -1, .previous = -1};
    m->lines = l->world == 1 ? 0 : l->rank == 0 ? l->world : 1;
    if (m->lines == 0)
        return 0;
    m->line = malloc((size_t)m->lines * sizeof *m->line);
    if (!m->line)
        return fv_err(FV_ENOMEM, "out of memory for %d processes", l->world);
    for (int i = 0; i < m->lines; i++)
        m->line[i] = -1;
    const int rc = l->rank == 0 ? lead(m, l, timeout_s) : follow(m, l, timeout_s);
    if (rc < 0)
        fv__meet_leave(m);
    return rc;
}

void fv__meet_leave(struct fv__meeting *m)
{
    for (int i = 0; i < m->lines; i++)
        if (m->line[i] >= 0)
            close(m->line[i]);
    if (m->next >= 0)
        close(m->next);
    if (m->previous >= 0)
        close(m->previous);
    free(m->line);
    *m = (struct fv__meeting){.next = -1, .previous = -1};
}
