/* SPDX-License-Identifier: MIT */
#include "trainer/eval/intervals.h"

#include "common/err.h"
#include "trainer/eval/bootstrap.h"

#include <math.h>
#include <stdlib.h>

void fv_bootstrap_defaults(struct fv_bootstrap_settings *s)
{
    *s = (struct fv_bootstrap_settings){.seed = 1, .replicates = 2000, .level = 0.95, .bca = 1};
}

/* --- intervals from replicates --------------------------------------------------------------------- */

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* One figure of all rows, sorted; those that are a number. Returns how many. */
static size_t take_column(const double *row, int64_t rows, int figures, int k, double *out)
{
    size_t n = 0;

    for (int64_t i = 0; i < rows; i++)
        if (isfinite(row[i * figures + k]))
            out[n++] = row[i * figures + k];
    qsort(out, n, sizeof *out, ascending);
    return n;
}

static double variance(const double *x, size_t n)
{
    double mean = 0, square = 0;

    for (size_t i = 0; i < n; i++)
        mean += x[i] / (double)n;
    for (size_t i = 0; i < n; i++)
        square += (x[i] - mean) * (x[i] - mean);
    return n > 1 ? square / (double)(n - 1) : 0;
}

/* Linear between order statistics, as numpy.quantile. */
static double quantile(const double *sorted, size_t n, double p)
{
    const double at = p * (double)(n - 1);
    const size_t i = (size_t)at < n - 1 ? (size_t)at : n - 1;
    return i + 1 < n ? sorted[i] + (at - (double)i) * (sorted[i + 1] - sorted[i]) : sorted[i];
}

/* The share of replicates below the estimate, those that equal it by half; never 0 or 1. */
static double share_below(const double *sorted, size_t n, double value)
{
    double below = 0;

    for (size_t i = 0; i < n; i++)
        below += sorted[i] < value ? 1 : sorted[i] == value ? 0.5 : 0;
    const double edge = 0.5 / (double)n;
    below /= (double)n;
    return below < edge ? edge : below > 1 - edge ? 1 - edge : below;
}

/* Efron's a, from the figures without each group. */
static double acceleration(const double *left, size_t n)
{
    double mean = 0, square = 0, cube = 0;

    for (size_t i = 0; i < n; i++)
        mean += left[i] / (double)n;
    for (size_t i = 0; i < n; i++) {
        const double d = mean - left[i];
        square += d * d;
        cube += d * d * d;
    }
    return square > 0 ? cube / (6 * square * sqrt(square)) : 0;
}

static double bca_share(double z0, double a, double p)
{
    const double z = z0 + fv_normal_quantile(p), room = 1 - a * z;
    return room > 0 ? fv_normal_below(z0 + z / room) : p;
}

struct columns {
    const double *by_draw[FV__DRAWS];
    int64_t rows[FV__DRAWS];
    double *sorted; /* room for one column */
};

static double variance_of(const struct fv__boot *j, const struct columns *c, enum fv__draw draw,
                          int k)
{
    return variance(c->sorted,
                    take_column(c->by_draw[draw], c->rows[draw], j->figures, k, c->sorted));
}

static void fill_interval(const struct fv__boot *j, const struct columns *c, int k,
                          struct fv_bootstrap_interval *o)
{
    const double outside = (1 - j->s->level) / 2;
    double low = outside, high = 1 - outside, a = 0;

    if (j->s->bca)
        a = acceleration(c->sorted,
                         take_column(c->by_draw[FV__DRAW_GROUPS], c->rows[FV__DRAW_GROUPS],
                                     j->figures, k, c->sorted));
    const double of_two = variance_of(j, c, FV__DRAW_PAIRS_OF_TWO, k),
                 naive = variance_of(j, c, FV__DRAW_PAIRS, k);
    size_t n =
        take_column(c->by_draw[FV__DRAW_PAIRS], c->rows[FV__DRAW_PAIRS], j->figures, k, c->sorted);
    o->naive = n ? (struct fv_interval){quantile(c->sorted, n, low), quantile(c->sorted, n, high)}
                 : (struct fv_interval){NAN, NAN};

    n = take_column(c->by_draw[FV__DRAW_IDENTITIES], c->rows[FV__DRAW_IDENTITIES], j->figures, k,
                    c->sorted);
    const double drawn = variance(c->sorted, n), less = drawn - 2 * of_two;
    const double wanted = less > naive ? less : naive < drawn ? naive : drawn;
    const double shrink = drawn > 0 ? sqrt(wanted / drawn) : 1;
    o->std_error = sqrt(wanted);
    if (n == 0 || !isfinite(o->value)) {
        o->over = (struct fv_interval){NAN, NAN};
        return;
    }
    if (j->s->bca) {
        const double z0 = fv_normal_quantile(share_below(c->sorted, n, o->value));
        low = bca_share(z0, a, low);
        high = bca_share(z0, a, high);
    }
    o->over.low = o->value + shrink * (quantile(c->sorted, n, low) - o->value);
    o->over.high = o->value + shrink * (quantile(c->sorted, n, high) - o->value);
}

/* --- all of it ------------------------------------------------------------------------------------- */

static int measure_sample(const struct fv__boot *j, const struct fv_pair_sample *p,
                          struct fv_bootstrap_interval *out)
{
    double *value = calloc((size_t)j->figures, sizeof *value);
    struct fv_roc roc;
    int rc =
        value ? fv_roc_make(&roc, p->score, p->same, p->n) : fv_err(FV_ENOMEM, "out of memory");

    if (rc >= 0) {
        j->measure(&roc, j->ctx, value);
        fv_roc_free(&roc);
    }
    for (int k = 0; k < j->figures && rc >= 0; k++)
        out[k] = (struct fv_bootstrap_interval){.value = value[k]};
    free(value);
    return rc;
}

static int draw_all(struct fv__boot *j, struct fv_bootstrap_interval *out)
{
    const int64_t b = j->s->replicates, most = b > FV__BOOT_GROUPS ? b : FV__BOOT_GROUPS;
    struct columns c = {.rows = {b, b, b, j->s->bca ? j->groups : 0}};
    double *made[FV__DRAWS] = {NULL};
    int rc = FV_OK;

    c.sorted = malloc((size_t)most * sizeof *c.sorted);
    if (!c.sorted)
        rc = fv_err(FV_ENOMEM, "out of memory for %lld replicates", (long long)b);
    for (int d = 0; d < FV__DRAWS && rc >= 0; d++)
        if (c.rows[d] > 0) {
            rc = fv__boot_run(j, (enum fv__draw)d, c.rows[d], &made[d]);
            c.by_draw[d] = made[d];
        }
    for (int k = 0; k < j->figures && rc >= 0; k++)
        fill_interval(j, &c, k, &out[k]);
    for (int d = 0; d < FV__DRAWS; d++)
        free(made[d]);
    free(c.sorted);
    return rc;
}

int fv_bootstrap_pairs(const struct fv_pair_sample *p, const struct fv_bootstrap_settings *s,
                       fv_roc_figures *measure, void *ctx, int figures,
                       struct fv_bootstrap_interval *out)
{
    struct fv__boot j = {.s = s, .measure = measure, .ctx = ctx, .figures = figures};

    int rc = measure_sample(&j, p, out);
    if (rc >= 0)
        rc = fv__boot_open(&j, p);
    if (rc >= 0)
        rc = draw_all(&j, out);
    fv__boot_close(&j);
    return rc;
}
