/* SPDX-License-Identifier: MIT */
/* A contact sheet: a title, then pictures in rows, each over a line of text, or over two and a bar that is split as
 * they share the picture, each part in the colour of its line. */
#include "common/err.h"
#include "common/fs.h"
#include "prep/export/export.h"
#include "prep/sheet/sheet_text.h"

#include <stdlib.h>
#include <string.h>

enum {
    MARGIN = 28,
    GAP_X = 16,
    GAP_Y = 20,
    BAR = 4,      /* of the bar, and of the space above it */
    TEXT_TOP = 3, /* from the bar to the first line */
    LINE = 17,    /* from one line of a cell to the next */
    TITLE = 30,   /* from the title to what is below it */
    FADE = 14,    /* a line that is too long fades out over so many pixels */
    PIXELS_MOST = 1 << 27,
};

struct ink {
    uint8_t rgb[3];
};
static const struct ink paper = {{252, 252, 250}}, black = {{34, 36, 40}}, grey = {{112, 116, 122}},
                        own = {{38, 94, 158}}, other = {{206, 112, 28}};

struct canvas {
    uint8_t *px;
    int w, h;
};

static uint8_t *at(const struct canvas *c, int x, int y)
{
    return c->px + ((size_t)y * (size_t)c->w + (size_t)x) * 3;
}

static void fill(struct canvas *c, int x, int y, int w, int h, const struct ink *ink)
{
    for (int j = y; j < y + h; j++)
        for (int i = x; i < x + w; i++)
            memcpy(at(c, i, j), ink->rgb, 3);
}

/* No further right than `width`. */
static void blend(struct canvas *c, int x, int y, int width, const struct fv__text *t,
                  const struct ink *ink)
{
    const int too_long = t->x + t->w > width;

    for (int j = 0; j < t->h; j++)
        for (int i = 0; i < t->w; i++) {
            const int cx = x + t->x + i, cy = y + t->y + j, left = width - t->x - i;
            int a = t->mask[(size_t)j * (size_t)t->w + (size_t)i];
            if (left <= 0 || cx < 0 || cy < 0 || cx >= c->w || cy >= c->h)
                continue;
            if (too_long && left < FADE)
                a = a * left / FADE;
            uint8_t *p = at(c, cx, cy);
            for (int k = 0; k < 3; k++)
                p[k] = (uint8_t)((p[k] * (255 - a) + ink->rgb[k] * a + 127) / 255);
        }
}

static int write_line(struct canvas *c, int x, int y, int width, const char *text, const char *font,
                      const struct ink *ink)
{
    struct fv__text t;

    if (!text)
        return FV_OK;
    FV_TRY(fv__text_draw(text, font, 0, &t));
    blend(c, x, y, width, &t, ink);
    free(t.mask);
    return FV_OK;
}

static void put_picture(struct canvas *c, int x, int y, const struct fv_sheet *s,
                        const uint8_t *rgb)
{
    for (int j = 0; j < s->height * s->zoom; j++)
        for (int i = 0; i < s->width * s->zoom; i++)
            memcpy(at(c, x + i, y + j),
                   rgb + ((size_t)(j / s->zoom) * (size_t)s->width + (size_t)(i / s->zoom)) * 3, 3);
}

/* Whether any two share a picture. */
static int is_shared(const struct fv_sheet *s)
{
    for (int i = 0; i < s->cells; i++)
        if (s->cell[i].second)
            return 1;
    return 0;
}

static int put_cell(struct canvas *c, int x, int y, const struct fv_sheet *s,
                    const struct fv_sheet_cell *cell)
{
    const int w = s->width * s->zoom;

    put_picture(c, x, y, s, cell->rgb);
    y += s->height * s->zoom + BAR;
    if (is_shared(s)) {
        const int share = (int)(cell->share * w + 0.5);
        fill(c, x, y, share, BAR, &own);
        fill(c, x + share, y, w - share, BAR, &other);
        y += BAR;
    }
    y += TEXT_TOP;
    FV_TRY(write_line(c, x, y, w + GAP_X / 2, cell->first, "sans condensed 8.5", &own));
    return write_line(c, x, y + LINE, w + GAP_X / 2, cell->second, "sans condensed 8.5", &other);
}

/* Pixels from one row to the next. */
static int row_height(const struct fv_sheet *s)
{
    return s->height * s->zoom + BAR + TEXT_TOP + LINE + (is_shared(s) ? BAR + LINE : 0) + GAP_Y;
}

static int draw(struct canvas *c, const struct fv_sheet *s, const struct fv__text *subtitle)
{
    const int top = MARGIN + TITLE + (subtitle->mask ? subtitle->y + subtitle->h + GAP_Y : 0);
    const int step_x = s->width * s->zoom + GAP_X, step_y = row_height(s);
    const int rows = (s->cells + s->columns - 1) / s->columns;
    const double pixels =
        (2.0 * MARGIN + (double)step_x * s->columns) * (top + MARGIN + (double)step_y * rows);

    if (pixels > PIXELS_MOST)
        return fv_err(
            FV_EINVAL,
            "a sheet of %d pictures of %d x %d pixels is too large: choose a smaller batch",
            s->cells, s->width * s->zoom, s->height * s->zoom);
    c->w = 2 * MARGIN + step_x * s->columns - GAP_X;
    c->h = top + step_y * rows - GAP_Y + MARGIN;
    c->px = malloc((size_t)c->w * (size_t)c->h * 3);
    if (!c->px)
        return fv_err(FV_ENOMEM, "out of memory for a sheet of %d x %d pixels", c->w, c->h);
    fill(c, 0, 0, c->w, c->h, &paper);
    FV_TRY(write_line(c, MARGIN, MARGIN, c->w - 2 * MARGIN, s->title, "sans bold 13", &black));
    if (subtitle->mask)
        blend(c, MARGIN, MARGIN + TITLE, c->w - 2 * MARGIN, subtitle, &grey);
    for (int i = 0; i < s->cells; i++)
        FV_TRY(put_cell(c, MARGIN + i % s->columns * step_x, top + i / s->columns * step_y, s,
                        &s->cell[i]));
    return FV_OK;
}

static int save(const struct canvas *c, const char *path)
{
    struct fv_buffer file = {0};
    void *png = NULL;

    int rc = fv_image_file_png.open(&png, c->w, c->h, 0);
    if (rc == FV_OK)
        rc = fv_image_file_png.encode(png, c->px, &file);
    if (rc == FV_OK)
        rc = fv_file_write(path, file.p, file.n);
    fv_image_file_png.close(png);
    fv__buffer_free(&file);
    return rc;
}

int fv_sheet_write(const struct fv_sheet *s, const char *path)
{
    struct fv__text subtitle = {0};
    struct canvas c = {0};
    int rc = FV_OK;

    if (s->subtitle)
        rc = fv__text_draw(s->subtitle, "sans 9", s->columns * (s->width * s->zoom + GAP_X) - GAP_X,
                           &subtitle);
    if (rc == FV_OK)
        rc = draw(&c, s, &subtitle);
    if (rc == FV_OK)
        rc = save(&c, path);
    free(subtitle.mask);
    free(c.px);
    return rc;
}
