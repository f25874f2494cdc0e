/* SPDX-License-Identifier: MIT */
#include "tools/train/text_table.h"

#include "common/err.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* Takes `text`; NULL: memory ran out. */
static void add(struct text_table *t, char *text)
{
    char **more = text ? realloc(t->cell, (t->cells + 1) * sizeof *more) : NULL;
    if (!more) {
        free(text);
        t->failed = 1;
        return;
    }
    t->cell = more;
    t->cell[t->cells++] = text;
}

void text_table_add(struct text_table *t, const char *format, ...)
{
    char *text = NULL;
    va_list ap;
    va_start(ap, format);
    add(t, vasprintf(&text, format, ap) < 0 ? NULL : text);
    va_end(ap);
}

void text_table_add_text(struct text_table *t, const char *text)
{
    char *copy = strdup(text);
    for (char *c = copy; c && *c; c++)
        if ((unsigned char)*c < ' ' || *c == 127)
            *c = '?';
    add(t, copy);
}

/* Characters of UTF-8. */
static int width_of(const char *text)
{
    int n = 0;
    for (; *text; text++)
        n += ((unsigned char)*text & 0xc0) != 0x80;
    return n;
}

static int column_width(const struct text_table *t, int column)
{
    int widest = 0;
    for (size_t i = (size_t)column; i < t->cells; i += (size_t)t->columns) {
        const int width = width_of(t->cell[i]);
        widest = width > widest ? width : widest;
    }
    return widest;
}

static void print_row(const struct text_table *t, size_t row, const int *width, FILE *to)
{
    int owed = 0; /* blanks, which do not stand at the end of a line */
    for (int c = 0; c < t->columns; c++) {
        const char *text = t->cell[row + (size_t)c];
        const int pad = width[c] - width_of(text), right = t->right[c] == 'r';
        if (*text) {
            fprintf(to, "%*s%s", owed + (right ? pad : 0), "", text);
            owed = right ? 2 : pad + 2;
        } else {
            owed += width[c] + 2;
        }
    }
    fputc('\n', to);
}

int text_table_print(struct text_table *t, FILE *to)
{
    int *width = calloc((size_t)t->columns, sizeof *width);
    const int failed = t->failed || !width;
    for (int c = 0; !failed && c < t->columns; c++)
        width[c] = column_width(t, c);
    for (size_t row = 0; !failed && row + (size_t)t->columns <= t->cells; row += (size_t)t->columns)
        print_row(t, row, width, to);
    free(width);
    text_table_free(t);
    return failed ? fv_err(FV_ENOMEM, "out of memory for a table") : 0;
}

void text_table_free(struct text_table *t)
{
    for (size_t i = 0; i < t->cells; i++)
        free(t->cell[i]);
    free(t->cell);
    t->cell = NULL;
    t->cells = 0;
}
