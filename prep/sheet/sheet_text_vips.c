/* SPDX-License-Identifier: MIT */
/* Text by libvips, which has it from Pango: any script for which a font is installed. */
#include "common/err.h"
#include "prep/sheet/sheet_text.h"

#include <stdlib.h>
#include <string.h>
#include <vips/vips.h>

static int refuse(void)
{
    /* a message of several lines; the first one says it */
    char why[160];

    snprintf(why, sizeof why, "%s", vips_error_buffer());
    why[strcspn(why, "\n")] = '\0';
    vips_error_clear();
    return fv_err(FV_EBACKEND,
                  "cannot draw text: %s (is a font installed? Debian: fonts-dejavu-core)", why);
}

static int take(VipsImage *image, struct fv__text *out)
{
    size_t n;
    void *mask = vips_image_write_to_memory(image, &n);

    if (!mask)
        return refuse();
    *out = (struct fv__text){
        .w = image->Xsize, .h = image->Ysize, .x = image->Xoffset, .y = image->Yoffset};
    if (image->Bands == 1 && n == (size_t)out->w * (size_t)out->h)
        out->mask = malloc(n);
    if (out->mask)
        memcpy(out->mask, mask, n);
    g_free(mask);
    return out->mask ? FV_OK : fv_err(FV_ENOMEM, "out of memory for a line of text");
}

int fv__text_draw(const char *text, const char *font, int wrap, struct fv__text *out)
{
    VipsImage *image = NULL;
    int rc = FV_OK;

    *out = (struct fv__text){0};
    if (VIPS_INIT("fv") != 0)
        return refuse();
    char *valid = g_utf8_make_valid(text, -1);
    char *markup = g_markup_escape_text(valid, -1);
    if (strspn(markup, " \t\n") == strlen(markup))
        ; /* libvips takes nothing to draw for an error */
    else if (vips_text(&image, markup, "font", font, "dpi", 96, "width", wrap, NULL) != 0)
        rc = refuse();
    else
        rc = take(image, out);
    if (image)
        g_object_unref(image);
    g_free(markup);
    g_free(valid);
    return rc;
}
