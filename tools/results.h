/* SPDX-License-Identifier: MIT */
/* What a command found, once for people and once for programs: aligned lines, or one JSON object. */
#ifndef FV_TOOLS_RESULTS_H
#define FV_TOOLS_RESULTS_H

#include <stdint.h>
#include <stdio.h>

enum { RESULTS_MAX = 128 };

struct result_count {
    const char *name;
    uint64_t n;
};

struct results {
    int n;
    struct {
        const char *key; /* JSON's name; shown with blanks for underscores */
        void *json;      /* NULL: for people alone */
        char *text;
        int silent; /* for programs alone */
    } row[RESULTS_MAX];
};

/* `text` (a format) is what people read; without it, NULL, the value itself. A key must outlive r. */
void results_int(struct results *r, const char *key, uint64_t value, const char *text, ...)
    __attribute__((format(printf, 4, 5)));
void results_real(struct results *r, const char *key, double value, const char *text, ...)
    __attribute__((format(printf, 4, 5)));
/* How often each of n names occurs: an object in JSON, "name number, name number" for people. Names may go after the
 * call. */
void results_counts(struct results *r, const char *key, const struct result_count *count, int n);
void results_string(struct results *r, const char *key, const char *value);
/* Named numbers: an object in JSON, the text for people. */
struct result_number {
    const char *name;
    double value;
};
void results_object(struct results *r, const char *key, const struct result_number *number, int n,
                    const char *text, ...) __attribute__((format(printf, 5, 6)));
/* For people alone: a line among the rows. */
void results_heading(struct results *r, const char *label, const char *text);
/* For programs alone: takes a json_t *. */
void results_json(struct results *r, const char *key, void *json);
/* "name = value" lines: an object in JSON; for people one row, "name value, name value". */
void results_settings(struct results *r, const char *key, const char *lines);

/* A jansson string; of text that is no UTF-8, with '?' for its bytes above ASCII. */
void *results_json_text(const char *text);

/* Prints `title` and the rows (or the object, with "file": title) to stdout, and frees them. */
void results_print(struct results *r, const char *title, int as_json);
/* Frees the rows of results that will not be printed. */
void results_free(struct results *r);

#endif
