/* SPDX-License-Identifier: MIT */
#include "trainer/eval/gallery.h"

#include "common/err.h"
#include "trainer/backend.h"
#include "trainer/eval/dots.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* --- searching ------------------------------------------------------------------------------------ */

struct search {
    const struct fv_gallery *g;
    fv_dots_fn *dots;
    float *panels;
    float *score; /* (FV_DOTS_ROWS, columns) */
    float *best;  /* (identities) of one probe */
    size_t columns;
};

/* From the scores with images to those with identities, and to an answer. */
static void answer_one(const struct search *s, const float *score, struct fv_answer *a)
{
    const struct fv_gallery *g = s->g;
    const int mated = a->truth < g->identities;

    for (uint32_t i = 0; i < g->identities; i++)
        s->best[i] = -INFINITY;
    for (size_t i = 0; i < g->n; i++)
        if (score[i] > s->best[g->label[i]])
            s->best[g->label[i]] = score[i];
    a->best = 0;
    a->better = a->equal = 0;
    a->mate = mated ? s->best[a->truth] : -INFINITY;
    for (uint32_t i = 0; i < g->identities; i++) {
        if (s->best[i] > s->best[a->best])
            a->best = i;
        a->better += mated && s->best[i] > a->mate;
        a->equal += mated && s->best[i] == a->mate && i != a->truth;
    }
    a->score = s->best[a->best];
}

static void answer_all(struct search *s, const float *probe, size_t n, struct fv_answer *answer)
{
    const size_t dim = (size_t)s->g->dim;
    const float *row[FV_DOTS_ROWS];

    for (size_t first = 0; first < n; first += FV_DOTS_ROWS) {
        for (size_t k = 0; k < FV_DOTS_ROWS; k++)
            row[k] = probe + (first + k < n ? first + k : n - 1) * dim;
        for (size_t c = 0; c < s->columns; c += FV_DOTS_COLUMNS)
            s->dots(row, s->panels + c * dim, s->g->dim, s->score + c, s->columns);
        for (size_t k = 0; k < FV_DOTS_ROWS && first + k < n; k++)
            answer_one(s, s->score + k * s->columns, &answer[first + k]);
    }
}

/* Probes at a time, so that their scores take no more than 64 MB if there are several. */
static size_t probes_at_once(size_t n)
{
    const size_t fit = ((size_t)1 << 24) / n, most = 256;
    return fit < 1 ? 1 : fit < most ? fit : most;
}

static int answer_by_device(struct search *s, const struct fv_backend *b, struct fv_columns *there,
                            const float *probe, size_t n, struct fv_answer *answer)
{
    const size_t step = probes_at_once(s->g->n), dim = (size_t)s->g->dim;

    for (size_t first = 0; first < n; first += step) {
        const size_t rows = n - first < step ? n - first : step;
        FV_TRY(b->columns_times(there, probe + first * dim, rows, 0, s->g->n, s->score));
        for (size_t k = 0; k < rows; k++)
            answer_one(s, s->score + k * s->g->n, &answer[first + k]);
    }
    return FV_OK;
}

static int check_labels(const struct fv_gallery *g)
{
    for (size_t i = 0; i < g->n; i++)
        if (g->label[i] >= g->identities)
            return fv_err(FV_EINVAL, "gallery: image %zu has identity %u of %u", i, g->label[i],
                          g->identities);
    return g->n ? FV_OK : fv_err(FV_EINVAL, "gallery: has no images");
}

int fv_gallery_search(const struct fv_gallery *g, const float *probe, size_t n,
                      struct fv_answer *answer)
{
    struct search s = {.g = g, .dots = fv__dots_choose()};

    FV_TRY(check_labels(g));
    const size_t bytes = fv__dots_panel_bytes(g->n, g->dim);
    s.columns = (g->n + FV_DOTS_COLUMNS - 1) / FV_DOTS_COLUMNS * FV_DOTS_COLUMNS;
    s.panels = aligned_alloc(64, (bytes + 63) / 64 * 64);
    s.score = malloc(FV_DOTS_ROWS * s.columns * sizeof *s.score);
    s.best = malloc(g->identities * sizeof *s.best);
    const int rc = s.panels && s.score && s.best
                       ? FV_OK
                       : fv_err(FV_ENOMEM, "out of memory for a gallery of %zu images", g->n);
    if (rc >= 0) {
        fv__dots_pack(s.panels, g->v, g->n, g->dim);
        answer_all(&s, probe, n, answer);
    }
    free(s.panels);
    free(s.score);
    free(s.best);
    return rc;
}

int fv_gallery_search_on(const struct fv_backend *backend, struct fv_device *device,
                         const struct fv_gallery *g, const float *probe, size_t n,
                         struct fv_answer *answer)
{
    struct search s = {.g = g};
    struct fv_columns *there = NULL;

    FV_TRY(check_labels(g));
    s.score = malloc(probes_at_once(g->n) * g->n * sizeof *s.score);
    s.best = malloc(g->identities * sizeof *s.best);
    int rc = s.score && s.best
                 ? FV_OK
                 : fv_err(FV_ENOMEM, "out of memory for a gallery of %zu images", g->n);
    if (rc >= 0)
        rc = backend->columns_open(device, g->v, g->n, g->dim, &there);
    if (rc >= 0)
        rc = answer_by_device(&s, backend, there, probe, n, answer);
    backend->columns_close(&there);
    free(s.score);
    free(s.best);
    return rc;
}

static int write_mean(const double *sum, int dim, float *v, uint32_t identity)
{
    double square = 0;

    for (int k = 0; k < dim; k++)
        square += sum[k] * sum[k];
    if (!(sqrt(square) > 1e-12))
        return fv_err(FV_EINVAL, "gallery: identity %u has no image, or its images cancel out",
                      identity);
    for (int k = 0; k < dim; k++)
        v[k] = (float)(sum[k] / sqrt(square));
    return FV_OK;
}

int fv_gallery_mean(const struct fv_gallery *g, float *v, uint32_t *label)
{
    const size_t dim = (size_t)g->dim;
    int rc = FV_OK;

    FV_TRY(check_labels(g));
    double *sum = calloc(g->identities * dim, sizeof *sum);
    if (!sum)
        return fv_err(FV_ENOMEM, "out of memory for %u templates", g->identities);
    for (size_t i = 0; i < g->n; i++)
        for (size_t k = 0; k < dim; k++)
            sum[g->label[i] * dim + k] += (double)g->v[i * dim + k];
    for (uint32_t i = 0; i < g->identities && rc >= 0; i++) {
        label[i] = i;
        rc = write_mean(sum + i * dim, g->dim, v + i * dim, i);
    }
    free(sum);
    return rc;
}

/* --- what it is worth ----------------------------------------------------------------------------- */

static int is_mated(const struct fv_answer *a)
{
    return a->truth < FV_PROBE_STRANGER;
}

static int is_stranger(const struct fv_answer *a)
{
    return a->truth == FV_PROBE_STRANGER;
}

struct fv_probes fv_gallery_count(const struct fv_answer *a, size_t n)
{
    struct fv_probes p = {0};

    for (size_t i = 0; i < n; i++) {
        p.mated += (uint64_t)is_mated(&a[i]);
        p.strangers += (uint64_t)is_stranger(&a[i]);
    }
    p.unknown = n - p.mated - p.strangers;
    return p;
}

static uint64_t rank_of(const struct fv_answer *a, int pessimistic)
{
    return 1 + (uint64_t)a->better + (pessimistic ? a->equal : 0);
}

double fv_gallery_cmc(const struct fv_answer *a, size_t n, uint32_t rank, int pessimistic)
{
    uint64_t hits = 0, mated = 0;

    for (size_t i = 0; i < n; i++) {
        mated += (uint64_t)is_mated(&a[i]);
        hits += is_mated(&a[i]) && rank_of(&a[i], pessimistic) <= rank;
    }
    return mated ? (double)hits / (double)mated : 0;
}

int fv_gallery_roc(struct fv_roc *out, const struct fv_answer *a, size_t n, int pessimistic)
{
    /* A mated probe that another identity wins is found at no threshold: it comes after all that are. */
    const double never = -3;
    double *score = malloc((n + 1) * sizeof *score);
    uint8_t *same = malloc(n + 1);
    size_t used = 0;

    for (size_t i = 0; score && same && i < n; i++) {
        if (!is_mated(&a[i]) && !is_stranger(&a[i]))
            continue;
        same[used] = (uint8_t)is_mated(&a[i]);
        score[used++] = !is_mated(&a[i])                   ? (double)a[i].score
                        : rank_of(&a[i], pessimistic) == 1 ? (double)a[i].mate
                                                           : never;
    }
    const int rc = score && same ? fv_roc_make(out, score, same, used)
                                 : fv_err(FV_ENOMEM, "out of memory for %zu probes", n);
    free(score);
    free(same);
    return rc;
}

/* Whether an answer is right when scores below the threshold are rejected. */
static int is_right(const struct fv_answer *a, double threshold)
{
    const int accepted = (double)a->score >= threshold;

    return is_mated(a) ? accepted && a->best == a->truth : is_stranger(a) && !accepted;
}

double fv_gallery_accuracy(const struct fv_answer *a, size_t n, double threshold)
{
    uint64_t right = 0, known = 0;

    for (size_t i = 0; i < n; i++) {
        known += is_mated(&a[i]) || is_stranger(&a[i]);
        right += (uint64_t)is_right(&a[i], threshold);
    }
    return known ? (double)right / (double)known : 0;
}

struct decision {
    double score;
    int gain; /* in right answers when it is rejected */
};

static int ascending(const void *a, const void *b)
{
    const double x = ((const struct decision *)a)->score, y = ((const struct decision *)b)->score;
    return (x > y) - (x < y);
}

/* The threshold rises past one score after another. */
static double best_threshold(struct decision *d, size_t n)
{
    int64_t gain = 0, best = 0;
    double threshold = -INFINITY;

    qsort(d, n, sizeof *d, ascending);
    for (size_t i = 0; i < n; i++) {
        gain += d[i].gain;
        if (i + 1 < n && d[i + 1].score == d[i].score)
            continue;
        if (gain > best) {
            best = gain;
            threshold =
                i + 1 < n ? (d[i].score + d[i + 1].score) / 2 : nextafter(d[i].score, INFINITY);
        }
    }
    return threshold;
}

int fv_gallery_threshold(const struct fv_answer *a, size_t n, double *threshold, double *accuracy)
{
    struct decision *d = malloc((n + 1) * sizeof *d);
    size_t used = 0;

    if (!d)
        return fv_err(FV_ENOMEM, "out of memory for the decisions on %zu probes", n);
    for (size_t i = 0; i < n; i++)
        if (is_mated(&a[i]) || is_stranger(&a[i]))
            d[used++] = (struct decision){(double)a[i].score, is_stranger(&a[i])        ? 1
                                                              : a[i].best == a[i].truth ? -1
                                                                                        : 0};
    *threshold = best_threshold(d, used);
    free(d);
    *accuracy = fv_gallery_accuracy(a, n, *threshold);
    return FV_OK;
}
