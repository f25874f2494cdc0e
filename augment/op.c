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

struct fv_step *fv__aug_step(struct fv_plan *plan, enum fv_step_kind kind)
{
    int at = plan->steps++;

    if (kind != FV_STEP_ERASE)
        for (; at > 0 && plan->step[at - 1].kind == FV_STEP_ERASE; at--)
            plan->step[at] = plan->step[at - 1];
    plan->step[at] = (struct fv_step){.kind = kind};
    return &plan->step[at];
}

/* step: new point -> old point. */
static void compose(struct fv_aug_frame *f, const double step[9])
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
    fv__aug_step(f->plan, FV_STEP_FLIP);
    compose(f, (const double[9]){-1, 0, f->w, 0, 1, 0, 0, 0, 1});
}

/* Centre, shift, turn, scale and shear as torchvision composes them (_get_inverse_affine_matrix), inverted. */
void fv__aug_affine(struct fv_aug_frame *f, const struct fv_aug_affine *p)
{
    const double radian = 3.14159265358979323846 / 180.0;
    const double turn = p->degrees * radian;
    const double sx = p->shear_x * radian, sy = p->shear_y * radian;
    const double a = cos(turn - sy) / cos(sy), c = sin(turn - sy) / cos(sy);
    const double b = -(a * tan(sx) + sin(turn)), d = cos(turn) - c * tan(sx);
    const double cx = 0.5 * f->w, cy = 0.5 * f->h;
    double *m = fv__aug_step(f->plan, FV_STEP_AFFINE)->v;

    m[0] = d / p->scale;
    m[1] = -b / p->scale;
    m[3] = -c / p->scale;
    m[4] = a / p->scale;
    m[2] = -(m[0] * p->shift_x + m[1] * p->shift_y);
    m[5] = -(m[3] * p->shift_x + m[4] * p->shift_y);
    compose(f, (const double[9]){m[0], m[1], m[2] + cx - m[0] * cx - m[1] * cy, /* x */
                                 m[3], m[4], m[5] + cy - m[3] * cx - m[4] * cy, /* y */
                                 0, 0, 1});
}

void fv__aug_rotate(struct fv_aug_frame *f, double degrees)
{
    fv__aug_affine(f, &(struct fv_aug_affine){.degrees = -degrees, .scale = 1});
}

static int has_three_on_a_line(const double p[4][2])
{
    for (int i = 0; i < 4; i++) {
        const double *a = p[i], *b = p[(i + 1) % 4], *c = p[(i + 2) % 4];
        if ((b[0] - a[0]) * (c[1] - a[1]) == (c[0] - a[0]) * (b[1] - a[1]))
            return 1;
    }
    return 0;
}

/* The unit square -> four points, no three of them on a line (Heckbert, Fundamentals of Texture Mapping and Image
 * Warping, 1989, 2.2.3). */
static void square_to_quad(const double p[4][2], double m[9])
{
    const double dx1 = p[1][0] - p[2][0], dx2 = p[3][0] - p[2][0];
    const double dy1 = p[1][1] - p[2][1], dy2 = p[3][1] - p[2][1];
    const double sx = p[0][0] - p[1][0] + p[2][0] - p[3][0];
    const double sy = p[0][1] - p[1][1] + p[2][1] - p[3][1];
    const double det = dx1 * dy2 - dx2 * dy1;

    m[6] = (sx * dy2 - dx2 * sy) / det;
    m[7] = (dx1 * sy - sx * dy1) / det;
    m[8] = 1;
    m[0] = p[1][0] - p[0][0] + m[6] * p[1][0];
    m[1] = p[3][0] - p[0][0] + m[7] * p[3][0];
    m[2] = p[0][0];
    m[3] = p[1][1] - p[0][1] + m[6] * p[1][1];
    m[4] = p[3][1] - p[0][1] + m[7] * p[3][1];
    m[5] = p[0][1];
}

/* The inverse but for a factor. */
static void adjoin(const double m[9], double out[9])
{
    for (int row = 0; row < 3; row++)
        for (int col = 0; col < 3; col++) {
            const int i = (row + 1) % 3, j = (row + 2) % 3, k = (col + 1) % 3, l = (col + 2) % 3;
            out[3 * col + row] = m[3 * i + k] * m[3 * j + l] - m[3 * i + l] * m[3 * j + k];
        }
}

void fv__aug_perspective(struct fv_aug_frame *f, const double corner[4][2])
{
    const double w = f->w - 1, h = f->h - 1;
    double m[9], inverse[9];

    if (w <= 0 || h <= 0 || has_three_on_a_line(corner))
        return;
    square_to_quad(corner, m);
    adjoin(m, inverse);
    if (fabs(inverse[8]) < 1e-12 * (fabs(m[0] * m[4]) + fabs(m[1] * m[3])))
        return;
    const double unit = inverse[8];
    for (int i = 0; i < 9; i++)
        inverse[i] *= (i < 3 ? w : i < 6 ? h : 1) / unit;
    memcpy(fv__aug_step(f->plan, FV_STEP_PERSPECTIVE)->v, inverse, 8 * sizeof *inverse);
    compose(f, inverse);
}

void fv__aug_crop(struct fv_aug_frame *f, int y, int x, int h, int w)
{
    const double sx = (double)w / f->out_w, sy = (double)h / f->out_h;

    fv__aug_step(f->plan, FV_STEP_CROP)->box = (struct fv_rect){x, y, w, h};
    compose(f, (const double[9]){sx, 0, x, 0, sy, y, 0, 0, 1});
    f->h = f->out_h;
    f->w = f->out_w;
}

void fv__aug_colour(struct fv_plan *plan, enum fv_step_kind kind, double amount)
{
    fv__aug_step(plan, kind)->v[0] = amount;
}

void fv__aug_blur(struct fv_plan *plan, double sigma, int kernel)
{
    struct fv_step *step = fv__aug_step(plan, FV_STEP_BLUR);

    step->v[0] = sigma;
    step->v[1] = kernel;
}

void fv__aug_erase(struct fv_plan *plan, const struct fv_erase *e)
{
    struct fv_step *step = fv__aug_step(plan, FV_STEP_ERASE);

    step->v[0] = plan->erases;
    step->box = e->box;
    plan->erase[plan->erases++] = *e;
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
