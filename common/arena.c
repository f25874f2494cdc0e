/* SPDX-License-Identifier: MIT */
#include "common/arena.h"
#include "common/err.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { BASE_ALIGN = 4096 };

void *fv_arena_take(struct fv_arena *a, size_t bytes, size_t align)
{
    const size_t at = (a->used + align - 1) & ~(align - 1);

    /* SIZE_MAX marks an overflowed count; commit reports it. */
    if (a->used == SIZE_MAX || at < a->used || bytes > SIZE_MAX - BASE_ALIGN - at) {
        a->used = SIZE_MAX;
        return NULL;
    }
    a->used = at + bytes;
    if (!a->base || a->used > a->size)
        return NULL;
    return a->base + at;
}

int fv_arena_commit(struct fv_arena *a)
{
    if (a->base || a->used == SIZE_MAX)
        return fv_err(FV_EINVAL, "arena: sizes overflow, or it is in use already");
    const size_t size = (a->used + BASE_ALIGN - 1) / BASE_ALIGN * BASE_ALIGN;
    a->base = aligned_alloc(BASE_ALIGN, size ? size : BASE_ALIGN);
    if (!a->base)
        return fv_err(FV_ENOMEM, "out of memory: %zu MiB wanted", size >> 20);
    memset(a->base, 0, size);
    a->size = size;
    a->used = 0;
    return FV_OK;
}

void fv_arena_free(struct fv_arena *a)
{
    free(a->base);
    *a = (struct fv_arena){0};
}
