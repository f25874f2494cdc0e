/* SPDX-License-Identifier: MIT */
/* The colour steps of a plan in as few passes over the picture as their order permits.
 *
 * Brightness, contrast, saturation and grey are affine maps of RGB that share one form, scale * c + grey * luma
 * + offset, and that form is closed under composition. Hue is not affine, but one kernel turns it between two
 * such maps. Contrast pulls towards the mean luma of the picture as it is when contrast's turn comes. Behind affine
 * maps that is the same map applied to the mean colour of the pixels as they stand; behind a hue it cannot be
 * known without the pixels, so what is pending is carried out first. So is it before a blur.
 *
 * Pixels are rounded to the nearest once, at the end of a pass, after half a level was taken off for each time that
 * torchvision cuts off. For a single operation that is the same thing, for several it is the same on average. */
#include "augment/render_parts.h"
#include "common/trace.h"

#include <math.h>

/* torchvision cuts off what is behind the point after each operation, and of every luma: half a level on average. */
#define CUT_OFF 0.5

struct map {
    double scale, grey, offset;
};

static const struct map unchanged = {1, 0, 0};

struct colouring {
    const struct fv_dsp *dsp;
    uint8_t *px;
    int h, w;
    void *scratch;
    /* pending: the map `before`, and where `turned`, then the hue by `sixths`, then the map `after` */
    struct map before, after;
    int turned;
    double sixths;
    int has_mean;
    double mean_luma; /* of the pixels as they stand, without what is pending */
};

static struct fv_colour single(const struct map *m)
{
    return (struct fv_colour){(float)m->scale, (float)m->grey, (float)m->offset};
}

static void carry_out(struct colouring *c)
{
    const struct fv_colour before = single(&c->before), after = single(&c->after);
    const float sixths = (float)c->sixths;
    const int n = c->h * c->w;

    if (!c->turned && before.scale == 1 && before.grey == 0 && before.offset == 0)
        return;
    const uint64_t span = fv_trace_begin("colour");
    if (c->turned)
        c->dsp->hue(c->px, n, &before, sixths < 6.0f ? sixths : 0.0f, &after);
    else
        c->dsp->colour(c->px, n, &before);
    fv_trace_end("colour", span);
    c->before = c->after = unchanged;
    c->turned = c->has_mean = 0;
}

static double mean_luma(struct colouring *c)
{
    const int n = c->h * c->w;
    double sums[3] = {0, 0, 0};

    if (c->has_mean)
        return c->mean_luma;
    for (int at = 0; at < n; at += 1 << 20) {
        uint32_t part[3];
        c->dsp->sum(c->px + (size_t)at * 3, n - at < 1 << 20 ? n - at : 1 << 20, part);
        for (int k = 0; k < 3; k++)
            sums[k] += part[k];
    }
    c->has_mean = 1;
    c->mean_luma = (FV_LUMA_R * sums[0] + FV_LUMA_G * sums[1] + FV_LUMA_B * sums[2]) / n;
    return c->mean_luma;
}

/* Appends to the pending map: pixels times f, and (1 - f) times their luma or the picture's mean luma. */
static void blend(struct colouring *c, enum fv_step_kind kind, double f)
{
    const double white =
        (double)FV_LUMA_R + FV_LUMA_G + FV_LUMA_B; /* luma of (1, 1, 1): just below 1 */
    struct map *m = c->turned ? &c->after : &c->before;
    /* luma after the map so far = luma_scale * luma + luma_offset */
    const double luma_scale = m->scale + m->grey * white;
    const double luma_offset = m->offset * white - CUT_OFF;

    *m = (struct map){m->scale * f, m->grey * f, m->offset * f};
    if (kind == FV_STEP_CONTRAST) {
        m->offset += (1 - f) * (luma_scale * mean_luma(c) + luma_offset);
    } else if (kind != FV_STEP_BRIGHTNESS) {
        m->grey += (1 - f) * luma_scale;
        m->offset += (1 - f) * luma_offset;
    }
    if (kind != FV_STEP_GRAY) /* that is its luma, once cut off */
        m->offset -= CUT_OFF;
}

static void take(struct colouring *c, const struct fv_step *step)
{
    switch (step->kind) {
    case FV_STEP_CONTRAST:
        if (c->turned)
            carry_out(c);
        blend(c, step->kind, step->v[0]);
        break;
    case FV_STEP_BRIGHTNESS:
    case FV_STEP_SATURATION:
        blend(c, step->kind, step->v[0]);
        break;
    case FV_STEP_GRAY:
        blend(c, step->kind, 0);
        break;
    case FV_STEP_HUE:
        if (c->turned)
            carry_out(c);
        c->turned = 1;
        c->after.offset -= CUT_OFF;
        c->sixths = fmod(6 * step->v[0] + 6, 6);
        break;
    case FV_STEP_BLUR:
        carry_out(c);
        fv__render_blur(c->dsp, c->px, c->h, c->w, (int)step->v[1], step->v[0], c->scratch);
        c->has_mean = 0;
        break;
    case FV_STEP_FLIP:
    case FV_STEP_CROP:
    case FV_STEP_AFFINE:
    case FV_STEP_PERSPECTIVE:
    case FV_STEP_ERASE:
        break; /* in the warp, or after all colours */
    }
}

void fv__render_colour(const struct fv_dsp *dsp, const struct fv_plan *plan, uint8_t *px, int h,
                       int w, void *scratch)
{
    struct colouring c = {.dsp = dsp,
                          .px = px,
                          .h = h,
                          .w = w,
                          .scratch = scratch,
                          .before = unchanged,
                          .after = unchanged};

    for (int i = 0; i < plan->steps; i++)
        take(&c, &plan->step[i]);
    carry_out(&c);
}
