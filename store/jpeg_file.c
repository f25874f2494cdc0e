/* SPDX-License-Identifier: MIT */
#include "store/jpeg_file.h"

#include "common/err.h"
#include "store/codec.h"

#include <stdlib.h>

int fv_jpeg_file_make(uint8_t **file, size_t *n, const uint8_t *rgb, int width, int height,
                      int quality)
{
    const struct fv_codec *codec = fv__codec_by_name("jpeg");
    const struct fv_codec_settings settings = {width, height, quality};
    void *ctx = NULL;

    *file = NULL;
    if (!codec)
        return FV_ENOTFOUND;
    int rc = codec->open(&ctx, &settings);
    if (rc >= 0) {
        *file = malloc(codec->bound(ctx));
        rc = *file ? codec->encode(ctx, rgb, *file, n)
                   : fv_err(FV_ENOMEM, "out of memory for an image of %dx%d", width, height);
    }
    codec->close(ctx);
    if (rc < 0) {
        free(*file);
        *file = NULL;
    }
    return rc;
}
