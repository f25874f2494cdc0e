/* SPDX-License-Identifier: MIT */
/* The result's corners, seen in the source, span all that a warp looks at; around them comes what a bilinear sample
 * and the halvings that remain take from beyond. The part begins and ends where those halvings pair pixels as they
 * would in the whole. */
#include "augment/footprint.h"
#include "augment/render_parts.h"

#include <math.h>

struct range {
    int first, last; /* pixels, last excluded */
};

/* lo..hi: coordinates in a picture of `side` pixels, of which halvings work on groups of 1 << halvings. */
static struct range widen(double lo, double hi, int side, int halvings)
{
    const int group = 1 << halvings;
    /* clipped first: far outside, a coordinate may exceed an int */
    const double first = fmin(fmax(floor(lo) - group - 1, 0), side - 1);
    const double last = fmin(fmax(ceil(hi) + group + 1, 1), side);
    struct range r = {(int)first / group * group, ((int)last + group - 1) / group * group};

    if (r.last <= r.first)
        r.last = r.first + group;
    r.last = r.last < side ? r.last : side;
    return r;
}

void fv__footprint(const struct fv_plan *plan, int src_h, int src_w, int out_h, int out_w,
                   struct fv_region *region)
{
    double m[9], low[2] = {INFINITY, INFINITY}, high[2] = {-INFINITY, -INFINITY};
    int halvings[2];

    *region = (struct fv_region){.w = src_w, .h = src_h};
    for (int i = 0; i < 9; i++)
        m[i] = plan->inverse[i];
    if (plan->identity || !fv__render_halvings(m, src_h, src_w, out_h, out_w, halvings))
        return;
    const int shift = halvings[0] < halvings[1] ? halvings[0] : halvings[1];
    region->shift = shift < FV_REGION_SHIFT_MAX ? shift : FV_REGION_SHIFT_MAX;
    for (int corner = 0; corner < 4; corner++) {
        const double x = corner & 1 ? out_w : 0, y = corner & 2 ? out_h : 0;
        const double w = (m[6] * x + m[7] * y + m[8]) * (1 << region->shift);
        for (int i = 0; i < 2; i++) {
            const double at = (m[3 * i] * x + m[3 * i + 1] * y + m[3 * i + 2]) / w;
            low[i] = fmin(low[i], at);
            high[i] = fmax(high[i], at);
        }
    }
    const struct range x =
        widen(low[0], high[0], fv_region_side(src_w, region->shift), halvings[0] - region->shift);
    const struct range y =
        widen(low[1], high[1], fv_region_side(src_h, region->shift), halvings[1] - region->shift);
    region->x = x.first;
    region->y = y.first;
    region->w = x.last - x.first;
    region->h = y.last - y.first;
}

void fv__footprint_apply(struct fv_plan *plan, const struct fv_region *region)
{
    const double scale = 1.0 / (1 << region->shift);
    float *m = plan->inverse;

    for (int i = 0; i < 3; i++) {
        m[i] = (float)(m[i] * scale - (double)region->x * m[6 + i]);
        m[3 + i] = (float)(m[3 + i] * scale - (double)region->y * m[6 + i]);
    }
}
