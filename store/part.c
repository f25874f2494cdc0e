/* SPDX-License-Identifier: MIT */
/* One data set file: everything is proved and resolved at open, after which a read is arithmetic in the map.
 *
 * LMDB trusts its own pages, so they are proved first (store/pages.h). Then come the tables, of which nothing
 * is believed either.
 *
 * LMDB is opened without its lock file: a finished data set never changes, since a writer builds another file
 * and renames it.
 */
#include "store/part.h"
#include "common/err.h"
#include "store/codec.h"
#include "store/name_set.h"

#include <lmdb.h>
#include <stdlib.h>
#include <string.h>

static int lmdb_err(const struct fv_part *p, int rc)
{
    if (rc == MDB_INVALID || rc == MDB_VERSION_MISMATCH)
        return fv_err(FV_ECORRUPT, "%s: is not an fv data set (%s)", p->path, mdb_strerror(rc));
    return fv_err(rc == MDB_CORRUPTED || rc == MDB_PAGE_NOTFOUND ? FV_ECORRUPT : FV_EIO,
                  "%s: cannot read: %s", p->path, mdb_strerror(rc));
}

/* The same sentence with the file in front. */
static int with_path(const struct fv_part *p, int rc)
{
    return fv_err(rc, "%s: %s", p->path, fv_err_text());
}

static int corrupt(const struct fv_part *p, const char *what)
{
    return fv_err(FV_ECORRUPT, "%s: damaged: %s", p->path, what);
}

/* --- open ----------------------------------------------------------------------------------------- */

static int open_map(struct fv_part *p)
{
    FV_TRY(fv__open_file_check(&p->file, p->path, &p->info.file_bytes));
    int rc = mdb_env_create(&p->env);
    /* As large as the file, whatever size the file asks for. */
    if (rc == 0)
        rc = mdb_env_set_mapsize(p->env, p->info.file_bytes);
    if (rc == 0)
        rc = mdb_env_open(p->env, p->path, MDB_NOSUBDIR | MDB_RDONLY | MDB_NOLOCK | MDB_NOTLS, 0);
    if (rc != 0)
        return lmdb_err(p, rc);
    rc = mdb_txn_begin(p->env, NULL, MDB_RDONLY, &p->txn);
    return rc == 0 ? FV_OK : lmdb_err(p, rc);
}

static int get(struct fv_part *p, MDB_dbi dbi, const char *key, struct fv_span *out)
{
    MDB_val k = {strlen(key), (void *)key}, v;
    const int rc = mdb_get(p->txn, dbi, &k, &v);

    if (rc == MDB_NOTFOUND)
        return fv_err(FV_ENOTFOUND, "%s: damaged: it has no key '%s'", p->path, key);
    if (rc != 0)
        return lmdb_err(p, rc);
    *out = (struct fv_span){v.mv_data, v.mv_size};
    return FV_OK;
}

static int need(struct fv_part *p, MDB_dbi dbi, const char *key, struct fv_span *out)
{
    const int rc = get(p, dbi, key, out);
    return rc == FV_ENOTFOUND ? fv_err(FV_ECORRUPT, "%s", fv_err_text()) : rc;
}

static int read_blocks(struct fv_part *p, MDB_dbi dbi)
{
    MDB_cursor *cursor;
    MDB_val k = {5, (uint8_t[]){'B', 0, 0, 0, 0}}, v;
    int rc = mdb_cursor_open(p->txn, dbi, &cursor);

    if (rc != 0)
        return lmdb_err(p, rc);
    rc = mdb_cursor_get(cursor, &k, &v, MDB_SET_RANGE);
    uint64_t i = 0;
    for (; rc == 0 && i < p->blocks; i++) {
        const uint8_t *key = k.mv_data;
        if (k.mv_size != 5 || key[0] != 'B' ||
            ((uint32_t)key[1] << 24 | (uint32_t)key[2] << 16 | (uint32_t)key[3] << 8 | key[4]) != i)
            break;
        p->block[i] = (struct fv_span){v.mv_data, v.mv_size};
        rc = mdb_cursor_get(cursor, &k, &v, MDB_NEXT);
    }
    mdb_cursor_close(cursor);
    if (i != p->blocks)
        return corrupt(p, "blocks are missing");
    return FV_OK;
}

static int read_settings(struct fv_part *p)
{
    struct fv_settings_record r;
    const int rc = fv__settings_parse(p->table.settings.p, p->table.settings.n, &r);

    if (rc < 0)
        return with_path(p, rc);
    const struct fv_codec *codec = fv__codec_by_id((int)r.codec);
    if (!codec)
        return with_path(p, FV_EVERSION);
    p->packed_with = strndup(r.text, r.text_bytes);
    if (!p->packed_with)
        return fv_err(FV_ENOMEM, "out of memory");
    p->info.version = (int)r.version;
    p->info.width = (int)r.width;
    p->info.height = (int)r.height;
    p->info.codec = codec->name;
    p->info.packed_with = p->packed_with;
    return FV_OK;
}

/* Labels partition the images in order, training identities first; in both groups names ascend. */
static int label_fits(const struct fv_part_label *l, const struct fv_part_label *before,
                      uint64_t first)
{
    if (l->first != first || l->count == 0 || l->holdout > 1)
        return 0;
    if (!before || before->holdout < l->holdout)
        return 1;
    return before->holdout == l->holdout && strcmp(before->name, l->name) < 0;
}

static int read_labels(struct fv_part *p)
{
    const struct fv_span t = p->table.labels;

    if (t.n < 4 || fv__get32(t.p) != p->info.labels || p->info.labels > t.n / 16)
        return corrupt(p, "its table of identities");
    p->label = calloc(p->info.labels, sizeof *p->label);
    p->label_names = malloc(t.n + p->info.labels);
    if (!p->label || !p->label_names)
        return fv_err(FV_ENOMEM, "out of memory for %llu identities",
                      (unsigned long long)p->info.labels);
    char *name = p->label_names;
    size_t at = 4;
    uint64_t first = 0;
    for (uint64_t i = 0; i < p->info.labels; i++) {
        struct fv_part_label *l = &p->label[i];
        if (t.n - at < 16)
            return corrupt(p, "its table of identities");
        *l = (struct fv_part_label){name, fv__get32(t.p + at), fv__get32(t.p + at + 4),
                                    fv__get32(t.p + at + 8)};
        const uint32_t n = fv__get32(t.p + at + 12);
        at += 16;
        if (n > t.n - at)
            return corrupt(p, "its table of identities");
        memcpy(name, t.p + at, n);
        name[n] = '\0';
        if (strlen(name) != n || !fv__name_is_sound(name))
            return corrupt(p, "its table of identities");
        name += n + 1;
        at += n;
        if (!label_fits(l, i ? l - 1 : NULL, first))
            return corrupt(p, "its table of identities");
        first += l->count;
        p->info.train_labels += !l->holdout;
    }
    return first == p->info.images && at == t.n ? FV_OK : corrupt(p, "its table of identities");
}

int fv__labels_in_both(const struct fv_part_label *label, uint64_t train_labels, uint64_t labels,
                       uint64_t *trained, uint64_t *held)
{
    *trained = 0;
    *held = train_labels;
    while (*trained < train_labels && *held < labels) {
        const int order = strcmp(label[*trained].name, label[*held].name);
        if (order == 0)
            return 1;
        ++*(order < 0 ? trained : held);
    }
    return 0;
}

static int check_apart(struct fv_part *p)
{
    uint64_t trained, held;

    return fv__labels_in_both(p->label, p->info.train_labels, p->info.labels, &trained, &held)
               ? corrupt(p, "its table of identities")
               : FV_OK;
}

static int read_names(struct fv_part *p)
{
    const uint64_t n = p->info.images;

    if (p->table.names.n < 8 || p->table.names.n / 8 < n + 1)
        return corrupt(p, "its table of names");
    const uint64_t pool = p->table.names.n - 8 * (n + 1);
    const uint8_t *text = p->table.names.p + 8 * (n + 1);
    uint64_t last = 0;
    for (uint64_t i = 1; i <= n; i++) {
        const uint64_t end = fv__get64(p->table.names.p + 8 * i);
        if (end <= last || end > pool || text[end - 1] != '\0')
            return corrupt(p, "its table of names");
        last = end;
    }
    return fv__get64(p->table.names.p) == 0 && last == pool ? FV_OK
                                                            : corrupt(p, "its table of names");
}

/* Names are such as the writer takes, and those of an identity's images ascend. */
static int check_names(struct fv_part *p)
{
    for (uint64_t i = 0; i < p->info.images; i++)
        if (!fv__name_is_sound(fv__part_name(p, i)))
            return corrupt(p, "its table of names");
    for (uint64_t l = 0; l < p->info.labels; l++) {
        const uint64_t end = (uint64_t)p->label[l].first + p->label[l].count;
        for (uint64_t i = p->label[l].first + 1u; i < end; i++)
            if (strcmp(fv__part_name(p, i - 1), fv__part_name(p, i)) >= 0)
                return corrupt(p, "its table of names");
    }
    return FV_OK;
}

/* Every entry must point into a block and agree with the table of identities. */
static int read_index(struct fv_part *p)
{
    struct fv_index_entry e;
    uint64_t bytes = 0;

    if (p->table.index.n / FV_INDEX_ENTRY != p->info.images || p->table.index.n % FV_INDEX_ENTRY)
        return corrupt(p, "its index");
    for (uint64_t l = 0, i = 0; l < p->info.labels; l++)
        for (const uint64_t end = i + p->label[l].count; i < end; i++) {
            fv__index_parse(p->table.index.p + i * FV_INDEX_ENTRY, &e);
            if (e.label != l || e.split >= FV_SPLITS ||
                (e.split == FV_SPLIT_HOLDOUT) != (int)p->label[l].holdout || e.block >= p->blocks ||
                e.bytes < FV_RECORD_HEADER || e.offset % FV_RECORD_ALIGN ||
                e.offset > p->block[e.block].n || e.bytes > p->block[e.block].n - e.offset)
                return corrupt(p, "its index");
            p->info.split_images[e.split]++;
            bytes += e.bytes;
        }
    return bytes == p->info.record_bytes ? FV_OK : corrupt(p, "its counts");
}

/* Why there is no mark of completion. */
static int incomplete(struct fv_part *p, MDB_dbi dbi)
{
    MDB_val block = {5, (uint8_t[]){'B', 0, 0, 0, 0}}, v;
    MDB_stat stat;

    if (mdb_stat(p->txn, dbi, &stat) == 0 && stat.ms_entries > 0 &&
        mdb_get(p->txn, dbi, &block, &v) == MDB_NOTFOUND)
        return fv_err(FV_ECORRUPT, "%s: is an LMDB file, but not an fv data set", p->path);
    return fv_err(FV_ENOTFOUND,
                  "%s: is not a finished data set: run the same 'fvprep pack' command again",
                  p->path);
}

static int read_counts(struct fv_part *p, MDB_dbi dbi, uint64_t *tables)
{
    struct fv_span mark;
    struct fv_complete_record c;

    const int found = get(p, dbi, "complete", &mark);
    if (found == FV_ENOTFOUND)
        return incomplete(p, dbi);
    FV_TRY(found);
    FV_TRY(fv__complete_parse(mark.p, mark.n, &c) < 0 ? with_path(p, FV_ECORRUPT) : FV_OK);
    if (c.images == 0 || c.images > FV_IMAGES_MAX || c.labels == 0 || c.labels > c.images ||
        c.blocks > c.images || c.images > p->info.file_bytes / FV_INDEX_ENTRY)
        return corrupt(p, "its counts");
    p->info.images = c.images;
    p->info.labels = c.labels;
    p->info.record_bytes = c.record_bytes;
    p->info.digest = c.digest;
    p->info.raw_bytes = c.images * (uint64_t)p->info.width * (uint64_t)p->info.height * 3;
    p->blocks = c.blocks;
    *tables = c.tables;
    return FV_OK;
}

static int read_dict(struct fv_part *p, MDB_dbi dbi)
{
    const int rc = get(p, dbi, "dict", &p->table.dict);

    if (rc == FV_OK && p->table.dict.n == 0)
        return corrupt(p, "its dictionary");
    return rc == FV_ENOTFOUND ? FV_OK : rc;
}

static int check_dict(struct fv_part *p)
{
    p->info.dict_bytes = p->table.dict.n;
    if (p->table.dict.n == 0)
        return FV_OK;
    const int rc = fv_dict_open(&p->dict, p->table.dict.p, p->table.dict.n, 0);
    return rc == FV_ECORRUPT ? corrupt(p, "its dictionary") : rc;
}

static int read_tables(struct fv_part *p)
{
    MDB_dbi dbi;
    uint64_t promised = 0, checksum;
    const int rc = mdb_dbi_open(p->txn, NULL, 0, &dbi);

    if (rc != 0)
        return lmdb_err(p, rc);
    /* The version decides what all else means; the writer puts the mark of completion last. */
    const int found = get(p, dbi, "fv", &p->table.settings);
    if (found == FV_ENOTFOUND)
        return incomplete(p, dbi);
    FV_TRY(found);
    FV_TRY(read_settings(p));
    FV_TRY(read_counts(p, dbi, &promised));
    FV_TRY(need(p, dbi, "labels", &p->table.labels));
    FV_TRY(need(p, dbi, "names", &p->table.names));
    FV_TRY(need(p, dbi, "index", &p->table.index));
    FV_TRY(read_dict(p, dbi));
    FV_TRY(fv__tables_checksum(&checksum, &p->table));
    if (checksum != promised)
        return corrupt(p, "its tables do not match their checksum");
    FV_TRY(check_dict(p));
    p->block = calloc(p->blocks ? p->blocks : 1, sizeof *p->block);
    if (!p->block)
        return fv_err(FV_ENOMEM, "out of memory");
    FV_TRY(read_blocks(p, dbi));
    FV_TRY(read_labels(p));
    FV_TRY(check_apart(p));
    FV_TRY(read_names(p));
    FV_TRY(check_names(p));
    return read_index(p);
}

int fv__part_open(struct fv_part **out, const char *path)
{
    *out = NULL;
    struct fv_part *p = calloc(1, sizeof *p);
    if (!p || !(p->path = strdup(path))) {
        free(p);
        return fv_err(FV_ENOMEM, "out of memory");
    }
    int rc = open_map(p);
    if (rc >= 0)
        rc = read_tables(p);
    if (rc < 0) {
        fv__part_close(&p);
        return rc;
    }
    *out = p;
    return FV_OK;
}

void fv__part_close(struct fv_part **part)
{
    struct fv_part *p = *part;

    if (!p)
        return;
    if (p->txn)
        mdb_txn_abort(p->txn);
    if (p->env)
        mdb_env_close(p->env);
    fv_dict_close(&p->dict);
    fv__open_file_release(&p->file);
    free(p->path);
    free(p->packed_with);
    free(p->label_names);
    free(p->label);
    free(p->block);
    free(p);
    *part = NULL;
}

struct fv_index_entry fv__part_entry(const struct fv_part *p, uint64_t image)
{
    struct fv_index_entry e;

    fv__index_parse(p->table.index.p + image * FV_INDEX_ENTRY, &e);
    return e;
}

const char *fv__part_name(const struct fv_part *p, uint64_t image)
{
    return fv__names_in_pool(p->table.names.p, p->table.names.p + 8 * (p->info.images + 1), image);
}
