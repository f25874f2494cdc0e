/* SPDX-License-Identifier: MIT */
/* The reader: everything is proved and resolved at open, after which a read is arithmetic in the map.
 *
 * LMDB trusts its own pages, so they are proved first (store/pages.h). Then come the tables, of which nothing
 * is believed either.
 *
 * LMDB is opened without its lock file: a finished data set never changes, since a writer builds another file
 * and renames it.
 */
#include "store/reader.h"
#include "common/err.h"
#include "store/codec.h"
#include "store/digest.h"
#include "store/frame.h"
#include "store/name_set.h"
#include "store/open_file.h"
#include "store/record.h"
#include "store/store.h"

#include <lmdb.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

const char *const fv_split_names[] = {"train", "val", "holdout", NULL};

struct label {
    const char *name; /* terminated copy */
    uint32_t first, count, holdout;
};

struct fv_store {
    char *path;
    struct fv_store_info info;
    char *packed_with, *label_names;
    MDB_env *env;
    MDB_txn *txn;
    struct fv_tables table;
    struct fv_dict *dict; /* NULL when there is none */
    struct fv_span *block;
    uint64_t blocks;
    struct label *label;
    pthread_mutex_t find_lock;
    struct fv_name_set by_name; /* filled by the first find, under the lock */
    struct fv_open_file file;
};

static int lmdb_err(const struct fv_store *s, int rc)
{
    if (rc == MDB_INVALID || rc == MDB_VERSION_MISMATCH)
        return fv_err(FV_ECORRUPT, "%s: is not an fv data set (%s)", s->path, mdb_strerror(rc));
    return fv_err(rc == MDB_CORRUPTED || rc == MDB_PAGE_NOTFOUND ? FV_ECORRUPT : FV_EIO,
                  "%s: cannot read: %s", s->path, mdb_strerror(rc));
}

/* The same sentence with the file in front. */
static int with_path(const struct fv_store *s, int rc)
{
    return fv_err(rc, "%s: %s", s->path, fv_err_text());
}

static int corrupt(const struct fv_store *s, const char *what)
{
    return fv_err(FV_ECORRUPT, "%s: damaged: %s", s->path, what);
}

/* --- open ----------------------------------------------------------------------------------------- */

static int open_map(struct fv_store *s)
{
    FV_TRY(fv__open_file_check(&s->file, s->path, &s->info.file_bytes));
    int rc = mdb_env_create(&s->env);
    /* As large as the file, whatever size the file asks for. */
    if (rc == 0)
        rc = mdb_env_set_mapsize(s->env, s->info.file_bytes);
    if (rc == 0)
        rc = mdb_env_open(s->env, s->path, MDB_NOSUBDIR | MDB_RDONLY | MDB_NOLOCK | MDB_NOTLS, 0);
    if (rc != 0)
        return lmdb_err(s, rc);
    rc = mdb_txn_begin(s->env, NULL, MDB_RDONLY, &s->txn);
    return rc == 0 ? FV_OK : lmdb_err(s, rc);
}

static int get(struct fv_store *s, MDB_dbi dbi, const char *key, struct fv_span *out)
{
    MDB_val k = {strlen(key), (void *)key}, v;
    const int rc = mdb_get(s->txn, dbi, &k, &v);

    if (rc == MDB_NOTFOUND)
        return fv_err(FV_ENOTFOUND, "%s: damaged: it has no key '%s'", s->path, key);
    if (rc != 0)
        return lmdb_err(s, rc);
    *out = (struct fv_span){v.mv_data, v.mv_size};
    return FV_OK;
}

static int need(struct fv_store *s, MDB_dbi dbi, const char *key, struct fv_span *out)
{
    const int rc = get(s, dbi, key, out);
    return rc == FV_ENOTFOUND ? fv_err(FV_ECORRUPT, "%s", fv_err_text()) : rc;
}

static int read_blocks(struct fv_store *s, MDB_dbi dbi)
{
    MDB_cursor *cursor;
    MDB_val k = {5, (uint8_t[]){'B', 0, 0, 0, 0}}, v;
    int rc = mdb_cursor_open(s->txn, dbi, &cursor);

    if (rc != 0)
        return lmdb_err(s, rc);
    rc = mdb_cursor_get(cursor, &k, &v, MDB_SET_RANGE);
    uint64_t i = 0;
    for (; rc == 0 && i < s->blocks; i++) {
        const uint8_t *key = k.mv_data;
        if (k.mv_size != 5 || key[0] != 'B' ||
            ((uint32_t)key[1] << 24 | (uint32_t)key[2] << 16 | (uint32_t)key[3] << 8 | key[4]) != i)
            break;
        s->block[i] = (struct fv_span){v.mv_data, v.mv_size};
        rc = mdb_cursor_get(cursor, &k, &v, MDB_NEXT);
    }
    mdb_cursor_close(cursor);
    if (i != s->blocks)
        return corrupt(s, "blocks are missing");
    return FV_OK;
}

static int read_settings(struct fv_store *s, struct fv_span p)
{
    struct fv_settings_record r;
    const int rc = fv__settings_parse(p.p, p.n, &r);

    if (rc < 0)
        return with_path(s, rc);
    const struct fv_codec *codec = fv__codec_by_id((int)r.codec);
    if (!codec)
        return with_path(s, FV_EVERSION);
    s->packed_with = strndup(r.text, r.text_bytes);
    if (!s->packed_with)
        return fv_err(FV_ENOMEM, "out of memory");
    s->info.version = (int)r.version;
    s->info.width = (int)r.width;
    s->info.height = (int)r.height;
    s->info.codec = codec->name;
    s->info.packed_with = s->packed_with;
    return FV_OK;
}

/* Labels partition the images in order, training identities first. */
static int read_labels(struct fv_store *s, struct fv_span p)
{
    if (p.n < 4 || fv__get32(p.p) != s->info.labels || s->info.labels > p.n / 16)
        return corrupt(s, "its table of identities");
    s->label = calloc(s->info.labels, sizeof *s->label);
    s->label_names = malloc(p.n + s->info.labels);
    if (!s->label || !s->label_names)
        return fv_err(FV_ENOMEM, "out of memory for %llu identities",
                      (unsigned long long)s->info.labels);
    char *name = s->label_names;
    size_t at = 4;
    uint64_t first = 0;
    for (uint64_t i = 0; i < s->info.labels; i++) {
        struct label *l = &s->label[i];
        if (p.n - at < 16)
            return corrupt(s, "its table of identities");
        *l = (struct label){name, fv__get32(p.p + at), fv__get32(p.p + at + 4),
                            fv__get32(p.p + at + 8)};
        const uint32_t n = fv__get32(p.p + at + 12);
        at += 16;
        if (n > p.n - at || l->first != first || l->count == 0 || l->holdout > 1 ||
            (i > 0 && l->holdout < s->label[i - 1].holdout))
            return corrupt(s, "its table of identities");
        memcpy(name, p.p + at, n);
        name[n] = '\0';
        name += n + 1;
        at += n;
        first += l->count;
        s->info.train_labels += !l->holdout;
    }
    return first == s->info.images && at == p.n ? FV_OK : corrupt(s, "its table of identities");
}

static int read_names(struct fv_store *s)
{
    const uint64_t n = s->info.images;

    if (s->table.names.n < 8 || s->table.names.n / 8 < n + 1)
        return corrupt(s, "its table of names");
    const uint64_t pool = s->table.names.n - 8 * (n + 1);
    const uint8_t *text = s->table.names.p + 8 * (n + 1);
    uint64_t last = 0;
    for (uint64_t i = 1; i <= n; i++) {
        const uint64_t end = fv__get64(s->table.names.p + 8 * i);
        if (end <= last || end > pool || text[end - 1] != '\0')
            return corrupt(s, "its table of names");
        last = end;
    }
    return fv__get64(s->table.names.p) == 0 && last == pool ? FV_OK
                                                            : corrupt(s, "its table of names");
}

/* Every entry must point into a block and agree with the table of identities. */
static int read_index(struct fv_store *s)
{
    struct fv_index_entry e;
    uint64_t bytes = 0;

    if (s->table.index.n / FV_INDEX_ENTRY != s->info.images || s->table.index.n % FV_INDEX_ENTRY)
        return corrupt(s, "its index");
    for (uint64_t l = 0, i = 0; l < s->info.labels; l++)
        for (const uint64_t end = i + s->label[l].count; i < end; i++) {
            fv__index_parse(s->table.index.p + i * FV_INDEX_ENTRY, &e);
            if (e.label != l || e.split >= FV_SPLITS ||
                (e.split == FV_SPLIT_HOLDOUT) != (int)s->label[l].holdout || e.block >= s->blocks ||
                e.bytes < FV_RECORD_HEADER || e.offset % FV_RECORD_ALIGN ||
                e.offset > s->block[e.block].n || e.bytes > s->block[e.block].n - e.offset)
                return corrupt(s, "its index");
            s->info.split_images[e.split]++;
            bytes += e.bytes;
        }
    return bytes == s->info.record_bytes ? FV_OK : corrupt(s, "its counts");
}

/* Why there is no mark of completion. */
static int incomplete(struct fv_store *s, MDB_dbi dbi)
{
    MDB_val block = {5, (uint8_t[]){'B', 0, 0, 0, 0}}, v;
    MDB_stat stat;

    if (mdb_stat(s->txn, dbi, &stat) == 0 && stat.ms_entries > 0 &&
        mdb_get(s->txn, dbi, &block, &v) == MDB_NOTFOUND)
        return fv_err(FV_ECORRUPT, "%s: is an LMDB file, but not an fv data set", s->path);
    return fv_err(FV_ENOTFOUND,
                  "%s: is not a finished data set: run the same 'fvprep pack' command again",
                  s->path);
}

static int read_counts(struct fv_store *s, MDB_dbi dbi, uint64_t *tables)
{
    struct fv_span p;
    struct fv_complete_record c;

    const int found = get(s, dbi, "complete", &p);
    if (found == FV_ENOTFOUND)
        return incomplete(s, dbi);
    FV_TRY(found);
    FV_TRY(fv__complete_parse(p.p, p.n, &c) < 0 ? with_path(s, FV_ECORRUPT) : FV_OK);
    if (c.images == 0 || c.images > FV_IMAGES_MAX || c.labels == 0 || c.labels > c.images ||
        c.blocks > c.images || c.images > s->info.file_bytes / FV_INDEX_ENTRY)
        return corrupt(s, "its counts");
    s->info.images = c.images;
    s->info.labels = c.labels;
    s->info.record_bytes = c.record_bytes;
    s->info.digest = c.digest;
    s->info.raw_bytes = c.images * (uint64_t)s->info.width * (uint64_t)s->info.height * 3;
    s->blocks = c.blocks;
    *tables = c.tables;
    return FV_OK;
}

static int read_dict(struct fv_store *s, MDB_dbi dbi)
{
    const int rc = get(s, dbi, "dict", &s->table.dict);

    if (rc == FV_OK && s->table.dict.n == 0)
        return corrupt(s, "its dictionary");
    return rc == FV_ENOTFOUND ? FV_OK : rc;
}

static int check_dict(struct fv_store *s)
{
    s->info.dict_bytes = s->table.dict.n;
    if (s->table.dict.n == 0)
        return FV_OK;
    const int rc = fv_dict_open(&s->dict, s->table.dict.p, s->table.dict.n, 0);
    return rc == FV_ECORRUPT ? corrupt(s, "its dictionary") : rc;
}

static int read_tables(struct fv_store *s)
{
    MDB_dbi dbi;
    uint64_t promised = 0, checksum;
    const int rc = mdb_dbi_open(s->txn, NULL, 0, &dbi);

    if (rc != 0)
        return lmdb_err(s, rc);
    /* The version decides what all else means; the writer puts the mark of completion last. */
    const int found = get(s, dbi, "fv", &s->table.settings);
    if (found == FV_ENOTFOUND)
        return incomplete(s, dbi);
    FV_TRY(found);
    FV_TRY(read_settings(s, s->table.settings));
    FV_TRY(read_counts(s, dbi, &promised));
    FV_TRY(need(s, dbi, "labels", &s->table.labels));
    FV_TRY(need(s, dbi, "names", &s->table.names));
    FV_TRY(need(s, dbi, "index", &s->table.index));
    FV_TRY(read_dict(s, dbi));
    FV_TRY(fv__tables_checksum(&checksum, &s->table));
    if (checksum != promised)
        return corrupt(s, "its tables do not match their checksum");
    FV_TRY(check_dict(s));
    s->block = calloc(s->blocks ? s->blocks : 1, sizeof *s->block);
    if (!s->block)
        return fv_err(FV_ENOMEM, "out of memory");
    FV_TRY(read_blocks(s, dbi));
    FV_TRY(read_labels(s, s->table.labels));
    FV_TRY(read_names(s));
    return read_index(s);
}

int fv_store_open(struct fv_store **out, const char *path)
{
    *out = NULL;
    struct fv_store *s = calloc(1, sizeof *s);
    if (!s || !(s->path = strdup(path))) {
        free(s);
        return fv_err(FV_ENOMEM, "out of memory");
    }
    pthread_mutex_init(&s->find_lock, NULL);
    int rc = open_map(s);
    if (rc >= 0)
        rc = read_tables(s);
    if (rc < 0) {
        fv_store_close(&s);
        return rc;
    }
    *out = s;
    return FV_OK;
}

void fv_store_close(struct fv_store **store)
{
    struct fv_store *s = *store;

    if (!s)
        return;
    if (s->txn)
        mdb_txn_abort(s->txn);
    if (s->env)
        mdb_env_close(s->env);
    fv_dict_close(&s->dict);
    fv__open_file_release(&s->file);
    free(s->path);
    free(s->packed_with);
    free(s->label_names);
    free(s->label);
    free(s->block);
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

static int check_image(const struct fv_store *s, uint64_t image)
{
    if (image >= s->info.images)
        return fv_err(FV_EINVAL, "%s: no image %llu among %llu", s->path, (unsigned long long)image,
                      (unsigned long long)s->info.images);
    return FV_OK;
}

static struct fv_names image_names(const struct fv_store *s)
{
    return (struct fv_names){s->table.names.p,
                             (const char *)s->table.names.p + 8 * (s->info.images + 1)};
}

int fv_store_image(const struct fv_store *s, uint64_t image, struct fv_store_image *out)
{
    const struct fv_names names = image_names(s);
    struct fv_index_entry e;

    FV_TRY(check_image(s, image));
    fv__index_parse(s->table.index.p + image * FV_INDEX_ENTRY, &e);
    *out = (struct fv_store_image){e.label, (enum fv_split)e.split, e.bytes, e.content,
                                   fv__names_at(&names, image)};
    return FV_OK;
}

int fv_store_label(const struct fv_store *s, uint64_t label, struct fv_store_label *out)
{
    if (label >= s->info.labels)
        return fv_err(FV_EINVAL, "%s: no identity %llu among %llu", s->path,
                      (unsigned long long)label, (unsigned long long)s->info.labels);
    const struct label *l = &s->label[label];
    *out = (struct fv_store_label){l->name, l->first, l->count, (int)l->holdout};
    return FV_OK;
}

int fv__store_record(const struct fv_store *s, uint64_t image, struct fv_stored *out)
{
    struct fv_index_entry e;

    FV_TRY(check_image(s, image));
    fv__index_parse(s->table.index.p + image * FV_INDEX_ENTRY, &e);
    *out = (struct fv_stored){{s->block[e.block].p + e.offset, e.bytes}, e.content};
    return FV_OK;
}

const struct fv_dict *fv__store_dict(const struct fv_store *s)
{
    return s->dict;
}

int fv__store_digest(const struct fv_store *s, uint64_t *digest)
{
    return fv__tables_digest(digest, &s->table);
}

static int find_locked(struct fv_store *s, const char *name, uint32_t *image)
{
    const struct fv_names names = image_names(s);

    while (s->by_name.n < s->info.images) {
        const int rc = fv__name_set_add(&s->by_name, &names, s->by_name.n);
        if (rc > 0)
            return fv_err(FV_ECORRUPT, "%s: two images are named %s: pack it again", s->path,
                          fv__names_at(&names, s->by_name.n));
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

void fv_store_will_need(const struct fv_store *s, uint64_t image)
{
    struct fv_stored r;

    if (fv__store_record(s, image, &r) < 0)
        return;
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), at = (uintptr_t)r.record.p;
    const uintptr_t from = at & ~(page - 1);
    madvise((void *)from, at + r.record.n - from, MADV_WILLNEED);
}
