/* SPDX-License-Identifier: MIT */
/* All photos but plain JPEGs, through libvips, told to be boring: one thread an image (the packer runs many
 * images at once), no operation cache (every image is seen once), no loaders that were never meant for hostile
 * input, and none of its SIMD paths, whose lower precision would make the bytes depend on the machine.
 *
 * libvips sees only memory and makes rows of 8-bit sRGB, which go to the frame; the resize is ours. Shrinking while
 * decoding exists for JPEG only. A profile that cannot be used counts as absent.
 */
#include "prep/photo/photo_decoder.h"

#include "common/err.h"
#include "prep/photo/resample.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <vips/vips.h>

/* wants the types of vips.h */
#include <vips/vector.h>

/* --- the library, once a process, with the first photo that needs it ---------------------------------- */

static int init_rc; /* -1 when it does not start */
static atomic_int runs;

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
    atomic_store(&runs, 1);
}

static int start(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, init_once);
    if (init_rc < 0)
        return fv_err(FV_EUNSUPPORTED, "libvips does not start on this machine");
    return 0;
}

/* Photos that were all JPEGs have not started it. */
void fv__vips_end_thread(void)
{
    if (atomic_load(&runs))
        vips_thread_shutdown();
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

/* Opens the bytes, reading their header. A source, not a buffer: PNM has no buffer loader.
 *
 * A JPEG decoder fills what it cannot read with grey and only warns, so for JPEG a warning is a failure. In
 * other formats a warning is about tags and profiles. */
static VipsImage *open_image(const struct fv_photo_job *job, int shrink)
{
    const VipsFailOn fail_on =
        fv__format_is_jpeg(job->format) ? VIPS_FAIL_ON_WARNING : VIPS_FAIL_ON_ERROR;
    VipsImage *im = NULL;
    VipsSource *source = vips_source_new_from_memory(job->bytes, job->n);
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

static int flatten_alpha(VipsImage **im)
{
    VipsImage *next;
    if (!vips_image_hasalpha(*im))
        return 0;
    if ((*im)->Type == VIPS_INTERPRETATION_CMYK)
        return replace(im, vips_extract_band(*im, &next, 0, "n", 4, NULL), &next);
    double white = FV_PAGE_WHITE;
    if ((*im)->BandFmt == VIPS_FORMAT_USHORT)
        white *= 257;
    VipsArrayDouble *background = vips_array_double_newv(1, white);
    double max_alpha = (*im)->BandFmt == VIPS_FORMAT_USHORT ? 65535 : 255;
    int rc = vips_flatten(*im, &next, "background", background, "max_alpha", max_alpha, NULL);
    vips_area_unref(VIPS_AREA(background));
    return replace(im, rc, &next);
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

/* --- one picture ---------------------------------------------------------------------------------- */

static int is_pnm(const struct fv_format *f)
{
    return strcmp(f->name, "PNM") == 0;
}

/* Bytes a pixel of formats without rows, whose libraries unpack the picture as one piece, with their own copies
 * of it (as measured); 0 for those that come row by row. */
static uint64_t bytes_at_once(const struct fv_format *f, const VipsImage *im)
{
    static const struct {
        const char *name;
        uint64_t bytes;
    } whole[] = {{"WebP", 8}, {"HEIF", 8}, {"GIF", 5}};
    for (size_t i = 0; i < sizeof whole / sizeof whole[0]; i++)
        if (strcmp(f->name, whole[i].name) == 0)
            return whole[i].bytes;
    int in_rows = strcmp(f->name, "TIFF") != 0 /* a strip may be all of it */ &&
                  (strcmp(f->name, "PNG") != 0 || !vips_image_get_typeof(im, "interlaced"));
    return in_rows ? 0 : VIPS_IMAGE_SIZEOF_PEL(im);
}

static int check_header(const struct fv_photo_job *job, const VipsImage *im)
{
    int rc = fv__photo_check_size(job, im->Xsize, im->Ysize);
    if (rc == 0 && im->BandFmt != VIPS_FORMAT_UCHAR && im->BandFmt != VIPS_FORMAT_USHORT)
        rc = fv__refuse(job->why, FV_REJECT_PIXEL_TYPE, "%s",
                        vips_enum_nick(VIPS_TYPE_BAND_FORMAT, im->BandFmt));
    if (rc == 0)
        rc = fv__photo_check_whole(job, im->Xsize, im->Ysize,
                                   bytes_at_once(job->format, im) * VIPS_IMAGE_N_PELS(im));
    return rc;
}

/* Computes the picture strip by strip in this thread. libvips' own way to drain a picture hands each strip to
 * a worker thread and back, which on face-sized pictures costs more than decoding them. */
static int pull(const struct fv_photo_job *job, VipsImage *im, size_t stride)
{
    struct fv_photo *p = job->photo;
    VipsRegion *region = vips_region_new(im);
    int rc = region ? 0 : -1;
    for (int y = 0; rc == 0 && y < im->Ysize; y += FV_PHOTO_STRIP_ROWS) {
        int rest = im->Ysize - y, n = rest < FV_PHOTO_STRIP_ROWS ? rest : FV_PHOTO_STRIP_ROWS;
        VipsRect rows = {0, y, im->Xsize, n};
        if ((rc = vips_region_prepare(region, &rows)) != 0)
            break;
        for (int i = 0; i < n; i++)
            memcpy(p->strip + (size_t)i * stride, VIPS_REGION_ADDR(region, 0, y + i),
                   3 * (size_t)im->Xsize);
        fv__framer_rows(p->framer, p->strip, stride, n);
    }
    g_clear_object(&region);
    if (rc != 0)
        vips_error_clear();
    return rc;
}

static int decode_rows(const struct fv_photo_job *job, VipsImage **im,
                       const struct fv_picture *picture, int shrink)
{
    int w = (*im)->Xsize, h = (*im)->Ysize;
    size_t stride;
    if ((is_pnm(job->format) && scale_pnm(im, fv__format_pnm_white(job->bytes, job->n)) != 0) ||
        flatten_alpha(im) != 0 || to_srgb8(im) != 0)
        return fv__refuse(job->why, FV_REJECT_COLOUR, "%s",
                          vips_enum_nick(VIPS_TYPE_INTERPRETATION, (*im)->Type));
    FV_TRY(fv__photo_take_strip(job->photo, w, &stride));
    FV_TRY(fv__framer_begin(job->photo->framer, w, h, shrink, job->rgb));
    if (pull(job, *im, stride) != 0)
        return fv__photo_refuse_broken(job, picture->width, picture->height);
    fv__framer_end(job->photo->framer);
    return 0;
}

/* Some libraries look for the first picture while they open a file. */
static int refuse_head(const struct fv_photo_job *job)
{
    const struct fv_format *f = job->format;
    const int cut = f->is_whole && !f->is_whole(job->bytes, job->n);
    return fv__refuse(job->why, cut ? FV_REJECT_TRUNCATED : FV_REJECT_BAD_HEADER, "%s", f->name);
}

int fv__vips_decode(const struct fv_photo_job *job)
{
    const struct fv_format *f = job->format;
    FV_TRY(start());
    if (!f->loader || !vips_type_find("VipsOperation", f->loader))
        return fv__refuse(job->why, FV_REJECT_UNSUPPORTED, "%s", f->name);
    /* libvips believes any numbers in a PNM's header, negative ones too */
    int sane = !is_pnm(f) || fv__format_pnm_white(job->bytes, job->n) > 0, shrink = 1;
    VipsImage *im = sane ? open_image(job, 1) : NULL;
    if (!im)
        return refuse_head(job);
    struct fv_picture picture = {im->Xsize, im->Ysize, vips_image_get_orientation(im)};
    int rc = check_header(job, im);
    if (rc == 0)
        rc = fv__framer_plan(job->photo->framer, &picture, job->face, job->why);
    if (rc == 0 && fv__format_is_jpeg(f))
        shrink = fv__framer_shrink(job->photo->framer);
    if (shrink > 1) {
        g_object_unref(im);
        if (!(im = open_image(job, shrink)))
            return fv__refuse(job->why, FV_REJECT_BAD_HEADER, "%s", f->name);
    }
    if (rc == 0)
        rc = decode_rows(job, &im, &picture, shrink);
    g_object_unref(im);
    return rc;
}
