/* SPDX-License-Identifier: MIT */
/* How processes that talk by TCP find each other (internal to trainer/comm/).
 *
 * Each connects to rank 0 at MASTER_ADDR:MASTER_PORT and says who it is: the first connection, kept as the line
 * on which failures are told. When all have come rank 0 tells each where the next one listens, and they connect
 * into a ring. */
#ifndef FV_TRAINER_MEET_H
#define FV_TRAINER_MEET_H

#include "trainer/comm/launch.h"

enum { FV_MEET_TEXT = 400 };

/* What is sent on the line: how a process is told where to go on, or why not to. */
enum fv__meet_kind {
    FV_MEET_PLACE = 1,  /* "PORT ADDRESS" of the next one; no address: that of rank 0 */
    FV_MEET_FAILED = 2, /* a sentence; the run is over */
    FV_MEET_DONE = 3    /* leaves, with all well */
};
struct fv__meet_note {
    enum fv__meet_kind kind;
    char text[FV_MEET_TEXT + 1];
};

struct fv__meeting {
    int rank, world;
    int next, previous; /* connections of the ring; none if world is 1 */
    int *line;          /* rank 0: one to each rank, [0] unused; others: [0] to rank 0; -1: none */
    int lines;
};

/* FV_EIO, naming who is missing or who does not fit, when timeout_s pass without all having met. */
int fv__meet(struct fv__meeting *m, const struct fv__launch *l, double timeout_s);
void fv__meet_leave(struct fv__meeting *m);

/* Notes on a line. Writing does what it can and gives no error: what cannot be told is seen by the line's end. */
void fv__note_write(int fd, enum fv__meet_kind kind, const char *text);
/* 1, or 0 when the line ended or brought no note within timeout_s. */
int fv__note_read(int fd, struct fv__meet_note *note, double timeout_s);

#endif
