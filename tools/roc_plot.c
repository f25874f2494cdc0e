/* SPDX-License-Identifier: MIT */
#include "tools/roc_plot.h"
#include "common/err.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void write_script(FILE *f, const char *png, const struct roc_curve *curve, int n)
{
    fprintf(f,
            "set terminal pngcairo size 960,720 font 'sans,13'\n"
            "set output '%s'\n"
            "set title 'Verification ROC: %" PRIu64 " genuine, %" PRIu64 " impostor pairs'\n"
            "set xlabel 'FMR (impostors accepted)'\nset ylabel 'TPR (genuine accepted)'\n"
            "set logscale x\nset format x '%%g'\nset xrange [%g:1]\nset yrange [0:1]\n"
            "set grid lc rgb '#dddddd'\nset key top left box opaque\nplot ",
            png, curve[0].roc.genuine, curve[0].roc.impostor, 1.0 / (double)curve[0].roc.impostor);
    for (int i = 0; i < n; i++)
        fprintf(f, "%s'-' using 1:2 with steps lw 2 title '%s, AUC %.4f'", i ? ", " : "",
                curve[i].name, fv_roc_auc(&curve[i].roc));
    fputc('\n', f);
    for (int i = 0; i < n; i++) {
        const struct fv_roc *r = &curve[i].roc;
        for (size_t k = 0; k < r->n; k++) {
            const double fmr = (double)r->point[k].fp / (double)r->impostor;
            /* A logarithmic axis has no zero: no false match is drawn at its left end. */
            fprintf(f, "%.9g %.9g\n", fmr > 0 ? fmr : 1.0 / (double)curve[0].roc.impostor,
                    (double)r->point[k].tp / (double)r->genuine);
        }
        fputs("e\n", f);
    }
}

int roc_plot(const char *png, const struct roc_curve *curve, int n)
{
    if (strpbrk(png, "'\n"))
        return fv_err(FV_EUSAGE, "--roc: the name must not hold a quote");
    FILE *f = popen("gnuplot", "w");
    if (!f)
        return fv_err_errno(FV_EIO, "cannot start gnuplot");
    write_script(f, png, curve, n);
    if (pclose(f) != 0 || access(png, R_OK) != 0)
        return fv_err(FV_EUNSUPPORTED,
                      "%s: gnuplot could not draw it: install the package gnuplot-nox", png);
    return FV_OK;
}
