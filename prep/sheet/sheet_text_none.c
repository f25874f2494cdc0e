/* SPDX-License-Identifier: MIT */
/* In place of sheet_text_vips.c where the build found no libvips. */
#include "common/err.h"
#include "prep/sheet/sheet_text.h"

int fv__text_draw(const char *text, const char *font, int wrap, struct fv__text *out)
{
    (void)text, (void)font, (void)wrap;
    *out = (struct fv__text){0};
    return fv_err(FV_EUNSUPPORTED,
                  "this build writes no text into pictures: install libvips (Debian: libvips-dev) "
                  "and build again");
}
