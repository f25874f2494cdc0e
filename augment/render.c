/* SPDX-License-Identifier: MIT */
/* Plan -> pixels, each result pixel written once by the warp and once by the colour pass.
 *
 * A bilinear sample looks at 2 x 2 pixels of the source, so where the map shrinks by more than 1.5 times in a
 * direction, the source is first halved in that direction by a box, as often as needed: that leaves a
 * factor between 0.75 and 1.5.
 */
#include "augment/dsp.h"
#include "augment/policy.h"
#include "augment/render_parts.h"
#include "common/clock.h"
#include "common/trace.h"

#include <math.h>
#include <string.h>

#define SHRINK_LIMIT 1.5

struct picture {
    const uint8_t *px;
    int h, w;
    double inverse[9]; /* result -> this picture, pixel-centre coordinates */
};

static size_t align_up(size_t n)
{
    return (n + 63) & ~(size_t)63;
}

size_t fv_render_scratch(int src_h, int src_w, int out_h, int out_w)
{
    /* Two buffers in turn: the larger one takes the first halving, in one direction if need be. */
    const size_t half = (size_t)(src_h + 1) * (size_t)(src_w + 1) / 2 + (size_t)(src_h + src_w);
    const size_t warp = 2 * align_up(half * 3 + FV_DSP_PADDING);
    const size_t blur = align_up(fv__render_blur_scratch(out_h, out_w));

    return warp > blur ? warp : blur;
}

/* How many pixels of the source one step in the result crosses at most, along x (row 0) or y (row 1);
 * taken at the centre of the result. */
static double shrink(const double m[9], int row, int out_h, int out_w)
{
    const double *r = m + 3 * row;
    const double cx = 0.5 * out_w, cy = 0.5 * out_h;
    const double w = m[6] * cx + m[7] * cy + m[8];
    const double at = (r[0] * cx + r[1] * cy + r[2]) / w;

    return hypot(r[0] - at * m[6], r[1] - at * m[7]) / fabs(w);
}

int fv__render_halvings(const double m[9], int src_h, int src_w, int out_h, int out_w,
                        int halvings[2])
{
    const double low = fmin(m[6] * out_w, 0) + fmin(m[7] * out_h, 0) + m[8];
    const double high = fmax(m[6] * out_w, 0) + fmax(m[7] * out_h, 0) + m[8];

    halvings[0] = halvings[1] = 0;
    if (low <= 0 && high >= 0)
        return 0;
    for (int row = 0; row < 2; row++) {
        double factor = shrink(m, row, out_h, out_w);
        for (int side = row ? src_h : src_w; side > 1 && factor > SHRINK_LIMIT; factor /= 2) {
            halvings[row]++;
            side = (side + 1) / 2;
        }
    }
    return 1;
}

static void halve_picture(const struct fv_dsp *dsp, struct picture *p, int in_x, int in_y,
                          uint8_t *to)
{
    const int h = in_y ? (p->h + 1) / 2 : p->h, w = in_x ? (p->w + 1) / 2 : p->w;
    const size_t from_stride = (size_t)p->w * 3, to_stride = (size_t)w * 3;

    for (int y = 0; y < h; y++) {
        const uint8_t *a = p->px + (size_t)(in_y ? 2 * y : y) * from_stride;
        const uint8_t *b = in_y && 2 * y + 1 < p->h ? a + from_stride : a;
        if (in_x)
            dsp->halve(to + (size_t)y * to_stride, a, b, p->w);
        else
            dsp->average(to + (size_t)y * to_stride, a, b, p->w * 3);
    }
    for (int i = 0; i < 3; i++) {
        p->inverse[i] *= in_x ? 0.5 : 1.0;
        p->inverse[3 + i] *= in_y ? 0.5 : 1.0;
    }
    p->px = to;
    p->h = h;
    p->w = w;
}

static void prefilter(const struct fv_dsp *dsp, struct picture *p, int out_h, int out_w,
                      uint8_t *scratch, size_t scratch_bytes)
{
    uint8_t *buffer[2] = {scratch, scratch + scratch_bytes / 2};
    int left[2];

    fv__render_halvings(p->inverse, p->h, p->w, out_h, out_w, left);
    for (int turn = 0; left[0] > 0 || left[1] > 0; turn ^= 1, left[0]--, left[1]--)
        halve_picture(dsp, p, left[0] > 0, left[1] > 0, buffer[turn]);
}

static void copy(const struct fv_dsp *dsp, const uint8_t *src, uint8_t *dst, int h, int w,
                 int mirror)
{
    const size_t stride = (size_t)w * 3;

    if (!mirror) {
        memcpy(dst, src, (size_t)h * stride);
        return;
    }
    for (int y = 0; y < h; y++)
        dsp->mirror(dst + (size_t)y * stride, src + (size_t)y * stride, w);
}

static void warp(const struct fv_dsp *dsp, const struct fv_plan *plan, const uint8_t *src,
                 int src_h, int src_w, uint8_t *dst, int out_h, int out_w, void *scratch)
{
    struct picture p = {.px = src, .h = src_h, .w = src_w};

    for (int i = 0; i < 9; i++)
        p.inverse[i] = plan->inverse[i];
    prefilter(dsp, &p, out_h, out_w, scratch, fv_render_scratch(src_h, src_w, out_h, out_w));

    const double *m = p.inverse;
    const int affine = m[6] == 0.0 && m[7] == 0.0 && m[8] == 1.0;
    for (int y = 0; y < out_h; y++) {
        const double cy = y + 0.5;
        const double w = m[6] * 0.5 + m[7] * cy + m[8];
        const struct fv_warp_row row = {
            /* centre to index coordinates: minus half, times the denominator */
            .x = (float)(m[0] * 0.5 + m[1] * cy + m[2] - 0.5 * w),
            .y = (float)(m[3] * 0.5 + m[4] * cy + m[5] - 0.5 * w),
            .w = (float)w,
            .dx = (float)(m[0] - 0.5 * m[6]),
            .dy = (float)(m[3] - 0.5 * m[6]),
            .dw = (float)m[6],
        };
        (affine ? dsp->warp_affine : dsp->warp_projective)(dst + (size_t)y * (size_t)out_w * 3,
                                                           out_w, p.px, p.h, p.w, &row);
    }
}

void fv_render(const struct fv_dsp *dsp, const struct fv_plan *plan, const uint8_t *src, int src_h,
               int src_w, uint8_t *dst, int out_h, int out_w, void *scratch,
               struct fv_render_times *times)
{
    const uint64_t start = fv_now_ns();
    uint64_t span = fv_trace_begin("warp");

    if (plan->identity)
        copy(dsp, src, dst, out_h, out_w, plan->mirror);
    else
        warp(dsp, plan, src, src_h, src_w, dst, out_h, out_w, scratch);
    fv_trace_end("warp", span);
    const uint64_t warped = fv_now_ns();
    fv__render_colour(dsp, plan, dst, out_h, out_w, scratch);
    const uint64_t coloured = fv_now_ns();
    if (plan->erases) {
        span = fv_trace_begin("erase");
        for (int i = 0; i < plan->erases; i++)
            fv__render_erase(&plan->erase[i], dst, out_h, out_w);
        fv_trace_end("erase", span);
    }
    if (times) {
        times->warp_ns += warped - start;
        times->colour_ns += coloured - warped;
        times->erase_ns += fv_now_ns() - coloured;
    }
}
