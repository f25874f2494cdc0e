/* SPDX-License-Identifier: MIT */
/* Runs gnuplot, a program that people can install and restyle with: without a shell, its script through a pipe. */
#ifndef FV_TOOLS_GNUPLOT_H
#define FV_TOOLS_GNUPLOT_H

#include <stdio.h>

/* `script` writes to gnuplot's standard input; `picture` is its standard output. `option` is what asked for the
 * picture, for sentences: FV_EUNSUPPORTED with the package to install where there is no gnuplot or no such terminal. */
int gnuplot_draw(FILE *picture, void (*script)(FILE *f, const void *ctx), const void *ctx,
                 const char *option, const char *terminal);
/* The PNG of a script that begins with "set terminal pngcairo", whole or not at all. */
int gnuplot_write_png(const char *png, void (*script)(FILE *f, const void *ctx), const void *ctx,
                      const char *option);

#endif
