/* SPDX-License-Identifier: MIT */
#include "store/recode.h"
#include "common/err.h"
#include "store/coder.h"
#include "store/frame.h"
#include "store/reader.h"

#include <stdlib.h>
#include <string.h>

struct fv_recoder {
    const struct fv_store *from;
    const struct fv_dict *dict;
    int level;
    struct fv_decoder *decoder; /* these come with the first record to be made anew */
    struct fv_frame *frame;
    uint8_t *record;
    size_t room;
};

int fv__recode_dict(struct fv_dict **out, const struct fv_store *from, int level)
{
    struct fv_stored stored = {0};

    *out = NULL;
    for (uint64_t i = 0; i < fv_store_info(from)->images && !stored.dict; i++)
        FV_TRY(fv__store_record(from, i, &stored));
    const struct fv_span dict = fv__dict_bytes(stored.dict);
    return dict.n ? fv_dict_open(out, dict.p, dict.n, level) : FV_OK;
}

int fv__recoder_open(struct fv_recoder **out, const struct fv_store *from,
                     const struct fv_dict *dict, int level)
{
    struct fv_recoder *r = calloc(1, sizeof *r);

    *out = r;
    if (!r)
        return fv_err(FV_ENOMEM, "out of memory");
    r->from = from;
    r->dict = dict;
    r->level = level;
    return FV_OK;
}

void fv__recoder_close(struct fv_recoder **recoder)
{
    struct fv_recoder *r = *recoder;

    if (!r)
        return;
    fv_decoder_close(&r->decoder);
    fv__frame_close(&r->frame);
    free(r->record);
    free(r);
    *recoder = NULL;
}

static int is_same(const struct fv_dict *a, const struct fv_dict *b)
{
    const struct fv_span p = fv__dict_bytes(a), q = fv__dict_bytes(b);

    return p.n == q.n && (p.n == 0 || p.p == q.p || memcmp(p.p, q.p, p.n) == 0);
}

static int make_room(struct fv_recoder *r, size_t n)
{
    if (n <= r->room)
        return FV_OK;
    uint8_t *p = realloc(r->record, n);
    if (!p)
        return fv_err(FV_ENOMEM, "out of memory for a record of %zu bytes", n);
    r->record = p;
    r->room = n;
    return FV_OK;
}

static int make_anew(struct fv_recoder *r, uint64_t image, const struct fv_record *old,
                     struct fv_span *record)
{
    struct fv_span content;
    struct fv_record made = *old;
    size_t n;

    if (!r->decoder)
        FV_TRY(fv_decoder_open(&r->decoder, r->from));
    if (!r->frame)
        FV_TRY(fv__frame_open(&r->frame, r->level));
    FV_TRY(fv__decoder_content(r->decoder, image, &content));
    FV_TRY(make_room(r, FV_RECORD_HEADER + fv__frame_bound(content.n)));
    FV_TRY(fv__frame_pack(r->frame, r->dict, content, r->record + FV_RECORD_HEADER, &n));
    made.payload_bytes = (uint32_t)n;
    fv__record_seal(r->record, &made);
    *record = (struct fv_span){r->record, FV_RECORD_HEADER + n};
    return 1;
}

/* The record as it is stored, whole and the one that the index promises. */
static int find_record(const struct fv_recoder *r, uint64_t image, struct fv_stored *stored,
                       struct fv_record *old)
{
    FV_TRY(fv__store_record(r->from, image, stored));
    FV_TRY(fv__record_parse(stored->record.p, stored->record.n, old));
    if (old->content != stored->content)
        return fv_err(FV_ECORRUPT, "the record belongs to another image or data set");
    return FV_OK;
}

static int explain(const struct fv_recoder *r, uint64_t image, int rc)
{
    struct fv_store_image im;
    char why[FV_ERR_TEXT_MAX];

    fv_err_save(why);
    FV_TRY(fv_store_image(r->from, image, &im));
    return fv_err(rc, "%s: image %llu (%s): %s", fv_store_path(r->from), (unsigned long long)image,
                  im.name, why);
}

int fv__recoder_read(struct fv_recoder *r, uint64_t image, struct fv_span *record)
{
    struct fv_stored stored;
    struct fv_record old;
    const int rc = find_record(r, image, &stored, &old);

    if (rc < 0)
        return explain(r, image, rc);
    if (!is_same(stored.dict, r->dict))
        return make_anew(r, image, &old, record);
    *record = stored.record;
    return FV_OK;
}
