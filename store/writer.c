/* SPDX-License-Identifier: MIT */
/* The writer: records in final order into blocks, blocks into LMDB in key order, tables at the end.
 *
 * LMDB keys sort as bytes, and 'B' stands before the lower-case names of the tables: so all are appended. Only
 * "complete" is put out of order, after everything that it promises.
 */
#include "common/err.h"
#include "store/append_file.h"
#include "store/buffer.h"
#include "store/codec.h"
#include "store/dict.h"
#include "store/digest.h"
#include "store/name_set.h"
#include "store/record.h"
#include "store/store.h"

#include <stdlib.h>
#include <string.h>

enum { BLOCK_BYTES = 1 << 20 };

struct fv_store_writer {
    char *path;
    struct fv_append_file *file;
    int broken; /* the code of a failure after which nothing more is accepted */
    struct fv_store_settings settings;
    char *packed_with;
    int codec_id;
    struct fv_buffer block, index, labels;
    struct fv_name_table image_name, label_name;
    uint32_t blocks;
    uint64_t images, label_count, record_bytes, label_first;
    size_t label_at; /* of the current label in `labels` */
    int holdout;
    struct fv_buffer dict;
};

/* --- names ---------------------------------------------------------------------------------------- */

/* Names stand in text files, one a line. table_bytes: of the table that this one would be added to, which
 * becomes one LMDB value. */
static int check_name(const struct fv_store_writer *w, size_t table_bytes, const char *name)
{
    const size_t n = strlen(name);

    if (n < 1 || n > FV_NAME_MAX)
        return fv_err(FV_EINVAL, "%s: a name of %zu bytes: names have 1 to %d", w->path, n,
                      FV_NAME_MAX);
    for (const char *p = name; *p; p++)
        if ((unsigned char)*p < ' ' || *p == 127)
            return fv_err(FV_EINVAL, "%s: the name '%s' has a control character: rename it",
                          w->path, name);
    if (table_bytes + n + 32 > FV_VALUE_MAX)
        return fv_err(FV_EFULL, "%s: its names take more than the 4 GiB that one data set can hold",
                      w->path);
    return FV_OK;
}

/* --- blocks --------------------------------------------------------------------------------------- */

static int flush_block(struct fv_store_writer *w)
{
    const uint8_t key[5] = {'B', (uint8_t)(w->blocks >> 24), (uint8_t)(w->blocks >> 16),
                            (uint8_t)(w->blocks >> 8), (uint8_t)w->blocks};

    if (w->block.n == 0)
        return FV_OK;
    FV_TRY(fv__append_file_put(w->file, (struct fv_span){key, sizeof key},
                               fv__buffer_view(&w->block)));
    w->blocks++;
    w->block.n = 0;
    return FV_OK;
}

/* --- open ----------------------------------------------------------------------------------------- */

static int init(struct fv_store_writer *w, const char *path, const struct fv_store_settings *s,
                int overwrite)
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
    w->packed_with = strdup(s->packed_with ? s->packed_with : "");
    if (!w->path || !w->packed_with)
        return fv_err(FV_ENOMEM, "out of memory");
    FV_TRY(fv_store_set_dict(w, s->dict));
    return fv__append_file_create(&w->file, path, overwrite);
}

int fv_store_create(struct fv_store_writer **out, const char *path,
                    const struct fv_store_settings *s, int overwrite)
{
    *out = NULL;
    struct fv_store_writer *w = calloc(1, sizeof *w);
    if (!w)
        return fv_err(FV_ENOMEM, "out of memory");
    const int rc = init(w, path, s, overwrite);
    if (rc < 0) {
        fv_store_abort(&w);
        return rc;
    }
    *out = w;
    return FV_OK;
}

void fv_store_abort(struct fv_store_writer **writer)
{
    struct fv_store_writer *w = *writer;

    if (!w)
        return;
    fv__append_file_close(&w->file);
    fv__buffer_free(&w->dict);
    fv__buffer_free(&w->block);
    fv__buffer_free(&w->index);
    fv__buffer_free(&w->labels);
    fv__name_table_free(&w->image_name);
    fv__name_table_free(&w->label_name);
    free(w->path);
    free(w->packed_with);
    free(w);
    *writer = NULL;
}

int fv_store_set_dict(struct fv_store_writer *w, const struct fv_dict *dict)
{
    const struct fv_span bytes = fv__dict_bytes(dict);

    w->dict.n = 0;
    return fv__buffer_append(&w->dict, bytes.p, bytes.n);
}

/* --- content -------------------------------------------------------------------------------------- */

static int still_usable(const struct fv_store_writer *w)
{
    return w->broken ? fv_err(w->broken, "%s: an earlier failure ended the writing", w->path)
                     : FV_OK;
}

/* Completes the entry of the label put last. */
static int end_label(struct fv_store_writer *w)
{
    if (w->label_count == 0)
        return FV_OK;
    const uint64_t n = w->images - w->label_first;
    if (n == 0)
        return fv_err(FV_EINVAL, "%s: identity %s has no image: leave it out", w->path,
                      fv__name_table_last(&w->label_name));
    fv__put32(w->labels.p + w->label_at, (uint32_t)w->label_first);
    fv__put32(w->labels.p + w->label_at + 4, (uint32_t)n);
    return FV_OK;
}

static int check_label(const struct fv_store_writer *w, const char *name, int holdout)
{
    FV_TRY(check_name(w, w->labels.n, name));
    if (w->holdout && !holdout)
        return fv_err(FV_EINVAL, "%s: identity %s: training identities come before held-out ones",
                      w->path, name);
    if (w->label_count > 0 && w->holdout == holdout &&
        strcmp(fv__name_table_last(&w->label_name), name) > 0)
        return fv_err(FV_EINVAL, "%s: identity %s after %s: names must ascend", w->path, name,
                      fv__name_table_last(&w->label_name));
    return FV_OK;
}

static int append_label(struct fv_store_writer *w, const char *name, int holdout)
{
    const int taken = fv__name_table_add(&w->label_name, name);

    FV_TRY(taken);
    if (taken)
        return fv_err(FV_EEXIST, "%s: there are two identities %s", w->path, name);
    w->label_at = w->labels.n;
    w->label_first = w->images;
    w->holdout = holdout;
    w->label_count++;
    FV_TRY(fv__buffer_append32(&w->labels, 0));
    FV_TRY(fv__buffer_append32(&w->labels, 0));
    FV_TRY(fv__buffer_append32(&w->labels, (uint32_t)holdout));
    FV_TRY(fv__buffer_append32(&w->labels, (uint32_t)strlen(name)));
    return fv__buffer_append(&w->labels, name, strlen(name));
}

int fv_store_put_label(struct fv_store_writer *w, const char *name, int holdout)
{
    FV_TRY(still_usable(w));
    FV_TRY(end_label(w));
    FV_TRY(check_label(w, name, holdout != 0));
    const int rc = append_label(w, name, holdout != 0);
    w->broken = rc == FV_EEXIST ? FV_OK : rc;
    return rc;
}

static int check_record(const struct fv_store_writer *w, const uint8_t *record, size_t n,
                        struct fv_record *r)
{
    FV_TRY(fv__record_parse(record, n, r));
    if (r->width != w->settings.width || r->height != w->settings.height || r->codec != w->codec_id)
        return fv_err(FV_EINVAL, "%s: a record of %dx%d, codec %d, where %dx%d, codec %d, belongs",
                      w->path, r->width, r->height, r->codec, w->settings.width, w->settings.height,
                      w->codec_id);
    return FV_OK;
}

static int check_image(const struct fv_store_writer *w, const char *name, enum fv_split split)
{
    if (w->images == FV_IMAGES_MAX)
        return fv_err(FV_EFULL, "%s: more than %d images", w->path, FV_IMAGES_MAX);
    if (w->label_count == 0 || (unsigned)split >= FV_SPLITS ||
        (split == FV_SPLIT_HOLDOUT) != w->holdout)
        return fv_err(FV_EINVAL, "%s: image %s: its split does not fit its identity", w->path,
                      name);
    FV_TRY(check_name(w, w->image_name.offset.n + w->image_name.pool.n, name));
    /* This gives images an order that does not depend on who found them first. */
    if (w->images > w->label_first && strcmp(fv__name_table_last(&w->image_name), name) > 0)
        return fv_err(FV_EINVAL, "%s: image %s after %s: names must ascend within an identity",
                      w->path, name, fv__name_table_last(&w->image_name));
    return FV_OK;
}

static int append_image(struct fv_store_writer *w, const uint8_t *record, size_t n,
                        uint64_t content, const char *name, enum fv_split split)
{
    static const uint8_t zero[FV_RECORD_ALIGN];
    uint8_t entry[FV_INDEX_ENTRY];

    const int taken = fv__name_table_add(&w->image_name, name);
    FV_TRY(taken);
    if (taken)
        return fv_err(FV_EEXIST, "%s: there are two images %s", w->path, name);
    if (w->block.n && w->block.n + n > BLOCK_BYTES)
        FV_TRY(flush_block(w));
    const struct fv_index_entry e = {.block = w->blocks,
                                     .offset = (uint32_t)w->block.n,
                                     .bytes = (uint32_t)n,
                                     .label = (uint32_t)w->label_count - 1,
                                     .split = split,
                                     .content = content};
    fv__index_write(entry, &e);
    FV_TRY(fv__buffer_append(&w->index, entry, sizeof entry));
    FV_TRY(fv__buffer_append(&w->block, record, n));
    FV_TRY(fv__buffer_append(&w->block, zero, -n % FV_RECORD_ALIGN));
    w->record_bytes += n;
    w->images++;
    return FV_OK;
}

int fv_store_put(struct fv_store_writer *w, const uint8_t *record, size_t n, const char *name,
                 enum fv_split split)
{
    struct fv_record r;

    FV_TRY(still_usable(w));
    FV_TRY(check_record(w, record, n, &r));
    FV_TRY(check_image(w, name, split));
    const int rc = append_image(w, record, n, r.content, name, split);
    w->broken = rc == FV_EEXIST ? FV_OK : rc;
    return rc;
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

static int make_settings(struct fv_buffer *b, const struct fv_store_writer *w)
{
    const uint32_t fixed[] = {FV_STORE_VERSION, (uint32_t)w->settings.width,
                              (uint32_t)w->settings.height, (uint32_t)w->codec_id,
                              (uint32_t)strlen(w->packed_with)};

    FV_TRY(fv__buffer_append(b, "FVSTORE2", 8));
    for (size_t i = 0; i < sizeof fixed / sizeof fixed[0]; i++)
        FV_TRY(fv__buffer_append32(b, fixed[i]));
    return fv__buffer_append(b, w->packed_with, strlen(w->packed_with));
}

static int make_labels(struct fv_buffer *b, const struct fv_store_writer *w)
{
    FV_TRY(fv__buffer_append32(b, (uint32_t)w->label_count));
    return fv__buffer_append(b, w->labels.p, w->labels.n);
}

static int make_names(struct fv_buffer *b, const struct fv_store_writer *w)
{
    FV_TRY(fv__buffer_append(b, w->image_name.offset.p, w->image_name.offset.n));
    FV_TRY(fv__buffer_append64(b, w->image_name.pool.n));
    return fv__buffer_append(b, w->image_name.pool.p, w->image_name.pool.n);
}

static struct fv_span key(const char *name)
{
    return (struct fv_span){(const uint8_t *)name, strlen(name)};
}

static int put_tables(struct fv_store_writer *w, const struct fv_tables *t)
{
    uint8_t complete[FV_COMPLETE_BYTES];
    struct fv_complete_record c = {
        .images = w->images,
        .labels = w->label_count,
        .blocks = w->blocks,
        .record_bytes = w->record_bytes,
    };

    FV_TRY(fv__tables_digest(&c.digest, t));
    FV_TRY(fv__tables_checksum(&c.tables, t));
    fv__complete_write(complete, &c);
    if (t->dict.n)
        FV_TRY(fv__append_file_put(w->file, key("dict"), t->dict));
    FV_TRY(fv__append_file_put(w->file, key("fv"), t->settings));
    FV_TRY(fv__append_file_put(w->file, key("index"), t->index));
    FV_TRY(fv__append_file_put(w->file, key("labels"), t->labels));
    FV_TRY(fv__append_file_put(w->file, key("names"), t->names));
    return fv__append_file_put_last(w->file, key("complete"),
                                    (struct fv_span){complete, sizeof complete});
}

static int make_and_put_tables(struct fv_store_writer *w)
{
    struct fv_buffer settings = {0}, labels = {0}, names = {0};

    int rc = make_settings(&settings, w);
    if (rc >= 0)
        rc = make_labels(&labels, w);
    if (rc >= 0)
        rc = make_names(&names, w);
    const struct fv_tables t = {fv__buffer_view(&settings), fv__buffer_view(&w->index),
                                fv__buffer_view(&labels), fv__buffer_view(&names),
                                fv__buffer_view(&w->dict)};
    if (rc >= 0)
        rc = put_tables(w, &t);
    fv__buffer_free(&settings);
    fv__buffer_free(&labels);
    fv__buffer_free(&names);
    return rc;
}

static int finish(struct fv_store_writer *w)
{
    FV_TRY(still_usable(w));
    FV_TRY(end_label(w));
    if (w->images == 0)
        return fv_err(FV_EINVAL, "%s: no image was packed", w->path);
    FV_TRY(flush_block(w));
    FV_TRY(make_and_put_tables(w));
    return fv__append_file_finish(w->file);
}

int fv_store_finish(struct fv_store_writer **w)
{
    const int rc = finish(*w);

    fv_store_abort(w);
    return rc;
}
