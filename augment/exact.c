/* SPDX-License-Identifier: MIT */
/* Plan -> pixels, one step after the other on 8-bit pictures, as a Compose of torchvision transforms does it. Slower
 * than fv_render, which resamples once and rounds once; this is what that is measured against, and what a
 * training that must repeat a torchvision one uses. */
#include "augment/exact.h"
#include "augment/render_parts.h"
#include "common/clock.h"
#include "common/trace.h"

#include <string.h>

struct canvas {
    int h, w;            /* of the picture as it stands */
    uint8_t *px, *other; /* the picture, and room for the next one */
    float *floats;       /* scratch of an operation */
};

static size_t align_up(size_t n)
{
    return (n + 63) & ~(size_t)63;
}

static size_t most(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* Of the source's size or the result's. */
static size_t picture_bytes(int src_h, int src_w, int out_h, int out_w)
{
    return align_up(most((size_t)src_h * (size_t)src_w, (size_t)out_h * (size_t)out_w) * 3);
}

size_t fv_render_exact_scratch(int src_h, int src_w, int out_h, int out_w)
{
    const size_t crop = most(fv__exact_resized_crop_scratch(src_h, src_w, out_h, out_w),
                             fv__exact_resized_crop_scratch(out_h, out_w, out_h, out_w));
    const size_t blur =
        most(fv__exact_blur_scratch(src_h, src_w), fv__exact_blur_scratch(out_h, out_w));

    return 2 * picture_bytes(src_h, src_w, out_h, out_w) +
           align_up(most(crop, blur) * sizeof(float));
}

static void swap(struct canvas *c)
{
    uint8_t *px = c->px;

    c->px = c->other;
    c->other = px;
}

static void crop(struct canvas *c, const struct fv_rect *box, int out_h, int out_w)
{
    fv__exact_resized_crop(c->other, out_h, out_w, c->px, c->w, box, c->floats);
    c->h = out_h;
    c->w = out_w;
    swap(c);
}

static void move(struct canvas *c, const struct fv_step *step, int out_h, int out_w)
{
    switch (step->kind) {
    case FV_STEP_FLIP:
        fv__exact_flip(c->px, c->h, c->w);
        break;
    case FV_STEP_CROP:
        crop(c, &step->box, out_h, out_w);
        break;
    case FV_STEP_AFFINE:
        fv__exact_affine(c->other, c->px, c->h, c->w, step->v);
        swap(c);
        break;
    case FV_STEP_PERSPECTIVE:
        fv__exact_perspective(c->other, c->px, c->h, c->w, step->v);
        swap(c);
        break;
    default:
        break;
    }
}

static void colour(struct canvas *c, const struct fv_step *step)
{
    const size_t n = (size_t)c->h * (size_t)c->w;

    switch (step->kind) {
    case FV_STEP_BRIGHTNESS:
        fv__exact_brightness(c->px, n, step->v[0]);
        break;
    case FV_STEP_CONTRAST:
        fv__exact_contrast(c->px, n, step->v[0]);
        break;
    case FV_STEP_SATURATION:
        fv__exact_saturation(c->px, n, step->v[0]);
        break;
    case FV_STEP_HUE:
        fv__exact_hue(c->px, n, step->v[0]);
        break;
    case FV_STEP_GRAY:
        fv__exact_gray(c->px, n);
        break;
    case FV_STEP_BLUR:
        fv__exact_blur(c->other, c->px, c->h, c->w, (int)step->v[1], step->v[0], c->floats);
        swap(c);
        break;
    default:
        break;
    }
}

void fv_render_exact(const struct fv_plan *plan, const uint8_t *src, int src_h, int src_w,
                     uint8_t *dst, int out_h, int out_w, void *scratch,
                     struct fv_render_times *times)
{
    const size_t bytes = picture_bytes(src_h, src_w, out_h, out_w);
    uint8_t *room = scratch;
    struct canvas c = {src_h, src_w, room, room + bytes, (float *)(void *)(room + 2 * bytes)};
    struct fv_render_times spent = {0};
    uint64_t now, before = fv_now_ns();

    memcpy(c.px, src, (size_t)src_h * (size_t)src_w * 3);
    for (int i = 0; i < plan->steps; i++) {
        const struct fv_step *step = &plan->step[i];
        const char *name = step->kind == FV_STEP_ERASE         ? "erase"
                           : step->kind <= FV_STEP_PERSPECTIVE ? "warp"
                                                               : "colour";
        const uint64_t span = fv_trace_begin(name);
        uint64_t *sort = &spent.erase_ns;
        if (step->kind == FV_STEP_ERASE) {
            fv__render_erase(&plan->erase[(int)step->v[0]], c.px, c.h, c.w);
        } else if (step->kind <= FV_STEP_PERSPECTIVE) {
            move(&c, step, out_h, out_w);
            sort = &spent.warp_ns;
        } else {
            colour(&c, step);
            sort = &spent.colour_ns;
        }
        fv_trace_end(name, span);
        now = fv_now_ns();
        *sort += now - before;
        before = now;
    }
    memcpy(dst, c.px, (size_t)out_h * (size_t)out_w * 3);
    if (times) {
        times->warp_ns += spent.warp_ns;
        times->colour_ns += spent.colour_ns;
        times->erase_ns += spent.erase_ns;
    }
}
