/* SPDX-License-Identifier: MIT */
/* The layout is that of LMDB 0.9 (data version 1) on a 64-bit little-endian machine, which is what liblmdb
 * writes and reads here. Offsets in bytes:
 *
 *   page      0 u64 number   10 u16 flags   12 u16 lower   14 u16 upper
 *             16 u16 node offset [(lower - 16) / 2], nodes between upper and the end of the page
 *   meta      16 u32 magic   20 u32 version   40 table of free pages   88 main table   136 u64 last page
 *             144 u64 transaction
 *   free      key: u64 transaction   value: u64 pages, u64 page [pages]
 *   table     0 u32 page size (of the first table)   4 u16 flags   6 u16 depth   40 u64 root
 *   node      0 u32 bytes of the value   4 u16 flags   6 u16 bytes of the key   8 key, value;
 *             of a branch: 0 u48 page number instead of bytes and flags; of a large value: u64 page number
 */
#include "store/pages.h"
#include "common/err.h"
#include "store/record.h"

#include <stdlib.h>
#include <sys/mman.h>

#define MAGIC 0xBEEFC0DEu

enum {
    PAGE_HEADER = 16,
    NODE_HEADER = 8,
    P_BRANCH = 1,
    P_LEAF = 2,
    P_META = 8,
    F_BIGDATA = 1,
    META_BYTES = 152,
    FREE_TABLE = 40,
    MAIN_TABLE = 88,
    DEPTH_MAX = 31, /* LMDB's cursors have room for 32 pages */
};

struct pages {
    const uint8_t *p;
    uint64_t size; /* of a page */
    uint64_t n;    /* pages in use */
    uint64_t left; /* a tree has no more pages than the file: ends a walk that goes in circles */
    /* What a writer needs to know. */
    uint8_t *used; /* a bit for each page; NULL when nobody asks */
    int free_list; /* the tree at hand is that of free pages */
    int listed;    /* of which those are marked that it lists, no longer its own */
};

static int damaged(uint64_t page)
{
    return fv_err(FV_ECORRUPT, "is damaged at page %llu: copy it or pack it again",
                  (unsigned long long)page);
}

/* The page with one of the wanted flags, NULL if it is not that. */
static const uint8_t *page_at(const struct pages *f, uint64_t number, unsigned wanted)
{
    if (number < 2 || number >= f->n)
        return NULL;
    const uint8_t *p = f->p + number * f->size;
    return fv__get64(p) == number && fv__get16(p + 10) == wanted ? p : NULL;
}

/* 0 when one of them is used already. */
static int use_pages(struct pages *f, uint64_t first, uint64_t n)
{
    for (uint64_t i = first; i < first + n; i++) {
        if (f->used[i / 8] & 1u << i % 8)
            return 0;
        f->used[i / 8] |= (uint8_t)(1u << i % 8);
    }
    return 1;
}

/* The same of pages of the tree at hand. */
static int use_tree_pages(struct pages *f, uint64_t first, uint64_t n)
{
    return !f->used || f->listed || use_pages(f, first, n);
}

/* What LMDB takes pages from. */
static int free_value_is_sound(struct pages *f, const uint8_t *value, uint64_t bytes)
{
    const uint64_t n = bytes < 8 ? 0 : fv__get64(value);

    if (bytes < 8 || n > bytes / 8 - 1)
        return 0;
    for (uint64_t i = 1; i <= n; i++) {
        const uint64_t page = fv__get64(value + 8 * i);
        /* From the last to the first: LMDB merges lists by that. */
        if (page < 2 || page >= f->n || (i > 1 && page >= fv__get64(value + 8 * (i - 1))) ||
            (f->listed && !use_pages(f, page, 1)))
            return 0;
    }
    return 1;
}

/* Where a large value lies is enough: LMDB does not look at the header of its first page either, and to read one
 * page a block would make opening slow. */
static int leaf_value_is_sound(struct pages *f, const uint8_t *node, uint64_t room)
{
    const uint64_t bytes = fv__get32(node), key = fv__get16(node + 6);
    const unsigned flags = fv__get16(node + 4);

    if (f->free_list && key != 8)
        return 0;
    if (flags == 0)
        return bytes <= room - key &&
               (!f->free_list || free_value_is_sound(f, node + NODE_HEADER + key, bytes));
    if (flags != F_BIGDATA || room - key < 8)
        return 0;
    const uint64_t number = fv__get64(node + NODE_HEADER + key);
    const uint64_t pages = (PAGE_HEADER - 1 + bytes) / f->size + 1;
    if (number < 2 || number >= f->n || pages > f->n - number || !use_tree_pages(f, number, pages))
        return 0;
    return !f->free_list || free_value_is_sound(f, f->p + number * f->size + PAGE_HEADER, bytes);
}

/* depth: levels from this page to the leaves, both counted. */
static int walk(struct pages *f, uint64_t number, unsigned depth)
{
    const uint8_t *p = page_at(f, number, depth > 1 ? P_BRANCH : P_LEAF);

    if (!p || f->left-- == 0 || !use_tree_pages(f, number, 1))
        return damaged(number);
    const uint64_t lower = fv__get16(p + 12), upper = fv__get16(p + 14);
    if (lower < PAGE_HEADER + (depth > 1 ? 4 : 2) || lower % 2 || lower > upper || upper > f->size)
        return damaged(number);
    for (uint64_t at = PAGE_HEADER; at < lower; at += 2) {
        const uint64_t offset = fv__get16(p + at);
        if (offset < upper || offset % 2 || offset + NODE_HEADER > f->size)
            return damaged(number);
        const uint8_t *node = p + offset;
        const uint64_t room = f->size - offset - NODE_HEADER;
        if (fv__get16(node + 6) > room)
            return damaged(number);
        if (depth > 1)
            FV_TRY(walk(f, fv__get32(node) | (uint64_t)fv__get16(node + 4) << 32, depth - 1));
        else if (!leaf_value_is_sound(f, node, room))
            return damaged(number);
    }
    return FV_OK;
}

/* The meta page that LMDB would choose: the younger of two, both of which must be whole. */
static int choose_meta(const uint8_t *file, size_t n, const uint8_t **out)
{
    if (n < META_BYTES || fv__get32(file + 16) != MAGIC || fv__get16(file + 10) != P_META)
        return fv_err(FV_ECORRUPT, "is not an fv data set (nor any other LMDB file)");
    if (fv__get32(file + 20) != 1)
        return fv_err(FV_EVERSION,
                      "is an LMDB file of version %u, and this program reads version 1",
                      fv__get32(file + 20));
    const uint32_t size = fv__get32(file + 40);
    if (size < 512 || size > 32768 || (size & (size - 1)))
        return damaged(0);
    if (n < 2 * (size_t)size)
        return fv_err(FV_ECORRUPT, "is cut short after %zu bytes: copy it or pack it again", n);
    const uint8_t *second = file + size;
    if (fv__get16(second + 10) != P_META || fv__get32(second + 16) != MAGIC ||
        fv__get32(second + 20) != 1 || fv__get32(second + 40) != size)
        return damaged(1);
    *out = fv__get64(file + 144) < fv__get64(second + 144) ? second : file;
    return FV_OK;
}

static int walk_table(struct pages *f, const uint8_t *meta, unsigned table)
{
    const uint64_t root = fv__get64(meta + table + 40);
    const unsigned depth = fv__get16(meta + table + 6);
    const int empty = root == UINT64_MAX;

    f->free_list = table == FREE_TABLE;
    f->left = f->n;
    if (depth > DEPTH_MAX || empty != (depth == 0) ||
        (!f->free_list && fv__get16(meta + table + 4) != 0))
        return damaged((uint64_t)(meta - f->p) / f->size);
    return empty ? FV_OK : walk(f, root, depth);
}

static int open_pages(struct pages *f, const uint8_t *file, size_t n, const uint8_t **meta)
{
    FV_TRY(choose_meta(file, n, meta));
    const uint64_t size = fv__get32(*meta + 40), last = fv__get64(*meta + 136);
    if (last >= n / size)
        return fv_err(FV_ECORRUPT, "is cut short: %zu bytes of %llu: copy it or pack it again", n,
                      ((unsigned long long)last + 1) * (unsigned long long)size);
    *f = (struct pages){.p = file, .size = size, .n = last + 1};
    return FV_OK;
}

int fv__pages_check(const uint8_t *file, size_t n)
{
    const uint8_t *meta = NULL;
    struct pages f;

    FV_TRY(open_pages(&f, file, n, &meta));
    return walk_table(&f, meta, MAIN_TABLE);
}

/* A page that is listed as free is used by nothing, the list itself included, and listed once. */
static int check_free_pages(struct pages *f, const uint8_t *meta)
{
    FV_TRY(walk_table(f, meta, MAIN_TABLE));
    FV_TRY(walk_table(f, meta, FREE_TABLE));
    f->listed = 1;
    return walk_table(f, meta, FREE_TABLE);
}

int fv__pages_check_writable(const uint8_t *file, size_t n)
{
    const uint8_t *meta = NULL;
    struct pages f;

    FV_TRY(open_pages(&f, file, n, &meta));
    f.used = calloc(1, (size_t)f.n / 8 + 1);
    if (!f.used)
        return fv_err(FV_ENOMEM, "cannot be checked: out of memory");
    const int rc = check_free_pages(&f, meta);
    free(f.used);
    return rc;
}

int fv__pages_check_file(const char *path, int fd, size_t n,
                         int (*check)(const uint8_t *file, size_t n))
{
    const uint8_t *file = n ? mmap(NULL, n, PROT_READ, MAP_SHARED, fd, 0) : NULL;

    if (file == MAP_FAILED)
        return fv_err_errno(FV_EIO, "%s: cannot map", path);
    if (n) /* the pages of the tree lie far apart: what is read around them is not needed */
        madvise((void *)file, n, MADV_RANDOM);
    const int rc = check(file, n);
    if (n)
        munmap((void *)file, n);
    return rc < 0 ? fv_err(rc, "%s: %s", path, fv_err_text()) : FV_OK;
}
