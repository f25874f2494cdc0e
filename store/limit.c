/* SPDX-License-Identifier: MIT */
#include "store/limit.h"
#include "common/err.h"
#include "store/codec.h"
#include "store/coder.h"
#include "store/frame.h"
#include "store/reader.h"
#include "store/store.h"

#include <stdlib.h>
#include <string.h>

int fv_limit_record(const struct fv_store *s, uint64_t image, int check, const uint8_t **record,
                    size_t *n)
{
    struct fv_stored stored;
    struct fv_record r;

    FV_TRY(fv__store_record(s, image, &stored));
    if (check)
        FV_TRY(fv__record_parse(stored.record.p, stored.record.n, &r));
    *record = stored.record.p;
    *n = stored.record.n;
    return FV_OK;
}

struct fv_decode_limit {
    const struct fv_codec *codec;
    void *ctx;
    struct fv_frame *frame;
    uint8_t *content; /* scratch for (room) bytes */
    size_t room, items;
    struct item {
        struct fv_span from;
        const struct fv_dict *dict;
        uint8_t *held; /* where `from` is the limit's own copy */
    } * item;
};

static int hold_content(struct item *it, struct fv_decoder *d, uint64_t image)
{
    struct fv_span content;

    FV_TRY(fv__decoder_content(d, image, &content));
    it->held = malloc(content.n);
    if (!it->held)
        return fv_err(FV_ENOMEM, "out of memory for %zu bytes of an image", content.n);
    memcpy(it->held, content.p, content.n);
    it->from = (struct fv_span){it->held, content.n};
    return FV_OK;
}

static int point_at_frame(struct item *it, const struct fv_store *s, uint64_t image)
{
    struct fv_stored stored;
    struct fv_record r;

    FV_TRY(fv__store_record(s, image, &stored));
    FV_TRY(fv__record_parse(stored.record.p, stored.record.n, &r));
    it->from = (struct fv_span){r.payload, r.payload_bytes};
    it->dict = stored.dict;
    return FV_OK;
}

static int fill(struct fv_decode_limit *l, const struct fv_store *s, const uint64_t *image)
{
    struct fv_decoder *d = NULL;
    int rc = fv_decoder_open(&d, s);

    for (size_t i = 0; rc >= 0 && i < l->items; i++)
        rc = l->codec->library ? hold_content(&l->item[i], d, image[i])
                               : point_at_frame(&l->item[i], s, image[i]);
    fv_decoder_close(&d);
    return rc;
}

static int open_all(struct fv_decode_limit *l, const struct fv_store *s, const uint64_t *image)
{
    const struct fv_store_info *info = fv_store_info(s);
    const struct fv_codec_settings set = {info->width, info->height, 0};

    l->codec = fv__codec_by_name(info->codec);
    if (!l->codec)
        return FV_ENOTFOUND;
    FV_TRY(l->codec->open(&l->ctx, &set));
    FV_TRY(fv__frame_open(&l->frame, 0));
    l->room = l->codec->bound(l->ctx);
    l->content = malloc(l->room);
    l->item = calloc(l->items, sizeof *l->item);
    if (!l->content || !l->item)
        return fv_err(FV_ENOMEM, "out of memory for %zu images", l->items);
    return fill(l, s, image);
}

int fv_decode_limit_open(struct fv_decode_limit **out, const struct fv_store *s,
                         const uint64_t *image, size_t n)
{
    *out = NULL;
    struct fv_decode_limit *l = calloc(1, sizeof *l);
    if (!l)
        return fv_err(FV_ENOMEM, "out of memory");
    l->items = n;
    const int rc = open_all(l, s, image);
    if (rc < 0)
        fv_decode_limit_close(&l);
    *out = l;
    return rc;
}

void fv_decode_limit_close(struct fv_decode_limit **limit)
{
    struct fv_decode_limit *l = *limit;

    if (!l)
        return;
    for (size_t i = 0; l->item && i < l->items; i++)
        free(l->item[i].held);
    if (l->codec)
        l->codec->close(l->ctx);
    fv__frame_close(&l->frame);
    free(l->content);
    free(l->item);
    free(l);
    *limit = NULL;
}

const char *fv_decode_limit_name(const struct fv_decode_limit *l)
{
    return l->codec->library ? l->codec->library : "zstd";
}

int fv_decode_limit_run(struct fv_decode_limit *l, size_t i, uint8_t *rgb)
{
    const struct item *it = &l->item[i];
    size_t n;

    if (!l->codec->library)
        return fv__frame_unpack(l->frame, it->dict, it->from, l->content, l->room, &n);
    memcpy(l->content, it->from.p, it->from.n); /* decoding may destroy it */
    return l->codec->decode(l->ctx, l->content, it->from.n, rgb);
}
