/* SPDX-License-Identifier: MIT */
/* Most photos with a profile have one of the many copies of sRGB's. They are told by what they compute: the
 * three primaries (columns of a matrix) and the curve of each channel. Layout: ICC.1:2010, 7.2, 7.3, 10.5,
 * 10.15, 10.28. */
#include "prep/photo/icc.h"

#include <math.h>
#include <string.h>

enum { HEADER = 128, TAG = 12 };

struct part {
    const uint8_t *at;
    size_t n;
};

static uint32_t u16(const uint8_t *p)
{
    return (uint32_t)p[0] << 8 | p[1];
}

static uint32_t u32(const uint8_t *p)
{
    return u16(p) << 16 | u16(p + 2);
}

static double fixed(const uint8_t *p)
{
    return (int32_t)u32(p) / 65536.0;
}

/* The data of one tag; at == NULL when there is none within the profile. */
static struct part find(const uint8_t *profile, size_t n, const char *name)
{
    size_t tags = u32(profile + HEADER), fit = (n - HEADER - 4) / TAG;
    for (size_t i = 0; i < tags && i < fit; i++) {
        const uint8_t *t = profile + HEADER + 4 + i * TAG;
        size_t at = u32(t + 4), size = u32(t + 8);
        if (memcmp(t, name, 4) == 0 && at <= n && size <= n - at && size >= 12)
            return (struct part){profile + at, size};
    }
    return (struct part){NULL, 0};
}

static int is_primary(struct part xyz, const double want[3])
{
    if (!xyz.at || xyz.n < 20 || memcmp(xyz.at, "XYZ ", 4) != 0)
        return 0;
    for (int i = 0; i < 3; i++)
        if (fabs(fixed(xyz.at + 8 + 4 * i) - want[i]) > 0.0015)
            return 0;
    return 1;
}

static double srgb(double x)
{
    return x <= 0.04045 ? x / 12.92 : pow((x + 0.055) / 1.055, 2.4);
}

/* A table of samples, or the exponent alone. */
static double sampled_curve(struct part p, double x)
{
    size_t points = u32(p.at + 8);
    if (points == 0)
        return x;
    if (points > (p.n - 12) / 2)
        return NAN;
    if (points == 1)
        return pow(x, u16(p.at + 12) / 256.0);
    double at = x * (double)(points - 1);
    size_t i = (size_t)at < points - 2 ? (size_t)at : points - 2;
    double a = u16(p.at + 12 + 2 * i), b = u16(p.at + 14 + 2 * i);
    return (a + (at - (double)i) * (b - a)) / 65535;
}

static double formula_curve(struct part p, double x)
{
    static const size_t parameters[5] = {1, 3, 4, 5, 7};
    uint32_t kind = u16(p.at + 8);
    double k[7] = {0};
    if (kind > 4 || p.n < 12 + 4 * parameters[kind])
        return NAN;
    for (size_t i = 0; i < parameters[kind]; i++)
        k[i] = fixed(p.at + 12 + 4 * i);
    switch (kind) {
    case 0:
        return pow(x, k[0]);
    case 3:
        return x >= k[4] ? pow(k[1] * x + k[2], k[0]) : k[3] * x;
    case 4:
        return x >= k[4] ? pow(k[1] * x + k[2], k[0]) + k[5] : k[3] * x + k[6];
    }
    return NAN; /* nobody writes sRGB so */
}

static int is_curve(struct part p)
{
    const double level = 0.75 / 255;
    int sampled = p.at && memcmp(p.at, "curv", 4) == 0;
    if (!p.at || (!sampled && memcmp(p.at, "para", 4) != 0))
        return 0;
    for (int i = 0; i <= 64; i++) {
        double x = i / 64.0, y = sampled ? sampled_curve(p, x) : formula_curve(p, x);
        if (!(y >= srgb(x - level) - 1e-4 && y <= srgb(x + level) + 1e-4))
            return 0;
    }
    return 1;
}

int fv__icc_is_srgb(const uint8_t *profile, size_t n)
{
    static const double primary[3][3] = {
        {0.43607, 0.22249, 0.01392}, {0.38515, 0.71687, 0.09708}, {0.14307, 0.06061, 0.71410}};
    static const char *const column[3] = {"rXYZ", "gXYZ", "bXYZ"};
    static const char *const curve[3] = {"rTRC", "gTRC", "bTRC"};
    if (n < HEADER + 4 || memcmp(profile + 36, "acsp", 4) != 0 ||
        memcmp(profile + 16, "RGB XYZ ", 8) != 0 || find(profile, n, "A2B0").at)
        return 0;
    for (int i = 0; i < 3; i++)
        if (!is_primary(find(profile, n, column[i]), primary[i]) ||
            !is_curve(find(profile, n, curve[i])))
            return 0;
    return 1;
}
