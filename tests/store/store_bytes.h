/* SPDX-License-Identifier: MIT */
/* The bytes of a data set as a test damages them: where a value lies in the file, and new checksums over tables
 * that were changed, so that what stands behind the checksums is reached. For files whose tree is one page. */
#ifndef FV_TESTS_STORE_BYTES_H
#define FV_TESTS_STORE_BYTES_H

#include "store/digest.h"
#include "store/record.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct store_bytes {
    uint8_t *p; /* the whole file */
    size_t n;
};

enum { STORE_KEYS = 7 };
static const char *const store_key[STORE_KEYS] = {"B\0\0\0\0", "complete", "fv",  "index",
                                                  "labels",    "names",    "dict"};
static const size_t store_key_bytes[STORE_KEYS] = {5, 8, 2, 5, 6, 5, 4};

/* The youngest root; 0 when the tree has another depth than 1. The pages must be sound: store/pages.h. */
static inline uint8_t *store_leaf(const struct store_bytes *f)
{
    const size_t page = fv__get32(f->p + 40);
    const uint8_t *meta = f->p + (fv__get64(f->p + 144) < fv__get64(f->p + page + 144) ? page : 0);

    return fv__get16(meta + 94) == 1 ? f->p + fv__get64(meta + 128) * page : NULL;
}

/* The value of store_key[k], {NULL, 0} when there is none. */
static inline struct store_bytes store_value(const struct store_bytes *f, int k)
{
    uint8_t *leaf = store_leaf(f);
    const size_t page = fv__get32(f->p + 40);

    for (size_t at = 16; leaf && at < fv__get16(leaf + 12); at += 2) {
        uint8_t *node = leaf + fv__get16(leaf + at);
        const size_t key = fv__get16(node + 6);
        if (key != store_key_bytes[k] || memcmp(node + 8, store_key[k], key) != 0)
            continue;
        const int large = fv__get16(node + 4);
        return (struct store_bytes){
            large ? f->p + fv__get64(node + 8 + key) * page + 16 : node + 8 + key, fv__get32(node)};
    }
    return (struct store_bytes){NULL, 0};
}

static inline struct fv_span store_table(const struct store_bytes *f, int k)
{
    const struct store_bytes v = store_value(f, k);
    return (struct fv_span){v.p, v.n};
}

/* New checksums of the tables and of the mark of completion. 0 when there is no such mark. */
static inline int store_reseal(const struct store_bytes *f)
{
    const struct store_bytes mark = store_value(f, 1);
    const struct fv_tables t = {store_table(f, 2), store_table(f, 3), store_table(f, 4),
                                store_table(f, 5), store_table(f, 6)};
    uint64_t tables;

    if (mark.n != FV_COMPLETE_BYTES || fv__tables_checksum(&tables, &t) < 0)
        return 0;
    const struct fv_complete_record c = {fv__get64(mark.p),      fv__get64(mark.p + 8),
                                         fv__get64(mark.p + 16), fv__get64(mark.p + 24),
                                         fv__get64(mark.p + 32), tables};
    fv__complete_write(mark.p, &c);
    return 1;
}

#endif
