/* SPDX-License-Identifier: MIT */
/* The pencil of the demo faces: points, colours, and smooth shapes written as SVG text.
 *
 * Text goes into a buffer of fixed size that belongs to one thread; what does not fit sets `full` and
 * is dropped, so that only the end of a drawing has to check.
 */
#ifndef FV_PREP_SYNTH_DRAW_H
#define FV_PREP_SYNTH_DRAW_H

#include <stddef.h>

struct fv__pt {
    double x, y;
};
struct fv__rgb {
    double r, g, b; /* 0 .. 255 */
};

struct fv__svg {
    char *text;
    size_t used, room;
    int gradients; /* given out so far: they are named by number */
    int full;
};

double fv__clamp(double v, double lo, double hi);
double fv__mix(double a, double b, double t);
struct fv__rgb fv__mix_rgb(struct fv__rgb a, struct fv__rgb b, double t);
struct fv__rgb fv__shade_rgb(struct fv__rgb c, double gain);
/* A colour on a ramp of n, t in 0 .. 1. */
struct fv__rgb fv__ramp_rgb(const struct fv__rgb *ramp, int n, double t);
struct fv__rgb fv__hsv_rgb(double hue, double saturation, double value); /* all 0 .. 1 */

void fv__svg_put(struct fv__svg *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* A smooth curve (Catmull-Rom) through n points; closed and filled, or open and stroked. */
void fv__svg_fill(struct fv__svg *s, const struct fv__pt *p, int n, struct fv__rgb c,
                  double opacity);
void fv__svg_stroke(struct fv__svg *s, const struct fv__pt *p, int n, struct fv__rgb c,
                    double width, double opacity);
/* Filled with a gradient that runs from `a` at point `from` to `b` at point `to`. */
void fv__svg_fill_ramp(struct fv__svg *s, const struct fv__pt *p, int n, struct fv__pt from,
                       struct fv__pt to, struct fv__rgb a, double a_opacity, struct fv__rgb b,
                       double b_opacity);
/* An ellipse, turned by `degrees`. */
void fv__svg_ellipse(struct fv__svg *s, struct fv__pt at, double rx, double ry, double degrees,
                     struct fv__rgb c, double opacity);
/* An ellipse that fades out towards its rim. */
void fv__svg_glow(struct fv__svg *s, struct fv__pt at, double rx, double ry, double degrees,
                  struct fv__rgb c, double opacity);

#endif
