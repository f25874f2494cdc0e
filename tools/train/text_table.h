/* SPDX-License-Identifier: MIT */
/* A table for people: columns as wide as they must be, two blanks apart. */
#ifndef FV_TOOLS_TEXT_TABLE_H
#define FV_TOOLS_TEXT_TABLE_H

#include <stddef.h>
#include <stdio.h>

struct text_table {
    int columns;
    const char *right; /* one character a column: 'r' stands at the right, others at the left */
    char **cell;       /* row by row */
    size_t cells;
    int failed; /* out of memory: nothing will be printed */
};

/* One more cell, from left to right and row by row. */
void text_table_add(struct text_table *t, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Of text that is not ours: what a terminal could take as an order becomes '?'. */
void text_table_add_text(struct text_table *t, const char *text);
/* Prints the rows and frees them. FV_ENOMEM when one was lost. */
int text_table_print(struct text_table *t, FILE *to);
void text_table_free(struct text_table *t);

#endif
