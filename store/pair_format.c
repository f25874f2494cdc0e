/* SPDX-License-Identifier: MIT */
#include "store/pair_format.h"
#include "common/err.h"
#include "common/fs.h"
#include "store/pair_names.h"
#include "store/templates.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LIST_LIMIT = 1 << 30 };

static const struct fv_pair_format *const formats[] = {
    &fv__pairs_list, &fv__pairs_csv, &fv__pairs_lfw, &fv__pairs_rfw, &fv__pairs_calfw, NULL,
};

int fv_pairs_format(size_t i, const char **name, const char **help)
{
    if (i >= sizeof formats / sizeof *formats - 1)
        return 0;
    *name = formats[i]->name;
    *help = formats[i]->help;
    return 1;
}

/* --- which one ------------------------------------------------------------------------------------ */

static int find_by_name(const struct fv_pair_format **out, const char *name)
{
    char valid[160] = "auto";

    for (size_t i = 0; formats[i]; i++) {
        *out = formats[i];
        if (strcmp(formats[i]->name, name) == 0)
            return FV_OK;
        const size_t n = strlen(valid);
        snprintf(valid + n, sizeof valid - n, ", %s", formats[i]->name);
    }
    return fv_err(FV_EUSAGE, "'%s' is no format of pair lists: valid are %s", name, valid);
}

/* The most certain one. What nothing recognises is left to the first, which says what is wrong with it. */
static const struct fv_pair_format *recognise(struct fv_lines *l)
{
    const struct fv_pair_format *best = formats[0];
    int certain = 0;

    for (size_t i = 0; formats[i]; i++) {
        fv__lines_rewind(l);
        const int c = formats[i]->recognise(l);
        if (c > certain) {
            best = formats[i];
            certain = c;
        }
    }
    fv__lines_rewind(l);
    return best;
}

/* --- one pair ------------------------------------------------------------------------------------- */

int fv__pair_name(struct fv_pair_name *out, const struct fv_lines *l, const struct fv_field *f)
{
    size_t n = 0;

    for (size_t i = 0; i < f->n; i++) {
        if (n + 1 == sizeof out->text)
            return fv__lines_err(l, FV_ECORRUPT, "a name has more than %zu bytes",
                                 sizeof out->text - 1);
        out->text[n++] = f->p[i];
        i += f->quoted && f->p[i] == '"' && i + 1 < f->n && f->p[i + 1] == '"';
    }
    out->text[n] = '\0';
    return FV_OK;
}

static int find_template(const struct fv_templates *t, const char *name, uint32_t *place)
{
    const struct fv_field f = {name, strlen(name), 0};
    uint64_t number;

    if (!fv__field_number(&f, &number))
        return fv_err(FV_ECORRUPT, "'%s' is no template's number", name);
    return fv_templates_find(t, number, place);
}

static int find(const struct fv_pair_reading *r, struct fv_pair_names *names, const char *name,
                uint32_t *id)
{
    const int rc =
        r->templates ? find_template(r->templates, name, id) : fv__pair_names_find(names, name, id);
    char why[FV_ERR_TEXT_MAX];

    if (rc >= 0)
        return rc;
    fv_err_save(why);
    return fv__lines_err(&r->lines, rc, "%s", why);
}

int fv__pairs_add(struct fv_pair_reading *r, const char *a, const char *b, int same, uint32_t fold)
{
    struct fv_pair pair = {.same = same != 0, .fold = (uint16_t)fold};

    FV_TRY(find(r, r->names, a, &pair.a));
    FV_TRY(find(r, r->names_b ? r->names_b : r->names, b, &pair.b));
    return fv__pairs_push(r->out, &r->room, pair);
}

/* --- a list --------------------------------------------------------------------------------------- */

static int read_list(struct fv_pair_reading *r, const char *path, const char *text, size_t n,
                     const char *format)
{
    const struct fv_pair_format *f;

    if (memchr(text, '\0', n))
        return fv_err(FV_ECORRUPT, "%s: is not a text file", path);
    fv__lines_open(&r->lines, path, text, n);
    if (format && strcmp(format, "auto") != 0)
        FV_TRY(find_by_name(&f, format));
    else
        f = recognise(&r->lines);
    r->out->format = f->name;
    FV_TRY(f->read(r));
    if (r->out->n == 0)
        return fv_err(FV_ENOTFOUND, "%s: has no pairs", r->lines.path);
    return FV_OK;
}

int fv__pairs_parse(struct fv_pairs *out, struct fv_store *s, const struct fv_templates *t,
                    const char *path, const char *text, size_t n, const char *format)
{
    struct fv_pair_names names;
    struct fv_pair_reading r = {.out = out, .names = &names, .templates = t};

    *out = (struct fv_pairs){0};
    fv__pair_names_open(&names, s);
    const int rc = read_list(&r, path, text, n, format);
    fv__pair_names_close(&names);
    if (rc < 0)
        fv_pairs_free(out);
    return rc;
}

int fv__pairs_parse_names(struct fv_pairs *out, const struct fv_name_list *a,
                          const struct fv_name_list *b, const char *path, const char *text,
                          size_t n, const char *format)
{
    struct fv_pair_names first, second;
    struct fv_pair_reading r = {.out = out, .names = &first, .names_b = &second};

    *out = (struct fv_pairs){0};
    fv__pair_names_open_list(&first, a);
    fv__pair_names_open_list(&second, b);
    const int rc = read_list(&r, path, text, n, format);
    fv__pair_names_close(&first);
    fv__pair_names_close(&second);
    if (rc < 0)
        fv_pairs_free(out);
    return rc;
}

static int read_file(struct fv_pairs *out, struct fv_store *s, const struct fv_templates *t,
                     const char *path, const char *format)
{
    char *text;
    size_t n;

    *out = (struct fv_pairs){0};
    FV_TRY(fv_file_read(path, LIST_LIMIT, &text, &n));
    const int rc = fv__pairs_parse(out, s, t, path, text, n, format);
    free(text);
    return rc;
}

int fv_pairs_read(struct fv_pairs *out, struct fv_store *s, const char *path, const char *format)
{
    return read_file(out, s, NULL, path, format);
}

int fv_pairs_read_names(struct fv_pairs *out, const struct fv_name_list *a,
                        const struct fv_name_list *b, const char *path, const char *format)
{
    char *text;
    size_t n;

    *out = (struct fv_pairs){0};
    FV_TRY(fv_file_read(path, LIST_LIMIT, &text, &n));
    const int rc = fv__pairs_parse_names(out, a, b, path, text, n, format);
    free(text);
    return rc;
}

int fv_pairs_read_templates(struct fv_pairs *out, const struct fv_templates *t, const char *path)
{
    return read_file(out, NULL, t, path, fv__pairs_list.name);
}
