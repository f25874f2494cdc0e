/* SPDX-License-Identifier: MIT */
/* In place of synth_photo.c where the build found no libvips. */
#include "prep/synth/synth.h"

#include "common/err.h"

int fv__camera_setup(void)
{
    return fv_err(FV_EUNSUPPORTED,
                  "this build draws no faces: install libvips (Debian: libvips-dev) and "
                  "build again");
}

void fv__camera_teardown(void)
{
}

int fv__camera_open(struct fv__camera **out, int size)
{
    (void)size;
    *out = NULL;
    return fv__camera_setup();
}

void fv__camera_close(struct fv__camera **c)
{
    *c = NULL;
}

int fv__camera_take(struct fv__camera *c, const struct fv__person *p, const struct fv__shot *s,
                    const void **jpeg, size_t *n)
{
    (void)c, (void)p, (void)s, (void)jpeg, (void)n;
    return fv__camera_setup();
}
