/* SPDX-License-Identifier: MIT */
#include "trainer/eval/gallery_bootstrap.h"

#include "common/err.h"
#include "common/rng.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct people {
    uint32_t n;          /* who have a probe */
    size_t *first;       /* (n + 1) place of each one's answers */
    struct fv_answer *a; /* by person */
    size_t most;         /* answers of one */
};

/* Answers by person, those without one left out. */
static int gather(struct people *p, const struct fv_gallery_sample *g)
{
    size_t *count = calloc((size_t)g->people + 1, sizeof *count);

    p->first = malloc(((size_t)g->people + 1) * sizeof *p->first);
    p->a = malloc((g->n + 1) * sizeof *p->a);
    int rc = count && p->first && p->a ? FV_OK
                                       : fv_err(FV_ENOMEM, "out of memory for %zu answers", g->n);
    for (size_t i = 0; i < g->n && rc >= 0; i++) {
        if (g->person[i] >= g->people)
            rc = fv_err(FV_EINVAL, "answer %zu is of person %u of %u", i + 1, g->person[i],
                        g->people);
        else
            count[g->person[i]]++;
    }
    size_t at = 0;
    for (uint32_t k = 0; k < g->people && rc >= 0; k++) {
        if (count[k] == 0)
            continue;
        p->most = count[k] > p->most ? count[k] : p->most;
        p->first[p->n++] = at;
        at += count[k];
        count[k] = at - count[k]; /* where the next one of this person goes */
    }
    if (rc >= 0)
        p->first[p->n] = at;
    for (size_t i = 0; i < g->n && rc >= 0; i++)
        p->a[count[g->person[i]]++] = g->answer[i];
    free(count);
    if (rc >= 0 && p->n < 3)
        rc = fv_err(FV_EINVAL, "%u people say nothing of others: an interval needs at least 3",
                    p->n);
    return rc;
}

static void draw_all(const struct people *p, const struct fv_bootstrap_settings *s,
                     fv_gallery_figures *measure, void *ctx, int figures, struct fv_answer *drawn,
                     double *row)
{
    for (int64_t r = 0; r < s->replicates; r++) {
        struct fv_rng rng = fv_rng_at(s->seed, 0, (uint64_t)r, FV_RNG_BOOTSTRAP);
        size_t n = 0;
        for (uint32_t k = 0; k < p->n; k++) {
            const uint32_t who = fv_rng_below(&rng, p->n);
            const size_t his = p->first[who + 1] - p->first[who];
            memcpy(drawn + n, p->a + p->first[who], his * sizeof *drawn);
            n += his;
        }
        measure(drawn, n, ctx, row + r * figures);
    }
}

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Linear between order statistics, as numpy.quantile. */
static double quantile(const double *sorted, size_t n, double share)
{
    const double at = share * (double)(n - 1);
    const size_t i = (size_t)at;
    return i + 1 < n ? sorted[i] + (at - (double)i) * (sorted[i + 1] - sorted[i]) : sorted[n - 1];
}

static struct fv_interval percentiles(const double *row, int64_t rows, int figures, int k,
                                      double level, double *column)
{
    size_t n = 0;

    for (int64_t r = 0; r < rows; r++)
        if (isfinite(row[r * figures + k]))
            column[n++] = row[r * figures + k];
    if (n == 0)
        return (struct fv_interval){NAN, NAN};
    qsort(column, n, sizeof *column, ascending);
    return (struct fv_interval){quantile(column, n, (1 - level) / 2),
                                quantile(column, n, (1 + level) / 2)};
}

int fv_gallery_bootstrap(const struct fv_gallery_sample *g, const struct fv_bootstrap_settings *s,
                         fv_gallery_figures *measure, void *ctx, int figures,
                         struct fv_interval *out)
{
    struct people p = {0};
    struct fv_answer *drawn = NULL;
    double *row = NULL;

    int rc = gather(&p, g);
    if (rc >= 0) {
        drawn = malloc(p.n * p.most * sizeof *drawn);
        row = malloc(((size_t)figures + 1) * (size_t)s->replicates * sizeof *row);
        if (!drawn || !row)
            rc = fv_err(FV_ENOMEM, "out of memory for %lld replicates", (long long)s->replicates);
    }
    if (rc >= 0) {
        draw_all(&p, s, measure, ctx, figures, drawn, row);
        for (int k = 0; k < figures; k++)
            out[k] = percentiles(row, s->replicates, figures, k, s->level,
                                 row + (int64_t)figures * s->replicates);
    }
    free(p.first);
    free(p.a);
    free(drawn);
    free(row);
    return rc;
}
