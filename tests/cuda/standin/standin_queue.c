/* SPDX-License-Identifier: MIT */
/* The queues. Three ways of working off what the host waits for are drawn from: that alone and what it needs, all
 * streams at random, and all other streams as far as they can go first. In between a little is done unasked, more or
 * less of it by the seed: a device does not wait until it is waited for. */
#include "tests/cuda/standin/standin_inside.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

/* One of: work; a mark that is set; a mark that is waited for. */
struct standin_item {
    struct standin_work work;
    struct standin_mark *set, *wait;
    struct standin_item *next;
};

struct standin standin = {.memory_bytes = (size_t)1 << 36, .devices = 1, .sm = 90};
struct standin_counts standin_counts;

static pthread_mutex_t mutex = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
static struct CUstream_st default_queue = {.last = &default_queue.first, .blocking = 1};
static struct CUstream_st *queues = &default_queue;
static int queues_made;
static uint64_t drawn;
static const char *doing;
static double spent;

void standin_fail(const char *format, ...)
{
    va_list a;
    va_start(a, format);
    fflush(stdout);
    fputs("stand-in: ", stderr);
    vfprintf(stderr, format, a);
    fputs("\n", stderr);
    va_end(a);
    abort();
}

static int locked;
void (*standin__view)(void);

void standin__lock(void)
{
    pthread_mutex_lock(&mutex);
    if (locked++ == 0 && standin__view)
        standin__view();
}

void standin__unlock(void)
{
    if (--locked == 0 && standin__view)
        standin__view();
    pthread_mutex_unlock(&mutex);
}

uint64_t standin__draw(uint64_t below)
{
    uint64_t z = (drawn += 0x9e3779b97f4a7c15u) + standin.seed * 0xd1342543de82ef95u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return (z ^ (z >> 31)) % below;
}

const char *standin__doing(void)
{
    return doing;
}

void standin_spend(double us)
{
    spent += us;
}

/* Queues */

struct CUstream_st *standin__queues(void)
{
    return queues;
}

struct CUstream_st *standin__queue_new(int blocking)
{
    struct CUstream_st *q = calloc(1, sizeof *q);
    q->last = &q->first;
    q->blocking = blocking;
    q->number = ++queues_made;
    q->rank = standin__draw(1u << 30) << 16 | (uint64_t)q->number;
    q->next = queues;
    queues = q;
    return q;
}

struct CUstream_st *standin__queue(cudaStream_t s)
{
    if (s == NULL || s == cudaStreamLegacy)
        return &default_queue;
    if (s == cudaStreamPerThread)
        standin_fail("the per-thread default stream is not played");
    for (struct CUstream_st *q = queues; q; q = q->next)
        if (q == s && !q->destroyed)
            return q;
    standin_fail("a call is given a stream that is not there, or was destroyed");
}

static void forget(struct CUstream_st *q)
{
    struct CUstream_st **at = &queues;
    while (*at != q)
        at = &(*at)->next;
    *at = q->next;
    free(q->behind.node);
    free(q);
}

static struct standin_item *append(struct CUstream_st *q)
{
    struct standin_item *i = calloc(1, sizeof *i);
    *q->last = i;
    q->last = &i->next;
    return i;
}

static struct standin_mark *bare_mark(struct CUstream_st *q)
{
    struct standin_mark *m = calloc(1, sizeof *m);
    m->references = 2;
    m->queue = q;
    append(q)->set = m;
    return m;
}

void standin__unmark(struct standin_mark *m)
{
    if (m && --m->references == 0)
        free(m);
}

static void bare_wait(struct CUstream_st *q, struct standin_mark *m)
{
    if (m->past && q->us >= m->us)
        return;
    m->references++;
    append(q)->wait = m;
}

/* The legacy default stream waits for all blocking ones, and they for it. */
static void before_default(struct CUstream_st *q)
{
    for (struct CUstream_st *other = queues; other; other = other->next)
        if (q == &default_queue ? other != q && other->blocking && !other->destroyed
                                : other == &default_queue && q->blocking) {
            struct standin_mark *m = bare_mark(other);
            bare_wait(q, m);
            standin__unmark(m);
        }
}

struct standin_mark *standin__mark(struct CUstream_st *q)
{
    before_default(q);
    return bare_mark(q);
}

void standin__wait(struct CUstream_st *q, struct standin_mark *m)
{
    before_default(q);
    bare_wait(q, m);
}

/* Work */

void standin__run(const struct standin_work *w, enum standin_step *end)
{
    const char *const outer = doing;
    *end = STANDIN_WAITS;
    if (w->waits && w->waits(w->ctx))
        return;
    doing = w->what;
    if (!w->of_parts)
        standin__open_memory();
    *end = w->step(w->ctx);
    if (!w->of_parts)
        standin__close_memory();
    doing = outer;
}

/* 1: the queue's head moved; 0: it cannot; -1: only another process can help. */
static int advance(struct CUstream_st *q)
{
    struct standin_item *i = q->first;
    enum standin_step end = STANDIN_DONE;
    if (!i || (i->wait && !i->wait->past))
        return 0;
    if (i->work.step) {
        standin__run(&i->work, &end);
        q->us += spent > 0 ? spent : 1;
        spent = 0;
    } else if (i->wait && q->us < i->wait->us) {
        q->us = i->wait->us;
    } else if (i->set) {
        i->set->us = q->us;
        i->set->past = 1;
    }
    if (end != STANDIN_DONE)
        return end == STANDIN_MORE ? 1 : -1;
    q->first = i->next;
    if (!q->first)
        q->last = &q->first;
    if (i->work.drop)
        i->work.drop(i->work.ctx);
    standin__unmark(i->set);
    standin__unmark(i->wait);
    free(i);
    if (!q->first && q->destroyed)
        forget(q);
    return 1;
}

/* What m needs and no more. */
static int advance_towards(const struct standin_mark *m)
{
    const struct standin_item *i = m->queue->first;
    if (i->wait && !i->wait->past)
        return advance_towards(i->wait);
    return advance(m->queue);
}

/* The queue of the highest rank that can go on, but for `last` if any other can. */
static int advance_any(struct CUstream_st *last)
{
    int waits = 0;
    uint64_t below = UINT64_MAX;
    if (standin__draw(8) == 0)
        for (struct CUstream_st *q = queues; q; q = q->next)
            q->rank = standin__draw(1u << 30) << 16 | (uint64_t)q->number;
    for (;;) {
        struct CUstream_st *best = NULL;
        for (struct CUstream_st *q = queues; q; q = q->next)
            if (q->first && q != last && q->rank < below && (!best || q->rank > best->rank))
                best = q;
        if (!best)
            break;
        below = best->rank;
        const int moved = advance(best);
        if (moved > 0)
            return 1;
        waits |= moved < 0;
    }
    const int moved = last ? advance(last) : 0;
    return moved ? moved : -waits;
}

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* Nothing can go on here: another process may change that. */
static void be_patient(double *since, int moved)
{
    if (moved > 0) {
        *since = 0;
        return;
    }
    if (moved == 0)
        standin_fail("the host waits for what can never come: streams wait for each other");
    if (*since == 0)
        *since = now_s();
    if (now_s() - *since > (standin.patience_s ? standin.patience_s : 60))
        standin_fail("the host waits for ever for a collective that other ranks do not come to");
    standin__unlock();
    usleep(200);
    standin__lock();
}

void standin__reach(struct standin_mark *m)
{
    double since = 0;
    const uint64_t way = standin.lazy ? 0 : standin__draw(3);
    m->references++;
    standin__open_memory();
    while (!m->past)
        be_patient(&since, way == 0 ? advance_towards(m) : advance_any(way == 1 ? NULL : m->queue));
    standin__close_memory();
    standin__unmark(m);
}

void standin__reach_all(void)
{
    for (;;) {
        struct CUstream_st *q = queues;
        while (q && !q->first)
            q = q->next;
        if (!q)
            return;
        struct standin_mark *m = bare_mark(q);
        standin__reach(m);
        standin__unmark(m);
    }
}

void standin__pass_time(struct standin_mark *m)
{
    for (uint64_t i = standin__draw(8); i > 0 && !m->past; i--)
        (void)(standin.lazy || standin__draw(2) ? advance_towards(m) : advance_any(NULL));
}

void standin__pass_time_for_all(void)
{
    for (int i = 0; i < 64 && advance_any(NULL) > 0; i++)
        continue;
}

/* A device that has begun already. */
static void begin_unasked(void)
{
    static const unsigned in_64[] = {0, 4, 0, 32};
    if (standin.lazy || standin__draw(64) >= in_64[standin.seed % 4])
        return;
    standin__open_memory();
    for (uint64_t i = standin__draw(16); i > 0; i--)
        (void)advance_any(NULL);
    standin__close_memory();
}

void standin__put(struct CUstream_st *q, struct standin_work w)
{
    if (standin__captured(q, w))
        return;
    before_default(q);
    append(q)->work = w;
    begin_unasked();
}

struct plain {
    void (*run)(void *ctx);
    void (*drop)(void *ctx);
    void *ctx;
};

static enum standin_step run_plain(void *ctx)
{
    const struct plain *p = ctx;
    p->run(p->ctx);
    return STANDIN_DONE;
}

static void drop_plain(void *ctx)
{
    struct plain *p = ctx;
    if (p->drop)
        p->drop(p->ctx);
    free(p);
}

void standin_enqueue(cudaStream_t s, void (*run)(void *ctx), void (*drop)(void *ctx), void *ctx,
                     const char *what)
{
    struct plain *p = malloc(sizeof *p);
    *p = (struct plain){run, drop, ctx};
    standin__lock();
    standin__put(standin__queue(s), (struct standin_work){run_plain, drop_plain, p, what, NULL, 0});
    standin__unlock();
}
