/* SPDX-License-Identifier: MIT */
/* Pairs are sorted once. A replicate is a number of draws for each pair and one sweep, which makes a ROC of counts; so
 * whatever can be said of a ROC has an interval. Replicates are taken by threads as they come, each is keyed by its
 * number, and each writes its own row.
 */
#include "trainer/eval/intervals.h"

#include "common/err.h"
#include "common/rng.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct entry { /* of the pairs in descending order of scores */
    double score;
    uint32_t a, b;
    uint8_t same, last; /* of its group of ties */
};

/* What is drawn; GROUPS leaves out one group of identities, and draws nothing. */
enum draw { IDENTITIES, PAIRS, PAIRS_OF_TWO, GROUPS };

enum { MOST_GROUPS = 200, TRIES = 1000 };

struct job {
    const struct entry *entry;
    size_t n;
    uint32_t identities, groups;
    uint32_t *place; /* (identities of the sample) in present */
    const struct fv_bootstrap_settings *s;
    fv_roc_figures *measure;
    void *ctx;
    int figures;
    enum draw draw;
    int64_t rows;
    double *row; /* (rows, figures) */
    atomic_llong next;
    atomic_int failed;
};

void fv_bootstrap_defaults(struct fv_bootstrap_settings *s)
{
    *s = (struct fv_bootstrap_settings){.seed = 1, .replicates = 2000, .level = 0.95, .bca = 1};
}

/* --- one replicate --------------------------------------------------------------------------------- */

struct scratch {
    uint32_t *times; /* each identity or pair was drawn */
    struct fv_roc roc;
};

/* n draws from n. */
static void draw_times(struct fv_rng *rng, uint32_t *times, size_t n)
{
    memset(times, 0, n * sizeof *times);
    for (size_t i = 0; i < n; i++)
        times[fv_rng_below(rng, (uint32_t)n)]++;
}

/* As many of the pairs with two identities as there are; all others count once. */
static void draw_pairs_of_two(const struct job *j, struct fv_rng *rng, uint32_t *times)
{
    uint32_t of_two = 0;
    uint32_t *pair = times + j->n; /* numbers of those pairs */

    for (size_t i = 0; i < j->n; i++) {
        times[i] = j->entry[i].a == j->entry[i].b;
        if (!times[i])
            pair[of_two++] = (uint32_t)i;
    }
    for (uint32_t i = 0; i < of_two; i++)
        times[pair[fv_rng_below(rng, of_two)]]++;
}

static uint64_t weight_of(const struct job *j, const uint32_t *times, size_t i)
{
    const struct entry *e = &j->entry[i];

    if (j->draw == PAIRS || j->draw == PAIRS_OF_TWO)
        return times[i];
    return e->a == e->b ? times[e->a] : (uint64_t)times[e->a] * times[e->b];
}

/* Zero when no pair of one kind was drawn. */
static int sweep(const struct job *j, struct scratch *w)
{
    struct fv_roc *r = &w->roc;
    struct fv_roc_point p = {.threshold = INFINITY};

    r->n = 0;
    r->point[r->n++] = p;
    for (size_t i = 0; i < j->n; i++) {
        const uint64_t weight = weight_of(j, w->times, i);
        if (j->entry[i].same)
            p.tp += weight;
        else
            p.fp += weight;
        if (j->entry[i].last && p.tp + p.fp > r->point[r->n - 1].tp + r->point[r->n - 1].fp) {
            p.threshold = j->entry[i].score;
            r->point[r->n++] = p;
        }
    }
    r->genuine = p.tp;
    r->impostor = p.fp;
    return p.tp > 0 && p.fp > 0;
}

static int replicate(const struct job *j, struct scratch *w, int64_t number)
{
    for (uint32_t try = 0; try < TRIES; try++) {
        struct fv_rng rng = fv_rng_at(j->s->seed, (uint32_t)j->draw << 16 | try, (uint64_t)number,
                                      FV_RNG_BOOTSTRAP);
        if (j->draw == IDENTITIES)
            draw_times(&rng, w->times, j->identities);
        else if (j->draw == PAIRS)
            draw_times(&rng, w->times, j->n);
        else if (j->draw == PAIRS_OF_TWO)
            draw_pairs_of_two(j, &rng, w->times);
        else
            for (uint32_t i = 0; i < j->identities; i++)
                w->times[i] = i % j->groups != (uint32_t)number;
        if (sweep(j, w)) {
            j->measure(&w->roc, j->ctx, j->row + number * j->figures);
            return 1;
        }
        if (j->draw == GROUPS)
            break;
    }
    for (int k = 0; k < j->figures; k++)
        j->row[number * j->figures + k] = NAN;
    return 0;
}

static void *work(void *arg)
{
    struct job *j = arg;
    const size_t numbers = j->draw == PAIRS_OF_TWO ? 2 * j->n
                           : j->draw == PAIRS      ? j->n
                                                   : j->identities;
    struct scratch w = {.times = malloc(numbers * sizeof *w.times)};

    w.roc.point = malloc((j->n + 1) * sizeof *w.roc.point);
    if (!w.times || !w.roc.point)
        atomic_store(&j->failed, 1);
    else
        for (int64_t i; (i = atomic_fetch_add(&j->next, 1)) < j->rows;)
            replicate(j, &w, i);
    free(w.times);
    free(w.roc.point);
    return NULL;
}

/* Rows of figures, by as many threads as can be had. */
static int run(struct job *j, enum draw draw, int64_t rows)
{
    enum { MOST_THREADS = 64 };
    pthread_t thread[MOST_THREADS];
    int threads = j->s->threads > 0 ? j->s->threads : (int)sysconf(_SC_NPROCESSORS_ONLN),
        started = 0;

    j->draw = draw;
    j->rows = rows;
    j->row = malloc((size_t)rows * (size_t)j->figures * sizeof *j->row);
    atomic_store(&j->next, 0);
    atomic_store(&j->failed, j->row == NULL);
    threads = threads < MOST_THREADS ? threads : MOST_THREADS;
    threads = threads < rows ? threads : (int)rows;
    while (j->row && started + 1 < threads && pthread_create(&thread[started], NULL, work, j) == 0)
        started++;
    if (j->row)
        work(j);
    for (int i = 0; i < started; i++)
        pthread_join(thread[i], NULL);
    return atomic_load(&j->failed)
               ? fv_err(FV_ENOMEM, "out of memory for %lld replicates of %zu pairs",
                        (long long)rows, j->n)
               : FV_OK;
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
    const double *by_draw[4];
    int64_t rows[4];
    double *sorted; /* room for one column */
};

static double variance_of(const struct job *j, const struct columns *c, enum draw draw, int k)
{
    return variance(c->sorted,
                    take_column(c->by_draw[draw], c->rows[draw], j->figures, k, c->sorted));
}

static void fill_interval(const struct job *j, const struct columns *c, int k,
                          struct fv_bootstrap_interval *o)
{
    const double outside = (1 - j->s->level) / 2;
    double low = outside, high = 1 - outside, a = 0;

    if (j->s->bca)
        a = acceleration(
            c->sorted, take_column(c->by_draw[GROUPS], c->rows[GROUPS], j->figures, k, c->sorted));
    const double of_two = variance_of(j, c, PAIRS_OF_TWO, k), naive = variance_of(j, c, PAIRS, k);
    size_t n = take_column(c->by_draw[PAIRS], c->rows[PAIRS], j->figures, k, c->sorted);
    o->naive = n ? (struct fv_interval){quantile(c->sorted, n, low), quantile(c->sorted, n, high)}
                 : (struct fv_interval){NAN, NAN};

    n = take_column(c->by_draw[IDENTITIES], c->rows[IDENTITIES], j->figures, k, c->sorted);
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

static int by_score(const void *a, const void *b)
{
    const double x = ((const struct entry *)a)->score, y = ((const struct entry *)b)->score;
    return (x < y) - (x > y);
}

/* Identities are numbered anew, those alone that pairs have. */
static int number_identities(struct job *j, const struct fv_pair_sample *p)
{
    j->place = malloc(((size_t)p->identities + 1) * sizeof *j->place);
    if (!j->place)
        return fv_err(FV_ENOMEM, "out of memory for %u identities", p->identities);
    memset(j->place, 0xff, p->identities * sizeof *j->place);
    for (size_t i = 0; i < p->n; i++)
        for (int side = 0; side < 2; side++) {
            const uint32_t id = side ? p->b[i] : p->a[i];
            if (id >= p->identities)
                return fv_err(FV_EINVAL, "pair %zu has identity %u of %u", i + 1, id,
                              p->identities);
            if (j->place[id] == UINT32_MAX)
                j->place[id] = j->identities++;
        }
    if (j->identities < 3)
        return fv_err(FV_EINVAL,
                      "%u identities say nothing of others: an interval needs at least 3",
                      j->identities);
    j->groups = j->identities < MOST_GROUPS ? j->identities : MOST_GROUPS;
    return FV_OK;
}

static int sort_pairs(struct job *j, const struct fv_pair_sample *p)
{
    struct entry *e = malloc((p->n + 1) * sizeof *e);

    j->entry = e;
    j->n = p->n;
    if (!e || p->n > INT32_MAX)
        return fv_err(FV_ENOMEM, "out of memory for intervals of %zu pairs", p->n);
    for (size_t i = 0; i < p->n; i++)
        e[i] =
            (struct entry){p->score[i], j->place[p->a[i]], j->place[p->b[i]], p->same[i] != 0, 0};
    qsort(e, p->n, sizeof *e, by_score);
    for (size_t i = 0; i < p->n; i++)
        e[i].last = i + 1 == p->n || e[i].score != e[i + 1].score;
    return FV_OK;
}

static int measure_sample(const struct job *j, const struct fv_pair_sample *p,
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

static int draw_all(struct job *j, struct fv_bootstrap_interval *out)
{
    const int64_t b = j->s->replicates, most = b > MOST_GROUPS ? b : MOST_GROUPS;
    struct columns c = {.rows = {b, b, b, j->s->bca ? j->groups : 0}};
    double *made[4] = {NULL, NULL, NULL, NULL};
    int rc = FV_OK;

    c.sorted = malloc((size_t)most * sizeof *c.sorted);
    if (!c.sorted)
        rc = fv_err(FV_ENOMEM, "out of memory for %lld replicates", (long long)b);
    for (int d = 0; d < 4 && rc >= 0; d++)
        if (c.rows[d] > 0) {
            rc = run(j, (enum draw)d, c.rows[d]);
            c.by_draw[d] = made[d] = j->row;
        }
    for (int k = 0; k < j->figures && rc >= 0; k++)
        fill_interval(j, &c, k, &out[k]);
    for (int d = 0; d < 4; d++)
        free(made[d]);
    free(c.sorted);
    return rc;
}

int fv_bootstrap_pairs(const struct fv_pair_sample *p, const struct fv_bootstrap_settings *s,
                       fv_roc_figures *measure, void *ctx, int figures,
                       struct fv_bootstrap_interval *out)
{
    struct job j = {.s = s, .measure = measure, .ctx = ctx, .figures = figures};

    int rc = measure_sample(&j, p, out);
    if (rc >= 0)
        rc = number_identities(&j, p);
    if (rc >= 0)
        rc = sort_pairs(&j, p);
    if (rc >= 0)
        rc = draw_all(&j, out);
    free((void *)j.entry);
    free(j.place);
    return rc;
}
