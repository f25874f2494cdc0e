/* SPDX-License-Identifier: MIT */
/* JPEG: what codec jpeg would store, which is a file as it is. */
#include "common/err.h"
#include "prep/export/export.h"
#include "store/codec.h"

#include <stdlib.h>

struct jpeg {
    const struct fv_codec *codec;
    void *ctx;
    uint8_t *file;
};

static int open_codec(struct jpeg *j, int width, int height, int quality)
{
    j->codec = fv__codec_by_name("jpeg");
    if (!j->codec)
        return FV_ENOTFOUND;
    const struct fv_codec_settings settings = {width, height,
                                               quality ? quality : j->codec->quality};
    FV_TRY(j->codec->open(&j->ctx, &settings));
    j->file = malloc(j->codec->bound(j->ctx));
    return j->file ? 0 : fv_err(FV_ENOMEM, "out of memory for images of %dx%d", width, height);
}

static int jpeg_open(void **ctx, int width, int height, int quality)
{
    struct jpeg *j = calloc(1, sizeof *j);
    if (!(*ctx = j))
        return fv_err(FV_ENOMEM, "out of memory");
    return open_codec(j, width, height, quality);
}

static void jpeg_close(void *ctx)
{
    struct jpeg *j = ctx;
    if (!j)
        return;
    if (j->codec)
        j->codec->close(j->ctx);
    free(j->file);
    free(j);
}

static int jpeg_encode(void *ctx, const uint8_t *rgb, struct fv_buffer *out)
{
    struct jpeg *j = ctx;
    size_t n;
    FV_TRY(j->codec->encode(j->ctx, rgb, j->file, &n));
    out->n = 0;
    return fv__buffer_append(out, j->file, n);
}

const struct fv_image_file fv_image_file_jpeg = {
    .name = "jpeg",
    .help = "JPEG: small; as it is stored in sets of codec jpeg",
    .suffix = ".jpg",
    .takes_quality = 1,
    .open = jpeg_open,
    .encode = jpeg_encode,
    .close = jpeg_close,
};
