/* SPDX-License-Identifier: MIT */
/* The end of writing: the last block and all tables go into one transaction, so that a data set is complete or has
 * records only, wherever a run is stopped. */
#include "common/err.h"
#include "store/digest.h"
#include "store/record.h"
#include "store/writer.h"

#include <string.h>

struct fv_span fv__writer_key(const char *name)
{
    return (struct fv_span){(const uint8_t *)name, strlen(name)};
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

enum { TABLES = 4 };

/* In the order in which they are put; the mark of completion is the last. */
struct entry {
    const char *key;
    struct fv_span value;
};

static int put_tables(struct fv_store_writer *w, const struct entry *e)
{
    size_t bytes = w->block.n + 4096;

    for (int i = 0; i < TABLES; i++)
        bytes += e[i].value.n + 4096;
    FV_TRY(fv__append_file_begin_last(w->file, bytes));
    FV_TRY(fv__writer_flush_block(w));
    for (int i = 0; i < TABLES; i++)
        FV_TRY(fv__append_file_put(w->file, fv__writer_key(e[i].key), e[i].value));
    return FV_OK;
}

/* A run that was stopped between its last commit and the renaming has put them. */
static int compare_tables(struct fv_store_writer *w, const struct entry *e)
{
    for (int i = 0; i < TABLES; i++) {
        struct fv_span found;
        const int rc = fv__append_file_get(w->file, fv__writer_key(e[i].key), &found);
        FV_TRY(rc);
        if (!rc || found.n != e[i].value.n || memcmp(found.p, e[i].value.p, found.n) != 0)
            return fv_err(FV_EINVAL,
                          "%s.part: is finished, but with other identities, names or splits: begin "
                          "anew",
                          w->path);
    }
    return FV_OK;
}

static int write_tables(struct fv_store_writer *w, const struct fv_tables *t)
{
    uint8_t complete[FV_COMPLETE_BYTES];
    struct fv_complete_record c = {
        .images = w->images,
        .labels = w->label_count,
        .blocks = w->blocks + (w->block.n > 0),
        .record_bytes = w->record_bytes,
    };
    const struct entry entry[TABLES] = {{"index", t->index},
                                        {"labels", t->labels},
                                        {"names", t->names},
                                        {"complete", {complete, sizeof complete}}};

    FV_TRY(fv__tables_digest(&c.digest, t));
    FV_TRY(fv__tables_checksum(&c.tables, t));
    fv__complete_write(complete, &c);
    return w->complete ? compare_tables(w, entry) : put_tables(w, entry);
}

static int make_and_write_tables(struct fv_store_writer *w)
{
    struct fv_buffer labels = {0}, names = {0};

    int rc = make_labels(&labels, w);
    if (rc >= 0)
        rc = make_names(&names, w);
    const struct fv_tables t = {fv__buffer_view(&w->settings), fv__buffer_view(&w->index),
                                fv__buffer_view(&labels), fv__buffer_view(&names),
                                fv__buffer_view(&w->dict)};
    if (rc >= 0)
        rc = write_tables(w, &t);
    fv__buffer_free(&labels);
    fv__buffer_free(&names);
    return rc;
}

static int finish(struct fv_store_writer *w)
{
    FV_TRY(fv__writer_usable(w));
    FV_TRY(fv__writer_end_label(w));
    if (w->images == 0)
        return fv_err(FV_EINVAL, "%s: no image was packed", w->path);
    if (w->images < w->kept)
        return fv_err(FV_EINVAL, "%s: only %llu of the %llu images that were kept are put again",
                      w->path, (unsigned long long)w->images, (unsigned long long)w->kept);
    FV_TRY(make_and_write_tables(w));
    return fv__append_file_finish(w->file);
}

int fv_store_finish(struct fv_store_writer **w)
{
    const int rc = finish(*w);

    fv_store_abort(w);
    return rc;
}
