/* SPDX-License-Identifier: MIT */
/* What the ops draw has torchvision's laws: N draws of each parameter, tested by Kolmogorov and Smirnov where it is
 * continuous and by chi-square where it is a count, fit the law better than one right sample in a thousand does.
 * Seeds are fixed. That such tests see small faults is shown first, on laws that are a little wrong. */
#include "augment/op.h"
#include "augment/render_parts.h"
#include "tests/augment/draws.h"
#include "tests/cmocka_all.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct fv_plan *draw(int i, int h, int w)
{
    static struct fv_plan plan;

    fv_policy_plan(policy, seed, 1, (uint64_t)i, h, w, h, w, &plan);
    return &plan;
}

/* Value `which` of the only step of that kind. */
static double amount(const struct fv_plan *p, enum fv_step_kind kind, int which)
{
    for (int i = 0; i < p->steps; i++)
        if (p->step[i].kind == kind)
            return p->step[i].v[which];
    return NAN;
}

static void small_faults_are_seen(void **state)
{
    struct fv_rng r = fv_rng_at(3, 1, 0, FV_RNG_TEST);

    (void)state;
    for (int i = 0; i < N; i++)
        value[i] = fv_rng_unit(&r);
    assert_true(ks_p(value, N, uniform, (const double[]){0, 1}) > GOODNESS_LIMIT);
    assert_true(ks_p(value, N, uniform, (const double[]){0, 1.02}) < GOODNESS_LIMIT);
    assert_true(ks_p(value, N, beta, (const double[]){1, 1}) > GOODNESS_LIMIT);
    assert_true(ks_p(value, N, beta, (const double[]){1, 1.03}) < GOODNESS_LIMIT);
    assert_true(ks_p(value, N, beta, (const double[]){0.97, 0.97}) < GOODNESS_LIMIT);

    /* Of the quantiles of both distributions, from tables. */
    assert_true(fabs(gamma_q(0.5, 10.828 / 2) - 0.001) < 1e-6);
    assert_true(fabs(gamma_q(2.5, 20.515 / 2) - 0.001) < 1e-6);
    assert_true(fabs(gamma_q(127.5, 330.52 / 2) - 0.001) < 1e-5);
    assert_true(fabs(beta(0.25, (const double[]){0.5, 0.5}) - 1.0 / 3) < 1e-12);
    assert_true(fabs(beta(0.7, (const double[]){2, 3}) - 0.9163) < 1e-12);
    assert_true(fabs(beta(0.5, (const double[]){100, 100}) - 0.5) < 1e-12);

    /* One of twelve equal kinds never comes. */
    int eleven[12] = {0};
    double twelve[12];
    for (int i = 0; i < N; i++)
        eleven[fv_rng_below(&r, 11)]++;
    for (int i = 0; i < 12; i++)
        twelve[i] = 1.0 / 12;
    assert_true(chi2_p(eleven, twelve, 12) < GOODNESS_LIMIT);
}

static void check_share(const char *text, double p, int (*came)(const struct fv_plan *plan))
{
    use(text);
    for (int i = 0; i < N; i++)
        count[came(draw(i, 64, 64))]++;
    share[0] = 1 - p;
    share[1] = p;
    check_p(text, chi2_p(count, share, 2));
}

static int is_mirrored(const struct fv_plan *p)
{
    return p->mirror;
}

static int has_a_step(const struct fv_plan *p)
{
    return p->steps > 0;
}

static void ops_come_as_often_as_asked(void **state)
{
    (void)state;
    check_share("flip", 0.5, is_mirrored);
    check_share("flip(.3)", 0.3, is_mirrored);
    check_share("gray", 0.1, has_a_step);
    check_share("perspective(.3)", 0.5, has_a_step);
    check_share("perspective(.3,.9)", 0.9, has_a_step);
    check_share("blur(5,p=.2)", 0.2, has_a_step);
    check_share("erase(.25)", 0.25, has_a_step);
}

static void angles(void **state)
{
    (void)state;
    use("rotate(10)");
    for (int i = 0; i < N; i++) {
        const double *m = draw(i, 64, 64)->step[0].v;
        value[i] = atan2(m[3], m[0]) * 180 / M_PI; /* counter-clockwise */
    }
    check_values("rotate(10): angle", uniform, -10, 10);
}

/* Inverse of the step's 2 x 2 part: old -> new. */
static void forward(const double *m, double out[4])
{
    const double det = m[0] * m[4] - m[1] * m[3];

    out[0] = m[4] / det;
    out[1] = -m[1] / det;
    out[2] = -m[3] / det;
    out[3] = m[0] / det;
}

/* Without a shear along y the forward map is scale * turn * (1, -tan shear; 0, 1). */
static void affine_angles_scales_and_shears(void **state)
{
    static double angle[N], scale[N], shear[N];

    (void)state;
    use("affine(10,.1,.1,.8,1.25,15)");
    for (int i = 0; i < N; i++) {
        double a[4];
        forward(draw(i, 64, 64)->step[0].v, a);
        scale[i] = sqrt(a[0] * a[3] - a[1] * a[2]);
        const double turn = atan2(a[2], a[0]), c = cos(turn), s = sin(turn);
        angle[i] = turn * 180 / M_PI; /* clockwise: y points down */
        shear[i] = atan(-(c * a[1] + s * a[3]) / scale[i]) * 180 / M_PI;
    }
    memcpy(value, angle, sizeof value);
    check_values("affine: angle", uniform, -10, 10);
    memcpy(value, scale, sizeof value);
    check_values("affine: scale", uniform, 0.8, 1.25);
    memcpy(value, shear, sizeof value);
    check_values("affine: shear along x", uniform, -15, 15);
    use("affine(0,shear_y=20)");
    for (int i = 0; i < N; i++) {
        double a[4];
        forward(draw(i, 64, 64)->step[0].v, a);
        assert_true(fabs(a[0] - 1) + fabs(a[1]) + fabs(a[3] - 1) < 1e-12);
        value[i] = atan(-a[2]) * 180 / M_PI;
    }
    check_values("affine: shear along y", uniform, -20, 20);
}

/* Whole pixels nearest to a uniform number between -most and most. */
static void check_shifts(const char *what, double most, int (*shift)(const double *m))
{
    const int end = (int)lrint(most);

    memset(count, 0, sizeof count);
    for (int i = 0; i < N; i++) {
        const int s = shift(draw(i, 96, 64)->step[0].v);
        assert_in_range(s + end, 0, 2 * end);
        count[s + end]++;
    }
    for (int k = -end; k <= end; k++)
        share[k + end] = (fmin(k + 0.5, most) - fmax(k - 0.5, -most)) / (2 * most);
    check_p(what, chi2_p(count, share, 2 * end + 1));
}

static int shift_x(const double *m)
{
    return (int)lrint(-m[2]);
}

static int shift_y(const double *m)
{
    return (int)lrint(-m[5]);
}

static void affine_shifts(void **state)
{
    (void)state;
    use("affine(0,.1,.25)");
    check_shifts("affine: shift along x of 64 by .1", 6.4, shift_x);
    check_shifts("affine: shift along y of 96 by .25", 24, shift_y);
}

/* A corner of the source, carried to the result by the inverse of the step's matrix. */
static void corner_of(const double *v, double x, double y, double out[2])
{
    const double m[4] = {v[0] - x * v[6], v[1] - x * v[7], v[3] - y * v[6], v[4] - y * v[7]};
    const double right[2] = {x - v[2], y - v[5]}, det = m[0] * m[3] - m[1] * m[2];

    out[0] = (right[0] * m[3] - m[1] * right[1]) / det;
    out[1] = (m[0] * right[1] - m[2] * right[0]) / det;
}

static void perspective_corners(void **state)
{
    enum { H = 50, W = 41, MOST_X = 8, MOST_Y = 10 }; /* .4 * (W / 2), .4 * (H / 2) */
    static const char *const names[] = {"top left", "top right", "bottom right", "bottom left"};
    static int at[4][2][MOST_Y + 1];
    char what[64];

    (void)state;
    use("perspective(.4,1)");
    for (int i = 0; i < N; i++) {
        const struct fv_plan *p = draw(i, H, W);
        for (int k = 0; k < 4; k++) {
            const double x = k == 1 || k == 2 ? W - 1 : 0, y = k >= 2 ? H - 1 : 0;
            double c[2];
            corner_of(p->step[0].v, x, y, c);
            const double in_x = fabs(c[0] - x), in_y = fabs(c[1] - y);
            assert_true((c[0] - x) * (x > 0 ? -1 : 1) > -1e-6 && in_x < MOST_X + 0.5);
            assert_true((c[1] - y) * (y > 0 ? -1 : 1) > -1e-6 && in_y < MOST_Y + 0.5);
            assert_true(fabs(in_x - rint(in_x)) < 1e-6 && fabs(in_y - rint(in_y)) < 1e-6);
            at[k][0][lrint(in_x)]++;
            at[k][1][lrint(in_y)]++;
        }
    }
    for (int k = 0; k < 4; k++)
        for (int d = 0; d < 2; d++) {
            snprintf(what, sizeof what, "perspective: %s corner, %c", names[k], "xy"[d]);
            memcpy(count, at[k][d], sizeof at[k][d]);
            check_equal_counts(what, (d ? MOST_Y : MOST_X) + 1);
        }
}

/* Bounds for which every first try fits: a rejected one would change the law. Pictures are large, so that whole pixels
 * hardly show. */
static void check_boxes(const char *name, double lo, double hi, const double *ratio,
                        struct fv_rect (*box)(const struct fv_plan *p))
{
    static double area[N], shape[N], x[N], y[N];
    char what[64];

    for (int i = 0; i < N; i++) {
        const struct fv_rect b = box(draw(i, LARGE, LARGE));
        area[i] = (double)b.w * b.h / ((double)LARGE * LARGE);
        shape[i] = (double)b.w / b.h;
        x[i] = (b.x + 0.5) / (LARGE - b.w + 1);
        y[i] = (b.y + 0.5) / (LARGE - b.h + 1);
    }
    memcpy(value, area, sizeof value);
    snprintf(what, sizeof what, "%s: area", name);
    check_values(what, uniform, lo, hi);
    memcpy(value, shape, sizeof value);
    snprintf(what, sizeof what, "%s: width : height", name);
    check_values(what, log_uniform, ratio[0], ratio[1]);
    memcpy(value, x, sizeof value);
    snprintf(what, sizeof what, "%s: x", name);
    check_values(what, uniform, 0, 1);
    memcpy(value, y, sizeof value);
    snprintf(what, sizeof what, "%s: y", name);
    check_values(what, uniform, 0, 1);
}

/* Boxes of one size in a small picture: each place is equally probable, the last ones too. */
static void check_places(const char *name, int side, int free,
                         struct fv_rect (*box)(const struct fv_plan *p))
{
    memset(count, 0, sizeof count);
    for (int i = 0; i < N; i++) {
        const struct fv_rect b = box(draw(i, side, side));
        assert_true(b.w == side - free && b.h == side - free);
        assert_true(b.x >= 0 && b.x <= free && b.y >= 0 && b.y <= free);
        count[b.y * (free + 1) + b.x]++;
    }
    check_equal_counts(name, (free + 1) * (free + 1));
}

static struct fv_rect crop_box(const struct fv_plan *p)
{
    assert_int_equal(p->step[0].kind, FV_STEP_CROP);
    return p->step[0].box;
}

static struct fv_rect erase_box(const struct fv_plan *p)
{
    assert_int_equal(p->erases, 1);
    return p->erase[0].box;
}

static void crops(void **state)
{
    (void)state;
    use("rrc(.3,.5)");
    check_boxes("rrc", 0.3, 0.5, (const double[]){3.0 / 4, 4.0 / 3}, crop_box);
    use("rrc(.5,.5,1,1)");
    check_places("rrc: places of 7 x 7 in 10 x 10", 10, 3, crop_box);
}

static void erasures(void **state)
{
    (void)state;
    use("erase(1,.02,.2,.5,3.3)"); /* height : width */
    check_boxes("erase", 0.02, 0.2, (const double[]){1 / 3.3, 1 / 0.5}, erase_box);
    use("erase(1,.25,.25,1,1)");
    check_places("erase: places of 5 x 5 in 10 x 10", 10, 5, erase_box);
}

/* The law of 127.5 (1 + z), z standard normal, rounded and cut off; not by the inverse that the code tabulates. */
static void noise(void **state)
{
    enum { SIDE = 110 };
    static uint8_t px[SIDE * SIDE * 3];
    double below = 0, sum = 0, mean = 0, square = 0;
    int n = 0;

    (void)state;
    use("erase(1,.2,.3,1,1,noise=1)");
    for (int i = 0; n < 30 * N; i++) {
        const struct fv_erase *e = &draw(i, SIDE, SIDE)->erase[0];
        fv__render_erase(e, px, SIDE, SIDE);
        for (int y = e->box.y; y < e->box.y + e->box.h; y++)
            for (int x = 3 * e->box.x; x < 3 * (e->box.x + e->box.w); x++, n++)
                count[px[y * SIDE * 3 + x]]++;
    }
    for (int level = 0; level < 256; level++) {
        const double z = (level + 0.5 - 127.5) / 127.5;
        const double cdf = level < 255 ? 0.5 + 0.5 * erf(z / sqrt(2)) : 1;
        share[level] = cdf - below;
        below = cdf;
        sum += (double)level * count[level];
        mean += level * share[level];
        square += (double)level * level * share[level];
    }
    check_p("erase: levels of noise", chi2_p(count, share, 256));
    /* Chi-square hardly sees all levels half a level off; the mean does. */
    const double off = fabs(sum / n - mean) / sqrt((square - mean * mean) / n);
    check_p("erase: mean level of noise", erfc(off / sqrt(2)));
}

static void colours(void **state)
{
    static const struct {
        const char *what;
        enum fv_step_kind kind;
        double lo, hi;
    } amounts[] = {
        {"jitter: brightness .2", FV_STEP_BRIGHTNESS, 0.8, 1.2},
        {"jitter: contrast .4", FV_STEP_CONTRAST, 0.6, 1.4},
        {"jitter: saturation 1.5", FV_STEP_SATURATION, 0, 2.5},
        {"jitter: hue .1", FV_STEP_HUE, -0.1, 0.1},
    };

    (void)state;
    use("jitter(.2,.4,1.5,.1)");
    for (size_t k = 0; k < sizeof amounts / sizeof amounts[0]; k++) {
        for (int i = 0; i < N; i++)
            value[i] = amount(draw(i, 64, 64), amounts[k].kind, 0);
        check_values(amounts[k].what, uniform, amounts[k].lo, amounts[k].hi);
    }
    for (int i = 0; i < N; i++) {
        const struct fv_step *s = draw(i, 64, 64)->step;
        int at = 0; /* the number of the permutation */
        for (int a = 0; a < 4; a++) {
            int before = 0;
            for (int b = a + 1; b < 4; b++)
                before += s[b].kind < s[a].kind;
            at = at * (4 - a) + before;
        }
        count[at]++;
    }
    check_equal_counts("jitter: order", 24);
}

static void blurs(void **state)
{
    (void)state;
    use("blur(7,.3,1.7)");
    for (int i = 0; i < N; i++) {
        const struct fv_plan *p = draw(i, 64, 64);
        value[i] = amount(p, FV_STEP_BLUR, 0);
        assert_true(amount(p, FV_STEP_BLUR, 1) == 7);
    }
    check_values("blur: sigma", uniform, 0.3, 1.7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_faults_are_seen),
        cmocka_unit_test(ops_come_as_often_as_asked),
        cmocka_unit_test(angles),
        cmocka_unit_test(affine_angles_scales_and_shears),
        cmocka_unit_test(affine_shifts),
        cmocka_unit_test(perspective_corners),
        cmocka_unit_test(crops),
        cmocka_unit_test(erasures),
        cmocka_unit_test(noise),
        cmocka_unit_test(colours),
        cmocka_unit_test(blurs),
    };
    return cmocka_run_group_tests(tests, NULL, free_policy);
}
