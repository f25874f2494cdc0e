/* SPDX-License-Identifier: MIT */
/* Eigenvectors by subspace iteration: a few vectors are multiplied by the matrix and made orthonormal, again and again,
 * and Jacobi's rotations solve the small problem among them. More vectors than the two that are wanted make it fast
 * where the second and third component are nearly equal. */
#include "tools/report/pca.h"

#include "common/err.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK = 12, MOST_ROUNDS = 3000 };

/* --- the matrix ----------------------------------------------------------------------------------- */

static void subtract_mean(double *x, const float *v, size_t n, size_t dim)
{
    for (size_t k = 0; k < dim; k++) {
        double mean = 0;
        for (size_t i = 0; i < n; i++)
            mean += (double)v[i * dim + k] / (double)n;
        for (size_t i = 0; i < n; i++)
            x[i * dim + k] = (double)v[i * dim + k] - mean;
    }
}

/* x x^T (n, n), or x^T x (dim, dim). */
static void multiply_by_self(double *s, const double *x, size_t n, size_t dim, int by_vector)
{
    const size_t m = by_vector ? n : dim;

    memset(s, 0, m * m * sizeof *s);
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < (by_vector ? i + 1 : dim); j++) {
            if (by_vector) {
                double sum = 0;
                for (size_t k = 0; k < dim; k++)
                    sum += x[i * dim + k] * x[j * dim + k];
                s[i * m + j] = s[j * m + i] = sum;
            } else {
                for (size_t k = 0; k < dim; k++)
                    s[j * m + k] += x[i * dim + j] * x[i * dim + k];
            }
        }
}

/* --- the small problem ---------------------------------------------------------------------------- */

/* Makes g[p][q] zero by a rotation, which rows p and q of u (eigenvectors) go along with. */
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

/* Until what is beside the diagonal is rounding; u becomes the eigenvectors, as rows. */
static void diagonalise(double *g, double *u, size_t n)
{
    enum { SWEEPS = 60 }; /* it takes about ten: convergence is quadratic */
    double trace = 0, off = INFINITY;

    memset(u, 0, n * n * sizeof *u);
    for (size_t i = 0; i < n; i++) {
        u[i * n + i] = 1;
        trace += g[i * n + i];
    }
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

/* --- the large one -------------------------------------------------------------------------------- */

static double dot(const double *a, const double *b, size_t n)
{
    double sum = 0;

    for (size_t k = 0; k < n; k++)
        sum += a[k] * b[k];
    return sum;
}

/* Rows of q (rows, m), by Gram and Schmidt, twice. One that the others span becomes zero. */
static void orthonormalise(double *q, size_t rows, size_t m)
{
    for (size_t i = 0; i < rows; i++) {
        double *row = q + i * m;
        const double before = sqrt(dot(row, row, m));
        for (int again = 0; again < 2; again++)
            for (size_t j = 0; j < i; j++) {
                const double along = dot(row, q + j * m, m);
                for (size_t k = 0; k < m; k++)
                    row[k] -= along * q[j * m + k];
            }
        const double after = sqrt(dot(row, row, m));
        for (size_t k = 0; k < m; k++)
            row[k] = after > 1e-12 * before ? row[k] / after : 0;
    }
}

struct space {
    size_t m, rows;
    double *q, *z, *mixed; /* (rows, m): the vectors, the matrix times them, room */
    double small[BLOCK * BLOCK], turn[BLOCK * BLOCK];
    double value[BLOCK];
    size_t order[BLOCK]; /* of values, the largest first */
};

static void multiply(struct space *w, const double *s)
{
    for (size_t i = 0; i < w->rows; i++)
        for (size_t j = 0; j < w->m; j++)
            w->z[i * w->m + j] = dot(s + j * w->m, w->q + i * w->m, w->m);
}

/* Turns q, and z with it, to the eigenvectors within the space of q. */
static void turn(struct space *w)
{
    for (size_t i = 0; i < w->rows; i++)
        for (size_t j = 0; j < w->rows; j++)
            w->small[i * w->rows + j] = dot(w->q + i * w->m, w->z + j * w->m, w->m);
    diagonalise(w->small, w->turn, w->rows);
    for (int which = 0; which < 2; which++) {
        double *x = which ? w->z : w->q;
        memset(w->mixed, 0, w->rows * w->m * sizeof *x);
        for (size_t i = 0; i < w->rows; i++)
            for (size_t j = 0; j < w->rows; j++)
                for (size_t k = 0; k < w->m; k++)
                    w->mixed[i * w->m + k] += w->turn[i * w->rows + j] * x[j * w->m + k];
        memcpy(x, w->mixed, w->rows * w->m * sizeof *x);
    }
    for (size_t i = 0; i < w->rows; i++) {
        size_t k = i;
        w->value[i] = w->small[i * w->rows + i];
        for (; k > 0 && w->value[w->order[k - 1]] < w->value[i]; k--)
            w->order[k] = w->order[k - 1];
        w->order[k] = i;
    }
}

/* How far the two are from being eigenvectors, as a share of the largest value. */
static double residual(const struct space *w)
{
    double worst = 0;

    for (size_t c = 0; c < 2; c++) {
        const size_t at = w->order[c];
        double sum = 0;
        for (size_t k = 0; k < w->m; k++) {
            const double d = w->z[at * w->m + k] - w->value[at] * w->q[at * w->m + k];
            sum += d * d;
        }
        worst = fmax(worst, sqrt(sum));
    }
    return w->value[w->order[0]] > 0 ? worst / w->value[w->order[0]] : 0;
}

static void iterate(struct space *w, const double *s)
{
    unsigned seed = 1; /* any vectors will do that are not the matrix's own */

    for (size_t i = 0; i < w->rows * w->m; i++) {
        seed = seed * 1664525 + 1013904223;
        w->q[i] = (double)(seed >> 8) / (1 << 24) - 0.5;
    }
    for (int round = 0; round < MOST_ROUNDS; round++) {
        orthonormalise(w->q, w->rows, w->m);
        multiply(w, s);
        turn(w);
        memcpy(w->mixed, w->q, w->rows * w->m * sizeof *w->q);
        if (residual(w) < 1e-14)
            break;
        memcpy(w->q, w->z, w->rows * w->m * sizeof *w->q);
    }
    memcpy(w->q, w->mixed, w->rows * w->m * sizeof *w->q);
}

/* --- coordinates ---------------------------------------------------------------------------------- */

static void project(struct pca *out, const struct space *w, const double *x, size_t n, size_t dim,
                    double trace)
{
    for (size_t c = 0; c < 2; c++) {
        const size_t at = w->order[c];
        const double *q = w->q + at * w->m, value = fmax(w->value[at], 0);
        double top = 0;
        for (size_t i = 0; i < n; i++) {
            double *to = &out->xy[2 * i + c];
            *to = w->m == n ? sqrt(value) * q[i] : dot(x + i * dim, q, dim);
            top = fabs(*to) > fabs(top) ? *to : top;
        }
        for (size_t i = 0; i < n && top < 0; i++)
            out->xy[2 * i + c] = -out->xy[2 * i + c];
        out->share[c] = value / trace;
    }
}

int pca_make(struct pca *out, const float *v, size_t n, int dim)
{
    const size_t d = (size_t)dim, m = n < d ? n : d;
    struct space w = {.m = m, .rows = m < BLOCK ? m : BLOCK};
    double *x = malloc(n * d * sizeof *x), *s = malloc(m * m * sizeof *s), trace = 0;
    int rc = n < 3 || d < 2 ? fv_err(FV_EINVAL, "three vectors are the least for a plane") : FV_OK;

    *out = (struct pca){.xy = malloc(2 * n * sizeof *out->xy)};
    w.q = calloc(3 * w.rows * m, sizeof *w.q);
    if (rc >= 0 && (!x || !s || !w.q || !out->xy))
        rc = fv_err(FV_ENOMEM, "out of memory for %zu vectors", n);
    if (rc >= 0) {
        w.z = w.q + w.rows * m;
        w.mixed = w.z + w.rows * m;
        subtract_mean(x, v, n, d);
        multiply_by_self(s, x, n, d, m == n);
        for (size_t i = 0; i < m; i++)
            trace += s[i * m + i];
        if (!(trace > 0))
            rc = fv_err(FV_EINVAL, "all vectors are equal");
    }
    if (rc >= 0) {
        iterate(&w, s);
        project(out, &w, x, n, d, trace);
    } else {
        pca_free(out);
    }
    free(x);
    free(s);
    free(w.q);
    return rc;
}

void pca_free(struct pca *p)
{
    free(p->xy);
    *p = (struct pca){0};
}
