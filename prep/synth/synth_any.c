/* SPDX-License-Identifier: MIT */
#include "prep/synth/synth_any.h"

static double within(struct fv_rng *r, struct fv__range range)
{
    return fv_rng_uniform(r, range.lo, range.hi);
}

struct fv__pt fv__any_point(struct fv_rng *r, struct fv__range x, struct fv__range y)
{
    struct fv__pt p;
    p.x = within(r, x);
    p.y = within(r, y);
    return p;
}

struct fv__rgb fv__any_hsv(struct fv_rng *r, struct fv__range hue, struct fv__range saturation,
                           struct fv__range value)
{
    const double v = within(r, value);
    const double s = within(r, saturation);
    const double h = within(r, hue);
    return fv__hsv_rgb(h, s, v);
}
