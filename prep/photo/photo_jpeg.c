/* SPDX-License-Identifier: MIT */
/* JPEGs straight through libjpeg-turbo, which shrinks by 2, 4 or 8 while it decodes.
 *
 * The library fills what it cannot read with grey and only warns. Here a warning about the picture's data
 * ends the decoding: the photo is refused. What libjpeg-turbo cannot turn into sRGB (CMYK, a colour profile that is
 * not sRGB's) goes to libvips, after all checks of the header have been made here.
 *
 * A decoder object is made for each photo: one that is used again keeps the tables of its last file, and
 * would lend them to a damaged one that lacks its own.
 */
#include "prep/photo/photo_decoder.h"

#include "prep/photo/icc.h"
#include "prep/photo/turn.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* want stdio.h */
#include <jerror.h>
#include <jpeglib.h>

enum { EXIF = JPEG_APP0 + 1, ICC = JPEG_APP0 + 2, START_OF_SCAN = 0xDA };

struct jpeg {
    struct jpeg_decompress_struct d;
    struct jpeg_error_mgr err;
    jmp_buf escape;
    const struct fv_photo_job *job;
    int header_is_read;
    int code; /* libjpeg's, of the message that ended it */
};

/* --- what libjpeg says ---------------------------------------------------------------------------- */

static _Noreturn void on_error(j_common_ptr d)
{
    struct jpeg *j = d->client_data;
    j->code = d->err->msg_code;
    longjmp(j->escape, 1);
}

/* Warnings have level -1. Some are about what is said beside the picture. */
static void on_message(j_common_ptr d, int level)
{
    struct jpeg *j = d->client_data;
    int code = d->err->msg_code;
    if (level >= 0 || code == JWRN_ADOBE_XFORM || code == JWRN_JFIF_MAJOR || code == JWRN_BOGUS_ICC)
        return;
    if (code == JWRN_EXTRANEOUS_DATA && !j->header_is_read)
        return;
    on_error(d);
}

static void say_nothing(j_common_ptr d)
{
    (void)d;
}

static int refuse_broken(const struct jpeg *j)
{
    int w = (int)j->d.image_width, h = (int)j->d.image_height;
    switch (j->code) {
    case JERR_OUT_OF_MEMORY:
    case JERR_NO_BACKING_STORE:
        return fv__refuse(j->job->why, FV_REJECT_TOO_MANY_PIXELS, "%d x %d need too much memory", w,
                          h);
    case JERR_SOF_UNSUPPORTED:
    case JERR_BAD_PRECISION:
    case JERR_ARITH_NOTIMPL:
        return fv__refuse(j->job->why, FV_REJECT_UNSUPPORTED,
                          "JPEG of a rare kind: lossless, 12 bits");
    }
    if (!j->header_is_read)
        return fv__refuse(j->job->why, FV_REJECT_BAD_HEADER, "%s", j->job->format->name);
    return fv__photo_refuse_broken(j->job, w, h);
}

/* --- the header ----------------------------------------------------------------------------------- */

/* How many scans a file has: segments are stepped over by their lengths, and a scan's data, in which FF is
 * followed by 00 or a restart mark, up to the next segment. */
static int count_scans(const uint8_t *p, size_t n)
{
    int scans = 0;
    for (size_t at = 2; at + 3 < n;) {
        const uint8_t *ff = memchr(p + at, 0xFF, n - at - 3);
        if (!ff)
            break;
        at = (size_t)(ff - p) + 1;
        if (p[at] == 0 || p[at] == 0xFF || (p[at] >= 0xD0 && p[at] <= 0xD8))
            continue;
        if (p[at] == 0xD9)
            break;
        scans += p[at] == START_OF_SCAN;
        at += 1 + (size_t)(p[at + 1] << 8 | p[at + 2]);
    }
    return scans;
}

/* A file of several scans keeps all its coefficients until the last one. */
static int check_scans(struct jpeg *j)
{
    const struct jpeg_decompress_struct *d = &j->d;
    uint64_t bytes = 0;
    if (!jpeg_has_multiple_scans(&j->d))
        return 0;
    for (int i = 0; i < d->num_components; i++)
        bytes += (uint64_t)d->comp_info[i].width_in_blocks * d->comp_info[i].height_in_blocks *
                 sizeof(JBLOCK);
    int scans = count_scans(j->job->bytes, j->job->n);
    if (scans > FV_PHOTO_MAX_SCANS)
        return fv__refuse(j->job->why, FV_REJECT_DAMAGED, "%d scans, at most %d", scans,
                          FV_PHOTO_MAX_SCANS);
    return fv__photo_check_whole(j->job, (int)d->image_width, (int)d->image_height, bytes);
}

static int turn_of(const struct jpeg_decompress_struct *d)
{
    static const char head[] = "Exif\0";
    for (jpeg_saved_marker_ptr m = d->marker_list; m; m = m->next)
        if (m->marker == EXIF && m->data_length > sizeof head &&
            memcmp(m->data, head, sizeof head) == 0)
            return fv__turn_of_exif(m->data + sizeof head, m->data_length - sizeof head);
    return 1;
}

/* Whether libjpeg's RGB is sRGB. */
static int is_srgb(struct jpeg *j)
{
    JOCTET *profile;
    unsigned n;
    J_COLOR_SPACE space = j->d.jpeg_color_space;
    if (space != JCS_YCbCr && space != JCS_RGB && space != JCS_GRAYSCALE)
        return 0;
    if (!jpeg_read_icc_profile(&j->d, &profile, &n))
        return 1;
    int srgb = fv__icc_is_srgb(profile, n);
    free(profile);
    return srgb;
}

/* --- the picture ---------------------------------------------------------------------------------- */

static int decode_rows(struct jpeg *j)
{
    struct jpeg_decompress_struct *d = &j->d;
    struct fv_photo *p = j->job->photo;
    JSAMPROW row[FV_PHOTO_STRIP_ROWS];
    size_t stride;
    int rc = fv__photo_take_strip(p, (int)d->output_width, &stride);
    if (rc == 0)
        rc = fv__framer_begin(p->framer, (int)d->output_width, (int)d->output_height,
                              (int)d->scale_denom, j->job->rgb);
    for (int y = 0; rc == 0 && y < FV_PHOTO_STRIP_ROWS; y++)
        row[y] = p->strip + (size_t)y * stride;
    while (rc == 0 && d->output_scanline < d->output_height) {
        unsigned n = 0;
        while (n < FV_PHOTO_STRIP_ROWS && d->output_scanline < d->output_height)
            n += jpeg_read_scanlines(d, row + n, FV_PHOTO_STRIP_ROWS - n);
        fv__framer_rows(p->framer, p->strip, stride, (int)n);
    }
    return rc;
}

static int decode(struct jpeg *j)
{
    struct jpeg_decompress_struct *d = &j->d;
    struct fv_framer *framer = j->job->photo->framer;
    jpeg_create_decompress(d);
    d->mem->max_memory_to_use = 2l * FV_PHOTO_MAX_WHOLE_BYTES; /* with the rows that pass */
    jpeg_mem_src(d, j->job->bytes, j->job->n);
    jpeg_save_markers(d, EXIF, 0xFFFF);
    jpeg_save_markers(d, ICC, 0xFFFF);
    jpeg_read_header(d, TRUE);
    j->header_is_read = 1;
    int rc = fv__photo_check_size(j->job, (int)d->image_width, (int)d->image_height);
    if (rc == 0)
        rc = check_scans(j);
    if (rc == 0 && !is_srgb(j))
        return FV_JPEG_NEEDS_VIPS;
    struct fv_picture picture = {(int)d->image_width, (int)d->image_height, turn_of(d)};
    if (rc == 0)
        rc = fv__framer_plan(framer, &picture, j->job->face, j->job->why);
    if (rc)
        return rc;
    d->scale_num = 1;
    d->scale_denom = (unsigned)fv__framer_shrink(framer);
    d->out_color_space = JCS_RGB;
    d->dct_method = JDCT_ISLOW;
    jpeg_start_decompress(d);
    rc = decode_rows(j);
    if (rc)
        return rc;
    jpeg_finish_decompress(d); /* reads up to the end mark */
    fv__framer_end(framer);
    j->job->photo->is_finished_jpeg = d->jpeg_color_space != JCS_RGB && fv__framer_is_whole(framer);
    return 0;
}

static int decode_or_refuse(struct jpeg *j)
{
    if (setjmp(j->escape))
        return refuse_broken(j);
    return decode(j);
}

int fv__jpeg_decode(const struct fv_photo_job *job)
{
    struct jpeg j = {.job = job};
    j.d.err = jpeg_std_error(&j.err);
    j.d.client_data = &j;
    j.err.error_exit = on_error;
    j.err.emit_message = on_message;
    j.err.output_message = say_nothing;
    int rc = decode_or_refuse(&j);
    jpeg_destroy_decompress(&j.d);
    return rc;
}
