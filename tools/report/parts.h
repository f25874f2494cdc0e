/* SPDX-License-Identifier: MIT */
/* What reports have in common: the table of figures, how they were made. */
#ifndef FV_TOOLS_REPORT_PARTS_H
#define FV_TOOLS_REPORT_PARTS_H

#include "store/store.h"
#include "tools/results.h"

/* The rows of `r` that people see, as rows of a table; free it. NULL when out of memory. */
char *report_rows(const struct results *r);

/* "/a/b.c" -> "b.c" */
const char *report_base_name(const char *path);
/* 3000 as 3,000 */
void report_count(FILE *f, uint64_t n);

struct report_making {
    const char *checkpoint, *model; /* its path; what fv_model_info says of it */
    const struct fv_store *store;
    const char *settings; /* "name = value" lines */
};
/* A section of the page: net, data, settings, packing, versions. */
void report_making(FILE *f, const struct report_making *m);

#endif
