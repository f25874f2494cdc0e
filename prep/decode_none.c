/* SPDX-License-Identifier: MIT */
/* In place of decode_vips.c where the build found no libvips. */
#include "prep/decode.h"

#include "common/err.h"

int fv__photo_open(struct fv_photo **out, int size)
{
    (void)size;
    *out = NULL;
    return fv_err(FV_EUNSUPPORTED, "this build reads no photos: install libvips (Debian: "
                                   "libvips-dev) and build again");
}

void fv__photo_close(struct fv_photo **p)
{
    *p = NULL;
}

int fv__photo_read(struct fv_photo *p, const char *path, uint8_t *rgb, struct fv_refusal *why)
{
    (void)p, (void)rgb, (void)why;
    return fv_err(FV_EUNSUPPORTED, "%s: this build reads no photos", path);
}

int fv__photo_decode(struct fv_photo *p, const uint8_t *bytes, size_t n, uint8_t *rgb,
                     struct fv_refusal *why)
{
    (void)p, (void)bytes, (void)n, (void)rgb, (void)why;
    return fv_err(FV_EUNSUPPORTED, "this build reads no photos");
}
