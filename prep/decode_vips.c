/* SPDX-License-Identifier: MIT */
/* Photos through libvips, told to be boring: one thread an image (the packer runs many images at
 * once), no operation cache (every image is seen once), no loaders that were never meant for hostile
 * input, and none of its SIMD paths, whose lower precision would make the bytes depend on the machine.
 *
 * libvips sees only memory (prep/photo_file.h). Before any pixel is decoded the header must announce a sane size.
 *
 * Order of the steps, and why:
 *   shrink while decoding   JPEG only, leaving at least twice the wanted size for the real resize
 *   crop, flatten, resize   in the file's own colours and depth; the crop is the one that the upright
 *                           picture would get
 *   colour, depth           on few pixels: colour management costs more than decoding
 *   turn upright            last, on the small square
 * A profile that cannot be used counts as absent.
 */
#include "prep/decode.h"

#include "common/err.h"
#include "prep/format.h"
#include "prep/photo_file.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <vips/vips.h>

/* wants the types of vips.h */
#include <vips/vector.h>

struct fv_photo {
    int size;
    uint8_t *file; /* the bytes of the current file */
    size_t room;
};

/* --- the library, once a process ------------------------------------------------------------------ */

static int init_rc;

/* libvips would print its warnings; what matters of them comes back as a reason. */
static void say_nothing(const char *domain, GLogLevelFlags level, const char *text, void *ctx)
{
    (void)domain, (void)level, (void)text, (void)ctx;
}

static void init_once(void)
{
    if (VIPS_INIT("fv") != 0) {
        init_rc = -1;
        return;
    }
    g_log_set_handler("VIPS", G_LOG_LEVEL_MASK, say_nothing, NULL);
    vips_concurrency_set(1);
    vips_cache_set_max(0);
    vips_vector_set_enabled(FALSE);
    vips_block_untrusted_set(TRUE);
    vips_operation_block_set("VipsForeignLoadPpm", FALSE);
}

int fv__photo_open(struct fv_photo **out, int size)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    *out = NULL;
    pthread_once(&once, init_once);
    if (init_rc < 0)
        return fv_err(FV_EUNSUPPORTED, "libvips does not start on this machine");
    struct fv_photo *p = calloc(1, sizeof *p);
    if (!p)
        return fv_err(FV_ENOMEM, "out of memory for an image reader");
    p->size = size;
    *out = p;
    return 0;
}

void fv__photo_close(struct fv_photo **p)
{
    if (!*p)
        return;
    free((*p)->file);
    free(*p);
    *p = NULL;
    vips_thread_shutdown(); /* what libvips keeps for this thread */
}

/* --- one picture's steps: each replaces *im and returns 0, or leaves it and returns -1 -------------- */

static int replace(VipsImage **im, int rc, VipsImage **next)
{
    if (rc != 0) {
        vips_error_clear();
        return -1;
    }
    g_object_unref(*im);
    *im = *next;
    return 0;
}

static int is_jpeg(const struct fv_format *f)
{
    return strcmp(f->name, "JPEG") == 0;
}

/* Opens n bytes, reading their header. A source, not a buffer: PNM has no buffer loader.
 *
 * A JPEG decoder fills what it cannot read with grey and only warns, so for JPEG a warning is a failure. In
 * other formats a warning is about tags and profiles. */
static VipsImage *open_image(const struct fv_format *f, const uint8_t *bytes, size_t n, int shrink)
{
    const VipsFailOn fail_on = is_jpeg(f) ? VIPS_FAIL_ON_WARNING : VIPS_FAIL_ON_ERROR;
    VipsImage *im = NULL;
    VipsSource *source = vips_source_new_from_memory(bytes, n);
    if (source && shrink > 1)
        im = vips_image_new_from_source(source, "", "access", VIPS_ACCESS_SEQUENTIAL, "fail_on",
                                        fail_on, "shrink", shrink, NULL);
    else if (source)
        im = vips_image_new_from_source(source, "", "access", VIPS_ACCESS_SEQUENTIAL, "fail_on",
                                        fail_on, NULL);
    g_clear_object(&source);
    if (!im)
        vips_error_clear();
    return im;
}

/* Where a strip of rows goes. */
typedef int (*take_rows_fn)(void *to, const VipsRegion *rows);

/* Computes a picture strip by strip in this thread. libvips' own way to drain a picture hands each strip to
 * a worker thread and back, which on face-sized pictures costs more than decoding them. */
static int pull(VipsImage *im, take_rows_fn take, void *to)
{
    enum { STRIP = 64 };
    VipsRegion *region = vips_region_new(im);
    int rc = region ? 0 : -1;
    for (int y = 0; rc == 0 && y < im->Ysize; y += STRIP) {
        VipsRect rows = {0, y, im->Xsize, im->Ysize - y < STRIP ? im->Ysize - y : STRIP};
        rc = vips_region_prepare(region, &rows) != 0 ? -1 : take(to, region);
    }
    g_clear_object(&region);
    if (rc != 0)
        vips_error_clear();
    return rc;
}

static int rows_to_image(void *to, const VipsRegion *rows)
{
    for (int y = rows->valid.top; y < VIPS_RECT_BOTTOM(&rows->valid); y++)
        if (vips_image_write_line(to, y, VIPS_REGION_ADDR(rows, 0, y)) != 0)
            return -1;
    return 0;
}

static int decode_pixels(VipsImage **im)
{
    VipsImage *mem = vips_image_new_memory();
    if (vips_image_pipelinev(mem, VIPS_DEMAND_STYLE_ANY, *im, NULL) != 0 ||
        pull(*im, rows_to_image, mem) != 0) {
        g_object_unref(mem);
        vips_error_clear();
        return -1;
    }
    g_object_unref(*im);
    *im = mem;
    return 0;
}

/* The centre square of the upright picture, cut from the stored one. An odd rest leaves one pixel more
 * on the right or below: where the stored axis runs the other way, that is on the left or above. */
static int crop_square(VipsImage **im)
{
    int w = (*im)->Xsize, h = (*im)->Ysize, side = w < h ? w : h;
    int turn = vips_image_get_orientation(*im);
    int x_reversed = turn == 2 || turn == 3 || turn == 7 || turn == 8;
    int y_reversed = turn == 3 || turn == 4 || turn == 6 || turn == 7;
    int left = (w - side + x_reversed) / 2, top = (h - side + y_reversed) / 2;
    VipsImage *next;
    if (w == h)
        return 0;
    return replace(im, vips_extract_area(*im, &next, left, top, side, side, NULL), &next);
}

static int flatten_alpha(VipsImage **im)
{
    VipsImage *next;
    if (!vips_image_hasalpha(*im))
        return 0;
    if ((*im)->Type == VIPS_INTERPRETATION_CMYK)
        return replace(im, vips_extract_band(*im, &next, 0, "n", 4, NULL), &next);
    double white = FV_PHOTO_BACKGROUND;
    if ((*im)->BandFmt == VIPS_FORMAT_USHORT)
        white *= 257;
    VipsArrayDouble *background = vips_array_double_newv(1, white);
    double max_alpha = (*im)->BandFmt == VIPS_FORMAT_USHORT ? 65535 : 255;
    int rc = vips_flatten(*im, &next, "background", background, "max_alpha", max_alpha, NULL);
    vips_area_unref(VIPS_AREA(background));
    return replace(im, rc, &next);
}

static int resize_square(VipsImage **im, int size)
{
    VipsImage *next;
    if ((*im)->Xsize == size)
        return 0;
    if (replace(im, vips_resize(*im, &next, (double)size / (*im)->Xsize, NULL), &next) != 0)
        return -1;
    return (*im)->Xsize == size && (*im)->Ysize == size ? 0 : -1;
}

static int to_srgb8(VipsImage **im)
{
    VipsImage *next;
    if (vips_image_get_typeof(*im, VIPS_META_ICC_NAME))
        replace(im, vips_icc_transform(*im, &next, "srgb", "embedded", TRUE, NULL), &next);
    if ((*im)->Type != VIPS_INTERPRETATION_sRGB &&
        replace(im, vips_colourspace(*im, &next, VIPS_INTERPRETATION_sRGB, NULL), &next) != 0)
        return -1;
    if ((*im)->BandFmt != VIPS_FORMAT_UCHAR &&
        replace(im, vips_cast_uchar(*im, &next, NULL), &next) != 0)
        return -1;
    if ((*im)->Bands > 3)
        return replace(im, vips_extract_band(*im, &next, 0, "n", 3, NULL), &next);
    return (*im)->Bands == 3 ? 0 : -1;
}

/* libvips takes a PNM's values as they are; their full scale is in the file's header. */
static int scale_pnm(VipsImage **im, int white)
{
    VipsImage *next;
    VipsBandFormat depth = (*im)->BandFmt;
    VipsInterpretation type = (*im)->Type;
    int full = depth == VIPS_FORMAT_USHORT ? 65535 : 255;
    if (white == full)
        return 0;
    if (replace(im, vips_linear1(*im, &next, (double)full / white, 0.5, NULL), &next) ||
        replace(im, vips_cast(*im, &next, depth, NULL), &next))
        return -1;
    return replace(im, vips_copy(*im, &next, "interpretation", type, NULL), &next);
}

static int turn_upright(VipsImage **im)
{
    VipsImage *next;
    if (vips_image_get_orientation(*im) <= 1)
        return 0;
    return replace(im, vips_autorot(*im, &next, NULL), &next);
}

static int rows_to_rgb(void *to, const VipsRegion *rows)
{
    size_t row_bytes = (size_t)rows->valid.width * 3;
    for (int y = rows->valid.top; y < VIPS_RECT_BOTTOM(&rows->valid); y++)
        memcpy((uint8_t *)to + (size_t)y * row_bytes, VIPS_REGION_ADDR(rows, 0, y), row_bytes);
    return 0;
}

static int copy_out(VipsImage *im, int size, uint8_t *rgb)
{
    return im->Xsize == size && im->Ysize == size ? pull(im, rows_to_rgb, rgb) : -1;
}

/* --- one picture ---------------------------------------------------------------------------------- */

static int check_header(const VipsImage *im, struct fv_refusal *why)
{
    int w = im->Xsize, h = im->Ysize;
    if ((uint64_t)w * (uint64_t)h > FV_PHOTO_MAX_PIXELS)
        return fv__refuse(why, FV_REJECT_TOO_MANY_PIXELS, "%d x %d, at most %u pixels", w, h,
                          FV_PHOTO_MAX_PIXELS);
    if (w < FV_PHOTO_MIN_SIDE || h < FV_PHOTO_MIN_SIDE)
        return fv__refuse(why, FV_REJECT_TOO_SMALL, "%d x %d, at least %d on each side", w, h,
                          FV_PHOTO_MIN_SIDE);
    if (im->BandFmt != VIPS_FORMAT_UCHAR && im->BandFmt != VIPS_FORMAT_USHORT)
        return fv__refuse(why, FV_REJECT_PIXEL_TYPE, "%s",
                          vips_enum_nick(VIPS_TYPE_BAND_FORMAT, im->BandFmt));
    return 0;
}

/* How far a JPEG may be shrunk while it is decoded: 1, 2, 4 or 8. */
static int shrink_on_load(const struct fv_format *f, const VipsImage *im, int size)
{
    int side = im->Xsize < im->Ysize ? im->Xsize : im->Ysize, shrink = 1;
    if (!is_jpeg(f))
        return 1;
    while (shrink < 8 && side / (shrink * 2) >= size * 2)
        shrink *= 2;
    return shrink;
}

static int is_pnm(const struct fv_format *f)
{
    return strcmp(f->name, "PNM") == 0;
}

static int fit(VipsImage **im, const struct fv_photo *p, uint8_t *rgb, struct fv_refusal *why)
{
    if (crop_square(im) || flatten_alpha(im) || resize_square(im, p->size))
        return fv__refuse(why, FV_REJECT_DAMAGED, "cannot be resized to %d", p->size);
    if (to_srgb8(im) || turn_upright(im) || copy_out(*im, p->size, rgb))
        return fv__refuse(why, FV_REJECT_COLOUR, "%s",
                          vips_enum_nick(VIPS_TYPE_INTERPRETATION, (*im)->Type));
    return 0;
}

static int decode(const struct fv_photo *p, const struct fv_format *f, const uint8_t *bytes,
                  size_t n, uint8_t *rgb, struct fv_refusal *why)
{
    /* libvips believes any numbers in a PNM's header, negative ones too */
    int sane = !is_pnm(f) || fv__format_pnm_white(bytes, n) > 0;
    VipsImage *im = sane ? open_image(f, bytes, n, 1) : NULL;
    if (!im)
        return fv__refuse(why, FV_REJECT_BAD_HEADER, "%s", f->name);
    int rc = check_header(im, why);
    int shrink = rc == 0 ? shrink_on_load(f, im, p->size) : 1;
    if (shrink > 1) {
        g_object_unref(im);
        if (!(im = open_image(f, bytes, n, shrink)))
            return fv__refuse(why, FV_REJECT_BAD_HEADER, "%s", f->name);
    }
    if (rc == 0 && decode_pixels(&im) != 0)
        rc = fv__refuse(
            why, fv__format_is_whole(f, bytes, n) ? FV_REJECT_DAMAGED : FV_REJECT_TRUNCATED,
            "%s, %d x %d, %zu bytes", f->name, im->Xsize * shrink, im->Ysize * shrink, n);
    if (rc == 0 && is_pnm(f) && scale_pnm(&im, fv__format_pnm_white(bytes, n)) != 0)
        rc = fv__refuse(why, FV_REJECT_COLOUR, "%s", f->name);
    if (rc == 0)
        rc = fit(&im, p, rgb, why);
    g_object_unref(im);
    return rc;
}

int fv__photo_decode(struct fv_photo *p, const uint8_t *bytes, size_t n, uint8_t *rgb,
                     struct fv_refusal *why)
{
    const struct fv_format *f = fv__format_of_bytes(bytes, n);
    if (!f)
        return fv__refuse(why, FV_REJECT_NOT_IMAGE, "%s", "");
    if (!f->loader || !vips_type_find("VipsOperation", f->loader))
        return fv__refuse(why, FV_REJECT_UNSUPPORTED, "%s", f->name);
    return decode(p, f, bytes, n, rgb, why);
}

int fv__photo_read(struct fv_photo *p, const char *path, uint8_t *rgb, struct fv_refusal *why)
{
    size_t n = 0;
    int rc = fv__photo_file_read(path, &p->file, &p->room, &n, why);
    return rc ? rc : fv__photo_decode(p, p->file, n, rgb, why);
}
