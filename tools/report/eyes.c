/* SPDX-License-Identifier: MIT */
#include "tools/report/eyes.h"

#include "common/err.h"
#include "tools/report/html.h"

#include <stdlib.h>

enum { QUALITY = 85 };

int eyes_open(struct eyes *e, const struct fv_store *store)
{
    const struct fv_store_info *info = fv_store_info(store);

    *e = (struct eyes){.store = store, .width = info->width, .height = info->height};
    e->rgb = malloc((size_t)e->width * (size_t)e->height * 3 + FV_DECODE_PAD);
    return e->rgb ? fv_decoder_open(&e->decoder, store)
                  : fv_err(FV_ENOMEM, "out of memory for an image");
}

void eyes_close(struct eyes *e)
{
    fv_decoder_close(&e->decoder);
    free(e->rgb);
}

int eyes_put(FILE *f, struct eyes *e, uint32_t image)
{
    struct fv_store_image one;
    uint8_t *jpeg;
    size_t n;

    FV_TRY(fv_store_image(e->store, image, &one));
    FV_TRY(fv_decoder_read(e->decoder, image, e->rgb));
    FV_TRY(fv_jpeg_file_make(&jpeg, &n, e->rgb, e->width, e->height, QUALITY));
    html_jpeg(f, jpeg, n, e->width, e->height, one.name);
    free(jpeg);
    return FV_OK;
}
