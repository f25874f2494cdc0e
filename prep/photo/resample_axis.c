/* SPDX-License-Identifier: MIT */
/* Weights as Pillow computes them (its precompute_coeffs and normalize_coeffs_8bpc): a Lanczos window of
 * three lobes, widened when the picture shrinks, cut at the picture's edges and scaled to a sum of 1, then
 * rounded to 22 bits.
 *
 * The sine is our own. The C library's differs in its last bit between versions and processors, and the
 * bytes of a data set must not.
 */
#include "prep/photo/resample_axis.h"

#include "common/err.h"
#include "prep/photo/resample.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define PI 3.14159265358979323846
enum { LOBES = 3 };

/* sin(t) for t in 0..pi: Taylor's series, whose first term left out is below 1e-17 on 0..pi/2. */
static double sine(double t)
{
    static const double c[] = {-1.0 / 6,
                               1.0 / 120,
                               -1.0 / 5040,
                               1.0 / 362880,
                               -1.0 / 39916800,
                               1.0 / 6227020800,
                               -1.0 / 1307674368000,
                               1.0 / 355687428096000,
                               -1.0 / 121645100408832000,
                               1.0 / 51090942171709440000.0};
    t = t > PI / 2 ? PI - t : t;
    double u = t * t, sum = c[9];
    for (int i = 8; i >= 0; i--)
        sum = sum * u + c[i];
    return t + t * u * sum;
}

/* sinc(x) * sinc(x / 3) within three lobes. With a = pi x / 3, sin(3a) = 3 sin a - 4 sin^3 a. */
static double lanczos(double x)
{
    double a = fabs(x) * (PI / LOBES);
    if (x == 0)
        return 1;
    if (x < -LOBES || x >= LOBES)
        return 0;
    double s = sine(a);
    return s * s * (3 - 4 * s * s) / (LOBES * a * a);
}

static int32_t round_weight(double w)
{
    return (int32_t)((w < 0 ? -0.5 : 0.5) + w * (1 << FV_RESAMPLE_BITS));
}

/* The filter for one axis on its page: pixels 0 .. size-1, of which the picture is 0+shift .. in-1+shift. */
struct page {
    int size, shift;
    double from, scale, filter_scale, support;
};

static struct page lay_page(int in, float from, float to, int out)
{
    int low = from < 0 ? (int)floorf(from) : 0;
    int high = to > (float)in ? (int)ceilf(to) : in;
    struct page p = {.size = high - low, .shift = -low};
    float left = from + (float)p.shift, right = to + (float)p.shift; /* floats, as Pillow's box */
    p.from = left;
    p.scale = (double)(right - left) / out;
    p.filter_scale = p.scale < 1 ? 1 : p.scale;
    p.support = LOBES * p.filter_scale;
    return p;
}

static void fill_output(struct fv_resample_axis *a, const struct page *p, int i, double *w)
{
    double center = p->from + (i + 0.5) * p->scale, sum = 0;
    int low = (int)(center - p->support + 0.5), high = (int)(center + p->support + 0.5);
    low = low < 0 ? 0 : low;
    high = high > p->size ? p->size : high;
    for (int x = low; x < high; x++)
        sum += w[x - low] = lanczos((x - center + 0.5) * (1 / p->filter_scale));

    int begin = low < p->shift ? p->shift : low;
    int end = high > p->shift + a->in ? p->shift + a->in : high;
    int32_t beyond = 0, *weight = a->weight + (size_t)i * (size_t)a->taps;
    a->first[i] = begin < end ? begin - p->shift : 0;
    a->count[i] = begin < end ? end - begin : 0;
    for (int x = low; x < high; x++) {
        int32_t k = round_weight(sum != 0 ? w[x - low] / sum : w[x - low]);
        if (x >= begin && x < end)
            weight[x - begin] = k;
        else
            beyond += k;
    }
    a->start[i] = (1 << (FV_RESAMPLE_BITS - 1)) + beyond * FV_PAGE_WHITE;
}

static void split_weights(struct fv_resample_axis *a)
{
    for (size_t i = 0; i < (size_t)a->out * (size_t)a->taps; i++) {
        a->high[i] = (int16_t)(a->weight[i] >> FV_RESAMPLE_LOW_BITS);
        a->low[i] = (int16_t)(a->weight[i] & ((1 << FV_RESAMPLE_LOW_BITS) - 1));
    }
}

/* One block: three numbers an output, then the weights three times. Zeroed. */
static int carve(struct fv_resample_axis *a)
{
    size_t out = (size_t)a->out, weights = out * (size_t)a->taps;
    size_t bytes = (3 * out + weights) * sizeof(int32_t) + 2 * weights * sizeof(int16_t);
    if (bytes > a->room) {
        free(a->memory);
        a->memory = malloc(bytes);
        a->room = a->memory ? bytes : 0;
    }
    if (!a->memory)
        return fv_err(FV_ENOMEM, "out of memory for resizing %d pixels to %d", a->in, a->out);
    memset(a->memory, 0, bytes);
    a->first = a->memory;
    a->count = a->first + out;
    a->start = a->count + out;
    a->weight = a->start + out;
    a->high = (int16_t *)(a->weight + weights);
    a->low = a->high + weights;
    return 0;
}

int fv__resample_axis_set(struct fv_resample_axis *a, int in, float from, float to, int out)
{
    if (a->out == out && a->in == in && a->from == from && a->to == to)
        return 0;
    struct page p = lay_page(in, from, to, out);
    int width =
        (int)ceil(p.support) * 2 + 1; /* of the filter; what lies off the page is not kept */
    a->in = in;
    a->out = out;
    a->from = from;
    a->to = to;
    a->taps = ((width < in ? width : in) + 3) & ~3;
    double *w = malloc((size_t)width * sizeof *w);
    int rc = w ? carve(a) : fv_err(FV_ENOMEM, "out of memory for a filter of %d pixels", width);
    for (int i = 0; rc == 0 && i < out; i++)
        fill_output(a, &p, i, w);
    free(w);
    if (rc == 0)
        split_weights(a);
    else
        a->out = 0;
    return rc;
}

void fv__resample_axis_free(struct fv_resample_axis *a)
{
    free(a->memory);
    *a = (struct fv_resample_axis){0};
}
