/* SPDX-License-Identifier: MIT */
#include "tools/report/map.h"

#include "common/err.h"
#include "common/fs.h"
#include "tools/report/pca.h"
#include "tools/report/svg.h"
#include "tools/report/tsne.h"

#include <stdlib.h>

enum { TSNE_LEAST = 8 };

struct plot {
    const struct map_points *p;
    const double *xy;
    int is_plane;
};

static int colour_of(const struct map_points *p, size_t i)
{
    return (p->group[i] - 1) % MAP_COLOURS;
}

static int has_colour(const struct map_points *p, int colour)
{
    for (size_t i = 0; i < p->n; i++)
        if (colour_of(p, i) == colour)
            return 1;
    return 0;
}

static void put_series(FILE *f, const struct map_points *p, int colour, int first)
{
    const int shade = 11 + colour;

    /* A dot is text too: shapes of points are defined once and referred to */
    fprintf(f, "%s'-' using 1:2:%s with labels textcolor rgb '#%02x%02x%02x'",
            first ? "plot " : ", ", p->dots ? "('\xe2\x80\xa2')" : "3", shade, shade, shade);
}

static void script(FILE *f, const void *ctx)
{
    const struct plot *plot = ctx;
    const struct map_points *p = plot->p;
    int any = 0;

    if (plot->is_plane)
        fputs("set xlabel 'first component' textcolor rgb '#010101'\n"
              "set ylabel 'second component' textcolor rgb '#010101'\n",
              f);
    else
        fputs("unset xtics\nunset ytics\nset border 0\nset lmargin 2\nset bmargin 1\n", f);
    fputs("set key off\nset tmargin 1\nset offsets graph 0.04,0.04,0.04,0.04\n", f);
    for (int c = 0; c < MAP_COLOURS; c++)
        if (has_colour(p, c))
            put_series(f, p, c, !any++);
    fputc('\n', f);
    for (int c = 0; c < MAP_COLOURS; c++) {
        if (!has_colour(p, c))
            continue;
        for (size_t i = 0; i < p->n; i++)
            if (colour_of(p, i) == c)
                fprintf(f, "%.5g %.5g %d\n", plot->xy[2 * i], plot->xy[2 * i + 1], p->group[i]);
        fputs("e\n", f);
    }
}

static const char *const alt[] = {
    "Map of embeddings, on which neighbours stay neighbours",
    "Embeddings in the plane of their two principal components",
};

static int put_tsne(FILE *f, const struct map_points *p, const char *key)
{
    double *xy = malloc(2 * p->n * sizeof *xy);
    const struct plot plot = {p, xy, 0};

    int rc = xy ? tsne_make(xy, p->v, p->n, p->dim, 0, NULL) : fv_err(FV_ENOMEM, "out of memory");
    if (rc >= 0) {
        fputs("<figure>\n<h3>Neighbours</h3>\n", f);
        rc = svg_plot(f, alt[0], script, &plot);
        fprintf(f,
                "<figcaption>%zu embeddings by t-SNE: who is near is alike; how far apart groups "
                "lie says little. %s</figcaption>\n</figure>\n",
                p->n, key);
    }
    free(xy);
    return rc;
}

int map_put(FILE *f, const struct map_points *p, const char *key)
{
    struct pca plane;

    if (p->n >= TSNE_LEAST && p->n <= TSNE_MOST)
        FV_TRY(put_tsne(f, p, key));
    FV_TRY(pca_make(&plane, p->v, p->n, p->dim));
    const struct plot plot = {p, plane.xy, 1};
    fputs("<figure>\n<h3>Principal components</h3>\n", f);
    const int rc = svg_plot(f, alt[1], script, &plot);
    fprintf(f,
            "<figcaption>%zu embeddings in the plane of their two principal components, which hold "
            "%.0f&nbsp;%% of the variance. %s</figcaption>\n</figure>\n",
            p->n, 100 * (plane.share[0] + plane.share[1]), key);
    pca_free(&plane);
    return rc;
}

int map_write_svg(const char *path, const struct map_points *p, const char **kind)
{
    const int is_plane = p->n < TSNE_LEAST || p->n > TSNE_MOST;
    double *xy = malloc(2 * (p->n + 1) * sizeof *xy);
    struct pca plane = {0};

    *kind = is_plane ? "principal components" : "t-SNE";
    int rc = !xy        ? fv_err(FV_ENOMEM, "out of memory")
             : is_plane ? pca_make(&plane, p->v, p->n, p->dim)
                        : tsne_make(xy, p->v, p->n, p->dim, 0, NULL);
    const struct plot plot = {p, is_plane ? plane.xy : xy, is_plane};
    if (rc >= 0)
        rc = svg_write(path, alt[is_plane], script, &plot, "--picture");
    pca_free(&plane);
    free(xy);
    return rc;
}
