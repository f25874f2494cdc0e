/* SPDX-License-Identifier: MIT */
/* Rows are put in order of their labels, so that the genuine partners of a row are one range of columns and the kind of
 * a score is known without looking at labels. A thread takes some rows at a time, computes tiles that stay in its
 * cache, and counts them at once: no score is ever written to memory that others see. Counts are integers and the
 * highest scores a set, so nothing depends on which thread took what. Where a device computes, tiles are large and it
 * makes one at a time, for whichever thread has its turn, while the others count.
 */
#include "trainer/eval/allpairs.h"

#include "common/cpu.h"
#include "common/err.h"
#include "trainer/backend.h"
#include "trainer/eval/allpairs_counts.h"
#include "trainer/eval/allpairs_sides.h"
#include "trainer/eval/dots.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum {
    TASK_ROWS = 16 * FV_DOTS_ROWS,
    TILE_COLUMNS = 16 * FV_DOTS_COLUMNS,
    DEVICE_ROWS = 128,
    DEVICE_COLUMNS = 32768,
    HALF = FV_ALLPAIRS_BINS / 2,
    THREADS_MAX = 256,
};

/* A range of columns. */
struct range {
    uint32_t from, to;
};

struct scoring {
    int dim;
    size_t rows, columns;
    float *row, *panels; /* (rows, dim) in order of labels; columns packed */
    uint32_t *row_label, *column_label;
    int symmetric;      /* columns are the rows: those behind the row count */
    struct range *same; /* (rows) genuine columns */
    fv_dots_fn *dots;
    const struct fv_backend *backend; /* NULL: dots */
    struct fv_device *device;
    struct fv_columns *there; /* on it */
    pthread_mutex_t turn;
    size_t task_rows, tile_columns;
    int rc; /* of the first that failed, and */
    char why[FV_ERR_TEXT_MAX];
    const struct fv_report *report;
    atomic_size_t next; /* row of the next task */
    size_t keep;
};

struct worker {
    struct scoring *s;
    pthread_t thread;
    struct fv__allpairs_counts c;
    int *bin;    /* (tile_columns) */
    float *tile; /* (task_rows, tile_columns) */
    int speaks;
};

/* --- counting ------------------------------------------------------------------------------------- */

/* floor(s * 2^15): exact, so that s >= edge means bin(s) >= bin(edge). */
static void find_bins(const float *s, int n, int *bin)
{
    for (int i = 0; i < n; i++) {
        const float t = s[i] * HALF;
        int b = (int)t;
        b -= t < (float)b;
        b = b < -HALF ? -HALF : b;
        bin[i] = (b > HALF - 1 ? HALF - 1 : b) + HALF;
    }
}

static void count_scores(struct worker *w, int kind, const float *s, int n)
{
    uint64_t *count = w->c.count[kind];
    struct fv_highest *h = &w->c.high[kind];

    find_bins(s, n, w->bin);
    for (int i = 0; i < n; i++)
        count[w->bin[i]]++;
    for (int i = 0; i < n; i++)
        if (s[i] >= h->floor)
            fv__highest_add(h, s[i]);
    w->c.scores[kind] += (uint64_t)n;
}

/* Columns from .. to of a row's tile, which begins with column `first`. */
static void count_range(struct worker *w, int kind, const float *tile, size_t first, size_t from,
                        size_t to)
{
    if (from < to)
        count_scores(w, kind, tile + (from - first), (int)(to - from));
}

static size_t clamp(size_t x, size_t low, size_t high)
{
    return x < low ? low : x > high ? high : x;
}

static void count_row(struct worker *w, size_t row, const float *tile, size_t first, size_t end)
{
    const struct scoring *s = w->s;
    const size_t from = s->symmetric ? clamp(row + 1, first, end) : first;
    const size_t same_from = clamp(s->same[row].from, from, end),
                 same_to = clamp(s->same[row].to, from, end);

    count_range(w, 0, tile, first, from, same_from);
    count_range(w, 1, tile, first, same_from, same_to);
    count_range(w, 0, tile, first, same_to, end);
}

/* --- tiles ---------------------------------------------------------------------------------------- */

/* Rows of the tile are as long as there are columns. The first failure ends it for all threads. */
static int tile_by_device(struct worker *w, size_t row, size_t rows, size_t first, size_t end)
{
    struct scoring *s = w->s;

    pthread_mutex_lock(&s->turn);
    if (s->rc == 0) {
        s->rc = s->backend->columns_times(s->there, s->row + row * (size_t)s->dim, rows, first,
                                          end - first, w->tile);
        if (s->rc < 0)
            fv_err_save(s->why);
    }
    const int rc = s->rc;
    pthread_mutex_unlock(&s->turn);
    for (size_t i = 0; i < rows && rc == 0; i++)
        count_row(w, row + i, w->tile + i * (end - first), first, end);
    return rc;
}

static int score_tile(struct worker *w, size_t row, size_t rows, size_t first, size_t end)
{
    const struct scoring *s = w->s;
    const float *r[FV_DOTS_ROWS];

    if (s->backend)
        return tile_by_device(w, row, rows, first, end);
    for (size_t i = 0; i < rows; i += FV_DOTS_ROWS) {
        for (size_t k = 0; k < FV_DOTS_ROWS; k++) /* the last ones may be computed in vain */
            r[k] = s->row + (row + (i + k < rows ? i + k : rows - 1)) * (size_t)s->dim;
        for (size_t c = first; c < end; c += FV_DOTS_COLUMNS)
            s->dots(r, s->panels + c * (size_t)s->dim, s->dim,
                    w->tile + i * TILE_COLUMNS + (c - first), TILE_COLUMNS);
    }
    for (size_t i = 0; i < rows; i++)
        count_row(w, row + i, w->tile + i * TILE_COLUMNS, first, end);
    return FV_OK;
}

static void say_progress(const struct worker *w, size_t row)
{
    const struct scoring *s = w->s;
    struct fv_progress p = {"comparing", "row", row, s->rows, NULL};

    if (w->speaks)
        fv_progress(s->report, &p);
}

static void *work(void *arg)
{
    struct worker *w = arg;
    struct scoring *s = w->s;
    size_t row;

    while ((row = atomic_fetch_add(&s->next, s->task_rows)) < s->rows) {
        const size_t rows = s->rows - row < s->task_rows ? s->rows - row : s->task_rows;
        const size_t width = s->tile_columns;
        size_t first = s->symmetric ? row / width * width : 0;
        for (; first < s->columns; first += width)
            if (score_tile(w, row, rows, first,
                           first + width < s->columns ? first + width : s->columns) < 0)
                return NULL;
        say_progress(w, row + rows);
    }
    return NULL;
}

/* --- before and after ----------------------------------------------------------------------------- */

static int find_same(struct scoring *s)
{
    s->same = malloc((s->rows + 1) * sizeof *s->same);
    if (!s->same)
        return fv_err(FV_ENOMEM, "out of memory for %zu rows", s->rows);
    for (size_t i = 0; i < s->rows; i++)
        s->same[i] =
            (struct range){fv__allpairs_lower(s->column_label, s->columns, s->row_label[i]),
                           fv__allpairs_lower(s->column_label, s->columns, s->row_label[i] + 1ull)};
    return FV_OK;
}

static int pack_panels(struct scoring *s, const float *column)
{
    const size_t bytes = fv__dots_panel_bytes(s->columns, s->dim);

    s->panels = aligned_alloc(64, (bytes + 63) / 64 * 64);
    if (!s->panels)
        return fv_err(FV_ENOMEM, "out of memory for %zu embeddings", s->columns);
    fv__dots_pack(s->panels, column, s->columns, s->dim);
    return FV_OK;
}

static int prepare(struct scoring *s, const struct fv_allpairs_side *a,
                   const struct fv_allpairs_side *b)
{
    float *column = NULL;

    s->symmetric = !b;
    s->rows = a->n;
    s->columns = b ? b->n : a->n;
    FV_TRY(fv__allpairs_sort(a, s->dim, &s->row, &s->row_label));
    int rc = b ? fv__allpairs_sort(b, s->dim, &column, &s->column_label) : FV_OK;
    if (!b)
        s->column_label = s->row_label;
    if (rc >= 0)
        rc = s->backend ? s->backend->columns_open(s->device, b ? column : s->row, s->columns,
                                                   s->dim, &s->there)
                        : pack_panels(s, b ? column : s->row);
    free(column);
    return rc < 0 ? rc : find_same(s);
}

static void forget(struct scoring *s)
{
    if (s->column_label != s->row_label)
        free(s->column_label);
    free(s->row_label);
    free(s->row);
    free(s->panels);
    free(s->same);
    if (s->backend)
        s->backend->columns_close(&s->there);
    pthread_mutex_destroy(&s->turn);
}

static void *take_tile(const struct scoring *s)
{
    const size_t bytes = s->task_rows * s->tile_columns * sizeof(float);

    return s->backend && s->backend->host_alloc ? s->backend->host_alloc(s->device, bytes)
                                                : aligned_alloc(64, bytes);
}

static void give_tile(const struct scoring *s, void *tile)
{
    if (s && s->backend && s->backend->host_alloc)
        s->backend->host_free(s->device, tile);
    else
        free(tile);
}

static int open_worker(struct worker *w, struct scoring *s)
{
    w->s = s;
    w->bin = malloc(s->tile_columns * sizeof *w->bin);
    w->tile = take_tile(s);
    if (!w->bin || !w->tile)
        return fv_err(FV_ENOMEM, "out of memory for a thread that compares");
    for (int kind = 0; kind < 2; kind++) {
        w->c.count[kind] = calloc(FV_ALLPAIRS_BINS, sizeof *w->c.count[kind]);
        if (!w->c.count[kind])
            return fv_err(FV_ENOMEM, "out of memory for a thread that compares");
        FV_TRY(fv__highest_open(&w->c.high[kind], s->keep));
    }
    return FV_OK;
}

static void close_worker(struct worker *w)
{
    for (int kind = 0; kind < 2; kind++) {
        free(w->c.count[kind]);
        fv__highest_close(&w->c.high[kind]);
    }
    free(w->bin);
    give_tile(w->s, w->tile);
}

/* All that the others counted is added to the first. */
static void merge(struct worker *w, int n)
{
    for (int i = 1; i < n; i++)
        for (int kind = 0; kind < 2; kind++) {
            for (int b = 0; b < FV_ALLPAIRS_BINS; b++)
                w->c.count[kind][b] += w[i].c.count[kind][b];
            fv__highest_merge(&w->c.high[kind], &w[i].c.high[kind]);
            w->c.scores[kind] += w[i].c.scores[kind];
        }
    for (int kind = 0; kind < 2; kind++)
        fv__highest_finish(&w->c.high[kind], w->c.scores[kind]);
}

/* The calling thread works too. */
static int run_workers(struct worker *w, int n)
{
    int started = 1;

    w->speaks = 1;
    for (; started < n; started++)
        if (pthread_create(&w[started].thread, NULL, work, &w[started]) != 0)
            break; /* fewer will do */
    work(w);
    for (int i = 1; i < started; i++)
        pthread_join(w[i].thread, NULL);
    merge(w, n);
    return started;
}

static int run(struct fv_allpairs *out, struct scoring *s, int threads)
{
    struct worker *w = calloc((size_t)threads, sizeof *w);
    int rc = w ? FV_OK : fv_err(FV_ENOMEM, "out of memory");

    for (int i = 0; i < threads && rc >= 0; i++)
        rc = open_worker(&w[i], s);
    if (rc >= 0) {
        out->threads = run_workers(w, threads);
        rc = s->rc < 0 ? fv_err_restore(s->rc, s->why) : fv__allpairs_roc(out, &w->c);
    }
    for (int i = 0; w && i < threads; i++)
        close_worker(&w[i]);
    free(w);
    return rc;
}

int fv_allpairs_run(struct fv_allpairs *out, int dim, const struct fv_allpairs_side *a,
                    const struct fv_allpairs_side *b, const struct fv_allpairs_settings *settings)
{
    int threads = settings->threads > 0 ? settings->threads : fv_cpu_count();
    struct scoring s = {.dim = dim,
                        .dots = fv__dots_choose(),
                        .backend = settings->backend,
                        .device = settings->device,
                        .task_rows = settings->backend ? DEVICE_ROWS : TASK_ROWS,
                        .tile_columns = settings->backend ? DEVICE_COLUMNS : TILE_COLUMNS,
                        .turn = PTHREAD_MUTEX_INITIALIZER,
                        .report = settings->report,
                        .keep = settings->keep ? settings->keep : (size_t)1 << 18};

    *out = (struct fv_allpairs){0};
    threads = threads > THREADS_MAX ? THREADS_MAX : threads;
    int rc = prepare(&s, a, b);
    if (rc >= 0)
        rc = run(out, &s, threads);
    forget(&s);
    if (rc < 0)
        fv_allpairs_free(out);
    return rc;
}

void fv_allpairs_free(struct fv_allpairs *p)
{
    fv_roc_free(&p->roc);
}
