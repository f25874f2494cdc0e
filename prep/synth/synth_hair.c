/* SPDX-License-Identifier: MIT */
/* Hair and beard. A haircut is the area between two curves, the outline around the skull and the
 * hairline on the face, plus what hangs or sits behind the head; all cuts are settings of these.
 */
#include "prep/synth/synth.h"

#include <math.h>

enum {
    OUTER = 11,
    OUTER_FINE = 61,
    INNER = 9,
    CAP = OUTER_FINE + INNER,
    BACK = 11,
    BACK_FINE = 81
};

/* Catmull-Rom through `in`, sampled at m points from the first to the last. */
static void resample(const struct fv__pt *in, int n, struct fv__pt *out, int m)
{
    for (int k = 0; k < m; k++) {
        double at = k * (n - 1.0) / (m - 1);
        int i = at >= n - 1 ? n - 2 : (int)at;
        double t = at - i;
        struct fv__pt a = in[i > 0 ? i - 1 : 0], b = in[i], c = in[i + 1],
                      d = in[i + 2 < n ? i + 2 : n - 1];
        double t2 = t * t, t3 = t2 * t;
        double wa = -t3 + 2 * t2 - t, wb = 3 * t3 - 5 * t2 + 2, wc = -3 * t3 + 4 * t2 + t,
               wd = t3 - t2;
        out[k].x = 0.5 * (wa * a.x + wb * b.x + wc * c.x + wd * d.x);
        out[k].y = 0.5 * (wa * a.y + wb * b.y + wc * c.y + wd * d.y);
    }
}

/* Pushes a curve outwards (to its left) in waves: locks where they are few, curls where many. */
static void wave(const struct fv__sitter *f, struct fv__pt *p, int n, double height, double waves)
{
    struct fv__pt before = p[0];
    for (int i = 1; i < n - 1; i++) {
        struct fv__pt here = p[i];
        double dx = p[i + 1].x - before.x, dy = p[i + 1].y - before.y,
               length = sqrt(dx * dx + dy * dy) + 1e-6;
        double fade = fmin(1, fmin(i, n - 1 - i) / 4.0);
        double push =
            height * fade * (2 * fabs(sin(waves * 3.14159 * i / (n - 1) + f->s->muss)) - 1);
        p[i].x += push * dy / length;
        p[i].y -= push * dx / length;
        before = here;
    }
}

/* A hat presses the hair down. */
static double top_of(const struct fv__sitter *f)
{
    return f->s->hat == FV__HAT_NONE || f->s->hat == FV__HAT_BAND ? f->p->hair_top
                                                                  : fmin(f->p->hair_top, 3);
}

static double side_of(const struct fv__sitter *f)
{
    return f->s->hat == FV__HAT_NONE || f->s->hat == FV__HAT_BAND ? f->p->hair_side
                                                                  : fmin(f->p->hair_side, 6);
}

/* From the left sideburn over the crown to the right one. */
static void outer_edge(const struct fv__sitter *f, struct fv__pt out[OUTER_FINE])
{
    const struct fv__person *p = f->p;
    double top = top_of(f), side = side_of(f), lean = (p->hair_mirror ? -1 : 1) * top * 0.35;
    double burn = p->sideburn_y, c = p->crown_y;
    const struct fv__pt half[] = {
        {fv__head_half_width(p, burn) + 0.2 + side * 0.25, burn},
        {p->cheek_w + 0.3 + side * 0.75, fmin(-6, burn - 6)},
        {p->temple_w + 0.6 + side, c * 0.42},
        {p->temple_w * 0.84 + side * 0.85 + top * 0.1, c * 0.74 - top * 0.45},
        {p->temple_w * 0.46 + side * 0.4, c * 0.95 - top * 0.9}};
    struct fv__pt edge[OUTER];
    edge[5] = (struct fv__pt){lean * 0.6, c - top};
    for (int i = 0; i < 5; i++) {
        double tilt = i > 2 ? lean * 0.25 : 0; /* the volume leans to the side of the parting */
        edge[i] = fv__on_rim(f, -half[i].x, half[i].y + tilt, 0);
        edge[10 - i] = fv__on_rim(f, half[i].x, half[i].y - tilt, 0);
    }
    resample(edge, OUTER, out, OUTER_FINE);
    wave(f, out, OUTER_FINE, p->hair_wave, p->hair_waves);
}

/* From the right sideburn along the forehead to the left one. */
static void inner_edge(const struct fv__sitter *f, struct fv__pt out[INNER])
{
    const struct fv__person *p = f->p;
    double burn_x = fv__head_half_width(p, p->sideburn_y) * 0.95;
    out[0] = fv__on_rim(f, burn_x, p->sideburn_y - 0.5, 4);
    out[INNER - 1] = fv__on_rim(f, -burn_x, p->sideburn_y - 0.5, 4);
    for (int i = 0; i < 7; i++) {
        double y = p->hairline[p->hair_mirror ? 6 - i : i];
        double x = (i - 3) / 3.0 * fmin(p->temple_w * 0.93, fv__head_half_width(p, y) * 0.96);
        out[7 - i] = fv__on_face(f, x, y, 1.5);
    }
}

static void draw_strands(struct fv__svg *svg, const struct fv__sitter *f,
                         const struct fv__pt *outer, const struct fv__pt *inner)
{
    enum { STRANDS = 13 };
    const struct fv__person *p = f->p;
    for (int k = 1; k < STRANDS; k++) {
        struct fv__pt o = outer[k * (OUTER_FINE - 1) / STRANDS], fine[STRANDS + 1], in;
        resample(inner, INNER, fine, STRANDS + 1);
        in = fine[STRANDS - k];
        double bend = (p->hair_mirror ? -1 : 1) * 2.5;
        struct fv__pt strand[] = {{fv__mix(o.x, in.x, 0.12), fv__mix(o.y, in.y, 0.12)},
                                  {fv__mix(o.x, in.x, 0.5) + bend, fv__mix(o.y, in.y, 0.5)},
                                  {fv__mix(o.x, in.x, 0.9), fv__mix(o.y, in.y, 0.9)}};
        fv__svg_stroke(svg, strand, 3, fv__shade_rgb(p->hair_colour, k % 2 ? 0.62 : 1.4), 1.5,
                       0.34);
    }
}

void fv__draw_hair(struct fv__svg *svg, const struct fv__sitter *f)
{
    const struct fv__person *p = f->p;
    struct fv__pt cap[CAP], *inner = cap + OUTER_FINE;
    if (p->hair == FV__HAIR_BALD)
        return;
    outer_edge(f, cap);
    inner_edge(f, inner);
    struct fv__pt roots = {0, p->crown_y - p->hair_top}, tips = {0, 10};
    double opacity = p->hair == FV__HAIR_BUZZ ? 0.72 : 1;
    struct fv__pt shade[INNER];
    for (int i = 0; i < INNER; i++)
        shade[i] = (struct fv__pt){inner[i].x, inner[i].y + 1.6};
    fv__svg_stroke(svg, shade + 1, INNER - 2, fv__shade_rgb(p->skin, 0.45), 3, 0.28 * opacity);
    fv__svg_fill_ramp(svg, cap, CAP, roots, tips, fv__shade_rgb(p->hair_colour, 1.1), opacity,
                      fv__shade_rgb(p->hair_colour, 0.82), opacity);
    if (p->hair != FV__HAIR_BUZZ)
        draw_strands(svg, f, cap, inner);
    fv__svg_glow(svg, fv__on_rim(f, 0, p->crown_y * 0.86 - p->hair_top * 0.6, 0), p->temple_w * 0.8,
                 6 + p->hair_top * 0.4, 0, (struct fv__rgb){255, 255, 255}, 0.17);
}

void fv__draw_hair_behind(struct fv__svg *svg, const struct fv__sitter *f)
{
    const struct fv__person *p = f->p;
    struct fv__rgb c = fv__shade_rgb(p->hair_colour, 0.68);
    double top = top_of(f), side = side_of(f), back = p->hair_back, wide = p->hair_back_w;
    if (p->hair == FV__HAIR_BUN && f->s->hat == FV__HAT_NONE) {
        double r = 10 + p->hair_top;
        struct fv__pt at = {-4 * f->yaw_sin, p->crown_y - r * 0.55 - p->hair_top};
        fv__svg_ellipse(svg, at, r * 1.1, r, 0, p->hair_colour, 1);
        fv__svg_glow(svg, (struct fv__pt){at.x, at.y - r * 0.3}, r * 0.8, r * 0.5, 0,
                     (struct fv__rgb){255, 255, 255}, 0.3);
    }
    if (back <= 0)
        return;
    const struct fv__pt half[] = {{p->jaw_w * 0.72 + wide, back},
                                  {fmax(p->jaw_w, p->cheek_w * 0.9) + wide, back * 0.6 + 4},
                                  {p->cheek_w + side * 0.9 + wide * 0.35, fmin(-5, back * 0.3)},
                                  {p->temple_w * 0.9 + side, p->crown_y * 0.6},
                                  {p->temple_w * 0.5 + side * 0.5, p->crown_y * 0.92 - top * 0.6}};
    struct fv__pt edge[BACK], fine[BACK_FINE];
    edge[5] = fv__on_rim(f, 0, p->crown_y - top * 0.7, -8);
    for (int i = 0; i < 5; i++) {
        edge[i] = fv__on_rim(f, -half[i].x, half[i].y, -8);
        edge[10 - i] = fv__on_rim(f, half[i].x, half[i].y, -8);
    }
    resample(edge, BACK, fine, BACK_FINE);
    wave(f, fine, BACK_FINE, p->hair_wave * 1.2, p->hair_waves * 1.2);
    fv__svg_fill(svg, fine, BACK_FINE, c, 1);
}

/* --- beard ------------------------------------------------------------------------------------------- */

enum { CHEEKS = 5 };

/* Mirrors half a shape (right side, from top to bottom) into a closed one: down on the right, up on the
 * left. Points are x, y, and how far before the plane of the ears; front < 0: on the face itself. */
static void mirrored(const struct fv__sitter *f, const double (*half)[3], int n, struct fv__pt *out)
{
    for (int i = 0; i < n; i++)
        for (int side = 1; side >= -1; side -= 2) {
            double x = side * half[i][0], y = half[i][1], front = half[i][2];
            out[side > 0 ? i : 2 * n - 1 - i] =
                front < 0 ? fv__on_face(f, x, y, 2) : fv__on_rim(f, x, y, front);
        }
}

static void draw_full_beard(struct fv__svg *svg, const struct fv__sitter *f, struct fv__rgb c)
{
    const struct fv__person *p = f->p;
    double len = p->beard_len, cheek = fv__mix(0.60, 0.84, p->beard_cheek),
           lip = p->mouth_y + p->lip_lower + 4;
    const double half[][3] = {{p->mouth_w * 0.25, lip + 0.5, -1},
                              {p->mouth_w * 0.75, lip - 0.5, -1},
                              {p->mouth_w + 4, p->mouth_y - 1, -1},
                              {p->jaw_w * cheek, p->mouth_y - 8, -1},
                              {fv__head_half_width(p, 8) * 0.91, 8, 4},
                              {fv__head_half_width(p, 8) + 0.3, 8, 1},
                              {p->jaw_w + 0.6 + len * 0.3, p->jaw_y, 5},
                              {fv__mix(p->jaw_w, p->chin_w, 0.52) + 0.5 + len * 0.3,
                               fv__mix(p->jaw_y, p->chin_y, 0.62) + 0.5 + len * 0.5, 12},
                              {p->chin_w * 0.55, p->chin_y + 0.4 + len, 19}};
    enum { N = sizeof half / sizeof *half };
    struct fv__pt shape[2 * N];
    mirrored(f, half, N, shape);
    fv__svg_fill(svg, shape, 2 * N, c, p->beard);
}

static void draw_goatee(struct fv__svg *svg, const struct fv__sitter *f, struct fv__rgb c)
{
    const struct fv__person *p = f->p;
    double lip = p->mouth_y + p->lip_lower + 3.5;
    const double half[][3] = {{p->mouth_w * 0.3, lip, -1},
                              {p->mouth_w * 0.8, lip - 1, -1},
                              {p->mouth_w + 3.5, p->mouth_y, -1},
                              {p->chin_w * 0.55 + 5, fv__mix(lip, p->chin_y, 0.6), 17},
                              {p->chin_w * 0.45, p->chin_y + p->beard_len, 19}};
    enum { N = sizeof half / sizeof *half };
    struct fv__pt shape[2 * N];
    mirrored(f, half, N, shape);
    fv__svg_fill(svg, shape, 2 * N, c, p->beard);
}

static void draw_moustache(struct fv__svg *svg, const struct fv__sitter *f, struct fv__rgb c)
{
    const struct fv__person *p = f->p;
    double lip = p->mouth_y - p->lip_upper, droop = 3 * p->beard_cheek - 2.5 * f->s->smile;
    const double half[][3] = {{1, fv__mix(p->nose_y, lip, 0.45), -1},
                              {p->mouth_w * 0.55, fv__mix(p->nose_y, lip, 0.55), -1},
                              {p->mouth_w + 3, lip + 2.5 + droop, -1},
                              {p->mouth_w + 0.5, lip + 3.5 + droop, -1},
                              {p->mouth_w * 0.5, lip + 1.2, -1},
                              {1, lip + 0.8, -1}};
    enum { N = sizeof half / sizeof *half };
    struct fv__pt shape[2 * N];
    mirrored(f, half, N, shape);
    fv__svg_fill(svg, shape, 2 * N, c, p->moustache);
}

void fv__draw_beard(struct fv__svg *svg, const struct fv__sitter *f)
{
    const struct fv__person *p = f->p;
    struct fv__rgb c = fv__mix_rgb(fv__shade_rgb(p->hair_colour, 0.9), p->brow, 0.4);
    if (p->beard > 0 && p->goatee)
        draw_goatee(svg, f, c);
    else if (p->beard > 0)
        draw_full_beard(svg, f, c);
    if (p->moustache > 0)
        draw_moustache(svg, f, c);
}
