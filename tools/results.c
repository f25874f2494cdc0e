/* SPDX-License-Identifier: MIT */
#include "tools/results.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static char *add(struct results *r, const char *key, json_t *value)
{
    if (r->n == RESULTS_MAX)
        abort(); /* a command that has more to say must raise it */
    r->row[r->n].key = key;
    r->row[r->n].json = value;
    r->row[r->n].text[0] = 0;
    return r->row[r->n++].text;
}

#define FORMAT_TEXT(to, text)                                                                      \
    do {                                                                                           \
        va_list ap;                                                                                \
        va_start(ap, text);                                                                        \
        vsnprintf(to, sizeof r->row[0].text, text, ap);                                            \
        va_end(ap);                                                                                \
    } while (0)

void results_int(struct results *r, const char *key, uint64_t value, const char *text, ...)
{
    char *to = add(r, key, json_integer((json_int_t)value));
    if (text)
        FORMAT_TEXT(to, text);
    else
        snprintf(to, sizeof r->row[0].text, "%" PRIu64, value);
}

void results_real(struct results *r, const char *key, double value, const char *text, ...)
{
    char *to = add(r, key, json_real(value));
    if (text)
        FORMAT_TEXT(to, text);
    else
        snprintf(to, sizeof r->row[0].text, "%g", value);
}

void results_string(struct results *r, const char *key, const char *value)
{
    snprintf(add(r, key, json_string(value)), sizeof r->row[0].text, "%s", value);
}

void results_counts(struct results *r, const char *key, const struct result_count *count, int n)
{
    json_t *all = json_object();
    char *to = add(r, key, all);
    size_t used = 0, room = sizeof r->row[0].text;
    for (int i = 0; i < n; i++) {
        json_object_set_new(all, count[i].name, json_integer((json_int_t)count[i].n));
        if (used < room)
            used += (size_t)snprintf(to + used, room - used, "%s%s %" PRIu64, i ? ", " : "",
                                     count[i].name, count[i].n);
    }
}

void results_settings(struct results *r, const char *key, const char *lines)
{
    json_t *all = json_object();
    char *to = add(r, key, all);
    size_t n = 0, room = sizeof r->row[0].text;
    while (*lines) {
        size_t length = strcspn(lines, "\n");
        const char *equals = strstr(lines, " = ");
        if (equals && equals < lines + length) {
            char name[64];
            snprintf(name, sizeof name, "%.*s", (int)(equals - lines), lines);
            json_object_set_new(all, name,
                                json_stringn(equals + 3, (size_t)(lines + length - equals - 3)));
            int k = snprintf(to + n, room - n, "%s%s %.*s", n ? ", " : "", name,
                             (int)(lines + length - equals - 3), equals + 3);
            n = n + (size_t)k < room ? n + (size_t)k : room - 1;
        }
        lines += length + (lines[length] == '\n');
    }
}

static void print_rows(const struct results *r, const char *title)
{
    int width = 0;
    for (int i = 0; i < r->n; i++)
        width = (int)strlen(r->row[i].key) > width ? (int)strlen(r->row[i].key) : width;
    printf("%s\n", title);
    for (int i = 0; i < r->n; i++) {
        char label[64];
        snprintf(label, sizeof label, "%s", r->row[i].key);
        for (char *p = label; *p; p++)
            *p = *p == '_' ? ' ' : *p;
        printf("  %-*s  %s\n", width, label, r->row[i].text);
    }
}

void results_print(struct results *r, const char *title, int as_json)
{
    json_t *all = json_object();
    json_object_set_new(all, "file", json_string(title));
    for (int i = 0; i < r->n; i++)
        json_object_set_new(all, r->row[i].key, r->row[i].json);
    if (as_json) {
        json_dumpf(all, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(6));
        putchar('\n');
    } else {
        print_rows(r, title);
    }
    json_decref(all);
    r->n = 0;
}

void results_free(struct results *r)
{
    for (int i = 0; i < r->n; i++)
        json_decref(r->row[i].json);
    r->n = 0;
}
