/* SPDX-License-Identifier: MIT */
/* The plots of a report, each an <svg> for a <figure>. */
#ifndef FV_TOOLS_REPORT_CURVES_H
#define FV_TOOLS_REPORT_CURVES_H

#include "tools/report/roc_plot.h"

#include <stdio.h>

/* True matches over false matches, FMR on a logarithmic axis. The first curve is the one that counts. */
int curves_roc(FILE *f, const struct roc_curve *curve, int n);
/* Misses over false matches, both on probit axes, on which scores of two normal distributions give a straight line. */
int curves_det(FILE *f, const struct roc_curve *curve, int n);
/* How the scores of two kinds lie, as shares of their kind; and a threshold, if it is finite. Names go into a script:
 * plain words. */
struct curves_kinds {
    const char *name[2], *of, *threshold,
        *alt; /* kinds, what they are of, the threshold, what is to be seen */
};
int curves_scores(FILE *f, const double *score, const unsigned char *same, size_t n,
                  double threshold, const struct curves_kinds *kinds);

/* What a run's log has of each epoch; NAN: not measured. */
struct curves_epoch {
    double epoch, loss, val_loss, acc, val_acc, eer, lr;
};
int curves_loss(FILE *f, const struct curves_epoch *e, size_t n);
int curves_shares(FILE *f, const struct curves_epoch *e, size_t n);

#endif
