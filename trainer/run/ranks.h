/* SPDX-License-Identifier: MIT */
/* A run of several processes (internal to trainer/). For a process by itself all of these do nothing.
 *
 * Every rank goes round the same loop and holds the same numbers. Rank 0 alone has the folder: it reads the
 * checkpoint and gives it to the others, and it writes; and it measures at the end of an epoch, and tells the
 * others. What one rank finds out for itself (a signal, the time) becomes known to all before anybody acts on it:
 * it goes with a step and comes back with its result, which all read at the same place, so that none waits for it. */
#ifndef FV_TRAINER_RANKS_H
#define FV_TRAINER_RANKS_H

#include "trainer/run/train_run.h"

/* Threads of the backend: as told, or this rank's share of the processors that several ranks may use; 0: all. */
int fv__ranks_threads(const struct fv_train_settings *s, const struct fv_comm *c);
/* The program is part of one over all ranks, which must have been given the same data and settings. */
int fv__ranks_join(struct fv_run *run);
/* Rank 0's numbers and progress are everybody's. */
int fv__ranks_share_start(struct fv_run *run);
/* What a rank may want of all, as fv_optim.wants: an end with a checkpoint, or a checkpoint (only rank 0 does). */
enum fv__want { FV__WANT_STOP = 1, FV__WANT_SAVE = 2 };
/* *stop becomes whether any rank wants it: asks them all. */
int fv__ranks_agree(struct fv_run *run, int *stop);
/* The report for what rank 0 measures while the others wait: its progress tells them, now and then, that it is at work.
 * So a rank 0 that hangs there is given up like any other, and one that needs long is not. */
struct fv_report fv__ranks_report(struct fv_run *run);
/* What rank 0 measured, and the code that it came to (0 or FV_EINTR); others' arguments are written over. */
int fv__ranks_share_measures(struct fv_run *run, struct fv_runlog_line *l, int *rc);
/* FV_ECORRUPT, naming the first tensor, if the numbers just fetched are not the same on all ranks. */
int fv__ranks_check(struct fv_run *run);

#endif
