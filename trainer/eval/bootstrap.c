/* SPDX-License-Identifier: MIT */
/* Pairs are sorted once. Replicates are taken by threads as they come, each is keyed by its number, and each writes its
 * own row: so neither their number nor their order matters. */
#include "trainer/eval/bootstrap.h"

#include "common/cpu.h"
#include "common/err.h"
#include "common/rng.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { TRIES = 1000 };

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
static void draw_pairs_of_two(const struct fv__boot *j, struct fv_rng *rng, uint32_t *times)
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

static uint64_t weight_of(const struct fv__boot *j, const uint32_t *times, size_t i)
{
    const struct fv__boot_entry *e = &j->entry[i];

    if (j->draw == FV__DRAW_PAIRS || j->draw == FV__DRAW_PAIRS_OF_TWO)
        return times[i];
    return e->a == e->b ? times[e->a] : (uint64_t)times[e->a] * times[e->b];
}

/* Zero when no pair of one kind was drawn. */
static int sweep(const struct fv__boot *j, struct scratch *w)
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

static int replicate(const struct fv__boot *j, struct scratch *w, int64_t number)
{
    for (uint32_t try = 0; try < TRIES; try++) {
        struct fv_rng rng = fv_rng_at(j->s->seed, (uint32_t)j->draw << 16 | try, (uint64_t)number,
                                      FV_RNG_BOOTSTRAP);
        if (j->draw == FV__DRAW_IDENTITIES)
            draw_times(&rng, w->times, j->identities);
        else if (j->draw == FV__DRAW_PAIRS)
            draw_times(&rng, w->times, j->n);
        else if (j->draw == FV__DRAW_PAIRS_OF_TWO)
            draw_pairs_of_two(j, &rng, w->times);
        else
            for (uint32_t i = 0; i < j->identities; i++)
                w->times[i] = i % j->groups != (uint32_t)number;
        if (sweep(j, w)) {
            j->measure(&w->roc, j->ctx, j->row + number * j->figures);
            return 1;
        }
        if (j->draw == FV__DRAW_GROUPS)
            break;
    }
    for (int k = 0; k < j->figures; k++)
        j->row[number * j->figures + k] = NAN;
    return 0;
}

static void *work(void *arg)
{
    struct fv__boot *j = arg;
    const size_t numbers = j->draw == FV__DRAW_PAIRS_OF_TWO ? 2 * j->n
                           : j->draw == FV__DRAW_PAIRS      ? j->n
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

int fv__boot_run(struct fv__boot *j, enum fv__draw draw, int64_t rows, double **row)
{
    enum { MOST_THREADS = 64 };
    pthread_t thread[MOST_THREADS];
    int threads = j->s->threads > 0 ? j->s->threads : fv_cpu_count(), started = 0;

    j->draw = draw;
    j->rows = rows;
    *row = j->row = malloc((size_t)rows * (size_t)j->figures * sizeof *j->row);
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

/* --- opening -------------------------------------------------------------------------------------- */

static int by_score(const void *a, const void *b)
{
    const double x = ((const struct fv__boot_entry *)a)->score,
                 y = ((const struct fv__boot_entry *)b)->score;
    return (x < y) - (x > y);
}

/* Identities are numbered anew, those alone that pairs have. */
static int number_identities(struct fv__boot *j, const struct fv_pair_sample *p)
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
    j->groups = j->identities < FV__BOOT_GROUPS ? j->identities : FV__BOOT_GROUPS;
    return FV_OK;
}

static int sort_pairs(struct fv__boot *j, const struct fv_pair_sample *p)
{
    struct fv__boot_entry *e = malloc((p->n + 1) * sizeof *e);

    j->entry = e;
    j->n = p->n;
    if (!e || p->n > INT32_MAX)
        return fv_err(FV_ENOMEM, "out of memory for intervals of %zu pairs", p->n);
    for (size_t i = 0; i < p->n; i++)
        e[i] = (struct fv__boot_entry){p->score[i], j->place[p->a[i]], j->place[p->b[i]],
                                       p->same[i] != 0, 0};
    qsort(e, p->n, sizeof *e, by_score);
    for (size_t i = 0; i < p->n; i++)
        e[i].last = i + 1 == p->n || e[i].score != e[i + 1].score;
    return FV_OK;
}

int fv__boot_open(struct fv__boot *j, const struct fv_pair_sample *p)
{
    FV_TRY(number_identities(j, p));
    return sort_pairs(j, p);
}

void fv__boot_close(struct fv__boot *j)
{
    free(j->entry);
    free(j->place);
}
