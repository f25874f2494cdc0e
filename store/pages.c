/* SPDX-License-Identifier: MIT */
/* The layout is that of LMDB 0.9 (data version 1) on a 64-bit little-endian machine, which is what liblmdb
 * writes and reads here. Offsets in bytes:
 *
 *   page      0 u64 number   10 u16 flags   12 u16 lower   14 u16 upper
 *             16 u16 node offset [(lower - 16) / 2], nodes between upper and the end of the page
 *   meta      16 u32 magic   20 u32 version   40 table of free pages   88 main table   136 u64 last page
 *             144 u64 transaction
 *   table     0 u32 page size (of the first table)   4 u16 flags   6 u16 depth   40 u64 root
 *   node      0 u32 bytes of the value   4 u16 flags   6 u16 bytes of the key   8 key, value;
 *             of a branch: 0 u48 page number instead of bytes and flags; of a large value: u64 page number
 */
#include "store/pages.h"
#include "common/err.h"
#include "store/record.h"

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
    DEPTH_MAX = 31, /* LMDB's cursors have room for 32 pages */
};

struct pages {
    const uint8_t *p;
    uint64_t size; /* of a page */
    uint64_t n;    /* pages in use */
    uint64_t left; /* a tree has no more pages than the file: ends a walk that goes in circles */
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

/* Where a large value lies is enough: LMDB does not look at the header of its first page either, and to read one
 * page a block would make opening slow. */
static int leaf_value_is_sound(const struct pages *f, const uint8_t *node, uint64_t room)
{
    const uint64_t bytes = fv__get32(node), key = fv__get16(node + 6);
    const unsigned flags = fv__get16(node + 4);

    if (flags == 0)
        return bytes <= room - key;
    if (flags != F_BIGDATA || room - key < 8)
        return 0;
    const uint64_t number = fv__get64(node + NODE_HEADER + key);
    const uint64_t pages = (PAGE_HEADER - 1 + bytes) / f->size + 1;
    return number >= 2 && number < f->n && pages <= f->n - number;
}

/* depth: levels from this page to the leaves, both counted. */
static int walk(struct pages *f, uint64_t number, unsigned depth)
{
    const uint8_t *p = page_at(f, number, depth > 1 ? P_BRANCH : P_LEAF);

    if (!p || f->left-- == 0)
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

int fv__pages_check(const uint8_t *file, size_t n)
{
    const uint8_t *meta = NULL;

    FV_TRY(choose_meta(file, n, &meta));
    const uint64_t size = fv__get32(meta + 40), last = fv__get64(meta + 136);
    const uint64_t root = fv__get64(meta + 88 + 40);
    const unsigned depth = fv__get16(meta + 88 + 6);
    if (last >= n / size)
        return fv_err(FV_ECORRUPT, "is cut short: %zu bytes of %llu: copy it or pack it again", n,
                      ((unsigned long long)last + 1) * (unsigned long long)size);
    const int empty = root == UINT64_MAX;
    if (fv__get16(meta + 88 + 4) != 0 || depth > DEPTH_MAX || empty != (depth == 0))
        return damaged((uint64_t)(meta - file) / size);
    if (empty)
        return FV_OK;
    struct pages f = {file, size, last + 1, last + 1};
    return walk(&f, root, depth);
}

int fv__pages_check_file(const char *path, int fd, size_t n)
{
    const uint8_t *file = n ? mmap(NULL, n, PROT_READ, MAP_SHARED, fd, 0) : NULL;

    if (file == MAP_FAILED)
        return fv_err_errno(FV_EIO, "%s: cannot map", path);
    if (n) /* the pages of the tree lie far apart: what is read around them is not needed */
        madvise((void *)file, n, MADV_RANDOM);
    const int rc = fv__pages_check(file, n);
    if (n)
        munmap((void *)file, n);
    return rc < 0 ? fv_err(rc, "%s: %s", path, fv_err_text()) : FV_OK;
}
