/* SPDX-License-Identifier: MIT */
/* A data set over its parts (store/part.h). Of one part it is that part: ids, labels and tables are the file's. Of
 * several it is their union (store/unite.h), which costs eight bytes an image; its digest is what the file would
 * have that holds all of them.
 */
#include "store/reader.h"
#include "common/err.h"
#include "common/fs.h"
#include "store/name_set.h"
#include "store/part.h"
#include "store/unite.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

const char *const fv_split_names[] = {"train", "val", "holdout", NULL};

struct fv_store {
    char *path;
    struct fv_store_info info;
    struct fv_part **part; /* (info.parts) */
    struct fv_union u;     /* of several parts */
    const struct fv_part_label *label;
    pthread_mutex_t find_lock;
    struct fv_name_set by_name; /* filled by the first find, under the lock */
};

/* --- open ----------------------------------------------------------------------------------------- */

static int check_alike(const struct fv_store *s)
{
    for (size_t k = 1; k < s->info.parts; k++) {
        const struct fv_store_info *a = &s->part[0]->info, *b = &s->part[k]->info;
        if (a->width != b->width || a->height != b->height || strcmp(a->codec, b->codec) != 0)
            return fv_err(
                FV_EINVAL,
                "%s has images of %dx%d (%s), %s of %dx%d (%s): they are not one data set",
                s->part[0]->path, a->width, a->height, a->codec, s->part[k]->path, b->width,
                b->height, b->codec);
    }
    return FV_OK;
}

/* The labels and names as tables of one file, after what comes before them. */
static void digest_tables(const struct fv_store *s, struct fv_digest *d)
{
    uint64_t at = 0;

    fv__digest_add32(d, (uint32_t)s->u.labels);
    for (uint64_t i = 0; i < s->u.labels; i++) {
        const struct fv_part_label *l = &s->label[i];
        const size_t n = strlen(l->name);
        fv__digest_add32(d, l->first);
        fv__digest_add32(d, l->count);
        fv__digest_add32(d, l->holdout);
        fv__digest_add32(d, (uint32_t)n);
        fv__digest_add(d, (struct fv_span){(const uint8_t *)l->name, n});
    }
    for (int pool = 0; pool < 2; pool++)
        for (uint64_t i = 0; i <= s->u.images; i++) {
            const struct fv_place *w = &s->u.place[i];
            const char *name = i < s->u.images ? fv__part_name(s->part[w->part], w->image) : NULL;
            const size_t n = name ? strlen(name) + 1 : 0;
            if (pool)
                fv__digest_add(d, (struct fv_span){(const uint8_t *)name, n});
            else
                fv__digest_add64(d, at);
            at += n;
        }
}

static int digest_union(struct fv_store *s)
{
    struct fv_digest *d = fv__digest_new();

    if (!d)
        return FV_ENOMEM;
    fv__digest_add(d, (struct fv_span){s->part[0]->table.settings.p + 12, 12});
    for (uint64_t i = 0; i < s->u.images; i++) {
        const struct fv_place *w = &s->u.place[i];
        const struct fv_index_entry e = fv__part_entry(s->part[w->part], w->image);
        fv__digest_add32(d, s->u.label_of[w->part][e.label] | e.split << 30);
        fv__digest_add64(d, e.content);
    }
    digest_tables(s, d);
    s->info.digest = fv__digest_end(d);
    return FV_OK;
}

static int unite(struct fv_store *s)
{
    struct fv_store_info *all = &s->info;

    FV_TRY(check_alike(s));
    FV_TRY(fv__union_make(&s->u, s->part, all->parts));
    s->label = s->u.label;
    all->images = s->u.images;
    all->labels = s->u.labels;
    all->train_labels = s->u.train_labels;
    for (size_t k = 1; k < all->parts; k++) {
        const struct fv_store_info *i = &s->part[k]->info;
        for (int split = 0; split < FV_SPLITS; split++)
            all->split_images[split] += i->split_images[split];
        all->record_bytes += i->record_bytes;
        all->file_bytes += i->file_bytes;
        all->raw_bytes += i->raw_bytes;
        all->dict_bytes += i->dict_bytes;
    }
    return digest_union(s);
}

static int open_parts(struct fv_store *s, const char *const *paths, size_t n)
{
    for (size_t k = 0; k < n; k++) {
        char *longer = k ? fv_format("%s,%s", s->path, paths[k]) : strdup(paths[k]);
        if (!longer)
            return fv_err(FV_ENOMEM, "out of memory");
        free(s->path);
        s->path = longer;
        FV_TRY(fv__part_open(&s->part[k], paths[k]));
    }
    s->info = s->part[0]->info;
    s->info.parts = n;
    s->label = s->part[0]->label;
    return n == 1 ? FV_OK : unite(s);
}

int fv_store_open_many(struct fv_store **out, const char *const *paths, size_t n)
{
    *out = NULL;
    if (n == 0)
        return fv_err(FV_EINVAL, "no data set is named");
    struct fv_store *s = calloc(1, sizeof *s);
    if (!s)
        return fv_err(FV_ENOMEM, "out of memory");
    pthread_mutex_init(&s->find_lock, NULL);
    s->info.parts = n;
    s->part = calloc(n, sizeof *s->part);
    const int rc = s->part ? open_parts(s, paths, n) : fv_err(FV_ENOMEM, "out of memory");
    if (rc < 0) {
        fv_store_close(&s);
        return rc;
    }
    *out = s;
    return FV_OK;
}

int fv_store_open(struct fv_store **out, const char *path)
{
    char **list;
    size_t n;

    *out = NULL;
    FV_TRY(fv_store_split_path(&list, &n, path));
    const int rc = fv_store_open_many(out, (const char *const *)list, n);
    free(list);
    return rc;
}

void fv_store_close(struct fv_store **store)
{
    struct fv_store *s = *store;

    if (!s)
        return;
    fv__union_free(&s->u);
    for (size_t k = 0; s->part && k < s->info.parts; k++)
        fv__part_close(&s->part[k]);
    free(s->part);
    free(s->path);
    fv__name_set_free(&s->by_name);
    pthread_mutex_destroy(&s->find_lock);
    free(s);
    *store = NULL;
}

/* --- questions ------------------------------------------------------------------------------------ */

const struct fv_store_info *fv_store_info(const struct fv_store *s)
{
    return &s->info;
}

const char *fv_store_path(const struct fv_store *s)
{
    return s->path;
}

const char *fv__store_file(const struct fv_store *s, size_t i)
{
    return i < s->info.parts ? s->part[i]->path : NULL;
}

static struct fv_place place_of(const struct fv_store *s, uint64_t image)
{
    return s->u.place ? s->u.place[image] : (struct fv_place){0, (uint32_t)image};
}

static int check_image(const struct fv_store *s, uint64_t image)
{
    if (image >= s->info.images)
        return fv_err(FV_EINVAL, "%s: no image %llu among %llu", s->path, (unsigned long long)image,
                      (unsigned long long)s->info.images);
    return FV_OK;
}

static const char *image_name(const void *store, uint64_t image)
{
    const struct fv_store *s = store;
    const struct fv_place w = place_of(s, image);
    return fv__part_name(s->part[w.part], w.image);
}

int fv_store_image(const struct fv_store *s, uint64_t image, struct fv_store_image *out)
{
    FV_TRY(check_image(s, image));
    const struct fv_place w = place_of(s, image);
    const struct fv_part *p = s->part[w.part];
    const struct fv_index_entry e = fv__part_entry(p, w.image);
    *out = (struct fv_store_image){s->u.label_of ? s->u.label_of[w.part][e.label] : e.label,
                                   (enum fv_split)e.split, e.bytes, e.content,
                                   fv__part_name(p, w.image)};
    return FV_OK;
}

int fv_store_label(const struct fv_store *s, uint64_t label, struct fv_store_label *out)
{
    if (label >= s->info.labels)
        return fv_err(FV_EINVAL, "%s: no identity %llu among %llu", s->path,
                      (unsigned long long)label, (unsigned long long)s->info.labels);
    const struct fv_part_label *l = &s->label[label];
    *out = (struct fv_store_label){l->name, l->first, l->count, (int)l->holdout};
    return FV_OK;
}

int fv__store_record(const struct fv_store *s, uint64_t image, struct fv_stored *out)
{
    FV_TRY(check_image(s, image));
    const struct fv_place w = place_of(s, image);
    const struct fv_part *p = s->part[w.part];
    const struct fv_index_entry e = fv__part_entry(p, w.image);
    *out = (struct fv_stored){{p->block[e.block].p + e.offset, e.bytes}, e.content, p->dict};
    return FV_OK;
}

int fv__store_check_digests(const struct fv_store *s)
{
    for (size_t k = 0; k < s->info.parts; k++) {
        const struct fv_part *p = s->part[k];
        uint64_t digest = 0;
        FV_TRY(fv__tables_digest(&digest, &p->table));
        if (digest != p->info.digest)
            return fv_err(FV_ECORRUPT,
                          "%s: the digest does not match: labels, splits or names were changed",
                          p->path);
    }
    return FV_OK;
}

static int find_locked(struct fv_store *s, const char *name, uint32_t *image)
{
    const struct fv_names names = {image_name, s};

    while (s->by_name.n < s->info.images) {
        const int rc = fv__name_set_add(&s->by_name, &names, s->by_name.n);
        if (rc > 0)
            return fv_err(FV_ECORRUPT, "%s: two images are named %s: pack it again", s->path,
                          image_name(s, s->by_name.n));
        FV_TRY(rc);
    }
    if (!fv__name_set_find(&s->by_name, &names, name, image))
        return fv_err(FV_ENOTFOUND, "%s: has no image named %s", s->path, name);
    return FV_OK;
}

int fv_store_find(struct fv_store *s, const char *name, uint64_t *image)
{
    uint32_t i = 0;

    pthread_mutex_lock(&s->find_lock);
    const int rc = find_locked(s, name, &i);
    pthread_mutex_unlock(&s->find_lock);
    if (rc == FV_OK)
        *image = i;
    return rc;
}

static void hint(uintptr_t from, uintptr_t to)
{
    const uintptr_t at = from & ~((uintptr_t)sysconf(_SC_PAGESIZE) - 1);

    if (from)
        madvise((void *)at, to - at, MADV_WILLNEED);
}

/* One hint for records that lie side by side, as those of a block do. */
void fv_store_will_need(const struct fv_store *s, uint64_t first, uint64_t last)
{
    enum { GAP = 4096 }; /* what lies between blocks */
    uintptr_t from = 0, to = 0;
    struct fv_stored r;

    for (uint64_t i = first; i <= last && fv__store_record(s, i, &r) == FV_OK; i++) {
        const uintptr_t at = (uintptr_t)r.record.p;
        if (!from || at < to || at - to > GAP) {
            hint(from, to);
            from = at;
        }
        to = at + r.record.n;
    }
    hint(from, to);
}
