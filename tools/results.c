/* SPDX-License-Identifier: MIT */
#include "tools/results.h"

#include "common/fs.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum { LINE_COLUMNS = 100 };

/* Takes `text`, which is NULL when memory ran out. */
static void add(struct results *r, const char *key, json_t *value, char *text)
{
    if (r->n == RESULTS_MAX)
        abort(); /* a command that has more to say must raise it */
    r->row[r->n].key = key;
    r->row[r->n].json = value;
    r->row[r->n].silent = 0;
    r->row[r->n++].text = text;
}

static char *format_text(const char *format, va_list ap)
{
    char *text = NULL;
    return vasprintf(&text, format, ap) < 0 ? NULL : text;
}

/* Longer by "name value", behind a comma where something is there already. */
static void append_pair(char **text, const char *name, size_t name_bytes, const char *value,
                        size_t value_bytes)
{
    char *longer = fv_format("%s%s%.*s %.*s", *text ? *text : "", *text ? ", " : "",
                             (int)name_bytes, name, (int)value_bytes, value);
    free(*text);
    *text = longer;
}

void results_int(struct results *r, const char *key, uint64_t value, const char *text, ...)
{
    va_list ap;
    va_start(ap, text);
    add(r, key, json_integer((json_int_t)value),
        text ? format_text(text, ap) : fv_format("%" PRIu64, value));
    va_end(ap);
}

void results_real(struct results *r, const char *key, double value, const char *text, ...)
{
    va_list ap;
    va_start(ap, text);
    add(r, key, json_real(value), text ? format_text(text, ap) : fv_format("%g", value));
    va_end(ap);
}

void *results_json_text(const char *text)
{
    json_t *json = json_string(text);
    char *plain = json ? NULL : strdup(text);
    for (char *p = plain; p && *p; p++)
        if ((unsigned char)*p > 127)
            *p = '?';
    if (plain)
        json = json_string(plain);
    free(plain);
    return json;
}

void results_string(struct results *r, const char *key, const char *value)
{
    add(r, key, results_json_text(value), strdup(value));
}

void results_counts(struct results *r, const char *key, const struct result_count *count, int n)
{
    json_t *all = json_object();
    char *text = NULL;
    for (int i = 0; i < n; i++) {
        char number[24];
        const int digits = snprintf(number, sizeof number, "%" PRIu64, count[i].n);
        json_object_set_new(all, count[i].name, json_integer((json_int_t)count[i].n));
        append_pair(&text, count[i].name, strlen(count[i].name), number, (size_t)digits);
    }
    add(r, key, all, text);
}

void results_object(struct results *r, const char *key, const struct result_number *number, int n,
                    const char *text, ...)
{
    json_t *all = json_object();
    va_list ap;
    for (int i = 0; i < n; i++)
        json_object_set_new(all, number[i].name, json_real(number[i].value));
    va_start(ap, text);
    add(r, key, all, format_text(text, ap));
    va_end(ap);
}

void results_heading(struct results *r, const char *label, const char *text)
{
    add(r, label, NULL, strdup(text));
}

void results_json(struct results *r, const char *key, void *json)
{
    add(r, key, json, NULL);
    r->row[r->n - 1].silent = 1;
}

void results_settings(struct results *r, const char *key, const char *lines)
{
    json_t *all = json_object();
    char *text = NULL;
    while (*lines) {
        const size_t length = strcspn(lines, "\n");
        const char *equals = memmem(lines, length, " = ", 3);
        if (equals) {
            const size_t bytes = (size_t)(lines + length - equals) - 3;
            char *name = strndup(lines, (size_t)(equals - lines));
            if (name)
                json_object_set_new(all, name, json_stringn(equals + 3, bytes));
            append_pair(&text, lines, (size_t)(equals - lines), equals + 3, bytes);
            free(name);
        }
        lines += length + (lines[length] == '\n');
    }
    add(r, key, all, text);
}

/* Goes on below its first column, behind a comma, where the line gets too long. */
static void print_wrapped(const char *text, int column)
{
    int at = column;
    while (*text) {
        const char *comma = strstr(text, ", ");
        const int n = comma ? (int)(comma - text) + 1 : (int)strlen(text);
        if (at > column && at + 1 + n > LINE_COLUMNS)
            printf("\n%*s", at = column, "");
        else if (at > column)
            at += printf(" ");
        at += printf("%.*s", n, text);
        text += n + (comma != NULL);
    }
    putchar('\n');
}

static void print_rows(const struct results *r, const char *title)
{
    int width = 0;
    for (int i = 0; i < r->n; i++)
        if (!r->row[i].silent && (int)strlen(r->row[i].key) > width)
            width = (int)strlen(r->row[i].key);
    printf("%s\n", title);
    for (int i = 0; i < r->n; i++) {
        if (r->row[i].silent)
            continue;
        printf("  ");
        for (const char *p = r->row[i].key; *p; p++)
            putchar(*p == '_' ? ' ' : *p);
        printf("%*s", width - (int)strlen(r->row[i].key) + 2, "");
        print_wrapped(r->row[i].text ? r->row[i].text : "", width + 4);
    }
}

static void free_texts(struct results *r)
{
    for (int i = 0; i < r->n; i++)
        free(r->row[i].text);
    r->n = 0;
}

void results_print(struct results *r, const char *title, int as_json)
{
    json_t *all = json_object();
    json_object_set_new(all, "file", results_json_text(title));
    for (int i = 0; i < r->n; i++)
        if (r->row[i].json)
            json_object_set_new(all, r->row[i].key, r->row[i].json);
    if (as_json) { /* 15 digits: all that a double holds of a decimal fraction */
        json_dumpf(all, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(15));
        putchar('\n');
    } else {
        print_rows(r, title);
    }
    json_decref(all);
    free_texts(r);
}

void results_free(struct results *r)
{
    for (int i = 0; i < r->n; i++)
        json_decref(r->row[i].json);
    free_texts(r);
}
