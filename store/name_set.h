/* SPDX-License-Identifier: MIT */
/* From a name to its place in a table of names: open addressing over XXH3-64, at most half full. The set
 * keeps places only, so one set serves a table in the map of a reader and one that a writer still grows.
 */
#ifndef FV_STORE_NAME_SET_H
#define FV_STORE_NAME_SET_H

#include "store/buffer.h"

#include <stddef.h>
#include <stdint.h>

/* Names by their places. */
struct fv_names {
    const char *(*at)(const void *of, uint64_t i);
    const void *of;
};
/* As they lie in the "names" table: offset of each (u64, little-endian) into a pool of terminated names. */
const char *fv__names_in_pool(const uint8_t *offset, const uint8_t *pool, uint64_t i);

struct fv_name_set {
    uint32_t *slot; /* place + 1; 0 is free */
    size_t slots;   /* a power of two, or 0 */
    uint32_t n;
};

/* Adds place i of t; 1 when its name is there already (nothing is added), or FV_ENOMEM. */
int fv__name_set_add(struct fv_name_set *s, const struct fv_names *t, uint32_t i);
/* 1 and *i when the set has the name, else 0. */
int fv__name_set_find(const struct fv_name_set *s, const struct fv_names *t, const char *name,
                      uint32_t *i);
void fv__name_set_free(struct fv_name_set *s);

/* Names in the order of their arrival, none twice: how a writer gathers them. Zeroed is empty. */
struct fv_name_table {
    struct fv_buffer offset, pool;
    struct fv_name_set set;
};

/* 1 when the name is there already, or FV_ENOMEM. */
int fv__name_table_add(struct fv_name_table *t, const char *name);
const char *fv__name_table_last(const struct fv_name_table *t); /* of a table that is not empty */
void fv__name_table_free(struct fv_name_table *t);

#endif
