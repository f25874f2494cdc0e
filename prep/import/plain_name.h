/* SPDX-License-Identifier: MIT */
/* Names of files as they may stand in a list and on a terminal, which a file's name must not command: a tab, a line
 * break and a backslash become \t, \n, \r and \\, other control bytes \x1b and so on. A '#' at the beginning, which
 * marks the remarks of our lists, becomes \x23.
 */
#ifndef FV_PREP_PLAIN_NAME_H
#define FV_PREP_PLAIN_NAME_H

#include <stdio.h>

/* NULL, and FV_ENOMEM's sentence, when out of memory; free it. For a terminal a '#' stays. */
char *fv__plain_name(const char *name);
/* Writes the name for a list. FV_ENOMEM; that the file takes it is checked when it is committed. */
int fv__plain_name_put(FILE *f, const char *name);

#endif
