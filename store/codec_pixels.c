/* SPDX-License-Identifier: MIT */
/* `pixels`: lossless, for speed. The filter of pixel_filter.h, then one zstd frame. The frame carries no
 * checksum of its own: the record's covers it. */
#include "common/err.h"
#include "store/codec.h"
#include "store/pixel_filter.h"

#include <stdlib.h>
#include <zstd.h>

struct pixels {
    int width, height, level;
    size_t bytes; /* of one image */
    fv_unfilter_fn unfilter;
    ZSTD_CCtx *c; /* made by the first encode: decoders never need it */
    ZSTD_DCtx *d;
    uint8_t *planes;
};

static void pixels_close(void *ctx)
{
    struct pixels *p = ctx;

    if (!p)
        return;
    ZSTD_freeCCtx(p->c);
    ZSTD_freeDCtx(p->d);
    free(p->planes);
    free(p);
}

static int pixels_open(void **ctx, int width, int height, int level)
{
    struct pixels *p = calloc(1, sizeof *p);

    if (!p)
        return fv_err(FV_ENOMEM, "out of memory");
    p->width = width;
    p->height = height;
    p->level = level;
    p->bytes = (size_t)width * (size_t)height * 3;
    p->unfilter = fv__pixels_unfilter();
    p->d = ZSTD_createDCtx();
    p->planes = malloc(p->bytes);
    if (!p->d || !p->planes) {
        pixels_close(p);
        return fv_err(FV_ENOMEM, "out of memory for images of %dx%d", width, height);
    }
    *ctx = p;
    return FV_OK;
}

static size_t pixels_bound(const void *ctx)
{
    return ZSTD_compressBound(((const struct pixels *)ctx)->bytes);
}

static int pixels_encode(void *ctx, const uint8_t *rgb, uint8_t *dst, size_t *n)
{
    struct pixels *p = ctx;

    if (!p->c && !(p->c = ZSTD_createCCtx()))
        return fv_err(FV_ENOMEM, "out of memory for zstd");
    fv__pixels_filter(rgb, p->width, p->height, p->planes);
    const size_t size =
        ZSTD_compressCCtx(p->c, dst, ZSTD_compressBound(p->bytes), p->planes, p->bytes, p->level);
    if (ZSTD_isError(size))
        return fv_err(FV_EINVAL, "zstd level %d: %s", p->level, ZSTD_getErrorName(size));
    *n = size;
    return FV_OK;
}

static int pixels_decode(void *ctx, const uint8_t *src, size_t n, uint8_t *rgb)
{
    struct pixels *p = ctx;
    const size_t size = ZSTD_decompressDCtx(p->d, p->planes, p->bytes, src, n);

    if (ZSTD_isError(size))
        return fv_err(FV_ECORRUPT, "zstd: %s", ZSTD_getErrorName(size));
    if (size != p->bytes)
        return fv_err(FV_ECORRUPT, "%zu bytes of pixels where %zu belong", size, p->bytes);
    p->unfilter(p->planes, p->width, p->height, rgb);
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
