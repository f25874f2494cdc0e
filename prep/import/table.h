/* SPDX-License-Identifier: MIT */
/* Rows of fields out of a text file: what the field's lists, CSV and TSV files have in common.
 *
 * A line is a row; empty ones are skipped, and so are a byte order mark and carriage returns. The
 * separator is what the first row shows: a tab, else a comma, else a semicolon, else blanks. Fields lose the
 * blanks around them. A field in double quotes may hold the separator, and a quote written twice.
 */
#ifndef FV_PREP_TABLE_H
#define FV_PREP_TABLE_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum { FV_TABLE_FIELDS = 64, FV_TABLE_LINE = 16 * 1024 }; /* at most, of a row; bytes of a line */

struct fv_table {
    char *path; /* for sentences */
    FILE *f;
    char *text;
    uint64_t line;  /* of the current row, from 1 */
    char separator; /* 0 before the first row; ' ' means runs of blanks and tabs */
    int fields;
    char *field[FV_TABLE_FIELDS]; /* of the current row; valid until the next one */
};

/* FV_ENOTFOUND, FV_EIO; FV_ECORRUPT for a Git-LFS pointer. */
int fv__table_open(struct fv_table *t, const char *path);
/* The same on bytes in memory, which must stay. */
int fv__table_open_bytes(struct fv_table *t, const char *name, const void *bytes, size_t n);
void fv__table_close(struct fv_table *t); /* accepts a zeroed one */

/* The next row: 1, or 0 at the end, or FV_ECORRUPT naming file and line. */
int fv__table_next(struct fv_table *t);
/* Back to before the first row. */
int fv__table_rewind(struct fv_table *t);
/* FV_ECORRUPT with "<path>:<line>: " before the sentence. */
int fv__table_err(const struct fv_table *t, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* A whole field as a decimal number, "." for the point in any locale: 1, or 0 when it is none. */
int fv__parse_real(const char *s, double *value);
int fv__parse_u64(const char *s, uint64_t *value);

#endif
