/* SPDX-License-Identifier: MIT */
/* Learning curves of one run or several as a picture: loss, accuracy, verification, learning rate over epochs. */
#ifndef FV_TOOLS_RUN_CURVES_H
#define FV_TOOLS_RUN_CURVES_H

#include "tools/train/run_record.h"

enum { RUN_CURVES_MAX = 8 }; /* runs in a picture */

/* Writes the PNG, whole or not at all. FV_ENOTFOUND when no run has a line to draw, FV_EUNSUPPORTED without gnuplot.
 * `what` is what asks for it, for that sentence. */
int run_curves_draw(const char *png, const char *what, const struct run_record *run, int runs);

#endif
