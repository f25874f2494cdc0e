/* SPDX-License-Identifier: MIT */
/* Shapes as SVG text. Numbers have two decimals: a viewBox of 200 units leaves that far below a
 * pixel. The decimal point is the caller's affair: the threads that draw run in the "C" locale.
 */
#include "prep/synth/synth_draw.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>

double fv__clamp(double v, double lo, double hi)
{
    return v < lo ? lo : v > hi ? hi : v;
}

double fv__mix(double a, double b, double t)
{
    return a + (b - a) * t;
}

struct fv__rgb fv__mix_rgb(struct fv__rgb a, struct fv__rgb b, double t)
{
    return (struct fv__rgb){fv__mix(a.r, b.r, t), fv__mix(a.g, b.g, t), fv__mix(a.b, b.b, t)};
}

struct fv__rgb fv__shade_rgb(struct fv__rgb c, double gain)
{
    return (struct fv__rgb){fv__clamp(c.r * gain, 0, 255), fv__clamp(c.g * gain, 0, 255),
                            fv__clamp(c.b * gain, 0, 255)};
}

struct fv__rgb fv__ramp_rgb(const struct fv__rgb *ramp, int n, double t)
{
    double at = fv__clamp(t, 0, 1) * (n - 1);
    int i = at >= n - 1 ? n - 2 : (int)at;
    return fv__mix_rgb(ramp[i], ramp[i + 1], at - i);
}

struct fv__rgb fv__hsv_rgb(double hue, double saturation, double value)
{
    double c[3];
    for (int i = 0; i < 3; i++) {
        double k = fmod(5 - 2 * i + hue * 6, 6); /* 5, 3, 1: red, green, blue */
        c[i] = 255 * value * (1 - saturation * fv__clamp(fmin(k, 4 - k), 0, 1));
    }
    return (struct fv__rgb){c[0], c[1], c[2]};
}

void fv__svg_put(struct fv__svg *s, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(s->text + s->used, s->room - s->used, fmt, ap);
    va_end(ap);
    if (n < 0 || (size_t)n >= s->room - s->used)
        s->full = 1;
    else
        s->used += (size_t)n;
}

static void put_colour(struct fv__svg *s, const char *attribute, struct fv__rgb c)
{
    fv__svg_put(s, " %s=\"#%02x%02x%02x\"", attribute, (unsigned)(fv__clamp(c.r, 0, 255) + 0.5),
                (unsigned)(fv__clamp(c.g, 0, 255) + 0.5), (unsigned)(fv__clamp(c.b, 0, 255) + 0.5));
}

static void put_opacity(struct fv__svg *s, const char *attribute, double opacity)
{
    if (opacity < 0.995)
        fv__svg_put(s, " %s=\"%.2f\"", attribute, fv__clamp(opacity, 0, 1));
}

/* Catmull-Rom as cubic Beziers: the tangent at a point is half the chord of its neighbours. */
static void put_path(struct fv__svg *s, const struct fv__pt *p, int n, int closed)
{
    fv__svg_put(s, "<path d=\"M%.2f %.2f", p[0].x, p[0].y);
    for (int i = 0; i < n - !closed; i++) {
        struct fv__pt a = p[closed ? (i + n - 1) % n : i > 0 ? i - 1 : 0], b = p[i];
        struct fv__pt c = p[(i + 1) % n], d = p[closed ? (i + 2) % n : i + 2 < n ? i + 2 : n - 1];
        fv__svg_put(s, "C%.2f %.2f %.2f %.2f %.2f %.2f", b.x + (c.x - a.x) / 6,
                    b.y + (c.y - a.y) / 6, c.x - (d.x - b.x) / 6, c.y - (d.y - b.y) / 6, c.x, c.y);
    }
    fv__svg_put(s, closed ? "Z\"" : "\"");
}

void fv__svg_fill(struct fv__svg *s, const struct fv__pt *p, int n, struct fv__rgb c,
                  double opacity)
{
    put_path(s, p, n, 1);
    put_colour(s, "fill", c);
    put_opacity(s, "fill-opacity", opacity);
    fv__svg_put(s, "/>\n");
}

void fv__svg_stroke(struct fv__svg *s, const struct fv__pt *p, int n, struct fv__rgb c,
                    double width, double opacity)
{
    put_path(s, p, n, 0);
    fv__svg_put(s, " fill=\"none\" stroke-width=\"%.2f\" stroke-linecap=\"round\"", width);
    put_colour(s, "stroke", c);
    put_opacity(s, "stroke-opacity", opacity);
    fv__svg_put(s, "/>\n");
}

static void put_stop(struct fv__svg *s, double at, struct fv__rgb c, double opacity)
{
    fv__svg_put(s, "<stop offset=\"%.2f\"", at);
    put_colour(s, "stop-color", c);
    put_opacity(s, "stop-opacity", opacity);
    fv__svg_put(s, "/>");
}

void fv__svg_fill_ramp(struct fv__svg *s, const struct fv__pt *p, int n, struct fv__pt from,
                       struct fv__pt to, struct fv__rgb a, double a_opacity, struct fv__rgb b,
                       double b_opacity)
{
    int id = s->gradients++;
    fv__svg_put(
        s,
        "<linearGradient id=\"g%d\" gradientUnits=\"userSpaceOnUse\" x1=\"%.2f\" y1=\"%.2f\" "
        "x2=\"%.2f\" y2=\"%.2f\">",
        id, from.x, from.y, to.x, to.y);
    put_stop(s, 0, a, a_opacity);
    put_stop(s, 1, b, b_opacity);
    fv__svg_put(s, "</linearGradient>");
    put_path(s, p, n, 1);
    fv__svg_put(s, " fill=\"url(#g%d)\"/>\n", id);
}

static void put_ellipse(struct fv__svg *s, struct fv__pt at, double rx, double ry, double degrees)
{
    fv__svg_put(s,
                "<ellipse rx=\"%.2f\" ry=\"%.2f\" transform=\"translate(%.2f %.2f) rotate(%.1f)\"",
                rx, ry, at.x, at.y, degrees);
}

void fv__svg_ellipse(struct fv__svg *s, struct fv__pt at, double rx, double ry, double degrees,
                     struct fv__rgb c, double opacity)
{
    put_ellipse(s, at, rx, ry, degrees);
    put_colour(s, "fill", c);
    put_opacity(s, "fill-opacity", opacity);
    fv__svg_put(s, "/>\n");
}

void fv__svg_glow(struct fv__svg *s, struct fv__pt at, double rx, double ry, double degrees,
                  struct fv__rgb c, double opacity)
{
    int id = s->gradients++;
    fv__svg_put(s, "<radialGradient id=\"g%d\">", id);
    put_stop(s, 0, c, opacity);
    put_stop(s, 0.5, c, opacity * 0.55);
    put_stop(s, 1, c, 0);
    fv__svg_put(s, "</radialGradient>");
    put_ellipse(s, at, rx, ry, degrees);
    fv__svg_put(s, " fill=\"url(#g%d)\"/>\n", id);
}
