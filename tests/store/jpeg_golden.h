/* SPDX-License-Identifier: MIT */
/* Reads tests/golden/jpeg.txt: JPEG files of each kind, and what Pillow decodes from them. */
#ifndef FV_TESTS_JPEG_GOLDEN_H
#define FV_TESTS_JPEG_GOLDEN_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { JPEG_GOLDEN_MAX = 8 };

struct jpeg_golden {
    char name[32];
    int width, height;
    uint8_t *file, *rgb;
    size_t bytes;
};

static inline size_t jpeg_golden_hex(const char *text, uint8_t **out)
{
    const size_t n = strlen(text) / 2;
    unsigned byte;

    *out = malloc(n);
    for (size_t i = 0; i < n; i++) {
        if (sscanf(text + 2 * i, "%2x", &byte) != 1)
            abort();
        (*out)[i] = (uint8_t)byte;
    }
    return n;
}

/* How many were read; each must be freed. */
static inline int jpeg_golden_read(const char *path, struct jpeg_golden all[JPEG_GOLDEN_MAX])
{
    enum { LINE = 1 << 16 };
    static char line[LINE], file[LINE], rgb[LINE];
    FILE *f = fopen(path, "r");
    int n = 0;

    while (f && n < JPEG_GOLDEN_MAX && fgets(line, sizeof line, f)) {
        struct jpeg_golden *g = &all[n++];
        if (sscanf(line, "%31s %d %d %65535s %65535s", g->name, &g->width, &g->height, file, rgb) !=
            5)
            abort();
        g->bytes = jpeg_golden_hex(file, &g->file);
        if (jpeg_golden_hex(rgb, &g->rgb) != (size_t)(g->width * g->height * 3))
            abort();
    }
    if (f)
        fclose(f);
    return n;
}

static inline void jpeg_golden_free(struct jpeg_golden *all, int n)
{
    for (int i = 0; i < n; i++) {
        free(all[i].file);
        free(all[i].rgb);
    }
}

#endif
