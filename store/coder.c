/* SPDX-License-Identifier: MIT */
/* fv_encoder and fv_decoder: a codec's context, zstd around its content, and the record around that. */
#include "store/coder.h"
#include "common/err.h"
#include "store/codec.h"
#include "store/frame.h"
#include "store/reader.h"
#include "store/record.h"
#include "store/store.h"

#include <stdlib.h>
#include <string.h>

/* One thread's tools, for either direction. */
struct coder {
    const struct fv_codec *codec;
    void *ctx;
    struct fv_frame *frame;
    const struct fv_dict *dict; /* may be NULL */
    uint8_t *content;           /* scratch for (room) bytes */
    size_t room;
    int width, height;
};

struct fv_encoder {
    struct coder c;
};

struct fv_decoder {
    struct coder c;
    const struct fv_store *store;
};

static void coder_close(struct coder *c)
{
    if (c->codec)
        c->codec->close(c->ctx);
    fv__frame_close(&c->frame);
    free(c->content);
}

/* Half-built on failure. */
static int coder_open(struct coder *c, const struct fv_store_settings *s)
{
    c->width = s->width;
    c->height = s->height;
    c->dict = s->dict;
    c->codec = fv__codec_by_name(s->codec);
    if (!c->codec)
        return FV_ENOTFOUND;
    FV_TRY(fv__codec_check_quality(c->codec, s->quality));
    const struct fv_codec_settings codec = {s->width, s->height,
                                            s->quality ? s->quality : c->codec->quality};
    FV_TRY(c->codec->open(&c->ctx, &codec));
    FV_TRY(fv__frame_open(&c->frame, s->level));
    c->room = c->codec->bound(c->ctx);
    c->content = malloc(c->room);
    return c->content ? FV_OK
                      : fv_err(FV_ENOMEM, "out of memory for images of %dx%d", s->width, s->height);
}

/* --- writing -------------------------------------------------------------------------------------- */

int fv_encoder_open(struct fv_encoder **out, const struct fv_store_settings *s)
{
    *out = NULL;
    if (s->width < 1 || s->width > FV_SIDE_MAX || s->height < 1 || s->height > FV_SIDE_MAX)
        return fv_err(FV_EINVAL, "images of %dx%d: sides must be within 1 to %d pixels", s->width,
                      s->height, FV_SIDE_MAX);
    struct fv_encoder *e = calloc(1, sizeof *e);
    if (!e)
        return fv_err(FV_ENOMEM, "out of memory");
    const int rc = coder_open(&e->c, s);
    if (rc < 0) {
        fv_encoder_close(&e);
        return rc;
    }
    *out = e;
    return FV_OK;
}

void fv_encoder_close(struct fv_encoder **e)
{
    if (!*e)
        return;
    coder_close(&(*e)->c);
    free(*e);
    *e = NULL;
}

size_t fv_encoder_bound(const struct fv_encoder *e)
{
    return FV_RECORD_HEADER + fv__frame_bound(e->c.room);
}

/* The record of the content that was just made. */
static int seal(const struct coder *c, size_t bytes, uint8_t *dst, size_t *n)
{
    const struct fv_span content = {c->content, bytes};
    size_t payload;

    FV_TRY(fv__frame_pack(c->frame, c->dict, content, dst + FV_RECORD_HEADER, &payload));
    const struct fv_record r = {.content = fv__content_hash(content.p, content.n),
                                .width = c->width,
                                .height = c->height,
                                .codec = c->codec->id,
                                .payload_bytes = (uint32_t)payload};
    fv__record_seal(dst, &r);
    *n = FV_RECORD_HEADER + payload;
    return FV_OK;
}

int fv_encoder_write(struct fv_encoder *e, const uint8_t *rgb, uint8_t *dst, size_t *n)
{
    struct coder *c = &e->c;
    size_t bytes;

    FV_TRY(c->codec->encode(c->ctx, rgb, c->content, &bytes));
    return seal(c, bytes, dst, n);
}

int fv_encoder_adopts(const struct fv_encoder *e)
{
    return e->c.codec->adopt != NULL;
}

int fv_encoder_adopt(struct fv_encoder *e, const uint8_t *file, size_t bytes, uint8_t *dst,
                     size_t *n)
{
    struct coder *c = &e->c;
    size_t kept;

    if (!fv_encoder_adopts(e))
        return 1;
    const int rc = c->codec->adopt(c->ctx, file, bytes, c->content, &kept);
    return rc == FV_OK ? seal(c, kept, dst, n) : rc;
}

/* --- reading -------------------------------------------------------------------------------------- */

int fv_decoder_open(struct fv_decoder **out, const struct fv_store *s)
{
    const struct fv_store_info *info = fv_store_info(s);

    *out = NULL;
    struct fv_decoder *d = calloc(1, sizeof *d);
    if (!d)
        return fv_err(FV_ENOMEM, "out of memory");
    d->store = s;
    const int rc =
        coder_open(&d->c, &(struct fv_store_settings){
                              .height = info->height, .width = info->width, .codec = info->codec});
    if (rc < 0) {
        fv_decoder_close(&d);
        return rc;
    }
    *out = d;
    return FV_OK;
}

void fv_decoder_close(struct fv_decoder **d)
{
    if (!*d)
        return;
    coder_close(&(*d)->c);
    free(*d);
    *d = NULL;
}

static int unpack_record(struct fv_decoder *d, uint64_t image, int prove, size_t *n)
{
    struct coder *c = &d->c;
    struct fv_stored stored;
    struct fv_record r;

    FV_TRY(fv__store_record(d->store, image, &stored));
    FV_TRY(fv__record_parse(stored.record.p, stored.record.n, &r));
    if (r.content != stored.content || r.width != c->width || r.height != c->height ||
        r.codec != c->codec->id)
        return fv_err(FV_ECORRUPT, "the record belongs to another image or data set");
    FV_TRY(fv__frame_unpack(c->frame, stored.dict, (struct fv_span){r.payload, r.payload_bytes},
                            c->content, c->room, n));
    if (prove && fv__content_hash(c->content, *n) != r.content)
        return fv_err(FV_ECORRUPT, "its content is not what was packed");
    return FV_OK;
}

/* Puts file and image in front of what was wrong. */
static int explain(const struct fv_decoder *d, uint64_t image, int rc)
{
    struct fv_store_image im;

    if (rc >= 0)
        return rc;
    char why[FV_ERR_TEXT_MAX];
    fv_err_save(why);
    if (fv_store_image(d->store, image, &im) < 0)
        return fv_err(rc, "%s", why);
    return fv_err(rc, "%s: image %llu (%s): %s", fv_store_path(d->store), (unsigned long long)image,
                  im.name, why);
}

static int read_image(struct fv_decoder *d, uint64_t image, uint8_t *rgb, int prove)
{
    size_t n;
    int rc = unpack_record(d, image, prove, &n);

    if (rc >= 0)
        rc = d->c.codec->decode(d->c.ctx, d->c.content, n, rgb);
    return explain(d, image, rc);
}

int fv_decoder_read(struct fv_decoder *d, uint64_t image, uint8_t *rgb)
{
    return read_image(d, image, rgb, 0);
}

/* Within the picture as it is when reduced. */
static int check_region(const struct coder *c, const struct fv_region *p)
{
    if (p->shift < 0 || p->shift > FV_REGION_SHIFT_MAX)
        return fv_err(FV_EINVAL, "a picture can be halved 0 to %d times, not %d",
                      FV_REGION_SHIFT_MAX, p->shift);
    const int w = fv_region_side(c->width, p->shift), h = fv_region_side(c->height, p->shift);
    if (p->x < 0 || p->y < 0 || p->w < 1 || p->h < 1 || p->x > w - p->w || p->y > h - p->h)
        return fv_err(FV_EINVAL, "a part of %dx%d at (%d, %d) is not within a picture of %dx%d",
                      p->w, p->h, p->x, p->y, w, h);
    return FV_OK;
}

int fv_decoder_read_region(struct fv_decoder *d, uint64_t image, const struct fv_region *want,
                           uint8_t *rgb, struct fv_region *got)
{
    struct coder *c = &d->c;
    size_t n;

    FV_TRY(check_region(c, want));
    *got = (struct fv_region){.w = c->width, .h = c->height};
    if (!c->codec->decode_region || memcmp(want, got, sizeof *got) == 0)
        return fv_decoder_read(d, image, rgb);
    *got = *want;
    int rc = unpack_record(d, image, 0, &n);
    if (rc >= 0)
        rc = c->codec->decode_region(c->ctx, c->content, n, want, rgb);
    return explain(d, image, rc);
}

int fv__decoder_prove(struct fv_decoder *d, uint64_t image, uint8_t *rgb)
{
    return read_image(d, image, rgb, 1);
}

int fv__decoder_content(struct fv_decoder *d, uint64_t image, struct fv_span *content)
{
    size_t n = 0;
    const int rc = unpack_record(d, image, 1, &n);

    *content = (struct fv_span){d->c.content, n};
    return explain(d, image, rc);
}
