/* SPDX-License-Identifier: MIT */
#include "store/pair_names.h"
#include "common/err.h"
#include "store/record.h"
#include "store/store.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <xxhash.h>

/* Whole names are asked of the data set where there is one. */
enum { STEM, INNER, WHOLE }; /* without its suffix; without its first folder too; as it is */

struct fv_name_key {
    uint64_t hash; /* of the name in that form */
    uint32_t image;
    uint8_t form;
};

void fv__pair_names_open(struct fv_pair_names *n, struct fv_store *s)
{
    *n = (struct fv_pair_names){.store = s};
}

void fv__pair_names_open_list(struct fv_pair_names *n, const struct fv_name_list *list)
{
    *n = (struct fv_pair_names){.list = list};
}

void fv__pair_names_close(struct fv_pair_names *n)
{
    free(n->key);
    *n = (struct fv_pair_names){0};
}

static const char *origin(const struct fv_pair_names *n)
{
    return n->list ? n->list->origin : fv_store_path(n->store);
}

static int name_of(const struct fv_pair_names *n, uint64_t image, const char **name)
{
    struct fv_store_image im;

    if (n->list) {
        *name = n->list->name[image];
        return FV_OK;
    }
    FV_TRY(fv_store_image(n->store, image, &im));
    *name = im.name;
    return FV_OK;
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

static void add_key(struct fv_pair_names *n, struct fv_span name, uint32_t image, int form)
{
    if (name.n)
        n->key[n->keys++] = (struct fv_name_key){XXH3_64bits(name.p, name.n), image, (uint8_t)form};
}

static struct fv_span whole(const char *name)
{
    return (struct fv_span){(const uint8_t *)name, strlen(name)};
}

static struct fv_span in_form(const char *name, int form)
{
    return form == WHOLE  ? whole(name)
           : form == STEM ? without_suffix(name)
                          : without_folder(without_suffix(name));
}

static int make_keys(struct fv_pair_names *n)
{
    const uint64_t images = n->list ? n->list->n : fv_store_info(n->store)->images;
    const char *name;

    n->key = malloc((3 * images + 1) * sizeof *n->key);
    if (!n->key)
        return fv_err(FV_ENOMEM, "out of memory for %llu names", (unsigned long long)images);
    for (uint64_t i = 0; i < images; i++) {
        FV_TRY(name_of(n, i, &name));
        for (int form = STEM; form <= (n->list ? WHOLE : INNER); form++)
            add_key(n, in_form(name, form), (uint32_t)i, form);
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

/* Images whose name in that form is `name`. Two of them are an error. */
static int match(const struct fv_pair_names *n, struct search *s, struct fv_span name, int form)
{
    const uint64_t hash = XXH3_64bits(name.p, name.n);
    size_t low = 0, high = n->keys;
    const char *one, *other;

    while (low < high) {
        const size_t mid = low + (high - low) / 2;
        if (n->key[mid].hash < hash)
            low = mid + 1;
        else
            high = mid;
    }
    for (; name.n && low < n->keys && n->key[low].hash == hash; low++) {
        if (n->key[low].form != form)
            continue;
        FV_TRY(name_of(n, n->key[low].image, &one));
        if (!equal(in_form(one, form), name))
            continue;
        if (s->found && s->image != n->key[low].image) {
            FV_TRY(name_of(n, s->image, &other));
            return fv_err(FV_ENOTFOUND,
                          "%s: '%s' may be %s or %s: the list has to give the whole name",
                          origin(n), s->name, other, one);
        }
        s->found = 1;
        s->image = n->key[low].image;
    }
    return FV_OK;
}

/* 1 when there is an image of that very name, else 0. */
static int find_whole(struct fv_pair_names *n, struct search *s)
{
    uint64_t exact;

    if (n->list) {
        FV_TRY(n->key ? FV_OK : make_keys(n));
        FV_TRY(match(n, s, whole(s->name), WHOLE));
        return s->found;
    }
    const int rc = fv_store_find(n->store, s->name, &exact);
    s->image = rc == FV_OK ? (uint32_t)exact : 0;
    return rc == FV_OK ? 1 : rc == FV_ENOTFOUND ? 0 : rc;
}

int fv__pair_names_find(struct fv_pair_names *n, const char *name, uint32_t *image)
{
    struct search s = {.name = name};
    const int rc = find_whole(n, &s);

    *image = s.image;
    if (rc != 0)
        return rc < 0 ? rc : FV_OK;
    if (!n->key)
        FV_TRY(make_keys(n));
    const struct fv_span stem = without_suffix(name);
    FV_TRY(match(n, &s, stem, STEM));
    if (!s.found) {
        FV_TRY(match(n, &s, stem, INNER));
        FV_TRY(match(n, &s, without_folder(stem), STEM));
    }
    if (!s.found)
        return fv_err(FV_ENOTFOUND, "%s: has no image named %s", origin(n), name);
    *image = s.image;
    return FV_OK;
}
