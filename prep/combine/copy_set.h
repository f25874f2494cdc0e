/* SPDX-License-Identifier: MIT */
/* A new data set out of the records of another one: the identities that are wanted, in their order. */
#ifndef FV_PREP_COPY_SET_H
#define FV_PREP_COPY_SET_H

#include "prep/prep.h"
#include "store/store.h"

struct fv_copy {
    struct fv_store *from; /* of one file or several */
    const uint8_t *keep;   /* one byte an identity; NULL: all */
    const char *output;
    int overwrite, threads;
    const char *packed_with;
    const char *what; /* for the progress line */
    const struct fv_report *report;
};

/* All records get the dictionary of the first one that has one. On failure an older output is as it was. */
int fv__copy_set(const struct fv_copy *c, struct fv_moved *out);
/* What a finished file says of itself. */
int fv__moved_read(struct fv_moved *out, const char *path);

#endif
