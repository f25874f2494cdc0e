/* SPDX-License-Identifier: MIT */
/* The steps that ops share. Matrices map new points to old ones: what an op does to the picture is
 * appended on the right, so the whole maps a point of the result to the source in one multiplication. */
#include "augment/op.h"
#include "common/err.h"

#include <math.h>
#include <string.h>

int fv__aug_check_range(const char *op, const char *what, double lo, double hi)
{
    if (lo <= hi)
        return FV_OK;
    return fv_err(FV_EUSAGE,
                  "augmentation '%s': %s goes from %g to %g: the first must not exceed the second",
                  op, what, lo, hi);
}

void fv__aug_compose(struct fv_aug_frame *f, const double step[9])
{
    double product[9];

    for (int row = 0; row < 3; row++)
        for (int col = 0; col < 3; col++)
            product[3 * row + col] = f->inverse[3 * row] * step[col] +
                                     f->inverse[3 * row + 1] * step[3 + col] +
                                     f->inverse[3 * row + 2] * step[6 + col];
    memcpy(f->inverse, product, sizeof product);
}

void fv__aug_mirror(struct fv_aug_frame *f)
{
    fv__aug_compose(f, (const double[9]){-1, 0, f->w, 0, 1, 0, 0, 0, 1});
}

void fv__aug_rotate(struct fv_aug_frame *f, double degrees)
{
    const double angle = degrees * (3.14159265358979323846 / 180.0);
    const double c = cos(angle), s = sin(angle);
    const double cx = 0.5 * f->w, cy = 0.5 * f->h;

    /* y points down: turning the picture counter-clockwise looks up points turned clockwise. */
    fv__aug_compose(f, (const double[9]){c, -s, cx - c * cx + s * cy, /* x */
                                         s, c, cy - s * cx - c * cy,  /* y */
                                         0, 0, 1});
}

void fv__aug_crop(struct fv_aug_frame *f, int y, int x, int h, int w)
{
    const double sx = (double)w / f->out_w, sy = (double)h / f->out_h;

    fv__aug_compose(f, (const double[9]){sx, 0, x, 0, sy, y, 0, 0, 1});
    f->h = f->out_h;
    f->w = f->out_w;
}

int fv__aug_draw_box(const struct fv_aug_box *rule, struct fv_rng *r, int h, int w,
                     struct fv_rect *box)
{
    const double lo = log(rule->ratio[0]), hi = log(rule->ratio[1]);

    for (int i = 0; i < 10; i++) {
        const double area = (double)h * w * fv_rng_uniform(r, rule->scale[0], rule->scale[1]);
        const double ratio = exp(fv_rng_uniform(r, lo, hi));
        /* nearbyint: Python's round goes to even */
        const double longer = nearbyint(sqrt(area * ratio)),
                     shorter = nearbyint(sqrt(area / ratio));
        const double bw = rule->tall ? shorter : longer, bh = rule->tall ? longer : shorter;

        if (rule->strict ? bw >= w || bh >= h : bw < 1 || bh < 1 || bw > w || bh > h)
            continue;
        box->w = (int)bw;
        box->h = (int)bh;
        box->y = (int)fv_rng_below(r, (uint32_t)(h - box->h + 1));
        box->x = (int)fv_rng_below(r, (uint32_t)(w - box->w + 1));
        return 1;
    }
    return 0;
}
