/* SPDX-License-Identifier: MIT */
/* Sorted by place, so that a container is read from its beginning to its end. */
#include "prep/import/rec_index.h"

#include "common/err.h"

#include <inttypes.h>
#include <stdlib.h>

static int by_place(const void *a, const void *b)
{
    const struct fv_rec_entry *x = a, *y = b;
    return x->at < y->at ? -1 : x->at > y->at;
}

static int by_key(const void *a, const void *b)
{
    const struct fv_rec_entry *x = a, *y = b;
    return x->key < y->key ? -1 : x->key > y->key;
}

static int add(struct fv_rec_index *x, struct fv_rec_entry e)
{
    if (x->n == x->room) {
        size_t room = x->room ? x->room * 2 : 4096;
        struct fv_rec_entry *more = realloc(x->entry, room * sizeof *more);
        if (!more)
            return fv_err(FV_ENOMEM, "out of memory for %zu keys", room);
        x->entry = more;
        x->room = room;
    }
    x->entry[x->n++] = e;
    return 0;
}

static int read_entries(struct fv_rec_index *x, struct fv_table *t, uint64_t bytes)
{
    int rc;
    while ((rc = fv__table_next(t)) == 1) {
        struct fv_rec_entry e;
        if (t->fields != 2 || !fv__parse_u64(t->field[0], &e.key) ||
            !fv__parse_u64(t->field[1], &e.at))
            return fv__table_err(t, "is no key and byte offset");
        if (e.at >= bytes || e.at % 4)
            return fv__table_err(t,
                                 "byte %" PRIu64 " is no place in a container of %" PRIu64
                                 ": it was cut short, or this is the index of another one",
                                 e.at, bytes);
        FV_TRY(add(x, e));
    }
    return rc;
}

static int order(struct fv_rec_index *x, const char *path)
{
    if (x->n == 0)
        return fv_err(FV_ECORRUPT, "%s: is empty: remove it to number the records as they come",
                      path);
    qsort(x->entry, x->n, sizeof *x->entry, by_key);
    for (size_t i = 1; i < x->n; i++)
        if (x->entry[i].key == x->entry[i - 1].key)
            return fv_err(FV_ECORRUPT, "%s: key %" PRIu64 " comes twice", path, x->entry[i].key);
    qsort(x->entry, x->n, sizeof *x->entry, by_place);
    return 0;
}

int fv__rec_index_read(struct fv_rec_index *out, struct fv_table *t, uint64_t bytes)
{
    *out = (struct fv_rec_index){0};
    int rc = read_entries(out, t, bytes);
    if (rc == 0)
        rc = order(out, t->path);
    if (rc < 0)
        fv__rec_index_free(out);
    return rc;
}

void fv__rec_index_free(struct fv_rec_index *x)
{
    free(x->entry);
    *x = (struct fv_rec_index){0};
}
