/* SPDX-License-Identifier: MIT */
/* A panel shows some numbers of the log; a number that a run never measured gives no curve, and a panel without curves
 * stays empty. Steps are drawn thinly behind the epochs. With several runs, a colour is a run and a dash a number. */
#include "tools/train/run_curves.h"

#include "tools/report/gnuplot.h"

#include "common/err.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

struct series {
    enum run_number what;
    int of_steps; /* else of epochs */
    int colour;
    const char *name; /* NULL: goes with another one */
    double factor;
};

enum { SERIES = 3, POINTS = 2000 };
/* clang-format off */
static const struct panel {
    const char *title, *format, *key;
    int log;
    struct series series[SERIES];
    int n;
} panels[] = {
    {"loss", "%g", "right", 0,
     {{RUN_LOSS, 1, 1, NULL, 1}, {RUN_LOSS, 0, 1, "training", 1}, {RUN_VAL_LOSS, 0, 2, "validation", 1}}, 3},
    {"accuracy", "%g %%", "left", 0,
     {{RUN_ACC, 0, 1, "training", 100}, {RUN_VAL_ACC, 0, 2, "validation", 100}}, 2},
    {"verification", "%g %%", "right", 0, {{RUN_EER, 0, 3, "EER", 100}}, 1},
    {"learning rate", "%g", "right", 1, {{RUN_LR, 1, 4, NULL, 1}, {RUN_LR, 0, 4, "rate", 1}}, 2},
};
/* clang-format on */
enum { PANELS = sizeof panels / sizeof panels[0] };

struct picture {
    const struct run_record *run;
    int runs;
};

static const struct run_lines *lines_of(const struct run_record *r, const struct series *s)
{
    return s->of_steps ? &r->steps : &r->epochs;
}

static int has_points(const struct run_record *r, const struct series *s)
{
    const struct run_lines *l = lines_of(r, s);
    for (size_t i = 0; i < l->n; i++)
        if (isfinite(l->line[i].number[s->what]))
            return 1;
    return 0;
}

/* Steps as epochs with fractions: all epochs have equally many. */
static double steps_per_epoch(const struct run_record *r)
{
    if (r->epochs.n == 0)
        return 1;
    const struct run_line *last = &r->epochs.line[r->epochs.n - 1];
    return (double)last->step / (double)last->epoch;
}

/* Of very many points every k-th. */
static void write_points(FILE *f, const struct run_record *r, const struct series *s)
{
    const struct run_lines *l = lines_of(r, s);
    const size_t every = l->n / POINTS + 1;
    for (size_t i = 0; i < l->n; i += every) {
        const double value = l->line[i].number[s->what];
        if (isfinite(value))
            fprintf(f, "%.9g %.9g\n", (double)l->line[i].step / steps_per_epoch(r),
                    value * s->factor);
    }
    fputs("e\n", f);
}

/* What a curve is called: of one run its number, of several the run and its number. */
static void write_name(FILE *f, const struct picture *p, int run, const struct series *s)
{
    const char *folder = strrchr(p->run[run].folder, '/');
    folder = folder && folder[1] ? folder + 1 : p->run[run].folder;
    if (p->runs > 1) {
        for (const char *c = folder; *c; c++)
            fputc(*c == '\'' || (unsigned char)*c < ' ' ? '?' : *c, f);
        fputs(", ", f);
    }
    fputs(s->name, f);
}

/* The training curve of several runs is dashed: it has the colour of its run. */
static void write_curve(FILE *f, const struct picture *p, int run, const struct panel *panel, int k)
{
    const struct series *s = &panel->series[k];
    const int dashed = p->runs > 1 && k + 1 < panel->n;
    fprintf(f, "'-' using 1:2 with %s lt %d lw %d dt %d",
            lines_of(&p->run[run], s)->n == 1 ? "linespoints pt 7" : "lines",
            p->runs > 1 ? run + 1 : s->colour, s->of_steps ? 1 : 2,
            s->of_steps ? 3
            : dashed    ? 2
                        : 1);
    if (!s->name) {
        fputs(" notitle", f);
        return;
    }
    fputs(" title '", f);
    write_name(f, p, run, s);
    fputc('\'', f);
}

/* All curves are one line of the script; their points come behind it, in the same order. */
static void write_panel(FILE *f, const struct picture *p, const struct panel *panel)
{
    int curves = 0;
    fprintf(f, "set title '%s'\nset format y '%s'\n%s logscale y\nset key %s\n", panel->title,
            panel->format, panel->log ? "set" : "unset", panel->key);
    for (int points = 0; points < 2; points++) {
        for (int i = 0; i < p->runs * panel->n; i++) {
            const int run = i / panel->n, k = i % panel->n;
            if (!has_points(&p->run[run], &panel->series[k]))
                continue;
            if (points) {
                write_points(f, &p->run[run], &panel->series[k]);
            } else {
                fputs(curves++ ? ", " : "plot ", f);
                write_curve(f, p, run, panel, k);
            }
        }
        if (!points)
            fputs(curves ? "\n" : "set multiplot next\n", f);
    }
}

static void write_script(FILE *f, const void *ctx)
{
    const struct picture *p = ctx;
    fputs("set terminal pngcairo size 1280,840 noenhanced font 'sans,11'\n"
          "set multiplot layout 2,2\nset xlabel 'epochs'\nset grid lc rgb '#dddddd'\n"
          "set key box opaque\nset xrange [0:*]\n",
          f);
    for (int i = 0; i < PANELS; i++)
        write_panel(f, p, &panels[i]);
    fputs("unset multiplot\n", f);
}

int run_curves_draw(const char *png, const char *what, const struct run_record *run, int runs)
{
    const struct picture p = {run, runs};
    size_t lines = 0;
    for (int i = 0; i < runs; i++)
        lines += run[i].epochs.n + run[i].steps.n;
    if (lines == 0)
        return fv_err(FV_ENOTFOUND, "%s: there is nothing to draw yet: no step of the log",
                      run[0].folder);
    return gnuplot_write_png(png, write_script, &p, what);
}
