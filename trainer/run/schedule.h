/* SPDX-License-Identifier: MIT */
/* The learning rate as a function of where training is: nothing to save, nothing to restore.
 *
 * A schedule is a row with a formula and the names of the settings that it reads. Time moves with every step, in
 * fractions of an epoch, or jumps from epoch to epoch as where torch's scheduler.step() is called once an epoch. The
 * warm-up, a straight line from the first step on, moves with every step in either case.
 */
#ifndef FV_TRAINER_SCHEDULE_H
#define FV_TRAINER_SCHEDULE_H

#include <stdint.h>

enum { FV_MILESTONES_MAX = 32 };

struct fv_schedule_settings {
    double lr, eta_min;    /* the highest and the lowest rate */
    double epochs, warmup; /* length of the run, and of its warm-up */
    int by_epoch;          /* the rate stays the same within an epoch */
    /* cosine-restarts: epochs to the first restart, factor from then on (>= 1) */
    double t0, t_mult;
    double milestone[FV_MILESTONES_MAX]; /* step: epochs of the run, rising */
    int milestones;
    double gamma; /* step: what each milestone multiplies the rate by */
    double power; /* polynomial */
    /* one-cycle: share of the rise, highest rate / first rate, first rate / last rate */
    double pct_start, div_factor, final_div_factor;
    double momentum_low,
        momentum_high; /* one-cycle: what the momentum moves between; both 0: it does not move */
};

struct fv_schedule_time {
    double epochs;      /* since the warm-up */
    double run;         /* epochs since the run began */
    double step, steps; /* steps, or whole epochs, since the warm-up, and how many there are */
};

struct fv_schedule {
    const char *name, *help;
    double (*rate)(const struct fv_schedule_settings *s, const struct fv_schedule_time *t);
    /* The rate of a step within the warm-up of so many steps; NULL: it has no warm-up. */
    double (*warmup)(const struct fv_schedule_settings *s, double step, double steps);
    const char
        *uses; /* the options that it reads, with blanks around each: " t0 t-mult eta-min " */
    double (*momentum)(const struct fv_schedule_settings *s,
                       const struct fv_schedule_time *t); /* NULL: stays */
};
extern const struct fv_schedule *const fv_schedules[]; /* NULL-terminated */
extern const char *const fv_schedule_names[];          /* the same names, for an option table */

/* FV_ENOTFOUND lists the valid names. */
int fv_schedule_find(const struct fv_schedule **out, const char *name);
int fv_schedule_uses(const struct fv_schedule *sched, const char *option);
/* Reads "10,16,22" into milestones; FV_EUSAGE names --milestones. NULL or "" is none. */
int fv_schedule_read_milestones(struct fv_schedule_settings *s, const char *text);
/* Reads "0.85,0.95" into the momenta; FV_EUSAGE names --cycle-momentum. NULL or "" is none. */
int fv_schedule_read_momentum(struct fv_schedule_settings *s, const char *text);
/* FV_EUSAGE if the schedule cannot make anything of the settings. */
int fv_schedule_check(const struct fv_schedule *sched, const struct fv_schedule_settings *s);
/* The rate of one step (0 is the first of the run). */
double fv_schedule_rate(const struct fv_schedule *sched, const struct fv_schedule_settings *s,
                        uint64_t step, uint64_t steps_per_epoch);

/* The momentum of one step, which is beta1 of Adam; `usual` where the schedule does not move it. */
double fv_schedule_momentum(const struct fv_schedule *sched, const struct fv_schedule_settings *s,
                            uint64_t step, uint64_t steps_per_epoch, double usual);

#endif
