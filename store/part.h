/* SPDX-License-Identifier: MIT */
/* One data set file, open for reading and proved. store/reader.h makes data sets of one or several of them. */
#ifndef FV_STORE_PART_H
#define FV_STORE_PART_H

#include "store/digest.h"
#include "store/open_file.h"
#include "store/record.h"
#include "store/store.h"

#include <stdint.h>

struct MDB_env;
struct MDB_txn;

struct fv_part_label {
    const char *name;
    uint32_t first, count, holdout;
};

struct fv_part {
    char *path;
    struct fv_store_info info;
    char *packed_with, *label_names;
    struct MDB_env *env;
    struct MDB_txn *txn;
    struct fv_tables table;
    struct fv_dict *dict; /* NULL when there is none */
    struct fv_span *block;
    uint64_t blocks;
    struct fv_part_label *label; /* (info.labels) */
    struct fv_open_file file;
};

/* A name among both groups of labels, each of them in order: its places in *trained and *held. 0 when there is none. */
int fv__labels_in_both(const struct fv_part_label *label, uint64_t train_labels, uint64_t labels,
                       uint64_t *trained, uint64_t *held);

int fv__part_open(struct fv_part **out, const char *path); /* as fv_store_open, of one file */
void fv__part_close(struct fv_part **p);                   /* accepts NULL */
/* Of an image below info.images. */
struct fv_index_entry fv__part_entry(const struct fv_part *p, uint64_t image);
const char *fv__part_name(const struct fv_part *p, uint64_t image); /* valid until close */

#endif
