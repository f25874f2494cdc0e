/* SPDX-License-Identifier: MIT */
/* The plots of a report, each an <svg> for a <figure>. */
#ifndef FV_TOOLS_REPORT_CURVES_H
#define FV_TOOLS_REPORT_CURVES_H

#include "tools/report/pca.h"
#include "tools/roc_plot.h"

/* True matches over false matches, FMR on a logarithmic axis. The first curve is the one that counts. */
int curves_roc(FILE *f, const struct roc_curve *curve, int n);
/* Misses over false matches, both on probit axes, on which scores of two normal distributions give a straight line. */
int curves_det(FILE *f, const struct roc_curve *curve, int n);
/* How the scores of both kinds lie, as shares of their kind; and a threshold. */
int curves_scores(FILE *f, const double *score, const unsigned char *same, size_t n,
                  double threshold);
/* Points (n, 2) as the digits of their groups 1 .. 8. */
int curves_plane(FILE *f, const struct pca *p, const int *group, size_t n);

/* What a run's log has of each epoch; NAN: not measured. */
struct curves_epoch {
    double epoch, loss, val_loss, acc, val_acc, eer, lr;
};
int curves_loss(FILE *f, const struct curves_epoch *e, size_t n);
int curves_shares(FILE *f, const struct curves_epoch *e, size_t n);

#endif
