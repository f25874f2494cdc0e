/* SPDX-License-Identifier: MIT */
/* `pixels`: lossless, for speed. Its content is the image behind the filter of pixel_filter.h. */
#include "common/err.h"
#include "store/codec.h"
#include "store/pixel_filter.h"

#include <stdlib.h>

struct pixels {
    int width, height;
    size_t bytes; /* of one image */
    fv_unfilter_fn unfilter;
};

static void pixels_close(void *ctx)
{
    free(ctx);
}

static int pixels_open(void **ctx, const struct fv_codec_settings *s)
{
    struct pixels *p = calloc(1, sizeof *p);

    if (!p)
        return fv_err(FV_ENOMEM, "out of memory");
    p->width = s->width;
    p->height = s->height;
    p->bytes = (size_t)s->width * (size_t)s->height * 3;
    p->unfilter = fv__pixels_unfilter();
    *ctx = p;
    return FV_OK;
}

static size_t pixels_bound(const void *ctx)
{
    return ((const struct pixels *)ctx)->bytes;
}

static int pixels_encode(void *ctx, const uint8_t *rgb, uint8_t *content, size_t *n)
{
    const struct pixels *p = ctx;

    fv__pixels_filter(rgb, p->width, p->height, content);
    *n = p->bytes;
    return FV_OK;
}

static int pixels_decode(void *ctx, uint8_t *content, size_t n, uint8_t *rgb)
{
    const struct pixels *p = ctx;

    if (n != p->bytes)
        return fv_err(FV_ECORRUPT, "%zu bytes of pixels where %zu belong", n, p->bytes);
    p->unfilter(content, p->width, p->height, rgb);
    return FV_OK;
}

const struct fv_codec fv_codec_pixels = {
    .name = "pixels",
    .help = "lossless: row and colour differences, then zstd; fastest to read",
    .id = 1,
    .open = pixels_open,
    .close = pixels_close,
    .bound = pixels_bound,
    .encode = pixels_encode,
    .decode = pixels_decode,
};
