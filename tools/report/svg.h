/* SPDX-License-Identifier: MIT */
/* Plots within a page: what gnuplot's svg terminal draws, fitted to it. A script names colours by their number,
 * '#010101' for --c1 of the page's style, so that a plot has the page's colours, light or dark. */
#ifndef FV_TOOLS_REPORT_SVG_H
#define FV_TOOLS_REPORT_SVG_H

#include <stdio.h>

enum { SVG_WIDTH = 440, SVG_HEIGHT = 360 };

/* Writes <svg> to f. `script` plots after the terminal is set; alt says what is to be seen. */
int svg_plot(FILE *f, const char *alt, void (*script)(FILE *f, const void *ctx), const void *ctx);
/* The same as a file of its own, on white, in the colours of the page in the light; whole or not at all. `option` is
 * what asked for it, for sentences. */
int svg_write(const char *path, const char *alt, void (*script)(FILE *f, const void *ctx),
              const void *ctx, const char *option);

/* Drops from x, y (n), which are in units of the plot's width and height, what no eye can tell from its neighbours, and
 * returns how many points are left. */
size_t svg_thin(double *x, double *y, size_t n, double x_range, double y_range);

#endif
