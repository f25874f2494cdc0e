/* SPDX-License-Identifier: MIT */
/* What the tests of importers say of a listing, of warnings and of refusals. */
#ifndef FV_TESTS_PREP_LISTED_H
#define FV_TESTS_PREP_LISTED_H

#include "common/report.h"
#include "prep/import/listing.h"

#include <stddef.h>

void assert_photo(const struct fv_listing *l, size_t i, const char *identity, const char *name,
                  int split);

/* Fails the test unless `code` is an error whose sentence has these words in it; `what` was asked for. */
void assert_error(int code, const char *what, const char *words);

/* A report that keeps warnings alone, a line each, until they are forgotten. */
extern const struct fv_report listed_report;
const char *listed_warnings(void);
void listed_forget(void);

#endif
