/* SPDX-License-Identifier: MIT */
/* The lines of a pair list and their fields, as views into text that is all in memory and stays as it is: a list
 * is first recognised, then read. Separators change from format to format, and in fv's own from line to line.
 */
#ifndef FV_STORE_PAIR_LINES_H
#define FV_STORE_PAIR_LINES_H

#include <stddef.h>
#include <stdint.h>

struct fv_lines {
    const char *path; /* for sentences */
    const char *text, *next, *end;
    uint64_t number;  /* of the current line, from 1 */
    const char *line; /* the current one, without its end; not terminated */
    size_t n;
};

struct fv_field {
    const char *p;
    size_t n;
    int quoted; /* stood in quotes, which are taken off; two quotes in it mean one */
};

/* The text must outlive l. A byte order mark is passed over. */
void fv__lines_open(struct fv_lines *l, const char *path, const char *text, size_t n);
/* The next line that is not blank: 1, or 0 at the end. */
int fv__lines_next(struct fv_lines *l);
void fv__lines_rewind(struct fv_lines *l);

/* Cuts the current line into fields. separator: ' ' for runs of blanks and tabs, '\t' for runs of tabs, ',' for
 * single commas with blanks around them; there a field may stand in double quotes. Returns how many there are;
 * of more than `most` only the first are written. */
int fv__lines_fields(const struct fv_lines *l, char separator, struct fv_field *field, int most);
/* '\t' when the current line has one, else ' '. */
char fv__lines_separator(const struct fv_lines *l);

int fv__field_is(const struct fv_field *f, const char *text);
/* The first of n fields that is one of the names, which end with NULL: those that stand first are looked for first. -1:
 * none is. */
int fv__field_named(const struct fv_field *f, int n, const char *const *names);
/* What headers call the columns of the two images of a pair; NULL-terminated. */
extern const char *const fv__pair_columns_first[], *const fv__pair_columns_second[];
/* As a decimal number: 1, or 0 when it is none. */
int fv__field_number(const struct fv_field *f, uint64_t *value);

/* fv_err with "<path>: line <number>: " before the sentence. */
int fv__lines_err(const struct fv_lines *l, int code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

#endif
