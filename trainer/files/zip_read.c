/* SPDX-License-Identifier: MIT */
/* The end record is looked for backwards, over the longest comment that it can have; a zip64 record before it wins
 * where it is needed. Of the local headers only the lengths of name and extra field are read: all else comes from
 * the central directory.
 */
#include "trainer/files/zip_read.h"

#include "common/err.h"

#include <stdlib.h>
#include <string.h>

enum {
    END =
        22, /* bytes of the end record, the zip64 one, its locator, a central and a local header */
    END64 = 56,
    LOCATOR = 20,
    CENTRAL = 46,
    LOCAL = 30,
    COMMENT_MAX = 65535,
    ENTRIES_MAX = 1 << 20,
};

static uint64_t get(const uint8_t *p, int bytes)
{
    uint64_t v = 0;
    for (int i = 0; i < bytes; i++)
        v |= (uint64_t)p[i] << 8 * i;
    return v;
}

static int corrupt(const struct fv_zip *z, const char *what)
{
    return fv_err(FV_ECORRUPT, "%s: not a whole zip archive: %s", z->origin, what);
}

static const uint8_t *find_end(const struct fv_zip *z)
{
    for (size_t back = END; back <= z->n && back <= END + COMMENT_MAX; back++) {
        const uint8_t *p = z->p + z->n - back;
        if (memcmp(p, "PK\5\6", 4) == 0 && get(p + 20, 2) + END == back)
            return p;
    }
    return NULL;
}

/* Where the central directory is: its place, length and number of entries. */
static int find_directory(const struct fv_zip *z, uint64_t dir[3])
{
    const uint8_t *end = find_end(z);
    if (!end)
        return corrupt(z, "its end is missing (cut short?)");
    dir[0] = get(end + 16, 4);
    dir[1] = get(end + 12, 4);
    dir[2] = get(end + 10, 2);
    if (end - z->p >= LOCATOR && memcmp(end - LOCATOR, "PK\6\7", 4) == 0) {
        const uint64_t at = get(end - LOCATOR + 8, 8);
        if (z->n < END64 || at > z->n - END64 || memcmp(z->p + at, "PK\6\6", 4) != 0)
            return corrupt(z, "its zip64 record is missing");
        dir[0] = get(z->p + at + 48, 8);
        dir[1] = get(z->p + at + 40, 8);
        dir[2] = get(z->p + at + 32, 8);
    }
    if (dir[0] > z->n || dir[1] > z->n - dir[0] || dir[2] > dir[1] / CENTRAL ||
        dir[2] > ENTRIES_MAX)
        return corrupt(z, "its directory lies outside of the file");
    return 0;
}

/* The 64-bit numbers of an entry's extra field, for those that do not fit the 32-bit ones: size, packed size, place. */
static int read_extra(const struct fv_zip *z, const uint8_t *extra, size_t n, uint64_t number[3])
{
    for (size_t at = 0; at + 4 <= n;) {
        const size_t length = (size_t)get(extra + at + 2, 2);
        const int is64 = get(extra + at, 2) == 1;
        at += 4;
        if (length > n - at)
            return corrupt(z, "an extra field is longer than its entry");
        size_t used = 0;
        for (int i = 0; is64 && i < 3; i++) {
            if (number[i] != UINT32_MAX)
                continue;
            if (used + 8 > length)
                return corrupt(z, "a zip64 field is cut short");
            number[i] = get(extra + at + used, 8);
            used += 8;
        }
        at += length;
    }
    return 0;
}

/* One header of the central directory; *at moves on. */
static int read_entry(struct fv_zip *z, struct fv_zip_entry *e, size_t *at, size_t end)
{
    const uint8_t *p = z->p + *at;
    if (end - *at < CENTRAL || memcmp(p, "PK\1\2", 4) != 0)
        return corrupt(z, "an entry of its directory is damaged");
    const size_t name = (size_t)get(p + 28, 2), extra = (size_t)get(p + 30, 2);
    const size_t rest = name + extra + (size_t)get(p + 32, 2);
    uint64_t number[3] = {get(p + 24, 4), get(p + 20, 4), get(p + 42, 4)};
    if (rest > end - *at - CENTRAL)
        return corrupt(z, "an entry of its directory is longer than the directory");
    FV_TRY(read_extra(z, p + CENTRAL + name, extra, number));
    *e = (struct fv_zip_entry){.name = (const char *)p + CENTRAL,
                               .name_n = name,
                               .local = number[2],
                               .n = number[0],
                               .crc = (uint32_t)get(p + 16, 4),
                               .method = (uint16_t)get(p + 10, 2),
                               .flags = (uint16_t)get(p + 8, 2)};
    if (e->method == 0 && number[0] != number[1])
        return corrupt(z, "a stored entry has two sizes");
    *at += CENTRAL + rest;
    return 0;
}

static int compare(const char *a, size_t a_n, const char *b, size_t b_n)
{
    const int c = memcmp(a, b, a_n < b_n ? a_n : b_n);
    return c ? c : (a_n > b_n) - (a_n < b_n);
}

static int by_name(const void *a, const void *b)
{
    const struct fv_zip_entry *x = a, *y = b;
    return compare(x->name, x->name_n, y->name, y->name_n);
}

static int read_directory(struct fv_zip *z)
{
    uint64_t dir[3] = {0};
    FV_TRY(find_directory(z, dir));
    size_t at = (size_t)dir[0];
    const size_t end = at + (size_t)dir[1];
    z->entries = (size_t)dir[2];
    z->entry = calloc(z->entries + 1, sizeof *z->entry);
    if (!z->entry)
        return fv_err(FV_ENOMEM, "%s: out of memory", z->origin);
    for (size_t i = 0; i < z->entries; i++)
        FV_TRY(read_entry(z, &z->entry[i], &at, end));
    qsort(z->entry, z->entries, sizeof *z->entry, by_name);
    for (size_t i = 1; i < z->entries; i++)
        if (by_name(&z->entry[i - 1], &z->entry[i]) == 0)
            return corrupt(z, "two entries have one name");
    return 0;
}

int fv__zip_open(struct fv_zip *z, const uint8_t *p, size_t n, const char *origin)
{
    *z = (struct fv_zip){.p = p, .n = n, .origin = origin};
    int rc = read_directory(z);
    if (rc < 0)
        fv__zip_close(z);
    return rc;
}

void fv__zip_close(struct fv_zip *z)
{
    free(z->entry);
    *z = (struct fv_zip){0};
}

/* CRC-32 of zip and Ethernet, four bytes at a time (tables made from the polynomial 0xedb88320). */
static uint32_t crc32_of(const uint8_t *p, size_t n)
{
    static _Thread_local uint32_t table[4][256];
    if (table[0][1] == 0)
        for (uint32_t i = 0; i < 256; i++) {
            uint32_t c = i;
            for (int k = 0; k < 8; k++)
                c = c & 1 ? c >> 1 ^ 0xedb88320u : c >> 1;
            table[0][i] = c;
        }
    if (table[1][1] == 0)
        for (int t = 1; t < 4; t++)
            for (int i = 0; i < 256; i++)
                table[t][i] = table[t - 1][i] >> 8 ^ table[0][table[t - 1][i] & 255];
    uint32_t c = ~0u;
    for (; n >= 4; n -= 4, p += 4) {
        c ^= (uint32_t)get(p, 4);
        c = table[3][c & 255] ^ table[2][c >> 8 & 255] ^ table[1][c >> 16 & 255] ^
            table[0][c >> 24];
    }
    for (; n > 0; n--, p++)
        c = c >> 8 ^ table[0][(c ^ *p) & 255];
    return ~c;
}

int fv__zip_find(struct fv_zip *z, const char *name, const uint8_t **data, size_t *n)
{
    const struct fv_zip_entry key = {.name = name, .name_n = strlen(name)};
    struct fv_zip_entry *e = bsearch(&key, z->entry, z->entries, sizeof key, by_name);
    if (!e)
        return fv_err(FV_ENOTFOUND, "%s: has no entry '%s'", z->origin, name);
    if (e->method != 0 || e->flags & 1)
        return fv_err(FV_EUNSUPPORTED,
                      "%s: '%s' is compressed or encrypted, which torch.save never does: write the "
                      "file anew with torch.save",
                      z->origin, name);
    if (z->n < LOCAL || e->local > z->n - LOCAL || memcmp(z->p + e->local, "PK\3\4", 4) != 0)
        return corrupt(z, "an entry does not begin where its directory says");
    const size_t head =
        LOCAL + (size_t)get(z->p + e->local + 26, 2) + (size_t)get(z->p + e->local + 28, 2);
    if (head > z->n - e->local || e->n > z->n - e->local - head)
        return corrupt(z, "an entry is longer than the file");
    *data = z->p + e->local + head;
    *n = (size_t)e->n;
    if (!e->checked && crc32_of(*data, *n) != e->crc)
        return fv_err(FV_ECORRUPT, "%s: '%s' is damaged: its CRC does not match", z->origin, name);
    e->checked = 1;
    return 0;
}
