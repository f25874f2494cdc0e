/* SPDX-License-Identifier: MIT */
#include "prep/photo/photo.h"

#include "common/err.h"
#include "prep/photo/photo_decoder.h"
#include "prep/photo/resample.h"

#include <inttypes.h>
#include <stdlib.h>

int fv__photo_open(struct fv_photo **out, const struct fv_framing *framing)
{
    struct fv_photo *p = *out = calloc(1, sizeof *p);
    if (!p)
        return fv_err(FV_ENOMEM, "out of memory for an image reader");
    int rc = fv__framer_open(&p->framer, framing);
    if (rc < 0)
        fv__photo_close(out);
    return rc;
}

void fv__photo_close(struct fv_photo **p)
{
    if (!*p)
        return;
    fv__framer_close(&(*p)->framer);
    free((*p)->strip);
    free(*p);
    *p = NULL;
    fv__vips_end_thread();
}

int fv__photo_take_strip(struct fv_photo *p, int width, size_t *stride)
{
    *stride = 3 * (size_t)width + FV_RESAMPLE_PAD;
    size_t bytes = *stride * FV_PHOTO_STRIP_ROWS;
    if (bytes <= p->strip_room)
        return 0;
    free(p->strip);
    p->strip = calloc(1, bytes);
    p->strip_room = p->strip ? bytes : 0;
    return p->strip ? 0 : fv_err(FV_ENOMEM, "out of memory for rows of %d pixels", width);
}

int fv__photo_check_size(const struct fv_photo_job *job, int w, int h)
{
    if (w > FV_PHOTO_MAX_SIDE || h > FV_PHOTO_MAX_SIDE)
        return fv__refuse(job->why, FV_REJECT_TOO_MANY_PIXELS, "%d x %d, at most %d on each side",
                          w, h, FV_PHOTO_MAX_SIDE);
    if ((uint64_t)w * (uint64_t)h > FV_PHOTO_MAX_PIXELS)
        return fv__refuse(job->why, FV_REJECT_TOO_MANY_PIXELS, "%d x %d, at most %u pixels", w, h,
                          FV_PHOTO_MAX_PIXELS);
    if (w < FV_PHOTO_MIN_SIDE || h < FV_PHOTO_MIN_SIDE)
        return fv__refuse(job->why, FV_REJECT_TOO_SMALL, "%d x %d, at least %d on each side", w, h,
                          FV_PHOTO_MIN_SIDE);
    return 0;
}

int fv__photo_check_whole(const struct fv_photo_job *job, int w, int h, uint64_t bytes)
{
    if (bytes <= FV_PHOTO_MAX_WHOLE_BYTES) {
        fv__turn_give_back(&job->photo->turn, FV_TURN_PICTURE);
        fv__turn_take(&job->photo->turn, FV_TURN_PICTURE, bytes);
        return 0;
    }
    return fv__refuse(job->why, FV_REJECT_TOO_MANY_PIXELS,
                      "%d x %d of a kind that is unpacked whole: %" PRIu64 " MiB, at most %u", w, h,
                      bytes >> 20, FV_PHOTO_MAX_WHOLE_BYTES >> 20);
}

int fv__photo_refuse_broken(const struct fv_photo_job *job, int w, int h)
{
    int whole = fv__format_is_whole(job->format, job->bytes, job->n);
    return fv__refuse(job->why, whole ? FV_REJECT_DAMAGED : FV_REJECT_TRUNCATED,
                      "%s, %d x %d, %zu bytes", job->format->name, w, h, job->n);
}

int fv__photo_decode(struct fv_photo *p, const uint8_t *bytes, size_t n, const struct fv_face *face,
                     uint8_t *rgb, struct fv_refusal *why)
{
    struct fv_photo_job job = {p, fv__format_of_bytes(bytes, n), bytes, n, face, rgb, why};
    p->is_finished_jpeg = 0;
    if (!job.format)
        return fv__refuse(why, FV_REJECT_NOT_IMAGE, "%s", "");
    int rc = FV_JPEG_NEEDS_VIPS;
    if (fv__format_is_jpeg(job.format))
        rc = fv__jpeg_decode(&job);
    if (rc == FV_JPEG_NEEDS_VIPS)
        rc = fv__vips_decode(&job);
    fv__turn_give_back(&p->turn, FV_TURN_PICTURE);
    return rc;
}

int fv__photo_is_finished_jpeg(const struct fv_photo *p)
{
    return p->is_finished_jpeg;
}
