/* SPDX-License-Identifier: MIT */
/* fv_encoder and fv_decoder: a codec's context and the record around its payload. */
#include "common/err.h"
#include "store/codec.h"
#include "store/reader.h"
#include "store/record.h"
#include "store/store.h"

#include <stdlib.h>

struct fv_encoder {
    const struct fv_codec *codec;
    void *ctx;
    int width, height;
};

struct fv_decoder {
    const struct fv_store *store;
    const struct fv_codec *codec;
    void *ctx;
};

int fv_encoder_open(struct fv_encoder **out, const struct fv_store_settings *s)
{
    *out = NULL;
    if (s->width < 1 || s->width > FV_SIDE_MAX || s->height < 1 || s->height > FV_SIDE_MAX)
        return fv_err(FV_EINVAL, "images of %dx%d: sides must be within 1 to %d pixels", s->width,
                      s->height, FV_SIDE_MAX);
    struct fv_encoder *e = calloc(1, sizeof *e);
    if (!e)
        return fv_err(FV_ENOMEM, "out of memory");
    e->width = s->width;
    e->height = s->height;
    e->codec = fv__codec_by_name(s->codec);
    const int rc = e->codec ? e->codec->open(&e->ctx, s->width, s->height, s->level) : FV_ENOTFOUND;
    if (rc < 0) {
        free(e);
        return rc;
    }
    *out = e;
    return FV_OK;
}

void fv_encoder_close(struct fv_encoder **e)
{
    if (!*e)
        return;
    (*e)->codec->close((*e)->ctx);
    free(*e);
    *e = NULL;
}

size_t fv_encoder_bound(const struct fv_encoder *e)
{
    return FV_RECORD_HEADER + e->codec->bound(e->ctx);
}

int fv_encoder_write(struct fv_encoder *e, const uint8_t *rgb, uint32_t image, uint8_t *dst,
                     size_t *n)
{
    size_t payload;

    FV_TRY(e->codec->encode(e->ctx, rgb, dst + FV_RECORD_HEADER, &payload));
    const struct fv_record r = {.image = image,
                                .width = e->width,
                                .height = e->height,
                                .codec = e->codec->id,
                                .payload_bytes = (uint32_t)payload};
    fv__record_seal(dst, &r);
    *n = FV_RECORD_HEADER + payload;
    return FV_OK;
}

int fv_decoder_open(struct fv_decoder **out, const struct fv_store *s)
{
    const struct fv_store_info *info = fv_store_info(s);

    *out = NULL;
    struct fv_decoder *d = calloc(1, sizeof *d);
    if (!d)
        return fv_err(FV_ENOMEM, "out of memory");
    d->store = s;
    d->codec = fv__codec_by_name(info->codec);
    const int rc = d->codec ? d->codec->open(&d->ctx, info->width, info->height, 0) : FV_ENOTFOUND;
    if (rc < 0) {
        free(d);
        return rc;
    }
    *out = d;
    return FV_OK;
}

void fv_decoder_close(struct fv_decoder **d)
{
    if (!*d)
        return;
    (*d)->codec->close((*d)->ctx);
    free(*d);
    *d = NULL;
}

static int read_record(struct fv_decoder *d, uint64_t image, uint8_t *rgb)
{
    const struct fv_store_info *info = fv_store_info(d->store);
    const uint8_t *bytes;
    size_t n;
    struct fv_record r;

    FV_TRY(fv__store_record(d->store, image, &bytes, &n));
    FV_TRY(fv__record_parse(bytes, n, &r));
    if (r.image != image || r.width != info->width || r.height != info->height ||
        r.codec != d->codec->id)
        return fv_err(FV_ECORRUPT, "the record belongs to another image or data set");
    return d->codec->decode(d->ctx, r.payload, r.payload_bytes, rgb);
}

int fv_decoder_read(struct fv_decoder *d, uint64_t image, uint8_t *rgb)
{
    const int rc = read_record(d, image, rgb);
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
