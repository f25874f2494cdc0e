/* SPDX-License-Identifier: MIT */
#include "tools/report/tsne.h"

#include "common/err.h"
#include "tools/report/pca.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { STEPS = 1000, EARLY = 250 };
static const double exaggeration = 12, begin_size = 1e-4;

/* --- neighbours ----------------------------------------------------------------------------------- */

static void square_distances(double *d, const float *v, size_t n, size_t dim)
{
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j <= i; j++) {
            double sum = 0;
            for (size_t k = 0; k < dim; k++) {
                const double x = (double)v[i * dim + k] - (double)v[j * dim + k];
                sum += x * x;
            }
            d[i * n + j] = d[j * n + i] = sum;
        }
}

/* exp(-beta d) over the row, of sum 1; returns its entropy. */
static double make_row(double *p, const double *d, size_t n, size_t self, double beta)
{
    double least = INFINITY, sum = 0, mean = 0;

    for (size_t j = 0; j < n; j++)
        if (j != self)
            least = fmin(least, d[j]);
    for (size_t j = 0; j < n; j++) {
        p[j] = j == self ? 0 : exp(-beta * (d[j] - least));
        sum += p[j];
        mean += p[j] * (d[j] - least);
    }
    for (size_t j = 0; j < n; j++)
        p[j] /= sum;
    return log(sum) + beta * mean / sum;
}

/* The beta of the perplexity, between powers of two and then by halves. */
static void find_row(double *p, const double *d, size_t n, size_t self, double perplexity)
{
    enum { HALVINGS = 200 };
    double low = 0, high = INFINITY, beta = 1;

    for (int i = 0; i < HALVINGS; i++) {
        const double more = make_row(p, d, n, self, beta) - log(perplexity);
        if (fabs(more) < 1e-10)
            return;
        if (more > 0)
            low = beta;
        else
            high = beta;
        beta = isinf(high) ? 2 * beta : (low + high) / 2;
    }
}

int tsne_neighbours(double *p, const float *v, size_t n, int dim, double perplexity)
{
    double *d = malloc(n * n * sizeof *d);

    if (!d)
        return fv_err(FV_ENOMEM, "out of memory for %zu vectors", n);
    square_distances(d, v, n, (size_t)dim);
    for (size_t i = 0; i < n; i++)
        find_row(p + i * n, d + i * n, n, i, perplexity);
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < i; j++)
            p[i * n + j] = p[j * n + i] =
                fmax((p[i * n + j] + p[j * n + i]) / (2 * (double)n), DBL_EPSILON);
    free(d);
    return FV_OK;
}

/* --- descent -------------------------------------------------------------------------------------- */

struct map {
    size_t n;
    double *xy, *slope, *move, *gain; /* (n, 2) */
    double *near;                     /* (n, n), below the diagonal: 1 / (1 + squared distance) */
    const double *p;
};

/* Fills in `near` and returns the sum over all ordered pairs. */
static double measure(struct map *m)
{
    double sum = 0;

    for (size_t i = 0; i < m->n; i++)
        for (size_t j = 0; j < i; j++) {
            const double dx = m->xy[2 * i] - m->xy[2 * j], dy = m->xy[2 * i + 1] - m->xy[2 * j + 1];
            const double near = 1 / (1 + dx * dx + dy * dy);
            m->near[i * m->n + j] = near;
            sum += near;
        }
    return 2 * sum;
}

static void find_slope(struct map *m, double factor)
{
    const double sum = measure(m);

    memset(m->slope, 0, 2 * m->n * sizeof *m->slope);
    for (size_t i = 0; i < m->n; i++)
        for (size_t j = 0; j < i; j++) {
            const double near = m->near[i * m->n + j];
            const double pull = 4 * (factor * m->p[i * m->n + j] - near / sum) * near;
            const double x = pull * (m->xy[2 * i] - m->xy[2 * j]);
            const double y = pull * (m->xy[2 * i + 1] - m->xy[2 * j + 1]);
            m->slope[2 * i] += x;
            m->slope[2 * i + 1] += y;
            m->slope[2 * j] -= x;
            m->slope[2 * j + 1] -= y;
        }
}

static void step(struct map *m, double rate, double momentum)
{
    for (size_t i = 0; i < 2 * m->n; i++) {
        m->gain[i] = m->move[i] * m->slope[i] < 0 ? m->gain[i] + 0.2 : fmax(m->gain[i] * 0.8, 0.01);
        m->move[i] = momentum * m->move[i] - rate * m->gain[i] * m->slope[i];
        m->xy[i] += m->move[i];
    }
}

static void descend(struct map *m, int steps, double factor, double rate, double momentum)
{
    for (size_t i = 0; i < 2 * m->n; i++) {
        m->move[i] = 0;
        m->gain[i] = 1;
    }
    for (int i = 0; i < steps; i++) {
        find_slope(m, factor);
        step(m, rate, momentum);
    }
}

static double divergence(struct map *m)
{
    const double sum = measure(m);
    double kl = 0;

    for (size_t i = 0; i < m->n; i++)
        for (size_t j = 0; j < i; j++) {
            const double p = m->p[i * m->n + j], q = m->near[i * m->n + j] / sum;
            kl += 2 * p * log(p / fmax(q, DBL_EPSILON));
        }
    return kl;
}

static int begin(double *xy, const float *v, size_t n, int dim)
{
    struct pca plane;
    double square = 0;

    FV_TRY(pca_make(&plane, v, n, dim));
    for (size_t i = 0; i < n; i++)
        square += plane.xy[2 * i] * plane.xy[2 * i] / (double)n;
    for (size_t i = 0; i < 2 * n; i++)
        xy[i] = plane.xy[i] / sqrt(square) * begin_size;
    pca_free(&plane);
    return FV_OK;
}

int tsne_make(double *xy, const float *v, size_t n, int dim, double perplexity, double *kl)
{
    const double third = ((double)n - 1) / 3, rate = fmax((double)n / exaggeration / 4, 50);
    struct map m = {.n = n, .xy = xy};

    if (n < 4)
        return fv_err(FV_EINVAL, "four vectors are the least for a map");
    double *p = malloc(2 * n * n * sizeof *p);
    m.slope = calloc(6 * n, sizeof *m.slope);
    int rc =
        p && m.slope ? begin(xy, v, n, dim) : fv_err(FV_ENOMEM, "out of memory for %zu vectors", n);
    if (rc >= 0)
        rc = tsne_neighbours(p, v, n, dim, perplexity > 0 ? perplexity : fmin(30, third));
    if (rc >= 0) {
        m.p = p;
        m.near = p + n * n;
        m.move = m.slope + 2 * n;
        m.gain = m.move + 2 * n;
        descend(&m, EARLY, exaggeration, rate, 0.5);
        descend(&m, STEPS - EARLY, 1, rate, 0.8);
        if (kl)
            *kl = divergence(&m);
    }
    free(p);
    free(m.slope);
    return rc;
}
