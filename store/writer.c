/* SPDX-License-Identifier: MIT */
/* The writer: records in final order into blocks, blocks into LMDB in key order, tables at the end.
 *
 * LMDB keys sort as bytes, and 'B' stands before the lower-case names of the tables: so every put is an
 * append, blocks first, and pages are filled one after the other. Transactions are cut at fixed amounts of
 * data, which makes the file a function of its content. The map grows by itself: before a put that might not
 * fit, the transaction is committed and the map is doubled.
 */
#include "common/err.h"
#include "common/fs.h"
#include "store/codec.h"
#include "store/digest.h"
#include "store/record.h"
#include "store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    BLOCK_BYTES = 1 << 20,
    COMMIT_BYTES = 64 << 20,
    MAP_START = 256 << 20,
};

struct bytes {
    uint8_t *p;
    size_t n, room;
};

struct fv_store_writer {
    char *path, *part;
    struct fv_store_settings settings;
    char *packed_with;
    int codec_id;
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi dbi;
    size_t map_bytes, put_bytes, txn_bytes;
    struct bytes block, index, labels, names, offsets, last_name;
    uint32_t blocks;
    uint64_t images, label_count, record_bytes, label_first;
    size_t label_at; /* of the current label in `labels` */
    int holdout;
    struct fv_digest *digest;
};

static int grow(struct bytes *b, size_t more)
{
    if (b->room - b->n >= more)
        return FV_OK;
    size_t room = b->room ? 2 * b->room : 4096;
    while (room - b->n < more)
        room *= 2;
    uint8_t *p = realloc(b->p, room);
    if (!p)
        return fv_err(FV_ENOMEM, "out of memory for %zu bytes of index", room);
    b->p = p;
    b->room = room;
    return FV_OK;
}

static int append(struct bytes *b, const void *p, size_t n)
{
    FV_TRY(grow(b, n));
    if (n)
        memcpy(b->p + b->n, p, n);
    b->n += n;
    return FV_OK;
}

static int append32(struct bytes *b, uint32_t v)
{
    uint8_t p[4];
    fv__put32(p, v);
    return append(b, p, sizeof p);
}

static int append64(struct bytes *b, uint64_t v)
{
    uint8_t p[8];
    fv__put64(p, v);
    return append(b, p, sizeof p);
}

/* --- LMDB ----------------------------------------------------------------------------------------- */

static int lmdb_err(const struct fv_store_writer *w, int rc, const char *what)
{
    const int full = rc == ENOSPC || rc == EDQUOT || rc == MDB_MAP_FULL;
    return fv_err(full ? FV_EFULL : FV_EIO, "%s: cannot %s: %s", w->part, what, mdb_strerror(rc));
}

static int txn_begin(struct fv_store_writer *w)
{
    const int rc = mdb_txn_begin(w->env, NULL, 0, &w->txn);

    if (rc != 0)
        return lmdb_err(w, rc, "begin a transaction");
    w->txn_bytes = 0;
    return FV_OK;
}

static int txn_commit(struct fv_store_writer *w)
{
    MDB_txn *txn = w->txn;

    w->txn = NULL;
    const int rc = txn ? mdb_txn_commit(txn) : 0;
    return rc == 0 ? FV_OK : lmdb_err(w, rc, "write");
}

/* Room for n more bytes: pages for them, the tree above them, and LMDB's own free list. */
static int ensure_room(struct fv_store_writer *w, size_t n)
{
    const size_t need = w->put_bytes + w->put_bytes / 64 + n + n / 64 + (16 << 20);

    if (need <= w->map_bytes && w->txn_bytes < COMMIT_BYTES)
        return FV_OK;
    FV_TRY(txn_commit(w));
    if (need > w->map_bytes) {
        while (need > w->map_bytes)
            w->map_bytes *= 2;
        const int rc = mdb_env_set_mapsize(w->env, w->map_bytes);
        if (rc != 0)
            return lmdb_err(w, rc, "grow the map");
    }
    return txn_begin(w);
}

static int put(struct fv_store_writer *w, const void *key, size_t key_bytes, const void *data,
               size_t n)
{
    MDB_val k = {key_bytes, (void *)key}, v = {n, (void *)data};

    if (n > UINT32_MAX - (1 << 20))
        return fv_err(FV_EFULL, "%s: a table of %zu bytes is more than one data set can hold",
                      w->path, n);
    FV_TRY(ensure_room(w, n));
    const int rc = mdb_put(w->txn, w->dbi, &k, &v, MDB_APPEND);
    if (rc != 0)
        return lmdb_err(w, rc, "write");
    w->put_bytes += n + 4096;
    w->txn_bytes += n;
    return FV_OK;
}

static int flush_block(struct fv_store_writer *w)
{
    uint8_t key[5] = {'B', (uint8_t)(w->blocks >> 24), (uint8_t)(w->blocks >> 16),
                      (uint8_t)(w->blocks >> 8), (uint8_t)w->blocks};

    if (w->block.n == 0)
        return FV_OK;
    FV_TRY(put(w, key, sizeof key, w->block.p, w->block.n));
    w->blocks++;
    w->block.n = 0;
    return FV_OK;
}

/* --- open ----------------------------------------------------------------------------------------- */

static int open_env(struct fv_store_writer *w)
{
    w->map_bytes = MAP_START;
    int rc = mdb_env_create(&w->env);
    if (rc != 0)
        return lmdb_err(w, rc, "start LMDB");
    rc = mdb_env_set_mapsize(w->env, w->map_bytes);
    if (rc == 0)
        rc = mdb_env_open(w->env, w->part, MDB_NOSUBDIR | MDB_NOLOCK | MDB_NOSYNC | MDB_NORDAHEAD,
                          0666);
    if (rc != 0)
        return lmdb_err(w, rc, "create it");
    FV_TRY(txn_begin(w));
    rc = mdb_dbi_open(w->txn, NULL, 0, &w->dbi);
    return rc == 0 ? FV_OK : lmdb_err(w, rc, "open its table");
}

static int init(struct fv_store_writer *w, const char *path, const struct fv_store_settings *s)
{
    const struct fv_codec *codec = fv__codec_by_name(s->codec);

    if (!codec)
        return FV_ENOTFOUND;
    if (s->width < 1 || s->width > FV_SIDE_MAX || s->height < 1 || s->height > FV_SIDE_MAX)
        return fv_err(FV_EINVAL, "images of %dx%d: sides must be within 1 to %d pixels", s->width,
                      s->height, FV_SIDE_MAX);
    w->codec_id = codec->id;
    w->settings = *s;
    w->path = strdup(path);
    w->part = fv_format("%s.part", path);
    w->packed_with = strdup(s->packed_with ? s->packed_with : "");
    w->digest = fv__digest_new();
    if (!w->path || !w->part || !w->packed_with || !w->digest)
        return fv_err(FV_ENOMEM, "out of memory");
    if (unlink(w->part) != 0 && errno != ENOENT)
        return fv_err_errno(FV_EIO, "%s: cannot replace an unfinished file", w->part);
    return open_env(w);
}

int fv_store_create(struct fv_store_writer **out, const char *path,
                    const struct fv_store_settings *s, int overwrite)
{
    *out = NULL;
    if (!overwrite && access(path, F_OK) == 0)
        return fv_err(FV_EEXIST, "%s: is already there: choose another name or give --overwrite",
                      path);
    struct fv_store_writer *w = calloc(1, sizeof *w);
    if (!w)
        return fv_err(FV_ENOMEM, "out of memory");
    const int rc = init(w, path, s);
    if (rc < 0) {
        fv_store_abort(&w);
        return rc;
    }
    *out = w;
    return FV_OK;
}

static void free_writer(struct fv_store_writer *w)
{
    if (w->txn)
        mdb_txn_abort(w->txn);
    if (w->env)
        mdb_env_close(w->env);
    fv__digest_free(w->digest);
    struct bytes *all[] = {&w->block, &w->index, &w->labels, &w->names, &w->offsets, &w->last_name};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        free(all[i]->p);
    free(w->path);
    free(w->part);
    free(w->packed_with);
    free(w);
}

void fv_store_abort(struct fv_store_writer **w)
{
    if (!*w)
        return;
    char text[FV_ERR_TEXT_MAX];
    fv_err_save(text);
    if ((*w)->part)
        unlink((*w)->part);
    free_writer(*w);
    *w = NULL;
    fv_err_restore(0, text);
}

/* --- content -------------------------------------------------------------------------------------- */

/* Completes the entry of the label put last. */
static int end_label(struct fv_store_writer *w)
{
    if (w->label_count == 0)
        return FV_OK;
    const uint64_t n = w->images - w->label_first;
    if (n == 0)
        return fv_err(FV_EINVAL, "%s: the last identity has no image", w->path);
    fv__put32(w->labels.p + w->label_at, (uint32_t)w->label_first);
    fv__put32(w->labels.p + w->label_at + 4, (uint32_t)n);
    return FV_OK;
}

int fv_store_put_label(struct fv_store_writer *w, const char *name, int holdout)
{
    FV_TRY(end_label(w));
    if (w->holdout && !holdout)
        return fv_err(FV_EINVAL, "%s: identity %s: training identities come before held-out ones",
                      w->path, name);
    if (w->label_count >= 1u << 30)
        return fv_err(FV_EFULL, "%s: more than %u identities", w->path, 1u << 30);
    w->label_at = w->labels.n;
    w->label_first = w->images;
    w->holdout = holdout != 0;
    w->label_count++;
    w->last_name.n = 0;
    FV_TRY(append32(&w->labels, 0));
    FV_TRY(append32(&w->labels, 0));
    FV_TRY(append32(&w->labels, holdout != 0));
    FV_TRY(append32(&w->labels, (uint32_t)strlen(name)));
    return append(&w->labels, name, strlen(name));
}

/* Names ascend within a label: this gives images an order, and finds duplicates. */
static int check_name(struct fv_store_writer *w, const char *name)
{
    if (w->last_name.n && strcmp((const char *)w->last_name.p, name) >= 0)
        return fv_err(FV_EINVAL, "%s: image %s after %s: names must ascend within an identity",
                      w->path, name, (const char *)w->last_name.p);
    w->last_name.n = 0;
    return append(&w->last_name, name, strlen(name) + 1);
}

static int check_put(struct fv_store_writer *w, const uint8_t *record, size_t n,
                     enum fv_split split)
{
    struct fv_record r;

    FV_TRY(fv__record_parse(record, n, &r));
    if (r.image != w->images || r.width != w->settings.width || r.height != w->settings.height ||
        r.codec != w->codec_id)
        return fv_err(FV_EINVAL, "%s: record of image %u where image %llu of %dx%d belongs",
                      w->path, r.image, (unsigned long long)w->images, w->settings.width,
                      w->settings.height);
    if (w->label_count == 0 || (split == FV_SPLIT_HOLDOUT) != w->holdout)
        return fv_err(FV_EINVAL, "%s: image %u: split %d does not fit its identity", w->path,
                      r.image, split);
    if (w->images >= UINT32_MAX)
        return fv_err(FV_EFULL, "%s: more than %u images", w->path, UINT32_MAX);
    return FV_OK;
}

int fv_store_put(struct fv_store_writer *w, const uint8_t *record, size_t n, const char *name,
                 enum fv_split split)
{
    static const uint8_t zero[FV_RECORD_ALIGN];
    uint8_t entry[FV_INDEX_ENTRY];

    FV_TRY(check_put(w, record, n, split));
    FV_TRY(check_name(w, name));
    if (w->block.n && w->block.n + n > BLOCK_BYTES)
        FV_TRY(flush_block(w));
    const struct fv_index_entry e = {.block = w->blocks,
                                     .offset = (uint32_t)w->block.n,
                                     .bytes = (uint32_t)n,
                                     .label = (uint32_t)w->label_count - 1,
                                     .split = split};
    fv__index_write(entry, &e);
    FV_TRY(append(&w->index, entry, sizeof entry));
    FV_TRY(append64(&w->offsets, w->names.n));
    FV_TRY(append(&w->names, name, strlen(name) + 1));
    FV_TRY(append(&w->block, record, n));
    FV_TRY(append(&w->block, zero, -n % FV_RECORD_ALIGN));
    fv__digest_record(w->digest, fv__record_checksum(record));
    w->record_bytes += n;
    w->images++;
    return FV_OK;
}

int fv_store_set_split(struct fv_store_writer *w, uint64_t image, enum fv_split split)
{
    struct fv_index_entry e;

    if (image >= w->images)
        return fv_err(FV_EINVAL, "%s: split of image %llu of %llu", w->path,
                      (unsigned long long)image, (unsigned long long)w->images);
    uint8_t *entry = w->index.p + image * FV_INDEX_ENTRY;
    fv__index_parse(entry, &e);
    if (split >= FV_SPLIT_HOLDOUT || e.split == FV_SPLIT_HOLDOUT)
        return fv_err(FV_EINVAL,
                      "%s: image %llu: only training and validation images change places", w->path,
                      (unsigned long long)image);
    e.split = split;
    fv__index_write(entry, &e);
    return FV_OK;
}

/* --- finish --------------------------------------------------------------------------------------- */

/* The two halves of a table behind one another, in fresh memory. */
static int join(struct bytes *out, const struct bytes *a, const struct bytes *b)
{
    FV_TRY(append(out, a->p, a->n));
    return append(out, b->p, b->n);
}

static int put_settings(struct fv_store_writer *w)
{
    struct bytes b = {0};
    int rc = append(&b, "FVSTORE1", 8);
    const uint32_t fixed[] = {FV_STORE_VERSION, (uint32_t)w->settings.width,
                              (uint32_t)w->settings.height, (uint32_t)w->codec_id,
                              (uint32_t)strlen(w->packed_with)};

    for (size_t i = 0; rc >= 0 && i < sizeof fixed / sizeof fixed[0]; i++)
        rc = append32(&b, fixed[i]);
    if (rc >= 0)
        rc = append(&b, w->packed_with, strlen(w->packed_with));
    if (rc >= 0)
        rc = put(w, "fv", 2, b.p, b.n);
    free(b.p);
    return rc;
}

/* In key order: complete, fv, index, labels, names. They go into one transaction together with the last block
 * written by it, and the file gets its name only after all of it is on disk. */
static int put_tables(struct fv_store_writer *w)
{
    struct bytes names = {0}, labels = {0}, count = {0};
    uint8_t complete[FV_COMPLETE_BYTES];

    int rc = append64(&w->offsets, w->names.n);
    if (rc >= 0)
        rc = join(&names, &w->offsets, &w->names);
    if (rc >= 0)
        rc = append32(&count, (uint32_t)w->label_count);
    if (rc >= 0)
        rc = join(&labels, &count, &w->labels);
    if (rc >= 0) {
        const struct fv_complete_record c = {
            .images = w->images,
            .labels = w->label_count,
            .blocks = w->blocks,
            .record_bytes = w->record_bytes,
            .digest = fv__digest_end(w->digest, w->index.p, w->index.n, labels.p, labels.n, names.p,
                                     names.n),
        };
        fv__complete_write(complete, &c);
        rc = put(w, "complete", 8, complete, sizeof complete);
    }
    if (rc >= 0)
        rc = put_settings(w);
    if (rc >= 0)
        rc = put(w, "index", 5, w->index.p, w->index.n);
    if (rc >= 0)
        rc = put(w, "labels", 6, labels.p, labels.n);
    if (rc >= 0)
        rc = put(w, "names", 5, names.p, names.n);
    free(names.p);
    free(labels.p);
    free(count.p);
    return rc;
}

static int sync_and_rename(struct fv_store_writer *w)
{
    const int rc = mdb_env_sync(w->env, 1);

    if (rc != 0)
        return lmdb_err(w, rc, "flush");
    mdb_env_close(w->env);
    w->env = NULL;
    if (rename(w->part, w->path) != 0)
        return fv_err_errno(FV_EIO, "%s: cannot rename %s to it", w->path, w->part);
    return fv_sync_parent(w->path);
}

static int finish(struct fv_store_writer *w)
{
    FV_TRY(end_label(w));
    if (w->images == 0)
        return fv_err(FV_EINVAL, "%s: no image was packed", w->path);
    FV_TRY(flush_block(w));
    FV_TRY(put_tables(w));
    FV_TRY(txn_commit(w));
    return sync_and_rename(w);
}

int fv_store_finish(struct fv_store_writer **w)
{
    const int rc = finish(*w);

    if (rc < 0) {
        fv_store_abort(w);
        return rc;
    }
    free_writer(*w);
    *w = NULL;
    return FV_OK;
}
