/* SPDX-License-Identifier: MIT */
/* The learning rate as a function of where training is: nothing to save, nothing to restore.
 *
 * Time is counted in epochs, with fractions: step / steps_per_epoch. A schedule sees the time since the end of
 * the warm-up; during the warm-up the rate rises in a straight line and reaches its full value at the end.
 */
#ifndef FV_TRAINER_SCHEDULE_H
#define FV_TRAINER_SCHEDULE_H

#include <stdint.h>

struct fv_schedule_settings {
    double lr, eta_min;    /* the highest and the lowest rate */
    double epochs, warmup; /* length of the run, and of its warm-up */
    /* cosine-restarts: epochs to the first restart, factor from then on (>= 1) */
    double t0, t_mult;
};

struct fv_schedule {
    const char *name, *help;
    /* t: epochs since the warm-up */
    double (*rate)(const struct fv_schedule_settings *s, double t);
};
extern const struct fv_schedule *const fv_schedules[]; /* NULL-terminated */
extern const char *const fv_schedule_names[];          /* the same names, for an option table */

/* FV_ENOTFOUND lists the valid names. */
int fv_schedule_find(const struct fv_schedule **out, const char *name);
/* The rate of one step (0 is the first of the run). */
double fv_schedule_rate(const struct fv_schedule *sched, const struct fv_schedule_settings *s,
                        uint64_t step, uint64_t steps_per_epoch);

#endif
