/* SPDX-License-Identifier: MIT */
/* curves.png of a run, kept up while it trains: drawn so seldom that it costs no time worth speaking of. */
#ifndef FV_TOOLS_TRAIN_CURVES_H
#define FV_TOOLS_TRAIN_CURVES_H

#include "common/report.h"

struct train_curves {
    const char *folder;
    const struct fv_report *report;
    uint64_t drawn_ns, cost_ns; /* when it was drawn last, and how long that took */
    int given_up;               /* why has been said */
};

/* Takes a struct train_curves: fv_train_data's epoch_done. */
void train_curves_update(void *curves);
/* Once more at the end, if there is none or another epoch was done. Leaves the thread's error sentence alone. */
void train_curves_finish(struct train_curves *c);

#endif
