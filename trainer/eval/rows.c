/* SPDX-License-Identifier: MIT */
#include "trainer/eval/rows.h"

#include "common/err.h"
#include "common/fs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define ROWS_LIMIT ((size_t)4 << 30)

void fv_rows_free(struct fv_rows *r)
{
    free(r->name);
    free(r->identity);
    free(r->memory);
    free(r->folders);
    *r = (struct fv_rows){0};
}

static int take_memory(struct fv_rows *r, size_t rows, size_t bytes)
{
    r->memory = malloc(bytes + 1);
    r->name = calloc(rows + 1, sizeof *r->name);
    r->identity = calloc(rows + 1, sizeof *r->identity);
    if (!r->memory || !r->name || !r->identity)
        return fv_err(FV_ENOMEM, "out of memory for %zu names", rows);
    return FV_OK;
}

/* --- reading -------------------------------------------------------------------------------------- */

struct table {
    const char *path;
    char *next, *end; /* of the text, which is cut up in place */
    uint64_t line;
    int csv, name, identity; /* columns; -1: none */
};

/* The next line, ended by a NUL: NULL after the last. */
static char *next_line(struct table *t)
{
    if (t->next >= t->end)
        return NULL;
    char *line = t->next, *stop = memchr(line, '\n', (size_t)(t->end - line));
    if (!stop)
        stop = t->end;
    t->next = stop + 1;
    t->line++;
    if (stop > line && stop[-1] == '\r')
        stop[-1] = '\0';
    *stop = '\0';
    return line;
}

/* Cuts one field of CSV off a line, quotes taken away; *line is NULL after the last one. */
static char *cut_field(char **line)
{
    char *from = *line, *to = *line, *field = *line;

    if (*from != '"') {
        char *comma = strchr(from, ',');
        *line = comma ? comma + 1 : NULL;
        if (comma)
            *comma = '\0';
        return field;
    }
    for (from++; *from && !(*from == '"' && from[1] != '"'); from++) {
        from += *from == '"'; /* two stand for one */
        *to++ = *from;
    }
    char *comma = strchr(from, ',');
    *line = comma ? comma + 1 : NULL;
    *to = '\0';
    return field;
}

static int is_one_of(const char *text, const char *const *names)
{
    for (; *names; names++)
        if (strcasecmp(text, *names) == 0)
            return 1;
    return 0;
}

/* Whether the line is a header, which then says where the columns are. */
static void find_columns(struct table *t, const char *line)
{
    static const char *const names[] = {"name", "image", "path", "file", "template_id", NULL};
    static const char *const identities[] = {"identity", "label",      "class",
                                             "subject",  "subject_id", NULL};
    char copy[512], *rest = copy;

    t->name = t->identity = -1;
    if (strlen(line) >= sizeof copy)
        return;
    strcpy(copy, line);
    for (int i = 0; rest; i++) {
        const char *field = cut_field(&rest);
        if (t->name < 0 && is_one_of(field, names))
            t->name = i;
        else if (t->identity < 0 && is_one_of(field, identities))
            t->identity = i;
    }
    t->csv = t->name >= 0 || t->identity >= 0;
    if (t->name < 0)
        t->name = t->identity;
}

static int read_csv_row(struct fv_rows *r, const struct table *t, char *line)
{
    for (int i = 0; line; i++) {
        char *field = cut_field(&line);
        if (i == t->name)
            r->name[r->n] = field;
        if (i == t->identity)
            r->identity[r->n] = field;
    }
    if (!r->name[r->n] || (t->identity >= 0 && !r->identity[r->n]))
        return fv_err(FV_ECORRUPT, "%s: line %llu: has fewer columns than the header", t->path,
                      (unsigned long long)t->line);
    return FV_OK;
}

static int read_row(struct fv_rows *r, struct table *t, char *line)
{
    if (t->csv)
        FV_TRY(read_csv_row(r, t, line));
    else {
        char *tab = strchr(line, '\t');
        r->name[r->n] = line;
        if (tab)
            *tab = '\0';
        r->identity[r->n] = tab ? tab + 1 : NULL;
    }
    if (!*r->name[r->n])
        return fv_err(FV_ECORRUPT, "%s: line %llu: the name is empty", t->path,
                      (unsigned long long)t->line);
    r->n++;
    return FV_OK;
}

/* All rows say who they show, or none does. */
static int check_identities(struct fv_rows *r, const char *path)
{
    size_t has = 0;

    for (size_t i = 0; i < r->n; i++)
        has += r->identity[i] != NULL;
    if (has != 0 && has != r->n)
        return fv_err(FV_ECORRUPT, "%s: %zu of %zu rows have an identity: all need one, or none",
                      path, has, r->n);
    if (has == 0) {
        free(r->identity);
        r->identity = NULL;
    }
    return r->n ? FV_OK : fv_err(FV_ENOTFOUND, "%s: has no names", path);
}

static int parse(struct fv_rows *r, struct table *t)
{
    char *line = next_line(t);

    if (line)
        find_columns(t, line);
    if (line && t->csv)
        line = next_line(t);
    for (; line; line = next_line(t))
        FV_TRY(read_row(r, t, line));
    return check_identities(r, t->path);
}

int fv__rows_parse(struct fv_rows *out, const char *path, const char *text, size_t n)
{
    size_t lines = 1;

    *out = (struct fv_rows){0};
    if (n >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {
        text += 3;
        n -= 3;
    }
    if (memchr(text, '\0', n))
        return fv_err(FV_ECORRUPT, "%s: is not a text file", path);
    for (size_t i = 0; i < n; i++)
        lines += text[i] == '\n';
    int rc = take_memory(out, lines, n);
    if (rc >= 0) {
        memcpy(out->memory, text, n);
        struct table t = {.path = path, .next = out->memory, .end = out->memory + n};
        rc = parse(out, &t);
    }
    if (rc < 0)
        fv_rows_free(out);
    return rc;
}

int fv_rows_read(struct fv_rows *out, const char *path)
{
    char *text;
    size_t n;

    *out = (struct fv_rows){0};
    FV_TRY(fv_file_read(path, ROWS_LIMIT, &text, &n));
    const int rc = fv__rows_parse(out, path, text, n);
    free(text);
    return rc;
}

int fv_rows_number(struct fv_rows *out, size_t n)
{
    enum { DIGITS = 21 };

    *out = (struct fv_rows){0};
    if (take_memory(out, n, n * DIGITS) < 0) {
        fv_rows_free(out);
        return FV_ENOMEM;
    }
    for (; out->n < n; out->n++) {
        char *text = out->memory + out->n * DIGITS;
        snprintf(text, DIGITS, "%zu", out->n);
        out->name[out->n] = text;
    }
    free(out->identity);
    out->identity = NULL;
    return FV_OK;
}

/* --- writing -------------------------------------------------------------------------------------- */

int fv_rows_csv_text(char **out, const char *text)
{
    size_t quotes = 0;

    for (const char *p = text; *p; p++)
        quotes += *p == '"';
    char *to = *out = malloc(strlen(text) + quotes + 3);
    if (!to)
        return fv_err(FV_ENOMEM, "out of memory for a name");
    if (!strpbrk(text, "\",\r\n\t") && *text != ' ') {
        strcpy(to, text);
        return FV_OK;
    }
    *to++ = '"';
    for (const char *p = text; *p; p++) {
        if (*p == '"')
            *to++ = '"';
        *to++ = *p;
    }
    strcpy(to, "\"");
    return FV_OK;
}

static int write_row(FILE *f, const struct fv_rows *r, size_t i)
{
    char *name, *identity = NULL;

    FV_TRY(fv_rows_csv_text(&name, r->name[i]));
    const int rc = fv_rows_csv_text(&identity, r->identity ? r->identity[i] : "");
    if (rc >= 0)
        fprintf(f, r->identity ? "%s,%s\n" : "%s\n", name, identity);
    free(name);
    free(identity);
    return rc;
}

int fv_rows_write(const struct fv_rows *r, const char *path)
{
    struct fv_file f;
    int rc = FV_OK;

    FV_TRY(fv_file_create(&f, path));
    fputs(r->identity ? "name,identity\n" : "name\n", f.f);
    for (size_t i = 0; i < r->n && rc >= 0; i++)
        rc = write_row(f.f, r, i);
    return fv_file_end(&f, rc);
}

/* --- who is who ----------------------------------------------------------------------------------- */

struct named_row {
    const char *text;
    size_t n, row;
};

static int by_text(const void *a, const void *b)
{
    const struct named_row *x = a, *y = b;
    const int order = memcmp(x->text, y->text, x->n < y->n ? x->n : y->n);

    if (order || x->n != y->n)
        return order ? order : (x->n > y->n) - (x->n < y->n);
    return (x->row > y->row) - (x->row < y->row);
}

static int same_text(const struct named_row *a, const struct named_row *b)
{
    return a->n == b->n && memcmp(a->text, b->text, a->n) == 0;
}

/* label[i] becomes the first row of the same identity, then these rows are numbered. */
static void number(const struct fv_rows *r, struct named_row *key, uint32_t *label,
                   uint32_t *labels)
{
    for (size_t i = 0; i < r->n; i++)
        key[i] = (struct named_row){r->identity[i], strlen(r->identity[i]), i};
    qsort(key, r->n, sizeof *key, by_text);
    for (size_t i = 0, first = 0; i < r->n; i++) {
        first = same_text(&key[first], &key[i]) ? first : i;
        label[key[i].row] = (uint32_t)key[first].row;
    }
    *labels = 0;
    for (size_t i = 0; i < r->n; i++)
        label[i] = label[i] == i ? (*labels)++ : label[label[i]];
}

int fv_rows_labels(const struct fv_rows *r, uint32_t *label, uint32_t *labels)
{
    if (!r->identity || r->n > UINT32_MAX)
        return fv_err(FV_EINVAL, "%zu rows %s", r->n,
                      r->identity ? "are too many" : "have no identities");
    struct named_row *key = malloc((r->n + 1) * sizeof *key);
    if (!key)
        return fv_err(FV_ENOMEM, "out of memory for names");
    number(r, key, label, labels);
    free(key);
    return FV_OK;
}

int fv_rows_folders(struct fv_rows *r)
{
    size_t bytes = 0;

    for (size_t i = 0; i < r->n; i++)
        bytes += strlen(r->name[i]) + 1;
    r->folders = malloc(bytes + 1);
    r->identity = calloc(r->n + 1, sizeof *r->identity);
    if (!r->folders || !r->identity)
        return fv_err(FV_ENOMEM, "out of memory for names");
    char *to = r->folders;
    for (size_t i = 0; i < r->n; i++) {
        const char *slash = strrchr(r->name[i], '/');
        if (!slash)
            return fv_err(FV_ENOTFOUND,
                          "row %zu, %s: nothing says whom it shows: give identities, or names with "
                          "folders",
                          i, r->name[i]);
        r->identity[i] = to;
        to = mempcpy(to, r->name[i], (size_t)(slash - r->name[i]));
        *to++ = '\0';
    }
    return FV_OK;
}
