/* SPDX-License-Identifier: MIT */
/* PNG by libspng: 8-bit RGB, nothing but pixels, so that reading it back gives them exactly. On face photographs
 * deflate's level 6 makes files 1 % smaller than level 4 and takes half as long again.
 */
#include "common/err.h"
#include "prep/export/export.h"

#include <spng.h>
#include <stdlib.h>

enum { DEFLATE_LEVEL = 4 };

struct png {
    int width, height;
};

static int png_open(void **ctx, int width, int height, int quality)
{
    struct png *p = malloc(sizeof *p);
    (void)quality;
    if (!p)
        return fv_err(FV_ENOMEM, "out of memory");
    *p = (struct png){width, height};
    *ctx = p;
    return 0;
}

static void png_close(void *ctx)
{
    free(ctx);
}

static int encode(const struct png *p, spng_ctx *spng, const uint8_t *rgb, void **file, size_t *n)
{
    struct spng_ihdr head = {.width = (uint32_t)p->width,
                             .height = (uint32_t)p->height,
                             .bit_depth = 8,
                             .color_type = SPNG_COLOR_TYPE_TRUECOLOR};
    int rc = spng_set_option(spng, SPNG_ENCODE_TO_BUFFER, 1);
    if (!rc)
        rc = spng_set_option(spng, SPNG_IMG_COMPRESSION_LEVEL, DEFLATE_LEVEL);
    if (!rc)
        rc = spng_set_ihdr(spng, &head);
    if (!rc)
        rc = spng_encode_image(spng, rgb, (size_t)p->width * (size_t)p->height * 3, SPNG_FMT_PNG,
                               SPNG_ENCODE_FINALIZE);
    if (!rc)
        *file = spng_get_png_buffer(spng, n, &rc);
    return rc;
}

static int png_encode(void *ctx, const uint8_t *rgb, struct fv_buffer *out)
{
    spng_ctx *spng = spng_ctx_new(SPNG_CTX_ENCODER);
    void *file = NULL;
    size_t n = 0;
    int rc = spng ? encode(ctx, spng, rgb, &file, &n) : SPNG_EMEM;
    spng_ctx_free(spng);
    out->n = 0;
    if (rc)
        rc = fv_err(rc == SPNG_EMEM ? FV_ENOMEM : FV_EBACKEND, "cannot make a PNG: %s",
                    spng_strerror(rc));
    else
        rc = fv__buffer_append(out, file, n);
    free(file);
    return rc;
}

const struct fv_image_file fv_image_file_png = {
    .name = "png",
    .help = "PNG: exactly the pixels",
    .suffix = ".png",
    .open = png_open,
    .encode = png_encode,
    .close = png_close,
};
