/* SPDX-License-Identifier: MIT */
#include "tools/report/svg.h"

#include "common/err.h"
#include "common/fs.h"
#include "tools/report/gnuplot.h"
#include "tools/report/html.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct job {
    void (*script)(FILE *f, const void *ctx);
    const void *ctx;
};

static void write_script(FILE *f, const void *ctx)
{
    const struct job *job = ctx;

    fprintf(f,
            "set terminal svg size %d,%d dynamic noenhanced font 'system-ui,sans-serif,13' "
            "linewidth 1.2\n"
            "set border 3 lc rgb '#010101' lw 0.8\nset tics nomirror scale 0.5 textcolor rgb "
            "'#010101'\n"
            "set grid lc rgb '#030303' dt 1 lw 0.8\nset key outside top left horizontal textcolor "
            "rgb '#010101' samplen 1.6\n"
            "set lmargin 8.5\nset rmargin 2.5\nset bmargin 3.6\nset tmargin 3.4\n",
            SVG_WIDTH, SVG_HEIGHT);
    job->script(f, job->ctx);
}

/* The length of the block at p that the page has no use for: what names it, what it does not refer to. */
static size_t useless(const char *p)
{
    static const struct {
        const char *from, *to;
    } block[] = {{"<defs>", "</defs>"},    {"<title>", "</title>"}, {"<desc>", "</desc>"},
                 {" id=\"", "\""},         {" color=\"", "\""},     {" class=\"", "\""},
                 {" xmlns:xlink=\"", "\""}};

    for (size_t i = 0; i < sizeof block / sizeof block[0]; i++) {
        const size_t n = strlen(block[i].from);
        const char *end = strncmp(p, block[i].from, n) == 0 ? strstr(p + n, block[i].to) : NULL;
        if (end)
            return (size_t)(end - p) + strlen(block[i].to);
    }
    return 0;
}

/* "rgb(  2,   2,   2)" names the page's colour 2. */
static size_t colour(FILE *f, const char *p, int alone)
{
    static const char *const light[] = {
        [1] = "#41464f",  [2] = "#0b62c4",  [3] = "#c9cdd4",  [4] = "#7a808a",  [5] = "#a15c00",
        [11] = "#0b62c4", [12] = "#a15c00", [13] = "#00795a", [14] = "#a0358a", [15] = "#b3261e",
        [16] = "#5b4bc4", [17] = "#4a6d00", [18] = "#41464f"}; /* html_style.c */
    int r, g, b, n = 0;

    if (sscanf(p, "rgb(%d,%d,%d)%n", &r, &g, &b, &n) != 3 || n == 0 || r != g || g != b)
        return 0;
    if (!alone)
        fprintf(f, "var(--c%d)", r);
    else if (r < (int)(sizeof light / sizeof light[0]) && light[r])
        fputs(light[r], f);
    else
        return 0;
    return (size_t)n;
}

static void fit(FILE *f, const char *p, const char *alt, int alone)
{
    fputs("<svg role=\"img\" aria-label=\"", f);
    html_text(f, alt);
    fputs(alone ? "\" style=\"background:#fff;color:#41464f\" " : "\" ", f);
    for (p += strlen("<svg"); *p;) {
        size_t n = useless(p);
        if (n == 0)
            n = colour(f, p, alone);
        if (n == 0 && !(p[0] == '\n' && p[1] == '\n'))
            putc(*p, f);
        p += n ? n : 1;
    }
}

static char *read_all(FILE *f)
{
    const long n = fseek(f, 0, SEEK_END) == 0 ? ftell(f) : -1;
    char *text = n >= 0 ? malloc((size_t)n + 1) : NULL;

    rewind(f);
    if (text)
        text[fread(text, 1, (size_t)n, f)] = '\0';
    return text;
}

static int draw(FILE *f, const char *alt, void (*script)(FILE *f, const void *ctx), const void *ctx,
                const char *option, int alone)
{
    const struct job job = {script, ctx};
    const int fd = memfd_create("plot", MFD_CLOEXEC);
    FILE *picture = fd < 0 ? NULL : fdopen(fd, "r+");
    char *text = NULL;

    if (!picture) {
        if (fd >= 0)
            close(fd);
        return fv_err_errno(FV_EIO, "cannot make a place for a plot");
    }
    int rc = gnuplot_draw(picture, write_script, &job, option, "svg");
    if (rc >= 0) {
        text = read_all(picture);
        const char *svg = text ? strstr(text, "<svg") : NULL;
        rc = svg ? FV_OK : fv_err(FV_EUNSUPPORTED, "gnuplot's terminal svg drew no svg");
        if (svg)
            fit(f, svg, alt, alone);
    }
    free(text);
    fclose(picture);
    return rc;
}

int svg_plot(FILE *f, const char *alt, void (*script)(FILE *f, const void *ctx), const void *ctx)
{
    return draw(f, alt, script, ctx, "--report", 0);
}

int svg_write(const char *path, const char *alt, void (*script)(FILE *f, const void *ctx),
              const void *ctx, const char *option)
{
    struct fv_file file;

    FV_TRY(fv_file_create(&file, path));
    return fv_file_end(&file, draw(file.f, alt, script, ctx, option, 1));
}

size_t svg_thin(double *x, double *y, size_t n, double x_range, double y_range)
{
    const double dx = x_range / SVG_WIDTH / 3, dy = y_range / SVG_HEIGHT / 3;
    size_t kept = 0;

    for (size_t i = 0; i < n; i++) {
        const int same =
            kept > 0 && i + 1 < n && fabs(x[i] - x[kept - 1]) < dx && fabs(y[i] - y[kept - 1]) < dy;
        if (same)
            continue;
        x[kept] = x[i];
        y[kept++] = y[i];
    }
    return kept;
}
