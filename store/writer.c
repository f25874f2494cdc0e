/* SPDX-License-Identifier: MIT */
/* The writer: records in final order into blocks, blocks into LMDB. The settings go first, so that another run can
 * tell whether it may go on; the tables, when all records are there (writer_tables.c). */
#include "store/writer.h"
#include "common/err.h"
#include "store/codec.h"
#include "store/dict.h"
#include "store/record.h"

#include <stdlib.h>
#include <string.h>

enum { BLOCK_BYTES = 1 << 20 };

/* --- names ---------------------------------------------------------------------------------------- */

/* table_bytes: of the table that this one would be added to, which becomes one LMDB value. */
static int check_name(const struct fv_store_writer *w, size_t table_bytes, const char *name)
{
    const size_t n = strlen(name);

    if (n < 1 || n > FV_NAME_MAX)
        return fv_err(FV_EINVAL, "%s: a name of %zu bytes: names have 1 to %d", w->path, n,
                      FV_NAME_MAX);
    if (!fv__name_is_sound(name))
        return fv_err(FV_EINVAL, "%s: the name '%s' has a control character: rename it", w->path,
                      name);
    if (table_bytes + n + 32 > FV_VALUE_MAX)
        return fv_err(FV_EFULL, "%s: its names take more than the 4 GiB that one data set can hold",
                      w->path);
    return FV_OK;
}

/* --- blocks --------------------------------------------------------------------------------------- */

struct fv_span fv__writer_block_key(uint8_t key[5], uint32_t block)
{
    key[0] = 'B';
    for (int i = 1; i < 5; i++)
        key[i] = (uint8_t)(block >> (32 - 8 * i));
    return (struct fv_span){key, 5};
}

static int put_settings(struct fv_store_writer *w)
{
    FV_TRY(fv__append_file_put(w->file, fv__writer_key("fv"), fv__buffer_view(&w->settings)));
    if (w->dict.n == 0)
        return FV_OK;
    return fv__append_file_put(w->file, fv__writer_key("dict"), fv__buffer_view(&w->dict));
}

int fv__writer_flush_block(struct fv_store_writer *w)
{
    uint8_t key[5];

    if (w->block.n == 0)
        return FV_OK;
    if (w->blocks == 0)
        FV_TRY(put_settings(w));
    FV_TRY(fv__append_file_put(w->file, fv__writer_block_key(key, w->blocks),
                               fv__buffer_view(&w->block)));
    w->blocks++;
    w->block.n = 0;
    w->in_file = w->images;
    return FV_OK;
}

int fv__writer_before_commit(void *writer)
{
    const struct fv_store_writer *w = writer;
    return w->on_commit ? w->on_commit(w->on_commit_ctx, w->in_file) : FV_OK;
}

void fv_store_on_commit(struct fv_store_writer *w, int (*fn)(void *ctx, uint64_t images), void *ctx)
{
    w->on_commit = fn;
    w->on_commit_ctx = ctx;
}

void fv__store_set_grain(struct fv_store_writer *w, size_t block_bytes, size_t commit_bytes)
{
    w->block_bytes = block_bytes;
    fv__append_file_set_grain(w->file, commit_bytes);
}

/* --- open ----------------------------------------------------------------------------------------- */

static int make_settings(struct fv_buffer *b, const struct fv_store_writer *w, const char *text)
{
    const uint32_t fixed[] = {FV_STORE_VERSION, (uint32_t)w->width, (uint32_t)w->height,
                              (uint32_t)w->codec_id, (uint32_t)strlen(text)};

    FV_TRY(fv__buffer_append(b, "FVSTORE2", 8));
    for (size_t i = 0; i < sizeof fixed / sizeof fixed[0]; i++)
        FV_TRY(fv__buffer_append32(b, fixed[i]));
    return fv__buffer_append(b, text, strlen(text));
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
    w->width = s->width;
    w->height = s->height;
    w->block_bytes = BLOCK_BYTES;
    w->path = strdup(path);
    if (!w->path)
        return fv_err(FV_ENOMEM, "out of memory");
    FV_TRY(fv_store_set_dict(w, s->dict));
    return make_settings(&w->settings, w, s->packed_with ? s->packed_with : "");
}

int fv__writer_make(struct fv_store_writer **out, const char *path,
                    const struct fv_store_settings *s)
{
    *out = calloc(1, sizeof **out);
    if (!*out)
        return fv_err(FV_ENOMEM, "out of memory");
    const int rc = init(*out, path, s);
    if (rc < 0)
        fv_store_abort(out);
    return rc;
}

int fv_store_create(struct fv_store_writer **out, const char *path,
                    const struct fv_store_settings *s, int overwrite)
{
    FV_TRY(fv__writer_make(out, path, s));
    const int rc = fv__append_file_create(&(*out)->file, path, overwrite);
    if (rc < 0) {
        fv_store_abort(out);
        return rc;
    }
    fv__append_file_before_commit((*out)->file, fv__writer_before_commit, *out);
    return FV_OK;
}

void fv_store_abort(struct fv_store_writer **writer)
{
    struct fv_store_writer *w = *writer;

    if (!w)
        return;
    fv__append_file_close(&w->file);
    fv__buffer_free(&w->settings);
    fv__buffer_free(&w->dict);
    fv__buffer_free(&w->block);
    fv__buffer_free(&w->index);
    fv__buffer_free(&w->labels);
    fv__name_table_free(&w->image_name);
    fv__name_table_free(&w->label_name);
    free(w->path);
    free(w);
    *writer = NULL;
}

int fv_store_set_dict(struct fv_store_writer *w, const struct fv_dict *dict)
{
    const struct fv_span bytes = fv__dict_bytes(dict);

    if (w->images > 0 || w->kept > 0)
        return fv_err(FV_EINVAL, "%s: a dictionary after the first record", w->path);
    w->dict.n = 0;
    return fv__buffer_append(&w->dict, bytes.p, bytes.n);
}

void fv_store_discard(struct fv_store_writer **w)
{
    if (*w)
        fv__append_file_discard(&(*w)->file);
    fv_store_abort(w);
}

const void *fv_store_writer_dict(const struct fv_store_writer *w, size_t *bytes)
{
    *bytes = w->dict.n;
    return w->dict.n ? w->dict.p : NULL;
}

/* --- content -------------------------------------------------------------------------------------- */

int fv__writer_usable(const struct fv_store_writer *w)
{
    return w->broken ? fv_err(w->broken, "%s: an earlier failure ended the writing", w->path)
                     : FV_OK;
}

/* Completes the entry of the label put last. */
int fv__writer_end_label(struct fv_store_writer *w)
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
    FV_TRY(fv__writer_usable(w));
    FV_TRY(fv__writer_end_label(w));
    FV_TRY(check_label(w, name, holdout != 0));
    const int rc = append_label(w, name, holdout != 0);
    w->broken = rc == FV_EEXIST ? FV_OK : rc;
    return rc;
}

static int check_record(const struct fv_store_writer *w, const uint8_t *record, size_t n,
                        struct fv_record *r)
{
    if (w->images < w->kept || w->complete)
        return fv_err(FV_EINVAL, "%s: a record for image %llu, where %llu images are kept", w->path,
                      (unsigned long long)w->images, (unsigned long long)w->kept);
    FV_TRY(fv__record_parse(record, n, r));
    if (r->width != w->width || r->height != w->height || r->codec != w->codec_id)
        return fv_err(FV_EINVAL, "%s: a record of %dx%d, codec %d, where %dx%d, codec %d, belongs",
                      w->path, r->width, r->height, r->codec, w->width, w->height, w->codec_id);
    return FV_OK;
}

static int check_kept(const struct fv_store_writer *w, const char *name)
{
    if (w->images < w->kept)
        return FV_OK;
    return fv_err(FV_EINVAL, "%s: image %s has no record, and none is kept", w->path, name);
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

static int add_name(struct fv_store_writer *w, const char *name)
{
    const int taken = fv__name_table_add(&w->image_name, name);
    return taken > 0 ? fv_err(FV_EEXIST, "%s: there are two images %s", w->path, name) : taken;
}

/* An image that an earlier run committed: only what its record does not say is missing. */
static int append_kept(struct fv_store_writer *w, const char *name, enum fv_split split)
{
    uint8_t *entry = w->index.p + w->images * FV_INDEX_ENTRY;
    struct fv_index_entry e;

    FV_TRY(add_name(w, name));
    fv__index_parse(entry, &e);
    e.label = (uint32_t)w->label_count - 1;
    e.split = split;
    fv__index_write(entry, &e);
    w->record_bytes += e.bytes;
    w->images++;
    return FV_OK;
}

static int append_image(struct fv_store_writer *w, const uint8_t *record, size_t n,
                        uint64_t content, const char *name, enum fv_split split)
{
    static const uint8_t zero[FV_RECORD_ALIGN];
    uint8_t entry[FV_INDEX_ENTRY];

    FV_TRY(add_name(w, name));
    if (w->block.n && w->block.n + n > w->block_bytes) {
        FV_TRY(fv__writer_flush_block(w));
        FV_TRY(fv__append_file_cut(w->file));
    }
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
    struct fv_record r = {0};

    FV_TRY(fv__writer_usable(w));
    FV_TRY(record ? check_record(w, record, n, &r) : check_kept(w, name));
    FV_TRY(check_image(w, name, split));
    const int rc =
        record ? append_image(w, record, n, r.content, name, split) : append_kept(w, name, split);
    w->broken = rc == FV_EEXIST ? FV_OK : rc;
    return rc;
}

uint64_t fv_store_content(const struct fv_store_writer *w, uint64_t image)
{
    struct fv_index_entry e = {0};

    if (image < w->images)
        fv__index_parse(w->index.p + image * FV_INDEX_ENTRY, &e);
    return e.content;
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
