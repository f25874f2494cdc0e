/* SPDX-License-Identifier: MIT */
/* A photo is one job of prep/pack/ordered.h, from its bytes to its record; the slot of a job holds the record. */
#include "prep/pack/pack_pipe.h"

#include "common/err.h"
#include "common/trace.h"
#include "prep/pack/ordered.h"
#include "prep/photo/photo.h"
#include "prep/photo/photo_bytes.h"

#include <stdlib.h>

struct slot {
    struct fv_pipe_item item;
    uint8_t *record; /* made by the slot's first job */
};

/* One thread's tools. */
struct hand {
    struct fv_photo *photo;
    struct fv_encoder *encoder;
    struct fv_photo_bytes bytes;
    uint8_t *rgb;
};

/* Bytes decide what a photo is; a name that says otherwise is worth a remark. */
static const struct fv_format *unlike_its_name(const struct fv_listed_photo *photo,
                                               const uint8_t *bytes, size_t n)
{
    const char *name = photo->path ? photo->path : photo->name;
    const struct fv_format *named = fv__format_of_name(name), *is = fv__format_of_bytes(bytes, n);
    return named && named != is ? is : NULL;
}

static int decode_one(const struct fv_pipe *p, const struct fv_listed_photo *photo, struct hand *h,
                      struct fv_pipe_item *item)
{
    uint64_t t = fv_trace_begin("read");
    int rc = fv__photo_bytes_read(&h->bytes, p->listing, photo, &item->why);
    fv_trace_end("read", t);
    t = fv_trace_begin("decode");
    if (rc == 0)
        rc = fv__photo_decode(h->photo, h->bytes.p, h->bytes.n, fv__listing_face(p->listing, photo),
                              h->rgb, &item->why);
    fv_trace_end("decode", t);
    item->unlike = rc == 0 ? unlike_its_name(photo, h->bytes.p, h->bytes.n) : NULL;
    item->refused = rc == 1;
    return rc < 0 ? rc : 0;
}

/* A file that already is what would be stored keeps its pixels to the bit: encoding it again would not. */
static int encode_one(struct hand *h, struct slot *s)
{
    uint64_t t = fv_trace_begin("encode");
    int rc = 1;
    if (fv_encoder_adopts(h->encoder) && fv__photo_is_finished_jpeg(h->photo))
        rc = fv_encoder_adopt(h->encoder, h->bytes.p, h->bytes.n, s->record, &s->item.n);
    s->item.kept = rc == 0;
    if (rc == 1)
        rc = fv_encoder_write(h->encoder, h->rgb, s->record, &s->item.n);
    fv_trace_end("encode", t);
    return rc;
}

static int open_hand(void *ctx, void **hand)
{
    const struct fv_pipe *p = ctx;
    const size_t pixels = (size_t)p->store->width * (size_t)p->store->height * 3;
    struct hand *h = calloc(1, sizeof *h);
    if (!(*hand = h) || !(h->rgb = malloc(pixels)))
        return fv_err(FV_ENOMEM, "out of memory for a photo");
    FV_TRY(fv__photo_open(&h->photo, p->framing));
    return fv_encoder_open(&h->encoder, p->store);
}

static void close_hand(void *hand)
{
    struct hand *h = hand;
    if (!h)
        return;
    fv_encoder_close(&h->encoder);
    fv__photo_close(&h->photo);
    fv__photo_bytes_free(&h->bytes);
    free(h->rgb);
    free(h);
}

static int work(void *ctx, void *hand, uint64_t job, void *slot)
{
    const struct fv_pipe *p = ctx;
    struct hand *h = hand;
    struct slot *s = slot;
    if (!s->record)
        s->item.record = s->record = malloc(fv_encoder_bound(h->encoder));
    if (!s->record)
        return fv_err(FV_ENOMEM, "out of memory for a record");
    int rc = decode_one(p, p->photo[p->first + job], h, &s->item);
    if (rc == 0 && !s->item.refused)
        rc = encode_one(h, s);
    fv__photo_bytes_done(&h->bytes);
    return rc;
}

static int sink(void *ctx, uint64_t job, void *slot)
{
    const struct fv_pipe *p = ctx;
    const struct slot *s = slot;
    const uint64_t t = fv_trace_begin("write");
    const int rc = p->sink(p->ctx, p->first + job, &s->item);
    fv_trace_end("write", t);
    return rc;
}

static void close_slot(void *slot)
{
    free(((struct slot *)slot)->record);
}

int fv__pipe_run(const struct fv_pipe *p)
{
    struct fv_pipe pipe = *p;
    return fv__ordered_run(&(struct fv_ordered){.jobs = p->photos - p->first,
                                                .threads = p->threads,
                                                .ctx = &pipe,
                                                .open_hand = open_hand,
                                                .close_hand = close_hand,
                                                .work = work,
                                                .sink = sink,
                                                .close_slot = close_slot,
                                                .slot_bytes = sizeof(struct slot)});
}
