/* SPDX-License-Identifier: MIT */
/* Three of libjpeg's functions are replaced where they serve an image: they cut pieces off one buffer,
 * which the image's end gives back whole. What doesn't fit comes from libjpeg's own functions, that is
 * from malloc, and the buffer is as large as that by the next image. Coefficients of a whole file, which
 * only progressive ones need, always come from malloc. */
#include "store/jpeg_memory.h"

#include <stdlib.h>
#include <string.h>

enum {
    ALIGN = 64,        /* for its vector code, twice what it asks of its own */
    ROOM_MAX = 1 << 24 /* a file that wants more gets it for itself alone */
};

static size_t round_up(size_t n)
{
    return (n + ALIGN - 1) / ALIGN * ALIGN;
}

/* NULL when there is no room left. */
static void *cut_off(j_common_ptr common, size_t n)
{
    struct fv_jpeg_memory *m = common->client_data;
    const size_t at = m->used;

    m->used += round_up(n);
    return m->used <= m->room ? m->bytes + at : NULL;
}

static void *alloc_small(j_common_ptr common, int pool, size_t n)
{
    struct fv_jpeg_memory *m = common->client_data;
    void *p = pool == JPOOL_IMAGE ? cut_off(common, n) : NULL;

    return p ? p : m->own.alloc_small(common, pool, n);
}

static void *alloc_large(j_common_ptr common, int pool, size_t n)
{
    struct fv_jpeg_memory *m = common->client_data;
    void *p = pool == JPOOL_IMAGE ? cut_off(common, n) : NULL;

    return p ? p : m->own.alloc_large(common, pool, n);
}

/* Rows of 8-bit samples and pointers to them; vector code may write to the end of a row's last block. */
static JSAMPARRAY alloc_rows(j_common_ptr common, int pool, JDIMENSION samples, JDIMENSION rows)
{
    struct fv_jpeg_memory *m = common->client_data;
    const size_t row = round_up(samples) + ALIGN, table = round_up(rows * sizeof(JSAMPROW));
    uint8_t *p = pool == JPOOL_IMAGE ? cut_off(common, table + rows * row) : NULL;

    if (!p)
        return m->own.alloc_sarray(common, pool, samples, rows);
    JSAMPARRAY array = (JSAMPARRAY)(void *)p;
    for (JDIMENSION y = 0; y < rows; y++)
        array[y] = p + table + y * row;
    return array;
}

static void grow(struct fv_jpeg_memory *m)
{
    if (m->used <= m->room || m->used > ROOM_MAX)
        return;
    fv__jpeg_memory_free(m);
    m->bytes = aligned_alloc(ALIGN, m->used);
    m->room = m->bytes ? m->used : 0;
}

static void free_pool(j_common_ptr common, int pool)
{
    struct fv_jpeg_memory *m = common->client_data;

    m->own.free_pool(common, pool);
    if (pool != JPOOL_IMAGE)
        return;
    grow(m);
    m->used = 0;
}

void fv__jpeg_memory_use(struct fv_jpeg_memory *m, struct jpeg_decompress_struct *d)
{
    m->own = *d->mem;
    d->mem->alloc_small = alloc_small;
    d->mem->alloc_large = alloc_large;
    d->mem->alloc_sarray = alloc_rows;
    d->mem->free_pool = free_pool;
}

void fv__jpeg_memory_free(struct fv_jpeg_memory *m)
{
    free(m->bytes);
    m->bytes = NULL;
    m->room = 0;
}
