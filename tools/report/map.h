/* SPDX-License-Identifier: MIT */
/* Embeddings as a picture: a map of neighbours (t-SNE), and the plane of principal components beside it. Of more
 * vectors than TSNE_MOST the plane alone. */
#ifndef FV_TOOLS_REPORT_MAP_H
#define FV_TOOLS_REPORT_MAP_H

#include <stddef.h>
#include <stdio.h>

enum { MAP_COLOURS = 8 };

struct map_points {
    const float *v; /* (n, dim) */
    size_t n;
    int dim;
    const int *group; /* (n) from 1; every eighth has the same colour */
    int dots;         /* marks are dots; else the numbers of their groups */
};

/* One or two figures of a page; `key` (HTML) ends their captions. */
int map_put(FILE *f, const struct map_points *p, const char *key);
/* A file of one picture, whole or not at all; *kind: how it was made. */
int map_write_svg(const char *path, const struct map_points *p, const char **kind);

#endif
