/* SPDX-License-Identifier: MIT */
/* torchvision's colour operations. Each is single precision with a rounding after every multiplication and
 * addition, in torchvision's order, and ends by cutting off what is behind the decimal point; so one after
 * the other they darken a little, and that is part of what they are. */
#include "augment/exact.h"

#define GRAY_R 0.2989f
#define GRAY_G 0.587f
#define GRAY_B 0.114f

static uint8_t cut_off(float v)
{
    v = v > 0.0f ? v : 0.0f;
    return (uint8_t)(v < 255.0f ? v : 255.0f);
}

static uint8_t gray(const uint8_t *p)
{
    return (uint8_t)(GRAY_R * p[0] + GRAY_G * p[1] + GRAY_B * p[2]);
}

void fv__exact_brightness(uint8_t *px, size_t n, double factor)
{
    const float f = (float)factor;

    for (size_t i = 0; i < 3 * n; i++)
        px[i] = cut_off(f * px[i]);
}

void fv__exact_contrast(uint8_t *px, size_t n, double factor)
{
    const float f = (float)factor;
    double sum = 0; /* of whole numbers: exact */

    for (size_t i = 0; i < n; i++)
        sum += gray(px + 3 * i);
    const float rest = (float)(1.0 - factor) * (float)(sum / (double)n);
    for (size_t i = 0; i < 3 * n; i++)
        px[i] = cut_off(f * px[i] + rest);
}

void fv__exact_saturation(uint8_t *px, size_t n, double factor)
{
    const float f = (float)factor, rest = (float)(1.0 - factor);

    for (size_t i = 0; i < n; i++, px += 3) {
        const float g = rest * gray(px);
        for (int c = 0; c < 3; c++)
            px[c] = cut_off(f * px[c] + g);
    }
}

void fv__exact_gray(uint8_t *px, size_t n)
{
    for (size_t i = 0; i < n; i++, px += 3)
        px[0] = px[1] = px[2] = gray(px);
}

struct hsv {
    float h, s, v; /* each from 0 to 1 */
};

/* Modulo 1, exactly, of values from -1 to 2. */
static float turn(float v)
{
    return v >= 1.0f ? v - 1.0f : v < 0.0f ? v + 1.0f : v;
}

static struct hsv to_hsv(float r, float g, float b)
{
    const float gb_most = g > b ? g : b, gb_least = g < b ? g : b;
    const float most = r > gb_most ? r : gb_most, least = r < gb_least ? r : gb_least;
    const float range = most - least;
    float h;

    if (range == 0.0f)
        return (struct hsv){0, 0, most};
    const float rc = (most - r) / range, gc = (most - g) / range, bc = (most - b) / range;
    if (most == r)
        h = bc - gc;
    else if (most == g)
        h = 2.0f + rc - bc;
    else
        h = 4.0f + gc - rc;
    return (struct hsv){turn(h / 6.0f + 1.0f), range / most, most};
}

static float unit(float v)
{
    return v < 0.0f ? 0.0f : v > 1.0f ? 1.0f : v;
}

static void from_hsv(struct hsv c, float rgb[3])
{
    const int sector = (int)(c.h * 6.0f);
    const float f = c.h * 6.0f - (float)sector;
    const float p = unit(c.v * (1.0f - c.s));
    const float q = unit(c.v * (1.0f - c.s * f));
    const float t = unit(c.v * (1.0f - c.s * (1.0f - f)));
    const float of_sector[6][3] = {{c.v, t, p}, {q, c.v, p}, {p, c.v, t},
                                   {p, q, c.v}, {t, p, c.v}, {c.v, p, q}};

    for (int i = 0; i < 3; i++)
        rgb[i] = of_sector[sector % 6][i];
}

void fv__exact_hue(uint8_t *px, size_t n, double factor)
{
    const float f = (float)factor;

    for (size_t i = 0; i < n; i++, px += 3) {
        struct hsv c = to_hsv(px[0] / 255.0f, px[1] / 255.0f, px[2] / 255.0f);
        float rgb[3];
        c.h = turn(c.h + f);
        from_hsv(c, rgb);
        for (int k = 0; k < 3; k++)
            px[k] = (uint8_t)(rgb[k] * 255.0f);
    }
}
