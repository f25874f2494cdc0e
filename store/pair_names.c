/* SPDX-License-Identifier: MIT */
#include "store/pair_names.h"
#include "common/err.h"
#include "store/record.h"
#include "store/store.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <xxhash.h>

struct fv_name_key {
    uint64_t hash; /* of the name without its suffix, or without its first folder too */
    uint32_t image;
    uint8_t inner; /* without its first folder */
};

void fv__pair_names_open(struct fv_pair_names *n, struct fv_store *s)
{
    *n = (struct fv_pair_names){.store = s};
}

void fv__pair_names_close(struct fv_pair_names *n)
{
    free(n->key);
    *n = (struct fv_pair_names){0};
}

/* --- shorter names -------------------------------------------------------------------------------- */

/* Only what is known as a suffix is one: people have dots in their names. */
static struct fv_span without_suffix(const char *name)
{
    static const char *const suffixes[] = {"jpg",  "jpeg", "jpe", "png", "bmp", "gif",
                                           "webp", "pgm",  "ppm", "pnm", "tif", "tiff",
                                           "heic", "avif", "jp2", "jxl"};
    const char *dot = strrchr(name, '.');
    size_t n = strlen(name);

    for (size_t i = 0; dot && i < sizeof suffixes / sizeof *suffixes; i++)
        if (strcasecmp(dot + 1, suffixes[i]) == 0)
            n = (size_t)(dot - name);
    return (struct fv_span){(const uint8_t *)name, n};
}

/* Empty when there is no folder. */
static struct fv_span without_folder(struct fv_span name)
{
    const uint8_t *slash = memchr(name.p, '/', name.n);

    if (!slash)
        return (struct fv_span){name.p, 0};
    return (struct fv_span){slash + 1, name.n - (size_t)(slash + 1 - name.p)};
}

static int equal(struct fv_span a, struct fv_span b)
{
    return a.n == b.n && memcmp(a.p, b.p, a.n) == 0;
}

/* --- the table ------------------------------------------------------------------------------------ */

static int by_hash(const void *a, const void *b)
{
    const struct fv_name_key *x = a, *y = b;

    if (x->hash != y->hash)
        return x->hash < y->hash ? -1 : 1;
    return (x->image > y->image) - (x->image < y->image);
}

static void add_key(struct fv_pair_names *n, struct fv_span name, uint32_t image, int inner)
{
    if (name.n)
        n->key[n->keys++] =
            (struct fv_name_key){XXH3_64bits(name.p, name.n), image, (uint8_t)inner};
}

static int make_keys(struct fv_pair_names *n)
{
    const uint64_t images = fv_store_info(n->store)->images;
    struct fv_store_image im;

    n->key = malloc((2 * images + 1) * sizeof *n->key);
    if (!n->key)
        return fv_err(FV_ENOMEM, "out of memory for %llu names", (unsigned long long)images);
    for (uint64_t i = 0; i < images; i++) {
        FV_TRY(fv_store_image(n->store, i, &im));
        const struct fv_span name = without_suffix(im.name);
        add_key(n, name, (uint32_t)i, 0);
        add_key(n, without_folder(name), (uint32_t)i, 1);
    }
    qsort(n->key, n->keys, sizeof *n->key, by_hash);
    return FV_OK;
}

/* --- one name ------------------------------------------------------------------------------------- */

struct search {
    const char *name;
    int found;
    uint32_t image;
};

/* Images whose name, shortened in one way, is `name`. Two of them are an error. */
static int match(const struct fv_pair_names *n, struct search *s, struct fv_span name, int inner)
{
    const uint64_t hash = XXH3_64bits(name.p, name.n);
    size_t low = 0, high = n->keys;
    struct fv_store_image im, other;

    while (low < high) {
        const size_t mid = low + (high - low) / 2;
        if (n->key[mid].hash < hash)
            low = mid + 1;
        else
            high = mid;
    }
    for (; name.n && low < n->keys && n->key[low].hash == hash; low++) {
        if (n->key[low].inner != inner)
            continue;
        FV_TRY(fv_store_image(n->store, n->key[low].image, &im));
        const struct fv_span whole = without_suffix(im.name);
        if (!equal(inner ? without_folder(whole) : whole, name))
            continue;
        if (s->found && s->image != n->key[low].image) {
            FV_TRY(fv_store_image(n->store, s->image, &other));
            return fv_err(FV_ENOTFOUND,
                          "%s: '%s' may be %s or %s: the list has to give the whole name",
                          fv_store_path(n->store), s->name, other.name, im.name);
        }
        s->found = 1;
        s->image = n->key[low].image;
    }
    return FV_OK;
}

int fv__pair_names_find(struct fv_pair_names *n, const char *name, uint32_t *image)
{
    struct search s = {.name = name};
    uint64_t exact;

    const int rc = fv_store_find(n->store, name, &exact);
    if (rc == FV_OK)
        *image = (uint32_t)exact;
    if (rc != FV_ENOTFOUND)
        return rc;
    if (!n->key)
        FV_TRY(make_keys(n));
    const struct fv_span stem = without_suffix(name);
    FV_TRY(match(n, &s, stem, 0));
    if (!s.found) {
        FV_TRY(match(n, &s, stem, 1));
        FV_TRY(match(n, &s, without_folder(stem), 0));
    }
    if (!s.found)
        return fv_err(FV_ENOTFOUND, "%s: has no image named %s", fv_store_path(n->store), name);
    *image = s.image;
    return FV_OK;
}
