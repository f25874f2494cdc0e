/* SPDX-License-Identifier: MIT */
#include "tools/report/search_curves.h"

#include "common/err.h"
#include "tools/report/svg.h"

#include <math.h>
#include <stdlib.h>

struct line {
    const double *x, *y;
    size_t n;
    double end; /* of the axis of x, in decades: the right one of ranks, the left one of rates */
};

static void put_points(FILE *f, const struct line *l)
{
    for (size_t i = 0; i < l->n; i++)
        fprintf(f, "%.6g %.6g\n", l->x[i], l->y[i]);
    fputs("e\n", f);
}

/* --- CMC ------------------------------------------------------------------------------------------ */

static void cmc_script(FILE *f, const void *ctx)
{
    const struct line *l = ctx;

    fputs("set xlabel 'rank' textcolor rgb '#010101'\n"
          "set ylabel 'share of mated probes' textcolor rgb '#010101'\nset key off\nset tmargin 1\n"
          "set yrange [0:1]\nset ytics 0.2\nset xtics (",
          f);
    for (int k = 0; k <= (int)ceil(l->end); k++)
        fprintf(f, "%s'%.0f' %d", k ? "," : "", pow(10, k), k);
    fprintf(f, ")\nset xrange [0:%.4f]\nplot '-' using 1:2 with steps lc rgb '#020202' lw 2.4\n",
            l->end);
    put_points(f, l);
}

/* How many mated probes have each rank; out (identities + 1). */
static void count_ranks(uint64_t *out, const struct fv_answer *a, size_t n, uint32_t identities,
                        int pessimistic)
{
    for (size_t i = 0; i < n; i++) {
        const uint32_t rank = 1 + a[i].better + (pessimistic ? a[i].equal : 0);
        if (a[i].truth < identities)
            out[rank <= identities ? rank : identities]++;
    }
}

int search_curves_cmc(FILE *f, const struct fv_answer *a, size_t n, uint32_t identities,
                      int pessimistic)
{
    const double mated = (double)fv_gallery_count(a, n).mated;
    const double end = log10(identities > 1 ? (double)identities : 10);
    uint64_t *count = calloc((size_t)identities + 1, sizeof *count), found = 0;
    double *xy = malloc(2 * ((size_t)identities + 1) * sizeof *xy), *y = xy + identities + 1;
    int rc = count && xy ? FV_OK : fv_err(FV_ENOMEM, "out of memory for %u ranks", identities);

    if (rc >= 0) {
        count_ranks(count, a, n, identities, pessimistic);
        for (uint32_t k = 1; k <= identities; k++) {
            found += count[k];
            xy[k - 1] = log10((double)k);
            y[k - 1] = (double)found / mated;
        }
        const struct line l = {xy, y, svg_thin(xy, y, identities, end, 1), end};
        rc = svg_plot(f, "CMC: share of mated probes found up to each rank", cmc_script, &l);
    }
    free(count);
    free(xy);
    return rc;
}

/* --- open set ------------------------------------------------------------------------------------- */

static void open_script(FILE *f, const void *ctx)
{
    const struct line *l = ctx;
    const int first = (int)floor(l->end);

    fputs("set xlabel 'FPIR (strangers taken for somebody)' textcolor rgb '#010101'\n"
          "set ylabel 'TPIR (mated probes found)' textcolor rgb '#010101'\nset key off\nset "
          "tmargin 1\n"
          "set yrange [0:1]\nset ytics 0.2\nset xtics (",
          f);
    for (int k = first; k <= 0; k++)
        fprintf(f, "%s'%.6g %%%%' %d", k > first ? "," : "", pow(10, k) * 100, k);
    fprintf(f, ")\nset xrange [%.4f:0]\nplot '-' using 1:2 with steps lc rgb '#020202' lw 2.4\n",
            l->end);
    put_points(f, l);
}

int search_curves_open_set(FILE *f, const struct fv_answer *a, size_t n, int pessimistic)
{
    struct fv_roc roc;

    FV_TRY(fv_gallery_roc(&roc, a, n, pessimistic));
    const double left = log10(fmin(1.0 / (double)roc.impostor, 0.1));
    double *xy = malloc(2 * (roc.n + 1) * sizeof *xy), *y = xy + roc.n;
    int rc = xy ? FV_OK : fv_err(FV_ENOMEM, "out of memory for a curve");
    size_t used = 0;
    for (size_t i = 0; i < roc.n && rc >= 0; i++) {
        /* Those that another one wins are found at no threshold, though the ROC ends with all. */
        if (i > 0 && roc.point[i].threshold < -1.5)
            continue;
        const double fpir = (double)roc.point[i].fp / (double)roc.impostor;
        xy[used] = fmax(fpir > 0 ? log10(fpir) : left, left);
        y[used++] = (double)roc.point[i].tp / (double)roc.genuine;
    }
    if (rc >= 0) {
        const struct line l = {xy, y, svg_thin(xy, y, used, -left, 1), left};
        rc = svg_plot(f, "Open set: TPIR over FPIR", open_script, &l);
    }
    free(xy);
    fv_roc_free(&roc);
    return rc;
}
