/* SPDX-License-Identifier: MIT */
#include "store/templates.h"
#include "common/err.h"
#include "common/fs.h"
#include "store/pair_format.h"
#include "store/pair_names.h"
#include "store/store.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { LIST_LIMIT = 1 << 30 };

/* A line of the list. */
struct row {
    uint64_t template, media;
    uint32_t image;
};

struct rows {
    struct row *at;
    size_t n, room;
};

static int push(struct rows *r, struct row row)
{
    if (r->n == r->room) {
        const size_t more = r->room ? 2 * r->room : 1024;
        struct row *grown = realloc(r->at, more * sizeof *grown);
        if (!grown)
            return fv_err(FV_ENOMEM, "out of memory for %zu images of templates", more);
        r->at = grown;
        r->room = more;
    }
    r->at[r->n++] = row;
    return FV_OK;
}

static int read_row(struct rows *rows, struct fv_pair_names *names, const struct fv_lines *l)
{
    struct fv_pair_name name;
    struct fv_field f[3];
    struct row row;
    char why[FV_ERR_TEXT_MAX];

    if (fv__lines_fields(l, fv__lines_separator(l), f, 3) != 3 ||
        !fv__field_number(&f[1], &row.template) || !fv__field_number(&f[2], &row.media))
        return fv__lines_err(l, FV_ECORRUPT, "is not 'image template media'");
    FV_TRY(fv__pair_name(&name, l, &f[0]));
    const int rc = fv__pair_names_find(names, name.text, &row.image);
    if (rc < 0) {
        fv_err_save(why);
        return fv__lines_err(l, rc, "%s", why);
    }
    return push(rows, row);
}

static int read_rows(struct rows *rows, struct fv_store *s, struct fv_lines *l)
{
    struct fv_pair_names names;
    int rc = FV_OK;

    fv__pair_names_open(&names, s);
    while (rc == FV_OK && fv__lines_next(l))
        rc = read_row(rows, &names, l);
    fv__pair_names_close(&names);
    if (rc == FV_OK && rows->n == 0)
        return fv_err(FV_ENOTFOUND, "%s: has no templates", l->path);
    return rc;
}

static int by_template(const void *a, const void *b)
{
    const struct row *x = a, *y = b;

    if (x->template != y->template)
        return x->template <y->template ? -1 : 1;
    if (x->media != y->media)
        return x->media < y->media ? -1 : 1;
    return (x->image > y->image) - (x->image < y->image);
}

static int group(struct fv_templates *out, struct rows *rows)
{
    qsort(rows->at, rows->n, sizeof *rows->at, by_template);
    out->image = malloc(rows->n * sizeof *out->image);
    out->template = malloc(rows->n * sizeof *out->template);
    if (!out->image || !out->template)
        return fv_err(FV_ENOMEM, "out of memory for %zu images of templates", rows->n);
    for (size_t i = 0; i < rows->n; i++) {
        const struct row *r = &rows->at[i];
        if (i == 0 || r->template != rows->at[i - 1].template)
            out->template[out->n++] = (struct fv_template){r->template, i, 0};
        out->template[out->n - 1].count++;
        out->image[i] = (struct fv_template_image){r->image, (uint32_t)(out->n - 1), r->media};
    }
    out->images = rows->n;
    return FV_OK;
}

int fv__templates_parse(struct fv_templates *out, struct fv_store *s, const char *path,
                        const char *text, size_t n)
{
    struct rows rows = {0};
    struct fv_lines lines;

    *out = (struct fv_templates){0};
    if (memchr(text, '\0', n))
        return fv_err(FV_ECORRUPT, "%s: is not a text file", path);
    fv__lines_open(&lines, path, text, n);
    int rc = read_rows(&rows, s, &lines);
    if (rc == FV_OK)
        rc = group(out, &rows);
    free(rows.at);
    if (rc < 0)
        fv_templates_free(out);
    return rc;
}

int fv_templates_read(struct fv_templates *out, struct fv_store *s, const char *path)
{
    char *text;
    size_t n;

    *out = (struct fv_templates){0};
    FV_TRY(fv_file_read(path, LIST_LIMIT, &text, &n));
    const int rc = fv__templates_parse(out, s, path, text, n);
    free(text);
    return rc;
}

/* --- weights -------------------------------------------------------------------------------------- */

/* A number that is a weight; -1: it is none. */
static float weight_of(const struct fv_field *f)
{
    char copy[40], *end;

    if (f->n == 0 || f->n >= sizeof copy)
        return -1;
    memcpy(copy, f->p, f->n);
    copy[f->n] = '\0';
    const float w = strtof(copy, &end);
    return *end || !isfinite(w) ? -1 : w;
}

static int read_weight(float *weight, struct fv_pair_names *names, const struct fv_lines *l)
{
    enum { MOST = 16 };
    struct fv_field f[MOST];
    struct fv_pair_name name;
    char why[FV_ERR_TEXT_MAX];
    uint32_t image;

    const int n = fv__lines_fields(l, fv__lines_separator(l), f, MOST);
    const float w = n >= 2 && n <= MOST ? weight_of(&f[n - 1]) : -1;
    if (!(w >= 0))
        return fv__lines_err(l, FV_ECORRUPT,
                             "is not 'image ... weight' with a weight of 0 or more");
    FV_TRY(fv__pair_name(&name, l, &f[0]));
    const int rc = fv__pair_names_find(names, name.text, &image);
    if (rc < 0) {
        fv_err_save(why);
        return fv__lines_err(l, rc, "%s", why);
    }
    if (!isnan(weight[image]) && weight[image] != w)
        return fv__lines_err(l, FV_ECORRUPT, "gives an image a second weight");
    weight[image] = w;
    return FV_OK;
}

int fv__image_weights_parse(float *weight, struct fv_store *s, const char *path, const char *text,
                            size_t n)
{
    const uint64_t images = fv_store_info(s)->images;
    struct fv_pair_names names;
    struct fv_lines lines;
    int rc = FV_OK;

    for (uint64_t i = 0; i < images; i++)
        weight[i] = NAN;
    if (memchr(text, '\0', n))
        return fv_err(FV_ECORRUPT, "%s: is not a text file", path);
    fv__lines_open(&lines, path, text, n);
    fv__pair_names_open(&names, s);
    while (rc == FV_OK && fv__lines_next(&lines))
        rc = read_weight(weight, &names, &lines);
    fv__pair_names_close(&names);
    return rc;
}

int fv_image_weights_read(float *weight, struct fv_store *s, const char *path)
{
    char *text;
    size_t n;

    FV_TRY(fv_file_read(path, LIST_LIMIT, &text, &n));
    const int rc = fv__image_weights_parse(weight, s, path, text, n);
    free(text);
    return rc;
}

/* --- finding -------------------------------------------------------------------------------------- */

void fv_templates_free(struct fv_templates *t)
{
    free(t->template);
    free(t->image);
    *t = (struct fv_templates){0};
}

int fv_templates_find(const struct fv_templates *t, uint64_t number, uint32_t *place)
{
    size_t low = 0, high = t->n;

    while (low < high) {
        const size_t mid = low + (high - low) / 2;
        if (t->template[mid].number < number)
            low = mid + 1;
        else
            high = mid;
    }
    if (low == t->n || t->template[low].number != number)
        return fv_err(FV_ENOTFOUND, "no image is of template %llu", (unsigned long long)number);
    *place = (uint32_t)low;
    return FV_OK;
}
