/* SPDX-License-Identifier: MIT */
#include "store/pairs.h"
#include "common/err.h"
#include "common/fs.h"
#include "common/rng.h"
#include "store/pair_format.h"
#include "store/reader.h"
#include "store/store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

void fv_pairs_free(struct fv_pairs *p)
{
    free(p->pair);
    *p = (struct fv_pairs){0};
}

int fv__pairs_push(struct fv_pairs *p, size_t *room, struct fv_pair pair)
{
    if (p->n == *room) {
        const size_t more = *room ? 2 * *room : 1024;
        struct fv_pair *grown = realloc(p->pair, more * sizeof *grown);
        if (!grown)
            return fv_err(FV_ENOMEM, "out of memory for %zu pairs", more);
        p->pair = grown;
        *room = more;
    }
    p->pair[p->n++] = pair;
    p->genuine += pair.same != 0;
    return FV_OK;
}

/* --- making --------------------------------------------------------------------------------------- */

/* The images of one split, identity by identity. */
struct pool {
    uint32_t *image; /* in image order */
    uint32_t *first; /* (labels + 1) into image */
    size_t labels;
};

static void pool_free(struct pool *p)
{
    free(p->image);
    free(p->first);
}

static int pool_make(struct pool *p, const struct fv_store *s, int split)
{
    const struct fv_store_info *info = fv_store_info(s);
    uint32_t n = 0;
    uint64_t last = UINT64_MAX;

    *p = (struct pool){.image = malloc(info->images * sizeof *p->image),
                       .first = malloc((info->labels + 1) * sizeof *p->first)};
    if (!p->image || !p->first)
        return fv_err(FV_ENOMEM, "out of memory");
    for (uint64_t i = 0; i < info->images; i++) {
        struct fv_store_image im;
        FV_TRY(fv_store_image(s, i, &im));
        if ((int)im.split != split)
            continue;
        if (im.label != last)
            p->first[p->labels++] = n;
        last = im.label;
        p->image[n++] = (uint32_t)i;
    }
    p->first[p->labels] = n;
    return FV_OK;
}

static uint32_t pool_count(const struct pool *p, size_t label)
{
    return p->first[label + 1] - p->first[label];
}

/* The k-th of the m(m-1)/2 pairs of 0 .. m-1. */
static void unrank(uint64_t k, uint32_t m, uint32_t *a, uint32_t *b)
{
    uint32_t i = 0;

    while (k >= m - 1 - i) {
        k -= m - 1 - i;
        i++;
    }
    *a = i;
    *b = i + 1 + (uint32_t)k;
}

/* Round after round, each identity gives its next pair, in an order of its own: spread evenly, no repeats. */
static int add_genuine(struct fv_pairs *out, size_t *room, const struct pool *p, size_t want,
                       uint64_t seed)
{
    for (uint64_t round = 0, added = 1; added && out->genuine < want; round++) {
        added = 0;
        for (size_t k = 0; k < p->labels && out->genuine < want; k++) {
            const size_t l = (size_t)fv_rng_permute(seed, (uint32_t)round, p->labels, k);
            const uint32_t m = pool_count(p, l);
            const uint64_t all = (uint64_t)m * (m - (m > 0)) / 2;
            uint32_t a, b;
            if (round >= all)
                continue;
            unrank(fv_rng_permute(seed ^ 0x67656e75696e65u, (uint32_t)l, all, round), m, &a, &b);
            FV_TRY(fv__pairs_push(
                out, room,
                (struct fv_pair){p->image[p->first[l] + a], p->image[p->first[l] + b], 0, 1}));
            added++;
        }
    }
    return FV_OK;
}

static int ascending(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* Draws `want` distinct impostor pairs: identities first, so that every identity counts alike. Duplicates are
 * dropped after sorting and drawn again until there are enough. */
static int add_impostor(struct fv_pairs *out, size_t *room, const struct pool *p, size_t want,
                        uint64_t seed)
{
    struct fv_rng r = fv_rng_at(seed, 0, (uint64_t)want, FV_RNG_PAIRS);
    uint64_t *key = malloc((want ? want : 1) * sizeof *key);
    size_t n = 0;

    if (!key)
        return fv_err(FV_ENOMEM, "out of memory for %zu pairs", want);
    for (int tries = 0; n < want && tries < 64; tries++) {
        for (; n < want; n++) {
            const uint32_t l1 = fv_rng_below(&r, (uint32_t)p->labels);
            uint32_t l2 = fv_rng_below(&r, (uint32_t)p->labels - 1);
            l2 += l2 >= l1;
            uint32_t a = p->image[p->first[l1] + fv_rng_below(&r, pool_count(p, l1))];
            uint32_t b = p->image[p->first[l2] + fv_rng_below(&r, pool_count(p, l2))];
            key[n] = a < b ? (uint64_t)a << 32 | b : (uint64_t)b << 32 | a;
        }
        qsort(key, n, sizeof *key, ascending);
        size_t kept = 0;
        for (size_t i = 0; i < n; i++)
            if (i == 0 || key[i] != key[i - 1])
                key[kept++] = key[i];
        n = kept;
    }
    int rc = FV_OK;
    for (size_t i = 0; i < n && rc >= 0; i++)
        rc = fv__pairs_push(out, room,
                            (struct fv_pair){(uint32_t)(key[i] >> 32), (uint32_t)key[i], 0, 0});
    free(key);
    return rc;
}

static int make(struct fv_pairs *out, const struct fv_store *s, const struct pool *p, int split,
                size_t n, uint64_t seed)
{
    size_t room = 0;

    if (p->labels < 2)
        return fv_err(FV_ENOTFOUND,
                      "%s: the %s split has %zu identities and pairs need two: pack with "
                      "--holdout-ids or --val",
                      fv_store_path(s), fv_split_names[split], p->labels);
    FV_TRY(add_genuine(out, &room, p, n / 2, seed));
    if (out->genuine == 0)
        return fv_err(FV_ENOTFOUND, "%s: no identity of the %s split has two images",
                      fv_store_path(s), fv_split_names[split]);
    FV_TRY(add_impostor(out, &room, p, out->genuine, seed));
    /* Few distinct impostor pairs exist: the list stays balanced. */
    const size_t impostor = out->n - out->genuine;
    if (impostor < out->genuine) {
        memmove(out->pair + impostor, out->pair + out->genuine, impostor * sizeof *out->pair);
        out->genuine = impostor;
        out->n = 2 * impostor;
    }
    return FV_OK;
}

int fv_pairs_make(struct fv_pairs *out, const struct fv_store *s, int split, size_t n,
                  uint64_t seed)
{
    struct pool p;

    *out = (struct fv_pairs){0};
    int rc = pool_make(&p, s, split);
    if (rc >= 0)
        rc = make(out, s, &p, split, n, seed);
    pool_free(&p);
    if (rc < 0)
        fv_pairs_free(out);
    return rc;
}

/* --- text ----------------------------------------------------------------------------------------- */

/* A slip of the hand must not cost the data set. */
static int check_target(const struct fv_store *s, const char *path)
{
    struct stat list, set;
    const char *file;

    if (stat(path, &list) != 0)
        return FV_OK;
    for (size_t i = 0; (file = fv__store_file(s, i)) != NULL; i++)
        if (stat(file, &set) == 0 && list.st_dev == set.st_dev && list.st_ino == set.st_ino)
            return fv_err(FV_EEXIST, "%s: is the data set itself: give the list another name",
                          path);
    return FV_OK;
}

static void write_line(FILE *f, const char *a, const char *b, int same)
{
    const int tabs = *a == '#' || strchr(a, ' ') || strchr(b, ' ');
    const char separator = tabs ? '\t' : ' ';

    fprintf(f, "%s%s%c%s%c%d\n", *a == '#' ? "\t" : "", a, separator, b, separator, same);
}

int fv_pairs_write(const struct fv_pairs *p, const struct fv_store *s, const char *path)
{
    struct fv_file file;

    FV_TRY(check_target(s, path));
    FV_TRY(fv_file_create(&file, path));
    for (size_t i = 0; i < p->n; i++) {
        struct fv_store_image a, b;
        if (fv_store_image(s, p->pair[i].a, &a) < 0 || fv_store_image(s, p->pair[i].b, &b) < 0) {
            fv_file_discard(&file);
            return FV_EINVAL;
        }
        write_line(file.f, a.name, b.name, p->pair[i].same);
    }
    return fv_file_commit(&file);
}
