/* SPDX-License-Identifier: MIT */
/* The head and its features. The face is a relief on an ellipsoid: a point is given in the frontal
 * plane, lifted onto the surface, turned by yaw and pitch, and seen from the front without perspective.
 * Roll, scale and shift are the SVG transform of the whole group.
 */
#include "prep/synth/synth.h"

#include <math.h>

enum { LID_POINTS = 7, EYE_POINTS = 2 * LID_POINTS, IRIS_POINTS = 16, OUTLINE_POINTS = 16 };
static const double depth = 46, pi = 3.14159265358979;

static const struct fv__rgb black = {20, 14, 14}, white = {255, 255, 255};

static struct fv__rgb skin_shadow(const struct fv__person *p)
{
    return fv__shade_rgb(fv__mix_rgb(p->skin, (struct fv__rgb){120, 40, 40}, 0.18), 0.62);
}

/* --- pose ------------------------------------------------------------------------------------------- */

static struct fv__pt turn(const struct fv__sitter *f, double x, double y, double z)
{
    double x1 = x * f->yaw_cos + z * f->yaw_sin, z1 = z * f->yaw_cos - x * f->yaw_sin;
    return (struct fv__pt){x1, y * f->pitch_cos + z1 * f->pitch_sin};
}

struct fv__pt fv__on_face(const struct fv__sitter *f, double x, double y, double lift)
{
    double u = x / (f->p->cheek_w * 1.06),
           v = y / (y < 0 ? -f->p->crown_y * 1.1 : f->p->chin_y * 1.3);
    double z = depth * sqrt(fmax(0, 1 - u * u - v * v));
    return turn(f, x, y, z + lift);
}

struct fv__pt fv__on_rim(const struct fv__sitter *f, double x, double y, double front)
{
    /* An ellipsoid is about as wide from any side: only what lies in front moves. */
    return (struct fv__pt){x + front * f->yaw_sin,
                           y * (y < 0 ? 1 : f->pitch_cos) + front * f->pitch_sin};
}

double fv__head_half_width(const struct fv__person *p, double y)
{
    const double at[][2] = {
        {p->crown_y, 0},
        {p->crown_y * 0.93, p->temple_w * 0.46},
        {p->crown_y * 0.72, p->temple_w * 0.82},
        {p->crown_y * 0.42, p->temple_w},
        {4, p->cheek_w},
        {p->jaw_y, p->jaw_w},
        {fv__mix(p->jaw_y, p->chin_y, 0.62), fv__mix(p->jaw_w, p->chin_w, 0.52)},
        {p->chin_y - 1, p->chin_w * 0.55},
        {p->chin_y, 0}};
    for (int i = 1; i < 9; i++)
        if (y < at[i][0])
            return fv__mix(at[i - 1][1], at[i][1],
                           fv__clamp((y - at[i - 1][0]) / (at[i][0] - at[i - 1][0]), 0, 1));
    return 0;
}

/* The closed outline, clockwise from the crown. The chin lies before the plane of the ears. */
static void outline(const struct fv__sitter *f, struct fv__pt out[OUTLINE_POINTS])
{
    const struct fv__person *p = f->p;
    const double half[][3] = {
        /* x, y, front */
        {p->temple_w * 0.46, p->crown_y * 0.93, 0},
        {p->temple_w * 0.82, p->crown_y * 0.72, 0},
        {p->temple_w, p->crown_y * 0.42, 2},
        {p->cheek_w, 4, 1},
        {p->jaw_w, p->jaw_y, 5},
        {fv__mix(p->jaw_w, p->chin_w, 0.52), fv__mix(p->jaw_y, p->chin_y, 0.62), 12},
        {p->chin_w * 0.55, p->chin_y - 0.8, 19}};
    out[0] = fv__on_rim(f, 0, p->crown_y, 0);
    out[8] = fv__on_rim(f, 0, p->chin_y, 20);
    for (int i = 0; i < 7; i++) {
        out[1 + i] = fv__on_rim(f, half[i][0], half[i][1], half[i][2]);
        out[15 - i] = fv__on_rim(f, -half[i][0], half[i][1], half[i][2]);
    }
}

/* --- head ------------------------------------------------------------------------------------------- */

static void draw_ear(struct fv__svg *svg, const struct fv__sitter *f, double side)
{
    const struct fv__person *p = f->p;
    double seen = fv__clamp(1 - side * f->yaw_sin * 2.2, 0.15, 1.35); /* the far ear hides */
    struct fv__pt at = fv__on_rim(
        f, side * (fv__head_half_width(p, p->ear_y) - 1 + p->ear_out * seen), p->ear_y, -6);
    double rx = p->ear_w * fv__clamp(seen, 0.5, 1.2), tilt = side * 9;
    fv__svg_ellipse(svg, at, rx, p->ear_h, tilt, fv__shade_rgb(p->skin, 0.90), 1);
    at.x += side * rx * 0.15;
    fv__svg_ellipse(svg, at, rx * 0.55, p->ear_h * 0.66, tilt, skin_shadow(p), 0.35);
}

static void draw_marks(struct fv__svg *svg, const struct fv__sitter *f)
{
    const struct fv__person *p = f->p;
    for (int i = 0; i < p->freckles; i++)
        fv__svg_ellipse(svg, fv__on_face(f, p->freckle[i].x, p->freckle[i].y, 0), 0.75, 0.65, 0,
                        fv__shade_rgb(p->skin, 0.62), p->freckle_opacity);
    for (int i = 0; i < p->moles; i++)
        fv__svg_ellipse(svg, fv__on_face(f, p->mole[i].x, p->mole[i].y, 0), 1.25, 1.2, 0,
                        fv__shade_rgb(p->skin, 0.35), 0.85);
}

void fv__draw_head(struct fv__svg *svg, const struct fv__sitter *f)
{
    const struct fv__person *p = f->p;
    const struct fv__shot *s = f->s;
    struct fv__pt edge[OUTLINE_POINTS];
    struct fv__rgb shadow = skin_shadow(p);
    double lx = cos(s->light_angle * pi / 180), ly = sin(s->light_angle * pi / 180);

    draw_ear(svg, f, -1);
    draw_ear(svg, f, 1);
    outline(f, edge);
    fv__svg_fill(svg, edge, OUTLINE_POINTS, p->skin, 1);
    for (int side = -1; side <= 1; side += 2) {
        fv__svg_glow(svg, fv__on_face(f, side * p->eye_x, 0, 0), 15, 11, 0, shadow, 0.30);
        fv__svg_glow(svg, fv__on_face(f, side * 24, 22 - 2.5 * s->smile, 0), 15, 11, 0,
                     (struct fv__rgb){226, 82, 76}, p->blush + 0.05 * s->smile);
    }
    fv__svg_glow(svg, fv__on_face(f, 0, p->crown_y * 0.52, 0), 24, 13, 0, white, 0.22);
    fv__svg_glow(svg, fv__on_face(f, 0, p->chin_y * 0.95, 0), 13, 6, 0, white, 0.14);
    draw_marks(svg, f);

    /* The light: one half bright, the other in the shade, both only as strong as the lamp. */
    struct fv__pt to_light = {lx * 44, ly * 58}, from_light = {-lx * 44, -ly * 58}, middle = {0, 0};
    fv__svg_fill_ramp(svg, edge, OUTLINE_POINTS, from_light, middle, shadow, 0.25 + 0.6 * s->light,
                      shadow, 0);
    fv__svg_fill_ramp(svg, edge, OUTLINE_POINTS, to_light, middle, white, 0.10 + 0.22 * s->light,
                      white, 0);
}

/* --- eyes ------------------------------------------------------------------------------------------- */

struct eye {
    const struct fv__sitter *f;
    double side, open;
};

/* Lids over u = -1 (inner corner) .. 1 (outer): how far above and below the axis. */
static double upper_lid(const struct eye *e, double u)
{
    double v = u - 0.25 * e->f->p->eye_skew * (1 - u * u);
    return e->f->p->eye_h * e->open * sqrt(fmax(0, 1 - v * v)) * (1 - 0.12 * u);
}

static double lower_lid(const struct eye *e, double u)
{
    return e->f->p->eye_h * (0.62 - 0.12 * e->f->s->smile) * fmin(1, e->open + 0.25) * (1 - u * u);
}

/* From the eye's own frame (u outwards, v down, in face units) to the picture. */
static struct fv__pt in_eye(const struct eye *e, double x, double v)
{
    const struct fv__person *p = e->f->p;
    double a = -p->eye_slant * pi / 180;
    double fx = x * cos(a) - v * sin(a), fy = x * sin(a) + v * cos(a);
    return fv__on_face(e->f, e->side * (p->eye_x + fx), fy, 0);
}

static void draw_iris(struct fv__svg *svg, const struct eye *e)
{
    const struct fv__person *p = e->f->p;
    const struct fv__shot *s = e->f->s;
    double w = p->eye_w, gx = e->side * s->gaze_x * w * 0.42, gy = s->gaze_y * 1.5 - 0.4;
    const struct {
        double r, opacity;
        struct fv__rgb c;
    } ring[] = {{p->iris_r, 1, fv__shade_rgb(p->iris, 0.55)},
                {p->iris_r * 0.84, 1, p->iris},
                {p->iris_r * 0.44, 1, black}};
    for (int k = 0; k < 3; k++) {
        struct fv__pt disc[IRIS_POINTS];
        for (int i = 0; i < IRIS_POINTS; i++) {
            double x = gx + ring[k].r * cos(2 * pi * i / IRIS_POINTS);
            double v = gy + ring[k].r * sin(2 * pi * i / IRIS_POINTS);
            x = fv__clamp(x, -w * 0.94, w * 0.94);
            disc[i] = in_eye(e, x, fv__clamp(v, -upper_lid(e, x / w), lower_lid(e, x / w)));
        }
        fv__svg_fill(svg, disc, IRIS_POINTS, ring[k].c, ring[k].opacity);
    }
    double lx = cos(s->light_angle * pi / 180), ly = sin(s->light_angle * pi / 180);
    if (e->open > 0.5)
        fv__svg_ellipse(svg, in_eye(e, gx + e->side * lx * p->iris_r * 0.4, gy - 0.4 + ly * 0.9),
                        1.05, 1.05, 0, white, 0.9);
}

static void draw_eye(struct fv__svg *svg, const struct fv__sitter *f, int side)
{
    const struct fv__person *p = f->p;
    struct eye e = {
        f, side,
        fv__clamp(f->s->lid[side > 0] - 0.18 * fmax(0, f->s->smile) + 0.1 * f->s->brow_lift, 0.06,
                  1.1)};
    struct fv__pt lids[EYE_POINTS], crease[LID_POINTS], bag[LID_POINTS];
    for (int i = 0; i < LID_POINTS; i++) {
        double u = -1 + 2.0 * i / (LID_POINTS - 1), x = u * p->eye_w;
        lids[i] = in_eye(&e, x, -upper_lid(&e, u));
        lids[EYE_POINTS - 1 - i] = in_eye(&e, x * 0.985, lower_lid(&e, u) + 0.05);
        crease[i] = in_eye(&e, x * 1.02,
                           -upper_lid(&e, u) - (1.4 + p->crease * 1.8) * (1 - 0.55 * u * u) -
                               p->eye_h * 0.35 * (1 - e.open));
        bag[i] = in_eye(&e, x * 0.9, lower_lid(&e, u) + 2.4 - 0.8 * u * u);
    }
    fv__svg_stroke(svg, crease, LID_POINTS, skin_shadow(p), 0.9 + p->crease * 0.6,
                   0.35 + 0.5 * p->crease);
    fv__svg_stroke(svg, bag, LID_POINTS, skin_shadow(p), 1.3, p->bag * 0.8);
    fv__svg_fill(svg, lids, EYE_POINTS, (struct fv__rgb){246, 242, 238}, 1);
    draw_iris(svg, &e);
    fv__svg_stroke(svg, lids, LID_POINTS, fv__mix_rgb(black, p->brow, 0.25), p->lash, 0.95);
    fv__svg_stroke(svg, lids + LID_POINTS, LID_POINTS, skin_shadow(p), 0.6, 0.7);
}

static void draw_brow(struct fv__svg *svg, const struct fv__sitter *f, int side)
{
    enum { N = 5 };
    const struct fv__person *p = f->p;
    struct fv__pt brow[2 * N];
    double y0 = -p->eye_h * 0.6 - p->brow_gap * 0.82 - 3.2 * f->s->brow_lift;
    for (int i = 0; i < N; i++) {
        double u = i / (N - 1.0),
               half = p->brow_thick * 0.5 * (1 - p->brow_taper * u) * (i == 0 ? 0.7 : 1);
        double x = p->eye_x - p->brow_len * 0.92 + 2 * p->brow_len * u - 1.5 * f->s->frown;
        double y = y0 - p->brow_arch * 4 * (u * (1 - u)) * (0.6 + 0.6 * u) +
                   p->brow_slant * (u - 0.5) + 3.0 * f->s->frown * (1 - u) * (1 - u);
        brow[i] = fv__on_face(f, side * x, y - half, 1);
        brow[2 * N - 1 - i] = fv__on_face(f, side * x, y + half, 1);
    }
    fv__svg_fill(svg, brow, 2 * N, p->brow, 0.92);
}

/* --- nose and mouth ---------------------------------------------------------------------------------- */

static void draw_nose(struct fv__svg *svg, const struct fv__sitter *f)
{
    const struct fv__person *p = f->p;
    struct fv__rgb shadow = skin_shadow(p);
    double y = p->nose_y, w = p->nose_w, b = p->nose_bridge;
    double dark = cos(f->s->light_angle * pi / 180) > 0 ? -1 : 1; /* the side away from the light */
    for (int side = -1; side <= 1; side += 2) {
        double opacity = side == dark ? 0.30 + 0.25 * f->s->light : 0.16;
        struct fv__pt flank[] = {fv__on_face(f, side * b, -4, 3),
                                 fv__on_face(f, side * b * 0.95, y * 0.4, 8),
                                 fv__on_face(f, side * w * 0.72, y - 4.5, 10)};
        fv__svg_stroke(svg, flank, 3, shadow, 1.9, opacity);
        struct fv__pt wing[] = {fv__on_face(f, side * w * 0.80, y - 5, 8),
                                fv__on_face(f, side * w, y - 1.8, 6),
                                fv__on_face(f, side * w * 0.82, y + 0.9, 7),
                                fv__on_face(f, side * w * 0.55, y + 0.3, 9)};
        fv__svg_stroke(svg, wing, 4, shadow, 1.25, 0.8);
        fv__svg_ellipse(svg, fv__on_face(f, side * w * 0.45, y + 0.6, 9), w * 0.20 + 0.3,
                        0.6 + p->nostril, -side * 18, fv__shade_rgb(shadow, 0.5), 0.85);
    }
    double r = 3.6 + 2.6 * p->nose_tip;
    struct fv__pt under[] = {fv__on_face(f, -w * 0.42, y + 0.8, 11),
                             fv__on_face(f, 0, y + 2.0 + p->nose_tip, 13),
                             fv__on_face(f, w * 0.42, y + 0.8, 11)};
    fv__svg_stroke(svg, under, 3, shadow, 1.3, 0.65);
    fv__svg_glow(svg, fv__on_face(f, 0, y - 3.5, 14), r, r, 0, white, 0.42);
    struct fv__pt ridge[] = {fv__on_face(f, 0, -5, 4), fv__on_face(f, 0, y * 0.35, 10),
                             fv__on_face(f, 0, y - 6, 13)};
    fv__svg_stroke(svg, ridge, 3, white, b * 0.55, 0.17);
}

static void draw_folds(struct fv__svg *svg, const struct fv__sitter *f, double half_w)
{
    const struct fv__person *p = f->p;
    double opacity = 0.34 * p->age + 0.26 * fmax(0, f->s->smile);
    for (int side = -1; side <= 1; side += 2) {
        double x = fmax(half_w + 2.5, p->nose_w + 5);
        struct fv__pt fold[] = {
            fv__on_face(f, side * (p->nose_w + 1.5), p->nose_y - 2, 4),
            fv__on_face(f, side * (x - 0.5), fv__mix(p->nose_y, p->mouth_y, 0.5), 1),
            fv__on_face(f, side * (x + 0.8), p->mouth_y - 0.5, 0)};
        fv__svg_stroke(svg, fold, 3, skin_shadow(p), 1.2, opacity);
    }
    if (p->age > 0.55)
        for (int i = 0; i < 2; i++) {
            double y = p->crown_y * (0.5 + 0.12 * i), w = 13 - 2 * i;
            struct fv__pt line[] = {fv__on_face(f, -w, y, 0), fv__on_face(f, 0, y - 1.2, 0),
                                    fv__on_face(f, w, y, 0)};
            fv__svg_stroke(svg, line, 3, skin_shadow(p), 0.9, (p->age - 0.45) * 0.6);
        }
}

/* Half widths along the mouth; heights are measured from the line through its corners. */
static void draw_mouth(struct fv__svg *svg, const struct fv__sitter *f)
{
    enum { N = 7 };
    const struct fv__person *p = f->p;
    double smile = f->s->smile, open = f->s->open, w = p->mouth_w + 2.6 * smile - 1.2 * open;
    double corner = p->mouth_y - 2.6 * smile - p->mouth_bias, sag = 2.8 * smile + p->mouth_bias;
    double gap = open * (4.2 + 1.6 * fmax(0, smile));
    struct fv__pt upper[2 * N], lower[2 * N], inside[2 * N];
    for (int i = 0; i < N; i++) {
        double u = -1 + 2.0 * i / (N - 1), arc = 1 - u * u, x = u * w;
        double bow = p->cupid * 1.5 * exp(-u * u * 22);
        double line = corner + sag * arc, split = gap * arc;
        double top =
            line - p->lip_upper * (arc * 1.05 + 0.12 * (1 - fabs(u))) + bow * arc - split * 0.25;
        double bottom = line + split + p->lip_lower * arc * (0.9 + 0.1 * arc);
        upper[i] = fv__on_face(f, x, top, 5);
        upper[2 * N - 1 - i] = fv__on_face(f, x * 0.98, line - split * 0.2 + 0.15, 5);
        lower[i] = fv__on_face(f, x * 0.97, line + split, 5);
        lower[2 * N - 1 - i] = fv__on_face(f, x * 0.93, bottom, 5);
    }
    for (int i = 0; i < N; i++) {
        inside[i] = upper[2 * N - 1 - i];
        inside[2 * N - 1 - i] = lower[i];
    }
    draw_folds(svg, f, w);
    fv__svg_glow(svg, fv__on_face(f, 0, p->mouth_y + gap + p->lip_lower + 3.2 + sag, 3), w * 0.7,
                 3.4, 0, skin_shadow(p), 0.4);
    if (gap > 0.4) {
        fv__svg_fill(svg, inside, 2 * N, (struct fv__rgb){92, 26, 30}, 1);
        double t = fmin(gap * 0.5, 2.6);
        struct fv__pt teeth[] = {fv__on_face(f, -w * 0.66, corner + sag * 0.56 - gap * 0.1, 5),
                                 fv__on_face(f, 0, corner + sag - gap * 0.2, 5),
                                 fv__on_face(f, w * 0.66, corner + sag * 0.56 - gap * 0.1, 5),
                                 fv__on_face(f, w * 0.5, corner + sag * 0.75 + t * 0.7, 5),
                                 fv__on_face(f, 0, corner + sag + t, 5),
                                 fv__on_face(f, -w * 0.5, corner + sag * 0.75 + t * 0.7, 5)};
        fv__svg_fill(svg, teeth, 6, (struct fv__rgb){250, 247, 240}, 0.95);
    }
    fv__svg_fill(svg, lower, 2 * N, p->lip, 1);
    fv__svg_fill(svg, upper, 2 * N, fv__shade_rgb(p->lip, 0.86), 1);
    fv__svg_glow(svg, fv__on_face(f, 0, corner + sag + gap + p->lip_lower * 0.5, 5), w * 0.42,
                 p->lip_lower * 0.34, 0, white, 0.42);
    fv__svg_stroke(svg, upper + N, N, fv__shade_rgb(p->lip, 0.45), 0.9, gap > 0.4 ? 0.35 : 0.8);
}

void fv__draw_features(struct fv__svg *svg, const struct fv__sitter *f)
{
    draw_mouth(svg, f);
    draw_nose(svg, f);
    for (int side = -1; side <= 1; side += 2) {
        draw_eye(svg, f, side);
        draw_brow(svg, f, side);
    }
}

/* --- the whole --------------------------------------------------------------------------------------- */

static void open_group(struct fv__svg *svg, const struct fv__shot *s, double roll)
{
    fv__svg_put(svg, "<g transform=\"translate(%.2f %.2f) scale(%.3f) rotate(%.2f 0 45)\">\n",
                s->shift.x, s->shift.y, s->scale, roll);
}

void fv__synth_svg(struct fv__svg *svg, const struct fv__person *p, const struct fv__shot *s,
                   int size)
{
    struct fv__sitter f = {p,
                           s,
                           sin(s->yaw * pi / 180),
                           cos(s->yaw * pi / 180),
                           sin(s->pitch * pi / 180),
                           cos(s->pitch * pi / 180)};
    svg->used = 0;
    svg->gradients = svg->full = 0;
    fv__svg_put(svg,
                "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" "
                "viewBox=\"-100 -100 200 200\">\n",
                size, size);
    fv__draw_background(svg, s);
    open_group(svg, s, s->roll);
    fv__draw_hair_behind(svg, &f);
    fv__svg_put(svg, "</g>");
    open_group(svg, s,
               s->roll / 3); /* the head turns about the neck; the body follows by a third */
    fv__draw_body(svg, &f);
    fv__svg_put(svg, "</g>");
    open_group(svg, s, s->roll);
    fv__draw_head(svg, &f);
    fv__draw_beard(svg, &f);
    fv__draw_features(svg, &f);
    fv__draw_hair(svg, &f);
    fv__draw_glasses(svg, &f);
    fv__draw_hat(svg, &f);
    fv__svg_put(svg, "</g>");
    fv__draw_cover(svg, s);
    fv__svg_put(svg, "</svg>\n");
}
