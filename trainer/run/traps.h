/* SPDX-License-Identifier: MIT */
/* Known traps that settings and an epoch's figures give away, put into words (internal to trainer/). Each function
 * gives 1 and a sentence with the remedy, or 0. */
#ifndef FV_TRAINER_TRAPS_H
#define FV_TRAINER_TRAPS_H

#include "trainer/backend.h"

/* A rate far from those that the optimiser works with. `fresh`: training begins with random weights, which take a
 * higher rate than learnt ones. */
int fv__trap_rate(const struct fv_optim *o, double lr, int fresh, char *text, size_t n);

/* Validation that is worse than guessing by more than chance allows (three standard deviations of a binomial), or no
 * better than guessing (two) where most training images are named rightly. acc and val_acc lie in 0 .. 1; `images` is
 * how many validate. Of the first epoch nothing is said: running statistics need time. */
int fv__trap_validation(uint64_t epoch, double acc, double val_acc, uint64_t images, int classes,
                        char *text, size_t n);

/* An epoch of so many seconds of which a large share (0 .. 1) went by in waiting for the loader. */
int fv__trap_wait(double share, double seconds, char *text, size_t n);

#endif
