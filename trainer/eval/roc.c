/* SPDX-License-Identifier: MIT */
/* From scores to the vertices of the ROC, by as many threads as there are processors.
 *
 * Scores are dealt into buckets by value, genuine and impostor apart, so that what is sorted fits a cache and a
 * label needs no room beside its score. Threads take ranges of buckets with about as many scores each; sorted kinds
 * are merged into vertices by a loop without a branch that data decides, half of which would be mispredicted.
 *
 * Nothing is written twice: the dealt scores of a range lie at the end of the memory of its own vertices, which grow
 * towards them and never reach one that is not yet read. So the memory is that of the vertices alone.
 */
#include "common/cpu.h"
#include "common/err.h"
#include "trainer/eval/metrics.h"
#include "trainer/eval/sort_scores.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum {
    KINDS = 2,
    BUCKET = 4096, /* scores in one, about */
    BUCKETS = 2048,
    THREADS = 16,
    THREAD_LEAST = 1 << 17, /* scores that are worth a thread */
    HUGE_PAGE = 2 << 20,
};

struct bucket_count {
    size_t of[KINDS]; /* impostor, genuine; then where the next one goes */
};

struct part {
    const struct making *m;
    pthread_t thread;
    size_t from, to; /* scores that it deals */
    size_t genuine, bad;
    double low, high;
    struct bucket_count *count; /* (buckets) of these */
    /* then a range of buckets that it sorts */
    size_t first, last;      /* buckets */
    size_t begin, end;       /* scores before the range and before the next one */
    uint64_t matched[KINDS]; /* scores of each kind before the range */
    size_t vertices;         /* up to and with those of the range */
    int failed;
};

struct making {
    const double *score;
    const uint8_t *same;
    size_t n, buckets;
    int parts;
    struct fv__deal deal;
    struct bucket_count *all; /* (buckets) */
    struct fv_roc_point *point;
    struct part part[THREADS];
};

typedef void *part_work(void *part);

/* Those that cannot be started are done here. */
static void each_part(struct making *m, part_work *work)
{
    int started[THREADS] = {0};

    for (int i = 1; i < m->parts; i++)
        started[i] = pthread_create(&m->part[i].thread, NULL, work, &m->part[i]) == 0;
    work(&m->part[0]);
    for (int i = 1; i < m->parts; i++)
        if (started[i])
            pthread_join(m->part[i].thread, NULL);
        else
            work(&m->part[i]);
}

/* --- looking -------------------------------------------------------------------------------------- */

static void *look(void *arg)
{
    struct part *p = arg;
    const double *score = p->m->score;

    p->genuine = p->bad = 0;
    for (size_t i = p->from; i < p->to; i++) {
        p->genuine += p->m->same[i] != 0;
        p->bad += !isfinite(score[i]);
    }
    if (!p->bad && p->to > p->from)
        fv__scores_range(score + p->from, p->to - p->from, &p->low, &p->high);
    return NULL;
}

static int check_scores(struct making *m, struct fv_roc *out)
{
    size_t bad = 0;

    each_part(m, look);
    for (int i = 0; i < m->parts; i++) {
        out->genuine += m->part[i].genuine;
        bad += m->part[i].bad;
    }
    for (size_t i = 0; bad && i < m->n; i++)
        if (!isfinite(m->score[i]))
            return fv_err(FV_EINVAL, "score %zu of %zu is not finite", i + 1, m->n);
    out->impostor = m->n - out->genuine;
    if (out->genuine == 0 || out->impostor == 0)
        return fv_err(FV_EINVAL, "no %s pairs among %zu scores: a ROC needs both kinds",
                      out->genuine == 0 ? "genuine" : "impostor", m->n);
    return FV_OK;
}

/* --- dealing -------------------------------------------------------------------------------------- */

static void *count_buckets(void *arg)
{
    struct part *p = arg;
    const struct making *m = p->m;

    for (size_t i = p->from; i < p->to; i++)
        p->count[fv__bucket_of(&m->deal, m->score[i])].of[m->same[i] != 0]++;
    return NULL;
}

/* Where vertices begin that come from `scores` scores: behind the one at +inf. */
static double *dealt_scores(const struct making *m, const struct part *p)
{
    enum { DOUBLES = sizeof *m->point / sizeof(double) };
    double *end = (double *)(void *)m->point + DOUBLES * (p->end + 1);
    return end - (p->end - p->begin);
}

static void *deal_scores(void *arg)
{
    struct part *p = arg;
    const struct making *m = p->m;
    double *to = (double *)(void *)m->point;

    for (size_t i = p->from; i < p->to; i++) {
        size_t *at = &p->count[fv__bucket_of(&m->deal, m->score[i])].of[m->same[i] != 0];
        to[(*at)++] = m->score[i] + 0.0; /* -0.0 is 0.0 */
    }
    return NULL;
}

/* Cuts the buckets into ranges. */
static void cut_ranges(struct making *m)
{
    uint64_t before[KINDS] = {0, 0};
    size_t b = 0, scores = 0;

    for (int i = 0; i < m->parts; i++) {
        struct part *p = &m->part[i];
        p->first = b;
        p->begin = scores;
        memcpy(p->matched, before, sizeof before);
        const size_t until = m->n / (size_t)m->parts * (size_t)(i + 1);
        for (; b < m->buckets && (scores < until || i + 1 == m->parts); b++)
            for (int k = 0; k < KINDS; k++) {
                before[k] += m->all[b].of[k];
                scores += m->all[b].of[k];
            }
        p->last = b;
        p->end = scores;
    }
}

/* From numbers of scores to places: of a bucket the impostors, then the genuine, each as its parts come. */
static void find_places(struct making *m)
{
    for (int i = 0; i < m->parts; i++) {
        size_t at = (size_t)(dealt_scores(m, &m->part[i]) - (double *)(void *)m->point);
        for (size_t b = m->part[i].first; b < m->part[i].last; b++)
            for (int k = 0; k < KINDS; k++)
                for (int j = 0; j < m->parts; j++) {
                    const size_t n = m->part[j].count[b].of[k];
                    m->part[j].count[b].of[k] = at;
                    at += n;
                }
    }
}

static int deal(struct making *m)
{
    const size_t each = m->buckets * sizeof *m->all;
    struct bucket_count *count = calloc((size_t)m->parts + 1, each);

    if (!count)
        return fv_err(FV_ENOMEM, "out of memory for %zu scores", m->n);
    m->all = count;
    for (int i = 0; i < m->parts; i++)
        m->part[i].count = count + (size_t)(i + 1) * m->buckets;
    each_part(m, count_buckets);
    for (int i = 0; i < m->parts; i++)
        for (size_t b = 0; b < m->buckets; b++)
            for (int k = 0; k < KINDS; k++)
                m->all[b].of[k] += m->part[i].count[b].of[k];
    cut_ranges(m);
    find_places(m);
    each_part(m, deal_scores);
    return FV_OK;
}

/* --- vertices ------------------------------------------------------------------------------------- */

/* Both kinds descending with -inf behind; *at is the last vertex so far and becomes that of these. */
static void merge(const double *impostor, const double *genuine, const uint64_t before[KINDS],
                  struct fv_roc_point *point, size_t *at)
{
    double last = INFINITY;
    size_t i = 0, g = 0, k = *at;

    for (;;) {
        const double x = genuine[g], y = impostor[i], next = x > y ? x : y;
        if (next == -INFINITY)
            break;
        k += next != last; /* the group of ties is complete */
        last = next;
        g += x == next;
        i += y == next;
        point[k] = (struct fv_roc_point){next, before[0] + i, before[1] + g};
    }
    *at = k;
}

static void *make_vertices(void *arg)
{
    struct part *p = arg;
    const struct making *m = p->m;
    double *from = dealt_scores(m, p);
    size_t most = 0, at = p->begin;
    uint64_t before[KINDS] = {p->matched[0], p->matched[1]};

    for (size_t b = p->first; b < p->last; b++)
        most = most > m->all[b].of[0] + m->all[b].of[1] ? most : m->all[b].of[0] + m->all[b].of[1];
    double *sorted = malloc((most + 2) * sizeof *sorted);
    p->failed = sorted == NULL;
    for (size_t b = p->first; b < p->last && sorted; b++) {
        const size_t impostor = m->all[b].of[0], genuine = m->all[b].of[1];
        double *g = sorted + impostor + 1;
        fv__sort_scores(from, sorted, impostor);
        fv__sort_scores(from + impostor, g, genuine);
        sorted[impostor] = g[genuine] = -INFINITY;
        merge(sorted, g, before, m->point, &at);
        before[0] += impostor;
        before[1] += genuine;
        from += impostor + genuine;
    }
    p->vertices = at;
    free(sorted);
    return NULL;
}

/* Ties leave gaps between the ranges. Returns the number of vertices. */
static size_t close_gaps(struct making *m)
{
    size_t n = 1 + m->part[0].vertices;

    for (int i = 1; i < m->parts; i++) {
        const size_t begin = m->part[i].begin, some = m->part[i].vertices - begin;
        if (n != begin + 1)
            memmove(m->point + n, m->point + begin + 1, some * sizeof *m->point);
        n += some;
    }
    return n;
}

/* --- all of it ------------------------------------------------------------------------------------ */

static int threads_for(size_t n)
{
    const size_t wanted = n / THREAD_LEAST;
    return wanted < 2 ? 1 : fv_cpu_count() < (int)wanted ? fv_cpu_count() : (int)wanted;
}

static void open_parts(struct making *m, int threads)
{
    m->parts = threads < THREADS ? threads : THREADS;
    const size_t each = m->n / (size_t)m->parts;

    for (int i = 0; i < m->parts; i++) {
        m->part[i].m = m;
        m->part[i].from = each * (size_t)i;
        m->part[i].to = i + 1 < m->parts ? each * (size_t)(i + 1) : m->n;
    }
}

static void plan(struct making *m)
{
    const struct part *last = &m->part[m->parts - 1]; /* it has scores, whoever has none */
    double low = last->low, high = last->high;

    for (const struct part *p = m->part; p < last; p++) {
        low = p->to > p->from && p->low < low ? p->low : low;
        high = p->to > p->from && p->high > high ? p->high : high;
    }
    m->buckets = m->n / BUCKET < BUCKETS ? m->n / BUCKET + 1 : BUCKETS;
    if (!fv__deal_plan(&m->deal, low, high, m->buckets)) /* all in one */
        m->buckets = 1;
}

/* Large memory in large pages, where the system grants them: its first touch is a good part of the time. */
static struct fv_roc_point *take_points(size_t n)
{
    const size_t bytes = n * sizeof(struct fv_roc_point);

    if (bytes < 4 * (size_t)HUGE_PAGE)
        return malloc(bytes);
    struct fv_roc_point *p = aligned_alloc(HUGE_PAGE, (bytes / HUGE_PAGE + 1) * HUGE_PAGE);
    if (p)
        madvise(p, bytes, MADV_HUGEPAGE);
    return p;
}

static int make(struct making *m, struct fv_roc *out)
{
    int rc = deal(m);

    if (rc >= 0) {
        m->point[0] = (struct fv_roc_point){.threshold = INFINITY};
        each_part(m, make_vertices);
        for (int i = 0; i < m->parts && rc >= 0; i++)
            if (m->part[i].failed)
                rc = fv_err(FV_ENOMEM, "out of memory for %zu scores", m->n);
    }
    if (rc >= 0)
        out->n = close_gaps(m);
    free(m->all);
    return rc;
}

int fv__roc_make(struct fv_roc *out, const double *score, const uint8_t *same, size_t n,
                 int threads)
{
    struct making m = {.score = score, .same = same, .n = n};

    *out = (struct fv_roc){0};
    open_parts(&m, threads);
    FV_TRY(check_scores(&m, out));
    plan(&m);
    out->point = m.point = take_points(n + 1);
    const int rc = m.point ? make(&m, out) : fv_err(FV_ENOMEM, "out of memory for %zu scores", n);
    if (rc < 0) {
        fv_roc_free(out);
    } else if (out->n < n / 2) { /* ties: most of it was for nothing */
        struct fv_roc_point *less = realloc(out->point, out->n * sizeof *less);
        out->point = less ? less : out->point;
    }
    return rc;
}

int fv_roc_make(struct fv_roc *out, const double *score, const uint8_t *same, size_t n)
{
    return fv__roc_make(out, score, same, n, threads_for(n));
}

void fv_roc_free(struct fv_roc *r)
{
    free(r->point);
    *r = (struct fv_roc){0};
}
