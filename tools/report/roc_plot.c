/* SPDX-License-Identifier: MIT */
#include "tools/report/roc_plot.h"
#include "common/err.h"
#include "tools/report/gnuplot.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

struct plot {
    const struct roc_curve *curve;
    int n;
};

static void write_script(FILE *f, const void *ctx)
{
    const struct plot *p = ctx;
    const struct roc_curve *curve = p->curve;
    const int n = p->n;
    /* A logarithmic axis has no zero: no false match is drawn at its left end. */
    const double left = fmin(1.0 / (double)curve[0].roc.impostor, 0.1);

    fprintf(f,
            "set terminal pngcairo size 960,720 font 'sans,13'\n"
            "set title 'Verification ROC: %" PRIu64 " genuine, %" PRIu64 " impostor pairs'\n"
            "set xlabel 'FMR (impostors accepted)'\nset ylabel 'TPR (genuine accepted)'\n"
            "set logscale x\nset format x '%%g'\nset xrange [%g:1]\nset yrange [0:1]\n"
            "set grid lc rgb '#dddddd'\nset key top left box opaque\nplot ",
            curve[0].roc.genuine, curve[0].roc.impostor, left);
    for (int i = 0; i < n; i++)
        fprintf(f, "%s'-' using 1:2 with steps lw 2 title '%s, AUC %.4f'", i ? ", " : "",
                curve[i].name, fv_roc_auc(&curve[i].roc));
    fputc('\n', f);
    for (int i = 0; i < n; i++) {
        const struct fv_roc *r = &curve[i].roc;
        for (size_t k = 0; k < r->n; k++) {
            const double fmr = (double)r->point[k].fp / (double)r->impostor;
            fprintf(f, "%.9g %.9g\n", fmr > 0 ? fmr : left,
                    (double)r->point[k].tp / (double)r->genuine);
        }
        fputs("e\n", f);
    }
}

int roc_plot(const char *png, const struct roc_curve *curve, int n)
{
    const struct plot p = {curve, n};
    return gnuplot_write_png(png, write_script, &p, "--roc");
}
