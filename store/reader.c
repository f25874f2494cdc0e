/* SPDX-License-Identifier: MIT */
/* The reader: everything is proved and resolved at open, after which a read is arithmetic in the map.
 *
 * LMDB trusts its own pages, so store/pages.c proves them first: a shortened file would end in SIGBUS, a damaged
 * page in an assertion. Then come the tables, of which nothing is believed either.
 *
 * LMDB is opened without its lock file: a finished data set never changes, since a writer builds another file
 * and renames it. Which files this process has open is kept in a list, for LMDB must not see one twice.
 */
#include "store/reader.h"
#include "common/err.h"
#include "store/codec.h"
#include "store/digest.h"
#include "store/pages.h"
#include "store/record.h"
#include "store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

const char *const fv_split_names[] = {"train", "val", "holdout", NULL};

struct span {
    const uint8_t *p;
    size_t n;
};

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
    struct span index, labels_raw, names;
    struct span *block;
    uint64_t blocks;
    struct label *label;
    uint32_t *by_name; /* image ids in the order of their names; made by the first find */
    dev_t device;
    ino_t inode;
    struct fv_store *next_open;
};

static pthread_mutex_t open_lock = PTHREAD_MUTEX_INITIALIZER;
static struct fv_store *open_stores;

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

static int list_as_open(struct fv_store *s, const struct stat *st)
{
    int rc = FV_OK;

    pthread_mutex_lock(&open_lock);
    for (const struct fv_store *o = open_stores; o; o = o->next_open)
        if (o->device == st->st_dev && o->inode == st->st_ino)
            rc = fv_err(FV_EEXIST, "%s: is already open in this process: use that handle", s->path);
    if (rc == FV_OK) {
        s->device = st->st_dev;
        s->inode = st->st_ino;
        s->next_open = open_stores;
        open_stores = s;
    }
    pthread_mutex_unlock(&open_lock);
    return rc;
}

static void unlist(const struct fv_store *s)
{
    pthread_mutex_lock(&open_lock);
    for (struct fv_store **o = &open_stores; *o; o = &(*o)->next_open)
        if (*o == s) {
            *o = s->next_open;
            break;
        }
    pthread_mutex_unlock(&open_lock);
}

static int missing(const struct fv_store *s)
{
    char part[4096];

    if (snprintf(part, sizeof part, "%s.part", s->path) < (int)sizeof part &&
        access(part, F_OK) == 0)
        return fv_err(FV_ENOTFOUND,
                      "%s: packing was not finished: run the same 'fvprep pack' command again",
                      s->path);
    return fv_err(FV_ENOTFOUND, "%s: does not exist: 'fvprep pack' makes it", s->path);
}

static int check_pages(const struct fv_store *s, int fd, size_t n)
{
    const uint8_t *file = n ? mmap(NULL, n, PROT_READ, MAP_SHARED, fd, 0) : NULL;

    if (file == MAP_FAILED)
        return fv_err_errno(FV_EIO, "%s: cannot map", s->path);
    const int rc = fv__pages_check(file, n);
    if (n)
        munmap((void *)file, n);
    return rc < 0 ? with_path(s, rc) : FV_OK;
}

static int check_file(struct fv_store *s)
{
    struct stat st;
    int rc = FV_OK;
    /* O_NONBLOCK: opening a fifo must not wait for a writer. */
    const int fd = open(s->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    if (fd < 0)
        return errno == ENOENT ? missing(s) : fv_err_errno(FV_EIO, "%s: cannot open", s->path);
    if (fstat(fd, &st) != 0)
        rc = fv_err_errno(FV_EIO, "%s: cannot stat", s->path);
    else if (!S_ISREG(st.st_mode))
        rc = fv_err(FV_EINVAL, "%s: is not a file: a data set is one .lmdb file", s->path);
    if (rc == FV_OK)
        rc = list_as_open(s, &st);
    if (rc == FV_OK)
        rc = check_pages(s, fd, (size_t)st.st_size);
    if (rc == FV_OK)
        s->info.file_bytes = (uint64_t)st.st_size;
    close(fd);
    return rc;
}

static int open_map(struct fv_store *s)
{
    MDB_envinfo info;

    FV_TRY(check_file(s));
    int rc = mdb_env_create(&s->env);
    if (rc == 0)
        rc = mdb_env_open(s->env, s->path, MDB_NOSUBDIR | MDB_RDONLY | MDB_NOLOCK | MDB_NOTLS, 0);
    if (rc != 0)
        return lmdb_err(s, rc);
    mdb_env_info(s->env, &info);
    if (info.me_mapsize < s->info.file_bytes)
        return corrupt(s, "its size of the map");
    rc = mdb_txn_begin(s->env, NULL, MDB_RDONLY, &s->txn);
    return rc == 0 ? FV_OK : lmdb_err(s, rc);
}

static int get(struct fv_store *s, MDB_dbi dbi, const char *key, struct span *out)
{
    MDB_val k = {strlen(key), (void *)key}, v;
    const int rc = mdb_get(s->txn, dbi, &k, &v);

    if (rc == MDB_NOTFOUND)
        return fv_err(FV_ENOTFOUND, "%s: has no '%s'", s->path, key);
    if (rc != 0)
        return lmdb_err(s, rc);
    *out = (struct span){v.mv_data, v.mv_size};
    return FV_OK;
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
        s->block[i] = (struct span){v.mv_data, v.mv_size};
        rc = mdb_cursor_get(cursor, &k, &v, MDB_NEXT);
    }
    mdb_cursor_close(cursor);
    if (i != s->blocks)
        return corrupt(s, "blocks are missing");
    return FV_OK;
}

static int read_settings(struct fv_store *s, struct span p)
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
static int read_labels(struct fv_store *s, struct span p)
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

    if (s->names.n < 8 || s->names.n / 8 < n + 1)
        return corrupt(s, "its table of names");
    const uint64_t pool = s->names.n - 8 * (n + 1);
    const uint8_t *text = s->names.p + 8 * (n + 1);
    uint64_t last = 0;
    for (uint64_t i = 1; i <= n; i++) {
        const uint64_t end = fv__get64(s->names.p + 8 * i);
        if (end <= last || end > pool || text[end - 1] != '\0')
            return corrupt(s, "its table of names");
        last = end;
    }
    return fv__get64(s->names.p) == 0 && last == pool ? FV_OK : corrupt(s, "its table of names");
}

/* Every entry must point into a block and agree with the table of identities. */
static int read_index(struct fv_store *s)
{
    struct fv_index_entry e;

    if (s->index.n / FV_INDEX_ENTRY != s->info.images || s->index.n % FV_INDEX_ENTRY)
        return corrupt(s, "its index");
    for (uint64_t l = 0, i = 0; l < s->info.labels; l++)
        for (const uint64_t end = i + s->label[l].count; i < end; i++) {
            fv__index_parse(s->index.p + i * FV_INDEX_ENTRY, &e);
            if (e.label != l || e.split >= FV_SPLITS ||
                (e.split == FV_SPLIT_HOLDOUT) != (int)s->label[l].holdout || e.block >= s->blocks ||
                e.bytes < FV_RECORD_HEADER || e.offset % FV_RECORD_ALIGN ||
                e.offset > s->block[e.block].n || e.bytes > s->block[e.block].n - e.offset)
                return corrupt(s, "its index");
            s->info.split_images[e.split]++;
        }
    return FV_OK;
}

static int read_tables(struct fv_store *s)
{
    MDB_dbi dbi;
    struct span p;
    struct fv_complete_record c;
    const int rc = mdb_dbi_open(s->txn, NULL, 0, &dbi);

    if (rc != 0)
        return lmdb_err(s, rc);
    const int found = get(s, dbi, "complete", &p);
    if (found == FV_ENOTFOUND)
        return fv_err(FV_ENOTFOUND,
                      "%s: is not a finished data set: run the same 'fvprep pack' command again",
                      s->path);
    FV_TRY(found);
    FV_TRY(fv__complete_parse(p.p, p.n, &c) < 0 ? with_path(s, FV_ECORRUPT) : FV_OK);
    FV_TRY(get(s, dbi, "fv", &p));
    FV_TRY(read_settings(s, p));
    if (c.images == 0 || c.images > UINT32_MAX || c.labels > c.images || c.blocks > c.images)
        return corrupt(s, "its counts");
    s->info.images = c.images;
    s->info.labels = c.labels;
    s->info.record_bytes = c.record_bytes;
    s->info.digest = c.digest;
    s->info.raw_bytes = c.images * (uint64_t)s->info.width * (uint64_t)s->info.height * 3;
    s->blocks = c.blocks;
    s->block = calloc(c.blocks ? c.blocks : 1, sizeof *s->block);
    if (!s->block)
        return fv_err(FV_ENOMEM, "out of memory");
    FV_TRY(read_blocks(s, dbi));
    FV_TRY(get(s, dbi, "labels", &s->labels_raw));
    FV_TRY(read_labels(s, s->labels_raw));
    FV_TRY(get(s, dbi, "names", &s->names));
    FV_TRY(read_names(s));
    FV_TRY(get(s, dbi, "index", &s->index));
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
    unlist(s);
    free(s->path);
    free(s->packed_with);
    free(s->label_names);
    free(s->label);
    free(s->block);
    free(s->by_name);
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

static const char *name_of(const struct fv_store *s, uint64_t image)
{
    return (const char *)s->names.p + 8 * (s->info.images + 1) + fv__get64(s->names.p + 8 * image);
}

int fv_store_image(const struct fv_store *s, uint64_t image, struct fv_store_image *out)
{
    struct fv_index_entry e;

    FV_TRY(check_image(s, image));
    fv__index_parse(s->index.p + image * FV_INDEX_ENTRY, &e);
    *out = (struct fv_store_image){e.label, (enum fv_split)e.split, e.bytes, name_of(s, image)};
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

int fv__store_record(const struct fv_store *s, uint64_t image, const uint8_t **bytes, size_t *n)
{
    struct fv_index_entry e;

    FV_TRY(check_image(s, image));
    fv__index_parse(s->index.p + image * FV_INDEX_ENTRY, &e);
    *bytes = s->block[e.block].p + e.offset;
    *n = e.bytes;
    return FV_OK;
}

uint64_t fv__store_digest(const struct fv_store *s)
{
    struct fv_digest *d = fv__digest_new();
    const uint8_t *bytes;
    size_t n;

    if (!d)
        return 0;
    for (uint64_t i = 0; i < s->info.images; i++)
        if (fv__store_record(s, i, &bytes, &n) >= 0)
            fv__digest_record(d, fv__record_checksum(bytes));
    const uint64_t digest = fv__digest_end(d, s->index.p, s->index.n, s->labels_raw.p,
                                           s->labels_raw.n, s->names.p, s->names.n);
    fv__digest_free(d);
    return digest;
}

static int by_name(const void *a, const void *b, void *store)
{
    return strcmp(name_of(store, *(const uint32_t *)a), name_of(store, *(const uint32_t *)b));
}

int fv_store_find(struct fv_store *s, const char *name, uint64_t *image)
{
    if (!s->by_name) {
        s->by_name = malloc(s->info.images * sizeof *s->by_name);
        if (!s->by_name)
            return fv_err(FV_ENOMEM, "out of memory");
        for (uint32_t i = 0; i < s->info.images; i++)
            s->by_name[i] = i;
        qsort_r(s->by_name, s->info.images, sizeof *s->by_name, by_name, s);
    }
    uint64_t lo = 0, hi = s->info.images;
    while (lo < hi) {
        const uint64_t mid = lo + (hi - lo) / 2;
        const int order = strcmp(name_of(s, s->by_name[mid]), name);
        if (order == 0) {
            *image = s->by_name[mid];
            return FV_OK;
        }
        if (order < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return fv_err(FV_ENOTFOUND, "%s: has no image named %s", s->path, name);
}

void fv_store_will_need(const struct fv_store *s, uint64_t image)
{
    const uint8_t *bytes;
    size_t n;

    if (fv__store_record(s, image, &bytes, &n) < 0)
        return;
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    const uintptr_t from = (uintptr_t)bytes & ~(page - 1);
    madvise((void *)from, (uintptr_t)bytes + n - from, MADV_WILLNEED);
}
