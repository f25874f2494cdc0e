/* SPDX-License-Identifier: MIT */
/* Everything around the face: background, clothes, hat, what covers a corner of the picture; and
 * glasses, whose shape belongs to the person and whose tint to the shot.
 */
#include "prep/synth/synth.h"

#include <math.h>

static const double pi = 3.14159265358979;
static const struct fv__rgb white = {255, 255, 255};

/* --- background -------------------------------------------------------------------------------------- */

static void put_rect(struct fv__svg *svg, double x, double y, double w, double h, struct fv__rgb c,
                     double opacity)
{
    struct fv__pt corner[] = {{x, y},         {x, y},         {x + w, y}, {x + w, y},
                              {x + w, y + h}, {x + w, y + h}, {x, y + h}, {x, y + h}};
    fv__svg_fill(svg, corner, 8, c, opacity);
}

void fv__draw_background(struct fv__svg *svg, const struct fv__shot *s)
{
    enum { PLAIN, LIGHTS, WALL, WINDOW, STRIPES };
    double a = s->back_angle * pi / 180;
    struct fv__pt to = {110 * cos(a), 110 * sin(a)}, from = {-to.x, -to.y};
    struct fv__pt all[] = {{-130, -130}, {130, -130}, {130, 130}, {-130, 130}};
    fv__svg_fill_ramp(svg, all, 4, from, to, s->back[0], 1, s->back[1], 1);
    fv__svg_put(svg, "<g transform=\"rotate(%.1f)\">\n", fmod(s->back_angle, 24) - 12);
    switch (s->back_kind) {
    case WALL:
        put_rect(svg, -160, s->spot[0].at.y * 0.5, 320, 300, fv__shade_rgb(s->back[1], 0.6), 0.8);
        break;
    case WINDOW:
        put_rect(svg, s->spot[0].at.x - 45, -130, 90, 150,
                 fv__mix_rgb(s->spot[0].colour, white, 0.6), 0.8);
        put_rect(svg, s->spot[0].at.x - 2, -130, 4, 150, s->back[1], 1);
        break;
    case STRIPES:
        for (int i = -4; i <= 4; i++)
            put_rect(svg, i * s->spot[0].r - 5, -150, s->spot[0].r * 0.45, 300, s->spot[0].colour,
                     0.45);
        break;
    default:
        break;
    }
    fv__svg_put(svg, "</g>\n");
    for (int i = 0; i < s->spots && s->back_kind != PLAIN; i++)
        if (s->back_kind == LIGHTS)
            fv__svg_ellipse(svg, s->spot[i].at, s->spot[i].r * 0.5, s->spot[i].r * 0.5, 0,
                            s->spot[i].colour, s->spot[i].opacity * 0.7);
        else
            fv__svg_glow(svg, s->spot[i].at, s->spot[i].r, s->spot[i].r * 1.3, 0, s->spot[i].colour,
                         s->spot[i].opacity);
}

void fv__draw_cover(struct fv__svg *svg, const struct fv__shot *s)
{
    if (s->cover.opacity > 0)
        fv__svg_ellipse(svg, s->cover.at, s->cover.r, s->cover.r * 1.2, 20, s->cover.colour,
                        s->cover.opacity);
}

/* --- body -------------------------------------------------------------------------------------------- */

static void draw_collar(struct fv__svg *svg, const struct fv__sitter *f, double neck, double y)
{
    const struct fv__shot *s = f->s;
    enum { ROUND, VEE, SHIRT, HOOD };
    struct fv__pt round[] = {{-neck - 3, y - 6},
                             {-neck * 0.6, y + 4},
                             {0, y + 8},
                             {neck * 0.6, y + 4},
                             {neck + 3, y - 6}};
    struct fv__pt vee[] = {{-neck - 2, y - 7},
                           {-neck * 0.5, y + 6},
                           {0, y + 21},
                           {neck * 0.5, y + 6},
                           {neck + 2, y - 7}};
    switch (s->collar) {
    case ROUND:
        fv__svg_stroke(svg, round, 5, s->trim, 5, 1);
        break;
    case VEE:
        fv__svg_fill(svg, vee, 5, fv__shade_rgb(f->p->skin, 0.86), 1);
        fv__svg_stroke(svg, vee, 5, s->trim, 3.5, 1);
        break;
    case SHIRT:
        for (int side = -1; side <= 1; side += 2) {
            struct fv__pt flap[] = {{side * (neck + 3), y - 10},
                                    {side * (neck + 9), y + 3},
                                    {side * neck * 0.5, y + 14},
                                    {0, y + 4}};
            fv__svg_fill(svg, flap, 4, s->trim, 1);
        }
        break;
    default:
        fv__svg_stroke(svg, round, 5, fv__shade_rgb(s->cloth, 0.7), 11, 1);
        break;
    }
}

void fv__draw_body(struct fv__svg *svg, const struct fv__sitter *f)
{
    const struct fv__person *p = f->p;
    double neck = fv__clamp(p->jaw_w * 0.62, 17, 26), y = p->chin_y + 17;
    struct fv__rgb skin = fv__shade_rgb(p->skin, 0.88), dark = fv__shade_rgb(p->skin, 0.6);
    struct fv__pt throat[] = {{-neck, p->jaw_y},    {neck, p->jaw_y}, {neck * 1.02, y - 4},
                              {neck * 1.5, y + 8},  {0, y + 30},      {-neck * 1.5, y + 8},
                              {-neck * 1.02, y - 4}};
    fv__svg_fill(svg, throat, 7, skin, 1);
    fv__svg_glow(svg, (struct fv__pt){0, p->chin_y - 2}, neck * 1.35, 19, 0, dark, 0.85);
    struct fv__pt body[] = {{-neck - 4, y - 6},  {-neck * 0.7, y + 3}, {0, y + 7},
                            {neck * 0.7, y + 3}, {neck + 4, y - 6},    {62, y + 12},
                            {84, y + 40},        {90, y + 100},        {-90, y + 100},
                            {-84, y + 40},       {-62, y + 12}};
    fv__svg_fill_ramp(svg, body, 11, (struct fv__pt){0, y}, (struct fv__pt){0, y + 60}, f->s->cloth,
                      1, fv__shade_rgb(f->s->cloth, 0.65), 1);
    draw_collar(svg, f, neck, y);
}

/* --- worn on the head -------------------------------------------------------------------------------- */

void fv__draw_glasses(struct fv__svg *svg, const struct fv__sitter *f)
{
    enum { N = 20 };
    const struct fv__person *p = f->p;
    if (!p->glasses)
        return;
    double w = fmin(p->glasses_w, p->eye_x - 2), h = p->glasses_h * w / p->glasses_w,
           y = 2 - p->glasses_lift;
    double power = fv__mix(1, 0.5, p->glasses_square);
    double tint = f->s->lens_tint;
    for (int side = -1; side <= 1; side += 2) {
        struct fv__pt lens[N + 1];
        for (int i = 0; i <= N; i++) {
            double a = 2 * pi * i / N, c = cos(a), s = sin(a);
            lens[i] = fv__on_face(f, side * (p->eye_x + 0.6) + w * copysign(pow(fabs(c), power), c),
                                  y + h * copysign(pow(fabs(s), power), s), 5);
        }
        fv__svg_fill(svg, lens, N, tint > 0 ? f->s->lens_colour : white, tint > 0 ? tint : 0.10);
        fv__svg_stroke(svg, lens, N + 1, p->glasses_colour, p->glasses_rim, 1);
        struct fv__pt arm[] = {
            fv__on_face(f, side * (p->eye_x + 0.6 + w), y - h * 0.35, 5),
            fv__on_rim(f, side * (fv__head_half_width(p, 0) + 0.5), y - h * 0.3, -2)};
        fv__svg_stroke(svg, arm, 2, p->glasses_colour, p->glasses_rim * 0.9, 1);
        struct fv__pt glint[] = {fv__on_face(f, side * p->eye_x - w * 0.45, y - h * 0.1, 5),
                                 fv__on_face(f, side * p->eye_x - w * 0.05, y - h * 0.6, 5)};
        fv__svg_stroke(svg, glint, 2, white, 1.4, 0.35);
    }
    double gap = p->eye_x + 0.6 - w;
    struct fv__pt bridge[] = {fv__on_face(f, -gap, y - h * 0.25, 5),
                              fv__on_face(f, 0, y - h * 0.45, 6),
                              fv__on_face(f, gap, y - h * 0.25, 5)};
    fv__svg_stroke(svg, bridge, 3, p->glasses_colour, p->glasses_rim, 1);
}

/* A dome over the skull from the height `y` upwards, `over` larger than the head; bent towards the viewer. */
static void draw_dome(struct fv__svg *svg, const struct fv__sitter *f, double y, double over)
{
    const struct fv__person *p = f->p;
    double side = p->temple_w + 2 + over + fmin(p->hair_side, 6) * 0.7, top = p->crown_y - 4 - over;
    struct fv__pt dome[] = {fv__on_rim(f, -side, y, 0),
                            fv__on_rim(f, -side * 0.93, fv__mix(y, top, 0.5), 0),
                            fv__on_rim(f, -side * 0.55, fv__mix(y, top, 0.92), 0),
                            fv__on_rim(f, 0, top, 0),
                            fv__on_rim(f, side * 0.55, fv__mix(y, top, 0.92), 0),
                            fv__on_rim(f, side * 0.93, fv__mix(y, top, 0.5), 0),
                            fv__on_rim(f, side, y, 0),
                            fv__on_face(f, side * 0.5, y - 2, 2),
                            fv__on_face(f, 0, y - 3, 2),
                            fv__on_face(f, -side * 0.5, y - 2, 2)};
    fv__svg_fill_ramp(svg, dome, 10, (struct fv__pt){0, top}, (struct fv__pt){0, y},
                      fv__shade_rgb(f->s->hat_colour, 1.12), 1,
                      fv__shade_rgb(f->s->hat_colour, 0.75), 1);
}

static void draw_band(struct fv__svg *svg, const struct fv__sitter *f, double y, double width,
                      struct fv__rgb c)
{
    const struct fv__person *p = f->p;
    double side = p->temple_w + 1.5 + fmin(p->hair_side, 6) * 0.7;
    struct fv__pt band[] = {fv__on_rim(f, -side, y + 1, 0), fv__on_face(f, -side * 0.6, y - 1, 3),
                            fv__on_face(f, 0, y - 2, 3), fv__on_face(f, side * 0.6, y - 1, 3),
                            fv__on_rim(f, side, y + 1, 0)};
    fv__svg_stroke(svg, band, 5, c, width, 1);
}

void fv__draw_hat(struct fv__svg *svg, const struct fv__sitter *f)
{
    const struct fv__person *p = f->p;
    struct fv__rgb c = f->s->hat_colour, dark = fv__shade_rgb(c, 0.6);
    double y = p->crown_y * 0.52;
    switch (f->s->hat) {
    case FV__HAT_BEANIE:
        draw_dome(svg, f, y, 4);
        draw_band(svg, f, y, 11, dark);
        break;
    case FV__HAT_CAP: {
        draw_dome(svg, f, y, 2);
        struct fv__pt brim[] = {fv__on_face(f, -p->temple_w * 0.72, y - 2, 4),
                                fv__on_face(f, -p->temple_w * 0.5, y + 6, 22),
                                fv__on_face(f, 0, y + 8, 30),
                                fv__on_face(f, p->temple_w * 0.5, y + 6, 22),
                                fv__on_face(f, p->temple_w * 0.72, y - 2, 4),
                                fv__on_face(f, 0, y - 6, 6)};
        fv__svg_fill(svg, brim, 6, dark, 1);
        break;
    }
    case FV__HAT_SUN:
        fv__svg_ellipse(svg, fv__on_rim(f, 0, y - 3, 10), p->temple_w * 1.75, 12, 0,
                        fv__shade_rgb(c, 0.85), 1);
        draw_dome(svg, f, y - 4, 2);
        draw_band(svg, f, y - 5, 5, dark);
        break;
    case FV__HAT_BAND:
        draw_band(svg, f, p->crown_y * 0.66, 6, c);
        break;
    case FV__HAT_NONE:
        break;
    }
}
