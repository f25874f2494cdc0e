/* SPDX-License-Identifier: MIT */
#include "tools/report/pca.h"

#include "common/err.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

/* Inner products of the vectors less their mean, (n, n). */
static int gram(double *g, const float *v, size_t n, int dim)
{
    double *mean = calloc((size_t)dim, sizeof *mean);
    const size_t d = (size_t)dim;

    if (!mean)
        return fv_err(FV_ENOMEM, "out of memory");
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < d; k++)
            mean[k] += v[i * d + k] / (double)n;
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j <= i; j++) {
            double sum = 0;
            for (size_t k = 0; k < d; k++)
                sum += (v[i * d + k] - mean[k]) * (v[j * d + k] - mean[k]);
            g[i * n + j] = g[j * n + i] = sum;
        }
    free(mean);
    return FV_OK;
}

/* Makes g[p][q] zero by a rotation, which q's rows of u (eigenvectors as rows) go along with. */
static void rotate(double *g, double *u, size_t n, size_t p, size_t q)
{
    const double theta = (g[q * n + q] - g[p * n + p]) / (2 * g[p * n + q]);
    const double t = (theta < 0 ? -1 : 1) / (fabs(theta) + sqrt(theta * theta + 1));
    const double c = 1 / sqrt(t * t + 1), s = t * c;

    for (size_t k = 0; k < n; k++) {
        const double a = g[k * n + p], b = g[k * n + q];
        g[k * n + p] = c * a - s * b;
        g[k * n + q] = s * a + c * b;
    }
    for (size_t k = 0; k < n; k++) {
        const double a = g[p * n + k], b = g[q * n + k];
        g[p * n + k] = c * a - s * b;
        g[q * n + k] = s * a + c * b;
        const double x = u[p * n + k], y = u[q * n + k];
        u[p * n + k] = c * x - s * y;
        u[q * n + k] = s * x + c * y;
    }
}

/* Until what is beside the diagonal is rounding. */
static void diagonalise(double *g, double *u, size_t n)
{
    enum { SWEEPS = 60 }; /* it takes about ten: convergence is quadratic */
    double trace = 0, off = INFINITY;

    for (size_t i = 0; i < n; i++)
        trace += g[i * n + i];
    for (int sweep = 0; sweep < SWEEPS && off > trace * DBL_EPSILON; sweep++) {
        off = 0;
        for (size_t p = 0; p < n; p++)
            for (size_t q = p + 1; q < n; q++)
                if (fabs(g[p * n + q]) > trace * DBL_EPSILON / (double)n) {
                    off = fmax(off, fabs(g[p * n + q]));
                    rotate(g, u, n, p, q);
                }
    }
}

static size_t largest(const double *g, size_t n, size_t but)
{
    size_t best = but == 0;

    for (size_t i = 0; i < n; i++)
        if (i != but && g[i * n + i] > g[best * n + best])
            best = i;
    return best;
}

static void project(struct pca *out, const double *g, const double *u, size_t n)
{
    double trace = 0;
    size_t at = n;

    for (size_t i = 0; i < n; i++)
        trace += g[i * n + i];
    for (int c = 0; c < 2; c++) {
        at = largest(g, n, at);
        const double value = fmax(g[at * n + at], 0);
        double top = 0;
        for (size_t i = 0; i < n; i++)
            top = fabs(u[at * n + i]) > fabs(top) ? u[at * n + i] : top;
        for (size_t i = 0; i < n; i++)
            out->xy[2 * i + (size_t)c] = (top < 0 ? -1 : 1) * sqrt(value) * u[at * n + i];
        out->share[c] = value / trace;
    }
}

int pca_make(struct pca *out, const float *v, size_t n, int dim)
{
    double *g = malloc(n * n * sizeof *g), *u = calloc(n * n, sizeof *u);
    double trace = 0;
    int rc = n < 3 ? fv_err(FV_EINVAL, "three vectors are the least for a plane") : FV_OK;

    *out = (struct pca){.xy = malloc(2 * n * sizeof *out->xy)};
    if (rc >= 0 && (!g || !u || !out->xy))
        rc = fv_err(FV_ENOMEM, "out of memory for %zu vectors", n);
    if (rc >= 0)
        rc = gram(g, v, n, dim);
    for (size_t i = 0; i < n && rc >= 0; i++) {
        u[i * n + i] = 1;
        trace += g[i * n + i];
    }
    if (rc >= 0 && !(trace > 0))
        rc = fv_err(FV_EINVAL, "all vectors are equal");
    if (rc >= 0) {
        diagonalise(g, u, n);
        project(out, g, u, n);
    } else {
        pca_free(out);
    }
    free(g);
    free(u);
    return rc;
}

void pca_free(struct pca *p)
{
    free(p->xy);
    *p = (struct pca){0};
}
