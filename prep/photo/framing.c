/* SPDX-License-Identifier: MIT */
/* All three ways come down to one: a box of the photo is resized, as stored, and turned upright. Landmarks
 * then warp the result; their box is what the warp will look at. */
#include "prep/photo/framing.h"

#include "common/err.h"
#include "prep/photo/align.h"
#include "prep/photo/photo.h"
#include "prep/photo/resample.h"
#include "prep/photo/turn.h"

#include <math.h>
#include <stdlib.h>

/* Memory that grows. */
struct pixels {
    uint8_t *at;
    size_t room;
};

struct fv_framer {
    struct fv_framing how;
    struct fv_resampler *resampler;
    /* the plan */
    struct fv_picture picture;
    double box[4];            /* of the upright picture: left, top, right, bottom */
    int width, height;        /* what the box is resized to, upright */
    struct fv_similarity map; /* LANDMARKS: aligned picture to photo */
    /* the picture that passes */
    uint8_t *rgb;
    struct pixels stored, upright;
};

int fv__framer_open(struct fv_framer **out, const struct fv_framing *how)
{
    double point[5][2];
    *out = NULL;
    if (how->by == FV_FRAME_LANDMARKS && !fv__align_template(how->size, point))
        return fv_err(FV_EINVAL,
                      "landmarks have no template for %d pixels: use a multiple of 112 "
                      "or 128",
                      how->size);
    struct fv_framer *f = *out = calloc(1, sizeof *f);
    if (!f)
        return fv_err(FV_ENOMEM, "out of memory for a photo");
    f->how = *how;
    int rc = fv__resample_open(&f->resampler);
    if (rc < 0)
        fv__framer_close(out);
    return rc;
}

void fv__framer_close(struct fv_framer **framer)
{
    struct fv_framer *f = *framer;
    if (!f)
        return;
    fv__resample_close(&f->resampler);
    free(f->stored.at);
    free(f->upright.at);
    free(f);
    *framer = NULL;
}

/* --- the plan ------------------------------------------------------------------------------------- */

/* A rest that does not halve leaves one pixel more on the right or below. */
static void centre(double *from, double *to, int length, double part)
{
    *from = floor((length - part) / 2);
    *to = *from + part;
}

static void plan_photo(struct fv_framer *f, int w, int h)
{
    int shorter = w < h ? w : h, longer = w < h ? h : w;
    enum fv_fit fit = f->how.fit;
    double x = fit == FV_FIT_COVER ? shorter : fit == FV_FIT_CONTAIN ? longer : w;
    double y = fit == FV_FIT_COVER ? shorter : fit == FV_FIT_CONTAIN ? longer : h;
    centre(&f->box[0], &f->box[2], w, round(x * f->how.crop));
    centre(&f->box[1], &f->box[3], h, round(y * f->how.crop));
}

/* A box whose centre is not in the photo, or which is more than twice its size, is about another photo. */
static int plan_box(struct fv_framer *f, int w, int h, const struct fv_face *face,
                    struct fv_refusal *why)
{
    if (!face || !face->has_box)
        return fv__refuse(why, FV_REJECT_NO_FACE, "no box");
    double bw = face->box[2], bh = face->box[3];
    double x = face->box[0] + bw / 2, y = face->box[1] + bh / 2;
    if (!(bw > 0 && bw <= 2.0 * w && bh > 0 && bh <= 2.0 * h && x >= 0 && x <= w && y >= 0 &&
          y <= h))
        return fv__refuse(why, FV_REJECT_BAD_FACE, "box %g %g %g %g in %d x %d", face->box[0],
                          face->box[1], bw, bh, w, h);
    double half = (bw > bh ? bw : bh) * (1 + f->how.margin) / 2;
    f->box[0] = x - half;
    f->box[1] = y - half;
    f->box[2] = x + half;
    f->box[3] = y + half;
    return 0;
}

/* What the warp looks at: the aligned square in the photo, one pixel of it wider, as whole pixels of the photo. */
static void plan_region(struct fv_framer *f, int w, int h)
{
    int size = f->how.size;
    const struct fv_similarity *m = &f->map;
    double least[2] = {INFINITY, INFINITY}, most[2] = {-INFINITY, -INFINITY};
    for (int corner = 0; corner < 4; corner++) {
        double u = corner & 1 ? size : -1, v = corner & 2 ? size : -1;
        double at[2] = {m->a * u - m->b * v + m->tx + 0.5, m->b * u + m->a * v + m->ty + 0.5};
        for (int i = 0; i < 2; i++) {
            least[i] = fmin(least[i], at[i]);
            most[i] = fmax(most[i], at[i]);
        }
    }
    for (int i = 0; i < 2; i++) {
        f->box[i] = fmax(0, floor(least[i] - 1));
        f->box[2 + i] = fmin(i ? h : w, ceil(most[i] + 1));
    }
}

static int plan_landmarks(struct fv_framer *f, int w, int h, const struct fv_face *face,
                          struct fv_refusal *why)
{
    if (!face || !face->has_points)
        return fv__refuse(why, FV_REJECT_NO_FACE, "no landmarks");
    double x = 0, y = 0;
    for (int i = 0; i < 5; i++) {
        x += face->point[i][0] / 5;
        y += face->point[i][1] / 5;
    }
    if (!(x >= 0 && x <= w && y >= 0 && y <= h) ||
        !fv__align_to_photo(f->how.size, face->point, &f->map))
        return fv__refuse(why, FV_REJECT_BAD_FACE, "landmarks around %g %g in %d x %d", x, y, w, h);
    double scale = hypot(f->map.a, f->map.b), side = scale * f->how.size;
    if (side < FV_PHOTO_MIN_SIDE || side > 8.0 * (w > h ? w : h))
        return fv__refuse(why, FV_REJECT_BAD_FACE, "landmarks of a face of %g pixels in %d x %d",
                          side, w, h);
    plan_region(f, w, h);
    double step = scale > 2 ? scale : 1;
    f->width = (int)ceil((f->box[2] - f->box[0]) / step);
    f->height = (int)ceil((f->box[3] - f->box[1]) / step);
    return 0;
}

int fv__framer_plan(struct fv_framer *f, const struct fv_picture *p, const struct fv_face *face,
                    struct fv_refusal *why)
{
    int swaps = fv__turn_swaps(p->turn);
    int w = swaps ? p->height : p->width, h = swaps ? p->width : p->height;
    f->picture = *p;
    f->width = f->height = f->how.size;
    if (f->how.by == FV_FRAME_LANDMARKS)
        return plan_landmarks(f, w, h, face, why);
    if (f->how.by == FV_FRAME_BOX) {
        int rc = plan_box(f, w, h, face, why);
        if (rc)
            return rc;
    } else {
        plan_photo(f, w, h);
    }
    double x = fmin(f->box[2], w) - fmax(f->box[0], 0), y = fmin(f->box[3], h) - fmax(f->box[1], 0);
    if (fmin(x, y) < FV_PHOTO_MIN_SIDE)
        return fv__refuse(why, FV_REJECT_TOO_SMALL,
                          "%g x %g of it are used, at least %d on each side", x, y,
                          FV_PHOTO_MIN_SIDE);
    return 0;
}

/* Photo pixels to one pixel that comes out. */
static double ratio_of(const struct fv_framer *f)
{
    if (f->how.by == FV_FRAME_LANDMARKS)
        return hypot(f->map.a, f->map.b);
    return fmin(f->box[2] - f->box[0], f->box[3] - f->box[1]) / f->how.size;
}

int fv__framer_shrink(const struct fv_framer *f)
{
    int shrink = 1;
    while (shrink < 8 && ratio_of(f) >= 2 * (shrink * 2))
        shrink *= 2;
    return shrink;
}

int fv__framer_is_whole(const struct fv_framer *f)
{
    int size = f->how.size;
    return f->how.by != FV_FRAME_LANDMARKS && f->picture.turn == 1 && f->picture.width == size &&
           f->picture.height == size && f->box[0] == 0 && f->box[1] == 0 && f->box[2] == size &&
           f->box[3] == size;
}

/* --- the picture ---------------------------------------------------------------------------------- */

static int grow(struct pixels *p, int width, int height)
{
    size_t bytes = 3 * (size_t)width * (size_t)height;
    if (bytes <= p->room)
        return 0;
    free(p->at);
    p->at = malloc(bytes);
    p->room = p->at ? bytes : 0;
    return p->at ? 0 : fv_err(FV_ENOMEM, "out of memory for %d x %d pixels", width, height);
}

int fv__framer_begin(struct fv_framer *f, int width, int height, int shrink, uint8_t *rgb)
{
    int turn = f->picture.turn, swaps = fv__turn_swaps(turn);
    struct fv_resample_job job = {.width = width, .height = height, .out = rgb};
    double box[4];
    fv__turn_box(turn, swaps ? f->picture.height : f->picture.width,
                 swaps ? f->picture.width : f->picture.height, f->box, box);
    for (int i = 0; i < 4; i++)
        job.box[i] = (float)(box[i] / shrink);
    job.out_width = swaps ? f->height : f->width;
    job.out_height = swaps ? f->width : f->height;
    f->rgb = rgb;
    if (turn != 1 || f->how.by == FV_FRAME_LANDMARKS) {
        FV_TRY(grow(&f->stored, f->width, f->height));
        job.out = f->stored.at;
    }
    if (turn != 1 && f->how.by == FV_FRAME_LANDMARKS)
        FV_TRY(grow(&f->upright, f->width, f->height));
    return fv__resample_begin(f->resampler, &job);
}

void fv__framer_rows(struct fv_framer *f, const uint8_t *rows, size_t stride, int n)
{
    fv__resample_rows(f->resampler, rows, stride, n);
}

/* From the resized region, whose pixels are larger than the photo's and start elsewhere. */
static void warp(const struct fv_framer *f, const uint8_t *region)
{
    double kx = f->width / (f->box[2] - f->box[0]), ky = f->height / (f->box[3] - f->box[1]);
    struct fv_affine m = {.xx = f->map.a * kx,
                          .xy = -f->map.b * kx,
                          .x = (f->map.tx + 0.5 - f->box[0]) * kx - 0.5,
                          .yx = f->map.b * ky,
                          .yy = f->map.a * ky,
                          .y = (f->map.ty + 0.5 - f->box[1]) * ky - 0.5};
    fv__align_warp(f->rgb, f->how.size, region, f->width, f->height, &m);
}

void fv__framer_end(struct fv_framer *f)
{
    int turn = f->picture.turn, swaps = fv__turn_swaps(turn);
    int by_landmarks = f->how.by == FV_FRAME_LANDMARKS;
    const uint8_t *region = f->stored.at;
    if (turn != 1) {
        fv__turn_pixels(turn, f->stored.at, swaps ? f->height : f->width,
                        swaps ? f->width : f->height, by_landmarks ? f->upright.at : f->rgb);
        region = f->upright.at;
    }
    if (by_landmarks)
        warp(f, region);
}
