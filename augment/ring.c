/* SPDX-License-Identifier: MIT */
/* One 64-bit word a slot is the whole protocol:
 *
 *     turn = 4 * ticket + 2 * published + stopped
 *
 * 4t says "free for ticket t": its producers may write. Publishing adds 2: the consumer may read.
 * Releasing adds 4N - 2, which gives 4(t + N). Stopping sets bit 0, once. Each change is an atomic
 * read-modify-write, so a stop is never overwritten, and a turn only grows.
 *
 * Sleeping. Whoever waits for a turn spins for a moment and then sleeps on a futex: the low half of
 * the turn.
 *   - No lost wake-up: the sleeper counts itself in `sleepers` and then reads the turn; the waker
 *     changes the turn and then reads `sleepers`; all four are seq_cst, so one of the two sees the
 *     other's write. If the turn changes after the sleeper's read, the kernel finds another value in
 *     the word and does not put it to sleep.
 *   - No ABA: the kernel compares only 32 bits, so a change by a multiple of 2^32 would go unseen.
 *     But a turn never passes the value that somebody waits for, since that thread's own item or
 *     release is needed for it to go on, and it never lags far behind. Let a slot be at ticket s and
 *     a producer of P wait for it to reach t. Releases go in order, so no ticket from s + N on has
 *     its slot; an item of each of s + N .. t - 1 was claimed before, and each has another producer
 *     waiting: t - s < N + P, and the turn is less than 4 * (1024 + 1024) away.
 *
 * Items are dealt by fetch_add on one counter that restarts at 0 with every seek: at a thousand
 * million a second it would wrap after 584 years.
 *
 * Parking, seeking and errors are rare and use a mutex. A producer that meets the end of the
 * sequence or a stopped slot parks. seek stops all slots, waits until all producers are parked, and
 * with nobody left to see it, writes everything anew.
 *
 * docs/ring.md argues each memory order; tests/model has the protocol for the model checker, and is
 * to be changed with it. */
#include "augment/ring.h"
#include "common/clock.h"
#include "common/err.h"
#include "common/trace.h"

#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { CACHE_LINE = 64, SPINS = 64 }; /* 1 to 3 us: less than a sleep and its wake-up cost */
enum { STOPPED = 1, PUBLISHED = 2 };
_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2, "the kernel compares half of a 64-bit atomic");

struct slot {
    alignas(CACHE_LINE) _Atomic uint64_t turn;
    _Atomic uint32_t sleepers;

    alignas(CACHE_LINE) _Atomic uint32_t left; /* items not completed */

    /* Of the failed item with the lowest number. Producers write under the lock; the consumer reads
     * and clears while the slot is its own. */
    alignas(CACHE_LINE) int error;
    uint32_t error_item;
    char error_text[FV_ERR_TEXT_MAX];
};

struct fv_ring {
    struct fv_ring_shape shape;
    int number;     /* among those that are open: for display only */
    uint64_t first; /* written by seek while all producers are parked */

    /* Producers: items claimed since the last seek. */
    alignas(CACHE_LINE) _Atomic uint64_t next_item;

    /* The consumer: the next ticket to take, and the oldest one held. */
    alignas(CACHE_LINE) uint64_t taken;
    uint64_t released;

    /* For display only. */
    alignas(CACHE_LINE) _Atomic int ready; /* published and not taken */
    _Atomic int full;                      /* published and not released */

    alignas(CACHE_LINE) pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t all_parked, resumed;
    uint32_t attached, parked;
    uint64_t seeks;
    bool stopped;

    alignas(CACHE_LINE) struct slot slot[];
};

/* --- waiting for a turn ----------------------------------------------------------------------- */

static void *low_half(_Atomic uint64_t *turn)
{
    return (char *)turn + (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? 4 : 0);
}

static void pause_cpu(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("isb");
#endif
}

static void wake(struct slot *s)
{
    if (atomic_load_explicit(&s->sleepers, memory_order_seq_cst))
        syscall(SYS_futex, low_half(&s->turn), FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

/* seq_cst, here, in stop_slots() and in wake(): the waker's half of "no lost wake-up"; its partner
 * is sleep_for(). As a release it also publishes what this thread did to the slot, to the acquire
 * in await(). */
static void add_turn(struct slot *s, uint64_t by)
{
    atomic_fetch_add_explicit(&s->turn, by, memory_order_seq_cst);
    wake(s);
}

static void stop_slots(struct fv_ring *r)
{
    for (uint32_t i = 0; i < r->shape.slots; i++) {
        atomic_fetch_or_explicit(&r->slot[i].turn, STOPPED, memory_order_seq_cst);
        wake(&r->slot[i]);
    }
}

static bool arrived(uint64_t turn, uint64_t wanted)
{
    return turn == wanted || (turn & STOPPED);
}

static uint64_t sleep_for(struct slot *s, uint64_t wanted)
{
    uint64_t turn;

    /* seq_cst, both: the sleeper's half; its partner is add_turn(). */
    atomic_fetch_add_explicit(&s->sleepers, 1, memory_order_seq_cst);
    while (turn = atomic_load_explicit(&s->turn, memory_order_seq_cst), !arrived(turn, wanted))
        syscall(SYS_futex, low_half(&s->turn), FUTEX_WAIT_PRIVATE, (uint32_t)turn, NULL, NULL, 0);
    /* Relaxed: a waker that still counts this thread wakes nobody, no more. */
    atomic_fetch_sub_explicit(&s->sleepers, 1, memory_order_relaxed);
    return turn;
}

/* True when the turn is `wanted`, false when the slot was stopped. */
static bool await(struct slot *s, uint64_t wanted, const char *why, uint64_t *waited_ns)
{
    /* Acquire: pairs with the release in add_turn() by whoever brought the turn about. A producer
     * may then overwrite what the consumer has read; the consumer sees what the producers wrote. */
    uint64_t turn = atomic_load_explicit(&s->turn, memory_order_acquire);

    *waited_ns = 0;
    if (!arrived(turn, wanted)) {
        const uint64_t begin = fv_now_ns(), span = fv_trace_begin(why);
        for (int i = 0; i < SPINS && !arrived(turn, wanted); i++) {
            pause_cpu();
            turn = atomic_load_explicit(&s->turn, memory_order_acquire); /* as above */
        }
        if (!arrived(turn, wanted))
            turn = sleep_for(s, wanted);
        *waited_ns = fv_now_ns() - begin;
        fv_trace_end(why, span);
    }
    return !(turn & STOPPED);
}

/* --- how full it is --------------------------------------------------------------------------- */

/* Relaxed, here and in the two below: figures to look at, which order nothing. */
static void count(struct fv_ring *r, int ready, int full)
{
    ready += atomic_fetch_add_explicit(&r->ready, ready, memory_order_relaxed);
    full += atomic_fetch_add_explicit(&r->full, full, memory_order_relaxed);
    fv_trace_counter_of("batches ready", r->number, ready);
    fv_trace_counter_of("slots free", r->number, (int)r->shape.slots - full);
}

uint32_t fv_ring_ready(const struct fv_ring *r)
{
    return (uint32_t)atomic_load_explicit(&r->ready, memory_order_relaxed);
}

uint32_t fv_ring_free(const struct fv_ring *r)
{
    return r->shape.slots - (uint32_t)atomic_load_explicit(&r->full, memory_order_relaxed);
}

/* --- producers -------------------------------------------------------------------------------- */

int fv_ring_attach(struct fv_ring *r)
{
    int rc = FV_OK;

    pthread_mutex_lock(&r->lock);
    if (r->attached == FV_RING_MAX_PRODUCERS)
        rc = fv_err(FV_EFULL, "no more than %d threads may fill a ring", FV_RING_MAX_PRODUCERS);
    else
        r->attached++;
    pthread_mutex_unlock(&r->lock);
    return rc;
}

/* Sleeps until a seek gives new work (true) or the ring is stopped (false). No seek can complete
 * between this thread's last look at the ring and its parking, so none is missed. */
static bool park(struct fv_ring *r)
{
    pthread_mutex_lock(&r->lock);
    const uint64_t seeks = r->seeks;
    if (++r->parked == r->attached)
        pthread_cond_signal(&r->all_parked);
    while (r->seeks == seeks && !r->stopped)
        pthread_cond_wait(&r->resumed, &r->lock);
    if (!r->stopped)
        r->parked--;
    const bool go_on = !r->stopped;
    pthread_mutex_unlock(&r->lock);
    return go_on;
}

int fv_ring_claim(struct fv_ring *r, struct fv_ring_claim *c)
{
    do {
        /* Relaxed: it only has to give every number once. What a claim may touch is settled by its
         * slot's turn. */
        const uint64_t n = atomic_fetch_add_explicit(&r->next_item, 1, memory_order_relaxed);

        c->ticket = r->first + n / r->shape.items;
        c->item = (uint32_t)(n % r->shape.items);
        c->slot = (uint32_t)(c->ticket % r->shape.slots);
        if (c->ticket < r->shape.end && c->item < fv_ring_items(r, c->ticket) &&
            await(&r->slot[c->slot], 4 * c->ticket, "wait slot", &c->waited_ns))
            return 1;
    } while (park(r));
    return 0;
}

static void note_error(struct fv_ring *r, struct slot *s, uint32_t item, int rc)
{
    pthread_mutex_lock(&r->lock);
    if (s->error == FV_OK || item < s->error_item) {
        s->error = rc;
        s->error_item = item;
        fv_err_save(s->error_text);
    }
    pthread_mutex_unlock(&r->lock);
}

int fv_ring_complete(struct fv_ring *r, const struct fv_ring_claim *c, int rc)
{
    struct slot *s = &r->slot[c->slot];

    if (rc < 0)
        note_error(r, s, c->item, rc);
    /* acq_rel: releases this item; the last one acquires, through the chain of decrements, all
     * items. */
    return atomic_fetch_sub_explicit(&s->left, 1, memory_order_acq_rel) == 1;
}

void fv_ring_publish(struct fv_ring *r, const struct fv_ring_claim *c)
{
    /* Before the consumer can take it, so that no figure goes below 0. */
    count(r, 1, 1);
    add_turn(&r->slot[c->slot], PUBLISHED);
}

/* --- the consumer ----------------------------------------------------------------------------- */

int fv_ring_take(struct fv_ring *r, struct fv_ring_view *v)
{
    if (r->taken >= r->shape.end)
        return 0;
    if (r->taken - r->released == r->shape.slots)
        return fv_err(FV_EINVAL, "all %u batches of the ring are held: release one first",
                      r->shape.slots);
    v->ticket = r->taken;
    v->slot = (uint32_t)(v->ticket % r->shape.slots);
    v->items = fv_ring_items(r, v->ticket);
    struct slot *s = &r->slot[v->slot];
    if (!await(s, 4 * v->ticket + PUBLISHED, "wait batch", &v->waited_ns))
        return fv_err(FV_EINTR, "the loading of batches was stopped");
    if (s->error != FV_OK)
        return fv_err_restore(s->error, s->error_text);
    r->taken++;
    count(r, -1, 0);
    return 1;
}

/* Makes a slot ready for a ticket, before its turn says so. */
static void prepare(struct fv_ring *r, struct slot *s, uint64_t ticket)
{
    /* Relaxed: nobody looks before the turn is released to them. */
    atomic_store_explicit(&s->left, fv_ring_items(r, ticket), memory_order_relaxed);
    s->error = FV_OK;
}

void fv_ring_release(struct fv_ring *r)
{
    if (r->released == r->taken)
        return;
    const uint64_t slots = r->shape.slots;
    struct slot *s = &r->slot[r->released % slots];
    prepare(r, s, r->released + slots);
    r->released++;
    count(r, 0, -1);
    add_turn(s, 4 * slots - PUBLISHED);
}

/* Everything as it is before ticket `first`; nobody else may be looking. */
static void restart(struct fv_ring *r, uint64_t first)
{
    r->first = r->taken = r->released = first;
    /* Relaxed stores here: the mutex orders them before whatever a producer does next. */
    atomic_store_explicit(&r->next_item, 0, memory_order_relaxed);
    atomic_store_explicit(&r->ready, 0, memory_order_relaxed);
    atomic_store_explicit(&r->full, 0, memory_order_relaxed);
    for (uint32_t i = 0; i < r->shape.slots; i++) {
        struct slot *s = &r->slot[(first + i) % r->shape.slots];
        prepare(r, s, first + i);
        atomic_store_explicit(&s->turn, 4 * (first + i), memory_order_relaxed);
    }
}

int fv_ring_seek(struct fv_ring *r, uint64_t ticket)
{
    if (ticket > r->shape.end)
        return fv_err(FV_EINVAL, "batch %llu lies beyond the end of the data, %llu",
                      (unsigned long long)ticket, (unsigned long long)r->shape.end);
    stop_slots(r);
    pthread_mutex_lock(&r->lock);
    while (r->parked < r->attached && !r->stopped)
        pthread_cond_wait(&r->all_parked, &r->lock);
    const bool stopped = r->stopped;
    if (!stopped) {
        restart(r, ticket);
        r->seeks++;
        pthread_cond_broadcast(&r->resumed);
    }
    pthread_mutex_unlock(&r->lock);
    return stopped ? fv_err(FV_EINTR, "the loading of batches was stopped") : FV_OK;
}

void fv_ring_stop(struct fv_ring *r)
{
    pthread_mutex_lock(&r->lock);
    r->stopped = true;
    pthread_cond_broadcast(&r->resumed);
    pthread_cond_broadcast(&r->all_parked);
    /* Under the lock: a seek that was under way has either rewritten the turns or will not. */
    stop_slots(r);
    pthread_mutex_unlock(&r->lock);
}

/* --- both ------------------------------------------------------------------------------------- */

uint32_t fv_ring_items(const struct fv_ring *r, uint64_t ticket)
{
    return ticket + 1 == r->shape.end ? r->shape.last_items : r->shape.items;
}

/* A bit for each number in use. More rings than bits share the last one. */
static _Atomic uint64_t numbers;

static int take_number(void)
{
    for (int i = 0; i < 63; i++)
        if (!(atomic_fetch_or(&numbers, UINT64_C(1) << i) >> i & 1))
            return i;
    return 63;
}

int fv_ring_open(struct fv_ring **out, const struct fv_ring_shape *shape)
{
    *out = NULL;
    if (shape->slots < 1 || shape->slots > FV_RING_MAX_SLOTS || shape->items < 1 ||
        shape->last_items < 1 || shape->last_items > shape->items || shape->end > FV_RING_TICKETS)
        return fv_err(FV_EINVAL, "a ring of %u batches of %u items (last one %u) cannot be",
                      shape->slots, shape->items, shape->last_items);
    const size_t bytes = sizeof(struct fv_ring) + shape->slots * sizeof(struct slot);
    struct fv_ring *r = aligned_alloc(CACHE_LINE, bytes);
    if (!r)
        return fv_err(FV_ENOMEM, "out of memory for a ring of %u batches", shape->slots);
    memset(r, 0, bytes);
    r->shape = *shape;
    pthread_mutex_init(&r->lock, NULL);
    pthread_cond_init(&r->all_parked, NULL);
    pthread_cond_init(&r->resumed, NULL);
    restart(r, 0);
    r->number = take_number();
    *out = r;
    return FV_OK;
}

void fv_ring_close(struct fv_ring **ring)
{
    if (!*ring)
        return;
    atomic_fetch_and(&numbers, ~(UINT64_C(1) << (*ring)->number));
    pthread_cond_destroy(&(*ring)->resumed);
    pthread_cond_destroy(&(*ring)->all_parked);
    pthread_mutex_destroy(&(*ring)->lock);
    free(*ring);
    *ring = NULL;
}
