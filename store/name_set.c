/* SPDX-License-Identifier: MIT */
#include "store/name_set.h"
#include "common/err.h"
#include "store/record.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

const char *fv__names_in_pool(const uint8_t *offset, const uint8_t *pool, uint64_t i)
{
    return (const char *)pool + fv__get64(offset + 8 * i);
}

/* The slot that holds the name, or the free one where it belongs. */
static size_t look(const struct fv_name_set *s, const struct fv_names *t, const char *name)
{
    size_t k = XXH3_64bits(name, strlen(name)) & (s->slots - 1);

    while (s->slot[k] && strcmp(t->at(t->of, s->slot[k] - 1), name) != 0)
        k = (k + 1) & (s->slots - 1);
    return k;
}

static int grow(struct fv_name_set *s, const struct fv_names *t)
{
    struct fv_name_set wider = {.slots = s->slots ? 2 * s->slots : 1024, .n = s->n};

    wider.slot = calloc(wider.slots, sizeof *wider.slot);
    if (!wider.slot)
        return fv_err(FV_ENOMEM, "out of memory for %zu names", wider.slots / 2);
    for (size_t k = 0; k < s->slots; k++)
        if (s->slot[k])
            wider.slot[look(&wider, t, t->at(t->of, s->slot[k] - 1))] = s->slot[k];
    free(s->slot);
    *s = wider;
    return FV_OK;
}

int fv__name_set_add(struct fv_name_set *s, const struct fv_names *t, uint32_t i)
{
    if (s->n >= s->slots / 2)
        FV_TRY(grow(s, t));
    const size_t k = look(s, t, t->at(t->of, i));
    if (s->slot[k])
        return 1;
    s->slot[k] = i + 1;
    s->n++;
    return 0;
}

int fv__name_set_find(const struct fv_name_set *s, const struct fv_names *t, const char *name,
                      uint32_t *i)
{
    const size_t k = s->slots ? look(s, t, name) : 0;

    if (!s->slots || !s->slot[k])
        return 0;
    *i = s->slot[k] - 1;
    return 1;
}

void fv__name_set_free(struct fv_name_set *s)
{
    free(s->slot);
    *s = (struct fv_name_set){0};
}

static const char *table_name(const void *table, uint64_t i)
{
    const struct fv_name_table *t = table;
    return fv__names_in_pool(t->offset.p, t->pool.p, i);
}

int fv__name_table_add(struct fv_name_table *t, const char *name)
{
    const struct fv_names names = {table_name, t};
    uint32_t at;

    if (fv__name_set_find(&t->set, &names, name, &at))
        return 1;
    FV_TRY(fv__buffer_append64(&t->offset, t->pool.n));
    FV_TRY(fv__buffer_append(&t->pool, name, strlen(name) + 1));
    return fv__name_set_add(&t->set, &names, t->set.n);
}

const char *fv__name_table_last(const struct fv_name_table *t)
{
    return table_name(t, t->set.n - 1);
}

void fv__name_table_free(struct fv_name_table *t)
{
    fv__buffer_free(&t->offset);
    fv__buffer_free(&t->pool);
    fv__name_set_free(&t->set);
}
