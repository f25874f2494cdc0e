/* SPDX-License-Identifier: MIT */
#include "store/trials.h"

#include "common/err.h"
#include "common/fs.h"
#include "store/pair_format.h"
#include "store/pair_names.h"

#include <stdlib.h>
#include <string.h>

enum { LIST_LIMIT = 1 << 30, COLUMNS = 32 };

void fv_trials_free(struct fv_trials *t)
{
    free(t->a);
    free(t->b);
    free(t->first);
    free(t->second);
    free(t->memory);
    *t = (struct fv_trials){0};
}

/* Names are no longer than the list, with an end for each. */
static int take_room(struct fv_trials *t, size_t lines, size_t bytes)
{
    t->a = malloc(lines * sizeof *t->a);
    t->b = malloc(lines * sizeof *t->b);
    t->first = malloc(lines * sizeof *t->first);
    t->second = malloc(lines * sizeof *t->second);
    t->memory = malloc(bytes + 2 * lines);
    if (!t->a || !t->b || !t->first || !t->second || !t->memory)
        return fv_err(FV_ENOMEM, "out of memory for %zu pairs", lines);
    return FV_OK;
}

struct columns {
    int a, b, csv;
};

/* What the first line says; it is read again unless it is a header. */
static struct columns find_columns(struct fv_lines *l)
{
    struct columns c = {-1, -1, 0};
    struct fv_field f[COLUMNS];

    if (fv__lines_next(l)) {
        const int n = fv__lines_fields(l, ',', f, COLUMNS);
        c.a = fv__field_named(f, n < COLUMNS ? n : COLUMNS, fv__pair_columns_first);
        c.b = fv__field_named(f, n < COLUMNS ? n : COLUMNS, fv__pair_columns_second);
    }
    c.csv = c.a >= 0 && c.b >= 0;
    if (!c.csv)
        fv__lines_rewind(l);
    return c;
}

static int find(struct fv_pair_names *names, const struct fv_lines *l, const struct fv_field *f,
                const char **text, char **to, uint32_t *image)
{
    struct fv_pair_name name;
    char why[FV_ERR_TEXT_MAX];

    FV_TRY(fv__pair_name(&name, l, f));
    *text = *to;
    *to = stpcpy(*to, name.text) + 1;
    const int rc = fv__pair_names_find(names, name.text, image);
    if (rc >= 0)
        return rc;
    fv_err_save(why);
    return fv__lines_err(l, rc, "%s", why);
}

static int read_trials(struct fv_trials *t, struct fv_pair_names *names, struct fv_lines *l)
{
    const struct columns c = find_columns(l);
    struct fv_field f[COLUMNS];
    char *to = t->memory;

    while (fv__lines_next(l)) {
        const int n = fv__lines_fields(l, c.csv ? ',' : fv__lines_separator(l), f, COLUMNS);
        if (c.csv ? n <= c.a || n <= c.b || n > COLUMNS : n != 2)
            return fv__lines_err(
                l, FV_ECORRUPT,
                c.csv ? "has not the columns of the header"
                      : "is not 'path1 path2'; a list with answers is for fveval pairs");
        FV_TRY(find(names, l, &f[c.csv ? c.a : 0], &t->first[t->n], &to, &t->a[t->n]));
        FV_TRY(find(names, l, &f[c.csv ? c.b : 1], &t->second[t->n], &to, &t->b[t->n]));
        t->n++;
    }
    return t->n ? FV_OK : fv_err(FV_ENOTFOUND, "%s: has no pairs", l->path);
}

int fv__trials_parse(struct fv_trials *out, struct fv_pair_names *names, const char *path,
                     const char *text, size_t n)
{
    struct fv_lines l;
    size_t lines = 1;

    *out = (struct fv_trials){0};
    if (memchr(text, '\0', n))
        return fv_err(FV_ECORRUPT, "%s: is not a text file", path);
    for (size_t i = 0; i < n; i++)
        lines += text[i] == '\n';
    fv__lines_open(&l, path, text, n);
    int rc = take_room(out, lines, n);
    if (rc >= 0)
        rc = read_trials(out, names, &l);
    if (rc < 0)
        fv_trials_free(out);
    return rc;
}

int fv_trials_read(struct fv_trials *out, struct fv_store *s, const char *path)
{
    struct fv_pair_names names;
    char *text;
    size_t n;

    *out = (struct fv_trials){0};
    FV_TRY(fv_file_read(path, LIST_LIMIT, &text, &n));
    fv__pair_names_open(&names, s);
    const int rc = fv__trials_parse(out, &names, path, text, n);
    fv__pair_names_close(&names);
    free(text);
    return rc;
}
