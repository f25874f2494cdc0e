/* SPDX-License-Identifier: MIT */
/* Reading golden files. What is not as it should be fails the test. */
#ifndef FV_TESTS_GOLDEN_TEXT_H
#define FV_TESTS_GOLDEN_TEXT_H

#include <stdio.h>

/* Of words and numbers. */
double golden_number(FILE *f);
void golden_expect(FILE *f, const char *word);

/* Of lines that begin with a key; those that begin with # are passed over. One file at a time. The key of the next
 * line, "" at the end; its next word, NULL at the end of it; all that is left of it as numbers, at most so many, and
 * how many there were. Texts are valid until the next key. */
void golden_lines_open(const char *path);
void golden_lines_close(void);
const char *golden_key(void);
const char *golden_word(void);
int golden_numbers(double *to, int most);

#endif
