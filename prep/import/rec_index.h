/* SPDX-License-Identifier: MIT */
/* The .idx file beside a RecordIO container: "key TAB byte offset", one line a record. */
#ifndef FV_PREP_REC_INDEX_H
#define FV_PREP_REC_INDEX_H

#include "prep/import/table.h"

struct fv_rec_entry {
    uint64_t key, at;
};

struct fv_rec_index {
    struct fv_rec_entry *entry; /* in the order of their places */
    size_t n, room;
};

/* For a container of `bytes` bytes. FV_ECORRUPT names file and line of what cannot be. */
int fv__rec_index_read(struct fv_rec_index *out, struct fv_table *t, uint64_t bytes);
void fv__rec_index_free(struct fv_rec_index *x); /* accepts a zeroed one */

#endif
