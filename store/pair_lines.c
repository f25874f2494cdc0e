/* SPDX-License-Identifier: MIT */
#include "store/pair_lines.h"
#include "common/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static int is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/* --- lines ---------------------------------------------------------------------------------------- */

void fv__lines_rewind(struct fv_lines *l)
{
    const int mark = l->end - l->text >= 3 && memcmp(l->text, "\xef\xbb\xbf", 3) == 0;

    l->next = l->text + (mark ? 3 : 0);
    l->number = 0;
    l->line = l->next;
    l->n = 0;
}

void fv__lines_open(struct fv_lines *l, const char *path, const char *text, size_t n)
{
    *l = (struct fv_lines){.path = path, .text = text, .end = text + n};
    fv__lines_rewind(l);
}

int fv__lines_next(struct fv_lines *l)
{
    while (l->next < l->end) {
        const char *end = memchr(l->next, '\n', (size_t)(l->end - l->next));
        l->line = l->next;
        l->next = end ? end + 1 : l->end;
        l->n = (size_t)((end ? end : l->end) - l->line);
        l->number++;
        while (l->n && l->line[l->n - 1] == '\r')
            l->n--;
        for (size_t i = 0; i < l->n; i++)
            if (!is_blank(l->line[i]))
                return 1;
    }
    return 0;
}

int fv__lines_err(const struct fv_lines *l, int code, const char *fmt, ...)
{
    char text[FV_ERR_TEXT_MAX];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    return fv_err(code, "%.200s: line %llu: %s", l->path, (unsigned long long)l->number, text);
}

/* --- fields --------------------------------------------------------------------------------------- */

static int separates(char c, char separator)
{
    return c == separator || (separator == ' ' && c == '\t');
}

/* Runs of separators count as one; at the ends they are none. */
static int split_at_runs(const struct fv_lines *l, char separator, struct fv_field *field, int most)
{
    const char *p = l->line, *end = l->line + l->n;
    int n = 0;

    for (;;) {
        while (p < end && separates(*p, separator))
            p++;
        if (p == end)
            return n;
        const char *from = p;
        while (p < end && !separates(*p, separator))
            p++;
        if (n < most)
            field[n] = (struct fv_field){from, (size_t)(p - from), 0};
        n++;
    }
}

static struct fv_field trimmed(const char *from, const char *to)
{
    while (from < to && is_blank(*from))
        from++;
    while (from < to && is_blank(to[-1]))
        to--;
    if (to - from >= 2 && *from == '"' && to[-1] == '"')
        return (struct fv_field){from + 1, (size_t)(to - from) - 2, 1};
    return (struct fv_field){from, (size_t)(to - from), 0};
}

static int split_at_commas(const struct fv_lines *l, struct fv_field *field, int most)
{
    const char *from = l->line, *end = l->line + l->n;
    int n = 0, quoted = 0;

    for (const char *p = from;; p++) {
        if (p < end && *p == '"')
            quoted = !quoted;
        if (p < end && (*p != ',' || quoted))
            continue;
        if (n < most)
            field[n] = trimmed(from, p);
        n++;
        from = p + 1;
        if (p == end)
            return n;
    }
}

int fv__lines_fields(const struct fv_lines *l, char separator, struct fv_field *field, int most)
{
    return separator == ',' ? split_at_commas(l, field, most)
                            : split_at_runs(l, separator, field, most);
}

char fv__lines_separator(const struct fv_lines *l)
{
    return memchr(l->line, '\t', l->n) ? '\t' : ' ';
}

int fv__field_is(const struct fv_field *f, const char *text)
{
    return f->n == strlen(text) && memcmp(f->p, text, f->n) == 0;
}

const char *const fv__pair_columns_first[] = {"img1", "image1", "path1", "file1", NULL};
const char *const fv__pair_columns_second[] = {"img2", "image2", "path2", "file2", NULL};

int fv__field_named(const struct fv_field *f, int n, const char *const *names)
{
    for (; *names; names++)
        for (int i = 0; i < n; i++)
            if (fv__field_is(&f[i], *names))
                return i;
    return -1;
}

int fv__field_number(const struct fv_field *f, uint64_t *value)
{
    uint64_t v = 0;

    for (size_t i = 0; i < f->n; i++) {
        if (f->p[i] < '0' || f->p[i] > '9' || v > (UINT64_MAX - 9) / 10)
            return 0;
        v = v * 10 + (uint64_t)(f->p[i] - '0');
    }
    *value = v;
    return f->n > 0;
}
