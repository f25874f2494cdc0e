/* SPDX-License-Identifier: MIT */
/* Pictures are drawn by gnuplot, a program that people can install and restyle with. */
#ifndef FV_TOOLS_GNUPLOT_H
#define FV_TOOLS_GNUPLOT_H

#include <stdio.h>

/* Writes the PNG of a script that begins with "set terminal pngcairo", whole or not at all. FV_EUNSUPPORTED names
 * `what` ("--roc") and the package to install when there is no gnuplot, or one that draws no PNG. */
int gnuplot_draw(const char *png, const char *what,
                 void (*write_script)(FILE *script, const void *ctx), const void *ctx);

#endif
