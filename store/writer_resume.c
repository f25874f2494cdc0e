/* SPDX-License-Identifier: MIT */
/* Going on with what an earlier run committed. The blocks tell all that the index needs but labels and splits,
 * which the caller knows, and puts again with the names. Every record is checked: what is kept now would
 * otherwise be found bad when the data set is used.
 */
#include "common/err.h"
#include "store/record.h"
#include "store/writer.h"

#include <string.h>

static int damaged(const struct fv_store_writer *w, uint32_t block)
{
    return fv_err(FV_ECORRUPT, "%s.part: block %u is damaged: it cannot be gone on with", w->path,
                  block);
}

/* One record at the beginning of p: its whole length, rounded up, in *n. */
static int keep_record(struct fv_store_writer *w, struct fv_span p, uint32_t offset, size_t *n)
{
    struct fv_record r;
    uint8_t entry[FV_INDEX_ENTRY];

    if (p.n < FV_RECORD_HEADER || fv__record_bytes(p.p) > p.n)
        return damaged(w, w->blocks);
    const uint32_t bytes = (uint32_t)fv__record_bytes(p.p);
    if (fv__record_parse(p.p, bytes, &r) < 0 || r.width != w->width || r.height != w->height ||
        r.codec != w->codec_id || w->kept == FV_IMAGES_MAX)
        return damaged(w, w->blocks);
    const struct fv_index_entry e = {
        .block = w->blocks, .offset = offset, .bytes = bytes, .content = r.content};
    fv__index_write(entry, &e);
    w->kept++;
    *n = bytes + -bytes % FV_RECORD_ALIGN;
    return fv__buffer_append(&w->index, entry, sizeof entry);
}

static int keep_block(struct fv_store_writer *w, struct fv_span p)
{
    size_t at = 0, n = 0;

    if (p.n == 0 || p.n % FV_RECORD_ALIGN)
        return damaged(w, w->blocks);
    for (; at < p.n; at += n)
        FV_TRY(keep_record(w, (struct fv_span){p.p + at, p.n - at}, (uint32_t)at, &n));
    w->blocks++;
    return FV_OK;
}

static int same(struct fv_span a, struct fv_span b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

/* The dictionary of the earlier run stands in w->dict afterwards. */
static int check_settings(struct fv_store_writer *w)
{
    struct fv_span settings, dict = {NULL, 0};

    const int begun = fv__append_file_get(w->file, fv__writer_key("fv"), &settings);
    FV_TRY(begun);
    if (!begun)
        return fv_err(FV_ENOTFOUND, "%s.part: holds nothing yet to go on with", w->path);
    FV_TRY(fv__append_file_get(w->file, fv__writer_key("dict"), &dict));
    if (!same(settings, fv__buffer_view(&w->settings)) ||
        (w->dict.n > 0 && !same(dict, fv__buffer_view(&w->dict))))
        return fv_err(FV_ENOTFOUND,
                      "%s.part: was begun with other settings: it cannot be gone on with", w->path);
    return w->dict.n ? FV_OK : fv__buffer_append(&w->dict, dict.p, dict.n);
}

static int take_over(struct fv_store_writer *w)
{
    uint8_t key[5];
    struct fv_span value;
    uint64_t values;
    int rc;

    FV_TRY(check_settings(w));
    while ((rc = fv__append_file_get(w->file, fv__writer_block_key(key, w->blocks), &value)) > 0)
        FV_TRY(keep_block(w, value));
    FV_TRY(rc);
    w->complete = fv__append_file_get(w->file, fv__writer_key("complete"), &value);
    FV_TRY(w->complete);
    FV_TRY(fv__append_file_count(w->file, &values));
    if (values != w->blocks + 1 + (uint64_t)(w->dict.n > 0) + (w->complete ? 4u : 0u))
        return damaged(w, w->blocks);
    if (w->kept == 0)
        return fv_err(FV_ENOTFOUND, "%s.part: holds no image yet to go on with", w->path);
    w->in_file = w->kept;
    return FV_OK;
}

int fv_store_resume(struct fv_store_writer **out, const char *path,
                    const struct fv_store_settings *s, int overwrite, uint64_t *images_kept)
{
    FV_TRY(fv__writer_make(out, path, s));
    int rc = fv__append_file_resume(&(*out)->file, path, overwrite);
    if (rc >= 0)
        rc = take_over(*out);
    if (rc < 0) {
        fv_store_abort(out);
        return rc;
    }
    fv__append_file_before_commit((*out)->file, fv__writer_before_commit, *out);
    *images_kept = (*out)->kept;
    return FV_OK;
}
