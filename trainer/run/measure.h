/* SPDX-License-Identifier: MIT */
/* What an epoch is measured by, by name, for whoever watches one of them (early stopping). */
#ifndef FV_TRAINER_MEASURE_H
#define FV_TRAINER_MEASURE_H

#include "trainer/run/runlog.h"

struct fv_measure {
    const char *name, *help;
    double (*of)(const struct fv_runlog_line *l); /* NAN: not measured */
    int higher_is_better;
    int needs_val, needs_pairs; /* images to validate with, pairs to verify */
};
extern const struct fv_measure fv_measures[];
extern const char *const fv_measure_names[]; /* NULL-terminated, in the same order */

/* FV_ENOTFOUND lists the valid names. */
int fv_measure_find(const struct fv_measure **out, const char *name);
/* Whether `now` is better than `best`. What was not measured is never better. */
int fv_measure_is_better(const struct fv_measure *m, double now, double best);

#endif
