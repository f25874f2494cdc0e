/* SPDX-License-Identifier: MIT */
/* The log of a run: one JSON object a line, each written by one system call.
 *
 *   {"type":"step","step":120,"epoch":3,"time":1764460800.125,"loss":3.41,"acc":0.12,"lr":0.01,"img_per_s":812,
 *    "data_wait":0.03}
 *   {"type":"epoch","step":381,"epoch":3,"time":1764460900.5,"loss":3.2,"acc":0.15,"lr":0.01,"img_per_s":800,
 *    "data_wait":0.03,"val_loss":3.0,"val_acc":0.2,"eer":0.2,"auc":0.88}
 *
 * Of a loss of several terms a line has each, before its weight, as "loss_ce", and of triplets "triplets_active"
 * (share of triplets that have a loss) and "pair_distance" (mean over all pairs of a batch).
 *
 * "step" counts the steps done since the run began, "epoch" from 1, "time" seconds since 1970; shares lie in 0 .. 1.
 * What was not measured is left out. A resumed run first drops what lies after its checkpoint, so that no step is ever
 * there twice.
 * trainer/track/ writes the same in other forms beside it.
 */
#ifndef FV_TRAINER_RUNLOG_H
#define FV_TRAINER_RUNLOG_H

#include "trainer/loss/loss.h"

#include <stdint.h>

struct fv_runlog;

struct fv_runlog_line {
    uint64_t step, epoch;
    double time_s; /* since 1970; 0: not said */
    double loss, acc, lr, img_per_s, data_wait;
    /* The loss's terms before their weights, if there are several, and what became of triplets; NULL: no terms. */
    const struct fv_loss_spec *spec;
    double term[FV_LOSS_TERMS], active, distance;
    double val_loss, val_acc, eer, auc; /* of an epoch; NAN: not measured */
};

/* Opens the log of a run folder for appending, and keeps of an existing one the lines up to this step and this number
 * of whole epochs. */
int fv_runlog_open(struct fv_runlog **out, const char *folder, uint64_t step, uint64_t epochs);
int fv_runlog_step(struct fv_runlog *log, const struct fv_runlog_line *l);
int fv_runlog_epoch(struct fv_runlog *log, const struct fv_runlog_line *l);
int fv_runlog_sync(struct fv_runlog *log); /* to the disk: before a checkpoint that counts on it */
void fv_runlog_close(struct fv_runlog **log);

#endif
