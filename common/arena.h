/* SPDX-License-Identifier: MIT */
/* One allocation, carved: sizes are known at open, so a handle reserves them all, allocates once and
 * frees once. Two passes over the same code do it: on a fresh arena fv_arena_take only counts and
 * returns NULL; after fv_arena_commit it returns pointers.
 *
 *     for (int pass = 0; pass < 2; pass++) {
 *         h->a = fv_arena_take(&arena, na * sizeof *h->a, 64);
 *         if (pass == 0)
 *             FV_TRY(fv_arena_commit(&arena));
 *     }
 */
#ifndef FV_COMMON_ARENA_H
#define FV_COMMON_ARENA_H

#include <stddef.h>

struct fv_arena {
    unsigned char *base; /* NULL while counting */
    size_t used, size;
};

/* Zeroed memory, aligned to `align` (a power of two up to 4096). NULL while counting. */
void *fv_arena_take(struct fv_arena *a, size_t bytes, size_t align);
/* Allocates what was counted (zeroed) and restarts at its beginning. FV_ENOMEM names
 * the size; FV_EINVAL if the count overflowed. */
int fv_arena_commit(struct fv_arena *a);
void fv_arena_free(struct fv_arena *a); /* accepts a zeroed arena */

#endif
