/* SPDX-License-Identifier: MIT */
/* The template is that of insightface's face_align.py, with its rule for other sizes: multiples of 112 scale
 * it; multiples of 128 scale it from 128, where the 112 pixels stand in the middle of the width.
 *
 * As complex numbers, p the centred landmarks and q the centred template, the least-squares factor is
 * sum(conj(p) q) / sum(|p|^2). Umeyama's method by singular values, kept from mirroring, has the same
 * solution.
 */
#include "prep/photo/align.h"

#include <math.h>
#include <string.h>

int fv__align_template(int size, double point[5][2])
{
    static const double at_112[5][2] = {{38.2946, 51.6963},
                                        {73.5318, 51.5014},
                                        {56.0252, 71.7366},
                                        {41.5493, 92.3655},
                                        {70.7299, 92.2041}};
    double ratio = size % 112 == 0 ? size / 112.0 : size / 128.0;
    double shift = size % 112 == 0 ? 0 : 8 * ratio;
    if (size <= 0 || (size % 112 != 0 && size % 128 != 0))
        return 0;
    for (int i = 0; i < 5; i++) {
        point[i][0] = at_112[i][0] * ratio + shift;
        point[i][1] = at_112[i][1] * ratio;
    }
    return 1;
}

int fv__align_to_photo(int size, const float (*point)[2], struct fv_similarity *out)
{
    double q[5][2], px = 0, py = 0, qx = 0, qy = 0, re = 0, im = 0, spread = 0;
    if (!fv__align_template(size, q))
        return 0;
    for (int i = 0; i < 5; i++) {
        px += point[i][0] / 5.0;
        py += point[i][1] / 5.0;
        qx += q[i][0] / 5;
        qy += q[i][1] / 5;
    }
    for (int i = 0; i < 5; i++) {
        double x = point[i][0] - px, y = point[i][1] - py, u = q[i][0] - qx, v = q[i][1] - qy;
        re += x * u + y * v;
        im += x * v - y * u;
        spread += x * x + y * y;
    }
    double square = re * re + im * im;
    if (!(square > 0) || !isfinite(square) || !isfinite(spread))
        return 0;
    out->a = re * spread / square; /* the reciprocal of (re + i im) / spread */
    out->b = -im * spread / square;
    out->tx = px - (out->a * qx - out->b * qy);
    out->ty = py - (out->b * qx + out->a * qy);
    return isfinite(out->a) && isfinite(out->b) && isfinite(out->tx) && isfinite(out->ty);
}

/* The pixel, or black beyond the border. */
static const uint8_t *pixel_at(const uint8_t *in, int width, int height, int x, int y)
{
    static const uint8_t black[3];
    if (x < 0 || y < 0 || x >= width || y >= height)
        return black;
    return in + 3 * ((size_t)y * (size_t)width + (size_t)x);
}

static void sample(uint8_t *out, const uint8_t *in, int width, int height, double x, double y)
{
    if (!(x > -1 && y > -1 && x < width && y < height)) {
        memset(out, 0, 3);
        return;
    }
    int x0 = (int)floor(x), y0 = (int)floor(y);
    double fx = x - x0, fy = y - y0;
    const uint8_t *p = pixel_at(in, width, height, x0, y0);
    const uint8_t *q = pixel_at(in, width, height, x0 + 1, y0);
    const uint8_t *r = pixel_at(in, width, height, x0, y0 + 1);
    const uint8_t *s = pixel_at(in, width, height, x0 + 1, y0 + 1);
    for (int c = 0; c < 3; c++) {
        double top = p[c] + fx * (q[c] - p[c]), bottom = r[c] + fx * (s[c] - r[c]);
        out[c] = (uint8_t)(top + fy * (bottom - top) + 0.5);
    }
}

void fv__align_warp(uint8_t *out, int size, const uint8_t *in, int width, int height,
                    const struct fv_affine *m)
{
    for (int v = 0; v < size; v++)
        for (int u = 0; u < size; u++, out += 3)
            sample(out, in, width, height, m->xx * u + m->xy * v + m->x,
                   m->yx * u + m->yy * v + m->y);
}
