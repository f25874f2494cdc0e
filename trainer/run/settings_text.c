/* SPDX-License-Identifier: MIT */
#include "trainer/run/settings_text.h"

#include "trainer/trainer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Options that did not begin with today's default: what a run did that does not name them. Whoever changes a default or
 * adds an option whose default changes what a run does adds a row. */
static const char *const formerly[][2] = {
    {"warmup", "0"},
};
enum { FORMERLY = sizeof formerly / sizeof *formerly };

/* A line and the parts of it; blanks may stand between name and "=". */
struct line {
    const char *at, *value;
    size_t n, name_n, value_n;
};

/* The line that begins at `text`; returns where the next one does. A line without "=" is a name. */
static const char *read_line(const char *text, struct line *l)
{
    const char *end = strchrnul(text, '\n');
    const char *eq = memchr(text, '=', (size_t)(end - text));
    const char *name_end = eq ? eq : end;
    while (name_end > text && name_end[-1] == ' ')
        name_end--;
    l->at = text;
    l->n = (size_t)(end - text);
    l->name_n = (size_t)(name_end - text);
    l->value = eq ? eq + 1 : end;
    while (l->value < end && *l->value == ' ')
        l->value++;
    l->value_n = (size_t)(end - l->value);
    return *end ? end + 1 : end;
}

static int find(const char *text, const char *name, size_t n, struct line *l)
{
    while (*text) {
        text = read_line(text, l);
        if (l->name_n == n && memcmp(l->at, name, n) == 0)
            return 1;
    }
    return 0;
}

/* 1e+04 is 10000: programs have written numbers in more than one way. */
static int same_value(const struct line *a, const struct line *b)
{
    char text[2][64], *end[2];
    if (a->value_n == b->value_n && memcmp(a->value, b->value, a->value_n) == 0)
        return 1;
    if (a->value_n == 0 || b->value_n == 0 || a->value_n >= sizeof text[0] ||
        b->value_n >= sizeof text[1])
        return 0;
    snprintf(text[0], sizeof text[0], "%.*s", (int)a->value_n, a->value);
    snprintf(text[1], sizeof text[1], "%.*s", (int)b->value_n, b->value);
    const double x = strtod(text[0], &end[0]), y = strtod(text[1], &end[1]);
    return *end[0] == '\0' && *end[1] == '\0' && x == y;
}

static void copy(char to[FV_SETTINGS_LINE], const struct line *l, int there)
{
    if (there)
        snprintf(to, FV_SETTINGS_LINE, "%.*s", (int)l->n, l->at);
    else
        snprintf(to, FV_SETTINGS_LINE, "nothing");
}

int fv__settings_differ(const char *was, const char *is, const char *usual,
                        struct fv_settings_difference *out)
{
    const char *const texts[2] = {was, is};
    for (int of = 0; of < 2; of++)
        for (const char *next = texts[of]; *next;) {
            struct line mine, other;
            next = read_line(next, &mine);
            if (mine.n == 0)
                continue;
            const int there = find(texts[1 - of], mine.at, mine.name_n, &other) ||
                              find(usual, mine.at, mine.name_n, &other);
            if (there && same_value(&mine, &other))
                continue;
            copy(of == 0 ? out->was : out->is, &mine, 1);
            copy(of == 0 ? out->is : out->was, &other, there);
            return 1;
        }
    return 0;
}

char *fv_train_settings_complete(const char *text)
{
    size_t used = strlen(text), room = used + 2;
    struct line l;
    for (size_t i = 0; i < FORMERLY; i++)
        room += strlen(formerly[i][0]) + strlen(formerly[i][1]) + 4;
    char *out = malloc(room);
    if (!out)
        return NULL;
    memcpy(out, text, used + 1);
    for (size_t i = 0; i < FORMERLY; i++) {
        if (find(text, formerly[i][0], strlen(formerly[i][0]), &l))
            continue;
        used += (size_t)snprintf(out + used, room - used, "%s%s = %s\n",
                                 used > 0 && out[used - 1] != '\n' ? "\n" : "", formerly[i][0],
                                 formerly[i][1]);
    }
    return out;
}
