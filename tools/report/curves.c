/* SPDX-License-Identifier: MIT */
/* Scripts of gnuplot: all that goes into them are numbers and fixed names. */
#include "tools/report/curves.h"

#include "common/err.h"
#include "tools/report/svg.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct rocs {
    const struct roc_curve *curve;
    int n, is_det;
    double left;
};

/* The quantile of the normal distribution: erfc, bisected. */
static double probit(double p)
{
    double low = -8, high = 8;

    for (int i = 0; i < 50; i++) {
        const double mid = (low + high) / 2;
        if (0.5 * erfc(-mid / sqrt(2)) < p)
            low = mid;
        else
            high = mid;
    }
    return (low + high) / 2;
}

/* --- ROC and DET ---------------------------------------------------------------------------------- */

static void put_points(FILE *f, const double *x, const double *y, size_t n)
{
    for (size_t i = 0; i < n; i++)
        fprintf(f, "%.6g %.6g\n", x[i], y[i]);
    fputs("e\n", f);
}

/* A curve in the units of its axes; the number of its points, 0 when out of memory. */
static size_t place(const struct rocs *p, const struct fv_roc *r, double *x, double *y)
{
    size_t n = 0;

    for (size_t i = 0; i < r->n; i++) {
        const double fmr = (double)r->point[i].fp / (double)r->impostor;
        const double tpr = (double)r->point[i].tp / (double)r->genuine;
        if (p->is_det && (r->point[i].fp == 0 || r->point[i].tp == r->genuine))
            continue; /* the probit of 0 is nowhere */
        x[n] = p->is_det ? probit(fmr) : log10(fmax(fmr, p->left));
        y[n++] = p->is_det ? probit(1 - tpr) : tpr;
    }
    if (n == 0) { /* both kinds lie apart: a curve beyond the corner, since gnuplot wants one */
        x[0] = y[0] = -9;
        return 1;
    }
    return p->is_det ? svg_thin(x, y, n, 5, 5) : svg_thin(x, y, n, -log10(p->left), 1);
}

static void put_curves(FILE *f, const struct rocs *p)
{
    fputs("plot ", f);
    for (int i = 0; i < p->n; i++)
        fprintf(f, "%s'-' using 1:2 with %s lc rgb '#%s' lw %s dt %d title '%s'", i ? ", " : "",
                p->is_det ? "lines" : "steps", i ? "040404" : "020202", i ? "1.4" : "2.4",
                i == 0   ? 1
                : i == 1 ? 2
                         : 3,
                p->curve[i].name);
    fputc('\n', f);
    for (int i = 0; i < p->n; i++) {
        const struct fv_roc *r = &p->curve[i].roc;
        double *x = malloc((r->n + 1) * sizeof *x), *y = malloc((r->n + 1) * sizeof *y);
        put_points(f, x, y, x && y ? place(p, r, x, y) : 0);
        free(x);
        free(y);
    }
}

static void roc_script(FILE *f, const void *ctx)
{
    const struct rocs *p = ctx;

    fputs("set xlabel 'false match rate (impostors accepted)' textcolor rgb '#010101'\n"
          "set ylabel 'true match rate (genuine accepted)' textcolor rgb '#010101'\n"
          "set yrange [0:1]\nset ytics 0.2\nset xtics (",
          f);
    for (int k = (int)floor(log10(p->left)); k <= 0; k++)
        fprintf(f, "%s'%.6g %%%%' %d", k > floor(log10(p->left)) ? "," : "", pow(10, k) * 100, k);
    fprintf(f, ")\nset xrange [%.4f:0]\n", log10(p->left));
    put_curves(f, p);
}

static void det_script(FILE *f, const void *ctx)
{
    static const double tic[] = {1e-6, 1e-5, 1e-4, 1e-3, 0.01, 0.05, 0.2, 0.5, 0.8};
    const struct rocs *p = ctx;
    const char *axis[] = {"x", "y"};
    const double low = fmax(fmin(p->left, 0.01), 1e-6);
    struct fv_eer eer;

    fv_roc_eer(&p->curve[0].roc, &eer);
    const double high = eer.eer < 0.35 ? 0.6 : 0.97;
    fputs("set xlabel 'false match rate' textcolor rgb '#010101'\n"
          "set ylabel 'false non-match rate' textcolor rgb '#010101'\n",
          f);
    for (int a = 0; a < 2; a++) {
        fprintf(f, "set %srange [%.4f:%.4f]\nset %stics (", axis[a], probit(low), probit(high),
                axis[a]);
        for (size_t i = 0, any = 0; i < sizeof tic / sizeof tic[0]; i++)
            if (tic[i] >= low && tic[i] <= high)
                fprintf(f, "%s'%g %%%%' %.4f", any++ ? "," : "", tic[i] * 100, probit(tic[i]));
        fputs(")\n", f);
    }
    put_curves(f, p);
}

static double left_end(const struct roc_curve *curve)
{
    return fmax(fmin(1.0 / (double)curve->roc.impostor, 0.1), 1e-9);
}

int curves_roc(FILE *f, const struct roc_curve *curve, int n)
{
    const struct rocs p = {curve, n, 0, left_end(curve)};
    return svg_plot(f, "ROC: true match rate over false match rate", roc_script, &p);
}

int curves_det(FILE *f, const struct roc_curve *curve, int n)
{
    const struct rocs p = {curve, n, 1, left_end(curve)};
    return svg_plot(f, "DET: false non-match rate over false match rate, probit axes", det_script,
                    &p);
}

/* --- scores --------------------------------------------------------------------------------------- */

enum { BINS = 64 };
struct bars {
    double low, width, threshold;
    double share[2][BINS]; /* of the kinds */
    const struct curves_kinds *kinds;
};

static void bars_script(FILE *f, const void *ctx)
{
    const struct bars *b = ctx;
    double top = 0;

    for (int i = 0; i < 2 * BINS; i++)
        top = fmax(top, b->share[i / BINS][i % BINS]);
    fprintf(f,
            "set xlabel 'score (cosine)' textcolor rgb '#010101'\n"
            "set ylabel 'share of %s' textcolor rgb '#010101'\nset format y '%%g %%%%'\n"
            "set xrange [%.12g:%.12g]\nset yrange [0:%.6g]\n",
            b->kinds->of, b->low, b->low + b->width * BINS, top * 118);
    if (isfinite(b->threshold))
        fprintf(f,
                "set arrow from %.12g,0 to %.12g,%.6g nohead dt 2 lw 1.2 lc rgb '#010101'\n"
                "set label '%s' at %.12g,%.6g center textcolor rgb '#010101'\n",
                b->threshold, b->threshold, top * 106, b->kinds->threshold, b->threshold,
                top * 111);
    fprintf(f,
            "plot '-' using 1:2 with fillsteps lc rgb '#040404' fs transparent solid 0.45 title "
            "'%s', '-' using 1:2 with fillsteps lc rgb '#020202' fs transparent solid 0.45 "
            "title '%s'\n",
            b->kinds->name[0], b->kinds->name[1]);
    for (int kind = 0; kind < 2; kind++) {
        for (int i = 0; i <= BINS; i++)
            fprintf(f, "%.12g %.6g\n", b->low + b->width * i,
                    100 * b->share[kind][i < BINS ? i : BINS - 1]);
        fputs("e\n", f);
    }
}

int curves_scores(FILE *f, const double *score, const unsigned char *same, size_t n,
                  double threshold, const struct curves_kinds *kinds)
{
    struct bars b = {.low = INFINITY, .threshold = threshold, .kinds = kinds};
    double high = -INFINITY, count[2] = {0, 0};

    for (size_t i = 0; i < n; i++) {
        b.low = fmin(b.low, score[i]);
        high = fmax(high, score[i]);
        count[same[i] != 0]++;
    }
    /* gnuplot has no axis for less; all scores may be one */
    b.width = high - b.low > 1e-6 ? (high - b.low) / BINS : 1e-6 / BINS;
    for (size_t i = 0; i < n; i++) {
        const int at = (int)((score[i] - b.low) / b.width);
        b.share[same[i] != 0][at < BINS ? at : BINS - 1] += 1 / count[same[i] != 0];
    }
    return svg_plot(f, kinds->alt, bars_script, &b);
}

/* --- a run ---------------------------------------------------------------------------------------- */

struct run {
    const struct curves_epoch *e;
    size_t n;
};

struct line {
    size_t field; /* of struct curves_epoch */
    const char *colour, *name;
    double factor;
};

static double value(const struct curves_epoch *e, const struct line *l)
{
    double v;
    memcpy(&v, (const char *)e + l->field, sizeof v);
    return v * l->factor;
}

static int has_any(const struct run *r, const struct line *l)
{
    for (size_t i = 0; i < r->n; i++)
        if (isfinite(value(&r->e[i], l)))
            return 1;
    return 0;
}

static void put_lines(FILE *f, const struct run *r, const struct line *line, size_t lines)
{
    int any = 0;

    fprintf(f, "set xlabel 'epoch' textcolor rgb '#010101'\nset xtics %zu\n", r->n / 8 + 1);
    for (size_t k = 0; k < lines; k++)
        if (has_any(r, &line[k]))
            fprintf(f, "%s'-' using 1:2 with lines lc rgb '#%s' lw 2 title '%s'",
                    any++ ? ", " : "plot ", line[k].colour, line[k].name);
    fputc('\n', f);
    for (size_t k = 0; k < lines; k++) {
        if (!has_any(r, &line[k]))
            continue;
        for (size_t i = 0; i < r->n; i++)
            if (isfinite(value(&r->e[i], &line[k])))
                fprintf(f, "%.6g %.6g\n", r->e[i].epoch, value(&r->e[i], &line[k]));
        fputs("e\n", f);
    }
}

#define FIELD(name) offsetof(struct curves_epoch, name)

static void loss_script(FILE *f, const void *ctx)
{
    static const struct line line[] = {{FIELD(loss), "040404", "training", 1},
                                       {FIELD(val_loss), "020202", "validation", 1}};

    fputs("set ylabel 'loss' textcolor rgb '#010101'\n", f);
    put_lines(f, ctx, line, sizeof line / sizeof line[0]);
}

static void shares_script(FILE *f, const void *ctx)
{
    static const struct line line[] = {{FIELD(acc), "040404", "right in training", 100},
                                       {FIELD(val_acc), "020202", "right in validation", 100},
                                       {FIELD(eer), "050505", "EER of verification", 100}};

    fputs("set format y '%g %%'\nset yrange [0:100]\n", f);
    put_lines(f, ctx, line, sizeof line / sizeof line[0]);
}

int curves_loss(FILE *f, const struct curves_epoch *e, size_t n)
{
    const struct run r = {e, n};
    return svg_plot(f, "Loss over epochs", loss_script, &r);
}

int curves_shares(FILE *f, const struct curves_epoch *e, size_t n)
{
    const struct run r = {e, n};
    return svg_plot(f, "Accuracy and equal error rate over epochs", shares_script, &r);
}
