/* SPDX-License-Identifier: MIT */
/* Draws ROC curves as a PNG through gnuplot, a program that people can install and restyle with. */
#ifndef FV_TOOLS_ROC_PLOT_H
#define FV_TOOLS_ROC_PLOT_H

#include "trainer/trainer.h"

struct roc_curve {
    const char *name;
    struct fv_roc roc;
};

/* Writes the PNG, whole or not at all. Without gnuplot: FV_EUNSUPPORTED with the package to install. */
int roc_plot(const char *png, const struct roc_curve *curve, int n);

#endif
