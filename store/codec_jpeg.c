/* SPDX-License-Identifier: MIT */
/* `jpeg`: small, for large sets. Its content is a JPEG file: the photo's own, less its metadata, where that has the
 * wanted size, else one made here.
 *
 * Made here means 4:4:4, since at one size in bytes faces of 112 pixels come out nearer to the original with whole
 * chroma than with less of it at a higher quality; and with Huffman tables of the image's own, which save more
 * than a dictionary gains by equal ones.
 *
 * Decoding is exact: the accurate inverse transform, triangle upsampling, no smoothing of what is missing, so that
 * every version of libjpeg-turbo gives the same pixels. A warning is a failure: libjpeg would go on with grey.
 *
 * A part is decoded with the transform that makes fewer pixels of a block, without the blocks beside and below it.
 *
 * libjpeg reports a failure by a call that must not return: it jumps back into guarded(), the only place that
 * calls libjpeg's working functions. Its objects are made once, and a decoder's memory for one image is kept for the
 * next (store/jpeg_memory.h), but for the coefficients of a progressive file.
 */
#include "common/err.h"
#include "store/codec.h"
#include "store/dataset.h"
#include "store/jpeg_memory.h"
#include "store/jpeg_segments.h"

#include <stdio.h> /* jpeglib.h uses FILE */

#include <jerror.h>
#include <jpeglib.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

enum {
    QUALITY = 95,
    SCANS_MAX = 64, /* progressive files have about ten; each scan may touch every coefficient */
    CROP_EDGE = 2,  /* pixels beside a part whose chroma would be made without their neighbours */
    CROP_LEAST = 9, /* pixels across: three of chroma, fewer are not smoothed */
    HEADERS_MAX = 2048, /* bytes of a file that is made here, before its scan */
    OTHER_MAX = 1 << 20 /* bytes that libjpeg may take besides coefficients */
};

struct jpeg {
    struct fv_jpeg_memory memory; /* first: the decompressor's client_data is it too */
    int width, height, quality;
    struct jpeg_decompress_struct d;
    struct jpeg_compress_struct c; /* made by the first encode */
    int has_d, has_c;
    struct jpeg_error_mgr error;
    struct jpeg_source_mgr source;
    struct jpeg_destination_mgr target;
    struct jpeg_progress_mgr progress;
    jmp_buf failed;
    char why[JMSG_LENGTH_MAX];
    JSAMPROW *row;  /* (height), into the image at hand */
    uint8_t *strip; /* (width, 3): one row, of which a part is taken */
    const struct fv_region *region;
    uint8_t *rgb; /* (height, width, 3): where an adopted file is tried; made by the first */
};

/* --- failing -------------------------------------------------------------------------------------- */

static void on_error(j_common_ptr common)
{
    struct jpeg *j = common->client_data;

    common->err->format_message(common, j->why);
    longjmp(j->failed, 1);
}

/* Level -1 is a warning; the others are chatter. */
static void on_message(j_common_ptr common, int level)
{
    if (level < 0)
        on_error(common);
}

static void give_up(struct jpeg *j, const char *why)
{
    j->error.msg_code = 0;
    snprintf(j->why, sizeof j->why, "%s", why);
    longjmp(j->failed, 1);
}

/* 0, or 1 with j->why when libjpeg failed: its objects are then as before an image. */
static int guarded(struct jpeg *j, void (*step)(struct jpeg *))
{
    if (setjmp(j->failed)) {
        if (j->has_d)
            jpeg_abort_decompress(&j->d);
        if (j->has_c)
            jpeg_abort_compress(&j->c);
        return 1;
    }
    step(j);
    return 0;
}

static int failed(const struct jpeg *j, int code)
{
    return j->error.msg_code == JERR_OUT_OF_MEMORY ? fv_err(FV_ENOMEM, "out of memory for libjpeg")
                                                   : fv_err(code, "JPEG: %s", j->why);
}

/* --- bytes in and out ----------------------------------------------------------------------------- */

static void nothing_to_open(j_decompress_ptr d)
{
    (void)d;
}

/* All bytes were there from the start: a file that wants more is cut short. */
static boolean no_more_bytes(j_decompress_ptr d)
{
    ERREXIT(d, JERR_INPUT_EOF);
    return FALSE;
}

static void skip_bytes(j_decompress_ptr d, long n)
{
    if (n <= 0)
        return;
    if ((size_t)n > d->src->bytes_in_buffer)
        ERREXIT(d, JERR_INPUT_EOF);
    d->src->next_input_byte += n;
    d->src->bytes_in_buffer -= (size_t)n;
}

static void nothing_to_flush(j_compress_ptr c)
{
    (void)c;
}

static boolean no_more_room(j_compress_ptr c)
{
    ERREXIT(c, JERR_BUFFER_SIZE);
    return FALSE;
}

/* --- decoding ------------------------------------------------------------------------------------- */

static void limit_scans(j_common_ptr common)
{
    struct jpeg *j = common->client_data;

    if (common->is_decompressor && j->d.input_scan_number > SCANS_MAX)
        give_up(j, "more scans than a picture needs");
}

static size_t padded(int side)
{
    return ((size_t)side + 31) / 32 * 32; /* a block of 8, four times subsampled */
}

static void create_decompressor(struct jpeg *j)
{
    j->has_d = 1; /* also one that is half made can be destroyed */
    jpeg_create_decompress(&j->d);
    fv__jpeg_memory_use(&j->memory, &j->d);
    j->d.src = &j->source;
    j->d.progress = &j->progress;
    j->d.mem->max_memory_to_use =
        (long)(padded(j->width) * padded(j->height) * 3 * sizeof(JCOEF) + OTHER_MAX);
}

static void point_rows(struct jpeg *j, const uint8_t *rgb)
{
    for (int y = 0; y < j->height; y++)
        j->row[y] = (JSAMPROW)(uintptr_t)(rgb + (size_t)y * (size_t)j->width * 3);
}

static void begin(struct jpeg *j)
{
    struct jpeg_decompress_struct *d = &j->d;

    jpeg_read_header(d, TRUE);
    if (d->image_width != (JDIMENSION)j->width || d->image_height != (JDIMENSION)j->height)
        give_up(j, "another size than the data set's");
    if (d->data_precision != 8 || d->arith_code ||
        (d->num_components != 1 && d->num_components != 3))
        give_up(j, "neither grey nor colour of 8 bits, Huffman-coded");
    d->out_color_space = JCS_RGB;
    d->dct_method = JDCT_ISLOW;
    d->do_fancy_upsampling = TRUE;
    d->do_block_smoothing = FALSE;
}

/* From j->source into the rows; what follows the picture stays in j->source. */
static void decode_rows(struct jpeg *j)
{
    struct jpeg_decompress_struct *d = &j->d;

    begin(j);
    jpeg_start_decompress(d);
    while (d->output_scanline < d->output_height)
        jpeg_read_scanlines(d, j->row + d->output_scanline, d->output_height - d->output_scanline);
    jpeg_finish_decompress(d);
}

/* jpeg_crop_scanline takes all components for as much reduced as the whole. One that the transform itself has made
 * larger for its share, and that still is to be made larger, then ends half way, and what stands behind it is what was
 * in memory before (libjpeg-turbo 2.1.5; chroma of a quarter along one side and a half along the other, reduced). */
static int may_crop(const struct jpeg_decompress_struct *d)
{
    for (int i = 0; i < d->num_components; i++) {
        const jpeg_component_info *c = &d->comp_info[i];
        const JDIMENSION most = (JDIMENSION)d->max_h_samp_factor;
        const JDIMENSION taken = (d->output_width * (JDIMENSION)c->h_samp_factor + most - 1) / most;
        const int is_whole = c->downsampled_width == d->output_width &&
                             c->downsampled_height == d->output_height && d->output_height > 1;
        if (c->downsampled_width != taken && !is_whole)
            return 0;
    }
    return 1;
}

/* The columns of a part, and those beside it that it takes; returns the first one that will come. */
static JDIMENSION crop(struct jpeg_decompress_struct *d, const struct fv_region *p)
{
    const int all = (int)d->output_width;
    int left = p->x - CROP_EDGE, right = p->x + p->w + CROP_EDGE;

    right = right > left + CROP_LEAST ? right : left + CROP_LEAST;
    right = right < all ? right : all;
    left = left < right - CROP_LEAST ? left : right - CROP_LEAST;
    left = left > 0 ? left : 0;
    JDIMENSION from = (JDIMENSION)left, width = (JDIMENSION)(right - left);
    jpeg_crop_scanline(d, &from, &width); /* to whole blocks */
    return from;
}

/* The part at j->region into the rows. Reduced, each block is transformed to fewer pixels. */
static void decode_region_rows(struct jpeg *j)
{
    struct jpeg_decompress_struct *d = &j->d;
    const struct fv_region *p = j->region;

    begin(j);
    d->scale_num = 8u >> p->shift;
    d->scale_denom = 8;
    jpeg_start_decompress(d);
    if ((JDIMENSION)(p->x + p->w) > d->output_width || (JDIMENSION)(p->y + p->h) > d->output_height)
        give_up(j, "smaller when reduced than its size says");
    const JDIMENSION left = may_crop(d) ? crop(d, p) : 0;
    if (p->y > 0)
        jpeg_skip_scanlines(d, (JDIMENSION)p->y);
    for (int y = 0; y < p->h; y++) {
        if (jpeg_read_scanlines(d, &j->strip, 1) != 1)
            give_up(j, "ends early");
        memcpy(j->row[y], j->strip + ((size_t)p->x - left) * 3, (size_t)p->w * 3);
    }
    jpeg_abort_decompress(d);
}

static int jpeg_decode_region(void *ctx, const uint8_t *content, size_t n,
                              const struct fv_region *region, uint8_t *rgb)
{
    struct jpeg *j = ctx;

    j->source.next_input_byte = content;
    j->source.bytes_in_buffer = n;
    j->region = region;
    for (int y = 0; y < region->h; y++)
        j->row[y] = rgb + (size_t)y * (size_t)region->w * 3;
    return guarded(j, decode_region_rows) ? failed(j, FV_ECORRUPT) : FV_OK;
}

static int decode(struct jpeg *j, const uint8_t *content, size_t n, uint8_t *rgb)
{
    j->source.next_input_byte = content;
    j->source.bytes_in_buffer = n;
    point_rows(j, rgb);
    return guarded(j, decode_rows) ? failed(j, FV_ECORRUPT) : FV_OK;
}

static int jpeg_decode(void *ctx, uint8_t *content, size_t n, uint8_t *rgb)
{
    struct jpeg *j = ctx;

    FV_TRY(decode(j, content, n, rgb));
    return j->source.bytes_in_buffer == 0
               ? FV_OK
               : fv_err(FV_ECORRUPT, "JPEG: bytes after the end of the picture");
}

/* --- encoding ------------------------------------------------------------------------------------- */

static void create_compressor(struct jpeg *j)
{
    struct jpeg_compress_struct *c = &j->c;

    j->has_c = 1;
    jpeg_create_compress(c);
    c->dest = &j->target;
    c->image_width = (JDIMENSION)j->width;
    c->image_height = (JDIMENSION)j->height;
    c->input_components = 3;
    c->in_color_space = JCS_RGB;
    jpeg_set_defaults(c);
    jpeg_set_quality(c, j->quality, TRUE);
    for (int i = 0; i < 3; i++)
        c->comp_info[i].h_samp_factor = c->comp_info[i].v_samp_factor = 1;
    c->dct_method = JDCT_ISLOW;
    c->optimize_coding = TRUE;
}

static void encode_rows(struct jpeg *j)
{
    struct jpeg_compress_struct *c = &j->c;

    jpeg_start_compress(c, TRUE);
    while (c->next_scanline < c->image_height)
        jpeg_write_scanlines(c, j->row + c->next_scanline, c->image_height - c->next_scanline);
    jpeg_finish_compress(c);
}

/* What libjpeg-turbo says a 4:4:4 file may take: six bytes a pixel of whole blocks. */
static size_t jpeg_bound(const void *ctx)
{
    const struct jpeg *j = ctx;

    return padded(j->width) * padded(j->height) * 6 + HEADERS_MAX;
}

static int jpeg_encode(void *ctx, const uint8_t *rgb, uint8_t *content, size_t *n)
{
    struct jpeg *j = ctx;

    if (!j->has_c && guarded(j, create_compressor))
        return failed(j, FV_EINVAL);
    j->target.next_output_byte = content;
    j->target.free_in_buffer = jpeg_bound(j);
    point_rows(j, rgb);
    if (guarded(j, encode_rows))
        return failed(j, FV_EINVAL);
    *n = jpeg_bound(j) - j->target.free_in_buffer;
    return FV_OK;
}

/* Takes nothing that jpeg_decode would not. */
static int jpeg_adopt(void *ctx, const uint8_t *file, size_t bytes, uint8_t *content, size_t *n)
{
    struct jpeg *j = ctx;

    if (!j->rgb && !(j->rgb = malloc((size_t)j->width * (size_t)j->height * 3)))
        return fv_err(FV_ENOMEM, "out of memory for images of %dx%d", j->width, j->height);
    if (!fv__jpeg_strip(file, bytes, content, jpeg_bound(j), n))
        return 1;
    const int rc = decode(j, content, *n, j->rgb);
    if (rc < 0)
        return rc == FV_ECORRUPT ? 1 : rc;
    *n -= j->source.bytes_in_buffer;
    return FV_OK;
}

/* --- a context ------------------------------------------------------------------------------------ */

static void jpeg_close(void *ctx)
{
    struct jpeg *j = ctx;

    if (!j)
        return;
    if (j->has_d)
        jpeg_destroy_decompress(&j->d);
    if (j->has_c)
        jpeg_destroy_compress(&j->c);
    fv__jpeg_memory_free(&j->memory);
    free(j->row);
    free(j->strip);
    free(j->rgb);
    free(j);
}

static int jpeg_open(void **ctx, const struct fv_codec_settings *s)
{
    struct jpeg *j = calloc(1, sizeof *j);

    if (!j)
        return fv_err(FV_ENOMEM, "out of memory");
    j->width = s->width;
    j->height = s->height;
    j->quality = s->quality;
    j->row = calloc((size_t)s->height, sizeof(JSAMPROW));
    j->strip = malloc((size_t)s->width * 3);
    j->d.err = j->c.err = jpeg_std_error(&j->error);
    j->error.error_exit = on_error;
    j->error.emit_message = on_message;
    j->d.client_data = j->c.client_data = j;
    j->source = (struct jpeg_source_mgr){NULL,           0,          nothing_to_open,
                                         no_more_bytes,  skip_bytes, jpeg_resync_to_restart,
                                         nothing_to_open};
    j->target =
        (struct jpeg_destination_mgr){NULL, 0, nothing_to_flush, no_more_room, nothing_to_flush};
    j->progress.progress_monitor = limit_scans;
    const int rc = !j->row || !j->strip              ? fv_err(FV_ENOMEM, "out of memory")
                   : guarded(j, create_decompressor) ? failed(j, FV_EUNSUPPORTED)
                                                     : FV_OK;
    if (rc < 0) {
        jpeg_close(j);
        return rc;
    }
    *ctx = j;
    return FV_OK;
}

const struct fv_codec fv_codec_jpeg = {
    .name = "jpeg",
    .help = "a JPEG file each: the photo's own where it has the wanted size; smallest",
    .id = 2,
    .quality = QUALITY,
    .library = "libjpeg-turbo",
    .shares_headers = 1,
    .open = jpeg_open,
    .close = jpeg_close,
    .bound = jpeg_bound,
    .encode = jpeg_encode,
    .adopt = jpeg_adopt,
    .decode = jpeg_decode,
    .decode_region = jpeg_decode_region,
};
