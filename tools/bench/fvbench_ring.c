/* SPDX-License-Identifier: MIT */
/* fvbench ring: what handing over a batch costs, without anything in it, beside the least that the machine needs for
 * the same: two threads that pass one cache line to and fro, one atomic addition, one bare futex. */
#include "tools/bench/fvbench.h"

#include "augment/ring.h"
#include "common/clock.h"
#include "common/err.h"
#include "tools/bench/fvbench_measure.h"

#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

const struct fv_command fvbench_ring_cmd = {
    .name = "fvbench ring",
    .summary = "Measures the hand-over of empty batches, waking up, and the cost of waiting.",
    .usage = "[options]",
};

enum { AT_ONCE = 2000, ADDS = 100000, PRODUCERS_MAX = 8, WAKES = 50 };
enum { ASLEEP_NS = 200000 }; /* after so long in the kernel a thread is asleep, not about to be */
enum { HANDOFF_1, HANDOFF_4, ROUND_TRIP, PING_PONG, ADDITION, JOBS };

/* --- a ring with producers that do nothing ------------------------------------------------------- */

struct feed {
    struct fv_ring *ring;
    pthread_t thread[PRODUCERS_MAX];
    int producers;
};

static void *produce(void *arg)
{
    struct fv_ring *ring = arg;
    struct fv_ring_claim c;

    while (fv_ring_claim(ring, &c))
        if (fv_ring_complete(ring, &c, FV_OK))
            fv_ring_publish(ring, &c);
    return NULL;
}

static int feed_open(struct feed *f, int producers, uint32_t slots)
{
    const struct fv_ring_shape shape = {
        .slots = slots, .items = 1, .last_items = 1, .end = FV_RING_TICKETS};

    FV_TRY(fv_ring_open(&f->ring, &shape));
    for (; f->producers < producers; f->producers++) {
        FV_TRY(fv_ring_attach(f->ring));
        if (pthread_create(&f->thread[f->producers], NULL, produce, f->ring) != 0)
            return fv_err(FV_EIO, "cannot start a thread");
    }
    return FV_OK;
}

static void feed_close(struct feed *f)
{
    if (f->ring)
        fv_ring_stop(f->ring);
    for (int i = 0; i < f->producers; i++)
        pthread_join(f->thread[i], NULL);
    fv_ring_close(&f->ring);
}

static int hand_over(void *ctx)
{
    struct feed *f = ctx;
    struct fv_ring_view v;

    for (int i = 0; i < AT_ONCE; i++) {
        FV_TRY(fv_ring_take(f->ring, &v));
        fv_ring_release(f->ring);
    }
    return AT_ONCE;
}

/* --- the limits ----------------------------------------------------------------------------------- */

/* Spins a hundred times as long as the other side takes; by then it has no processor, and is let have this one. */
static void await(const _Atomic uint32_t *ball, uint32_t value)
{
    enum { SPINS = 10000 };
    int spins = 0;
    while (atomic_load_explicit(ball, memory_order_acquire) != value)
        if (++spins == SPINS) {
            spins = 0;
            sched_yield();
        }
}

static void *pong(void *arg)
{
    _Atomic uint32_t *ball = arg;

    for (uint32_t i = 0; i < 2 * AT_ONCE; i += 2) {
        await(ball, i + 1);
        atomic_store_explicit(ball, i + 2, memory_order_release);
    }
    return NULL;
}

/* With the start of the other thread, which is little beside so many round trips. */
static int ping(void *ctx)
{
    _Atomic uint32_t *ball = ctx;
    pthread_t t;

    atomic_store(ball, 0);
    if (pthread_create(&t, NULL, pong, ball) != 0)
        return fv_err(FV_EIO, "cannot start a thread");
    for (uint32_t i = 0; i < 2 * AT_ONCE; i += 2) {
        atomic_store_explicit(ball, i + 1, memory_order_release);
        await(ball, i + 2);
    }
    pthread_join(t, NULL);
    return AT_ONCE;
}

static int add(void *ctx)
{
    _Atomic uint32_t *n = ctx;

    for (int i = 0; i < ADDS; i++)
        atomic_fetch_add_explicit(n, 1, memory_order_seq_cst);
    return ADDS;
}

/* --- waking up ------------------------------------------------------------------------------------ */

struct waking {
    struct fv_ring *ring;
    _Atomic uint32_t word;
    _Atomic uint64_t called_ns[WAKES]; /* when the sleeper was called */
    struct bench_times ring_times, futex_times;
};

static void let_it_sleep(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 2 * ASLEEP_NS}, NULL);
}

static void *publish_late(void *arg)
{
    struct waking *w = arg;
    struct fv_ring_claim c;

    for (int i = 0; i < WAKES && fv_ring_claim(w->ring, &c); i++) {
        let_it_sleep();
        atomic_store(&w->called_ns[i], fv_now_ns());
        if (fv_ring_complete(w->ring, &c, FV_OK))
            fv_ring_publish(w->ring, &c);
    }
    return NULL;
}

static void *wake_late(void *arg)
{
    struct waking *w = arg;

    for (int i = 0; i < WAKES; i++) {
        let_it_sleep();
        atomic_store(&w->called_ns[i], fv_now_ns());
        atomic_fetch_add(&w->word, 1);
        syscall(SYS_futex, &w->word, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
    }
    return NULL;
}

static int note(struct waking *w, struct bench_times *t, int i, uint64_t waited_ns)
{
    const uint64_t now = fv_now_ns();

    return waited_ns < ASLEEP_NS
               ? FV_OK
               : bench_times_add(t, (double)(now - atomic_load(&w->called_ns[i])) * 1e-9);
}

static int wait_for_ring(struct waking *w)
{
    struct fv_ring_view v;

    for (int i = 0; i < WAKES; i++) {
        FV_TRY(fv_ring_take(w->ring, &v));
        FV_TRY(note(w, &w->ring_times, i, v.waited_ns));
        fv_ring_release(w->ring);
    }
    return FV_OK;
}

static int wait_for_futex(struct waking *w)
{
    for (uint32_t i = 0; i < WAKES; i++) {
        const uint64_t begin = fv_now_ns();
        while (atomic_load(&w->word) == i)
            syscall(SYS_futex, &w->word, FUTEX_WAIT_PRIVATE, i, NULL, NULL, 0);
        FV_TRY(note(w, &w->futex_times, (int)i, fv_now_ns() - begin));
    }
    return FV_OK;
}

/* The partner ends by itself: an error of the sleeper, out of memory, leaves it no reason to wait. */
static int wake_in_turns(struct waking *w, double seconds)
{
    const struct fv_ring_shape shape = {
        .slots = 2, .items = 1, .last_items = 1, .end = FV_RING_TICKETS};
    const uint64_t begin = fv_now_ns();

    do {
        pthread_t t;
        FV_TRY(bench_go_on());
        FV_TRY(fv_ring_open(&w->ring, &shape));
        atomic_store(&w->word, 0);
        for (int bare = 0; bare < 2; bare++) {
            if (pthread_create(&t, NULL, bare ? wake_late : publish_late, w) != 0)
                return fv_err(FV_EIO, "cannot start a thread");
            const int rc = bare ? wait_for_futex(w) : wait_for_ring(w);
            if (rc < 0)
                fv_ring_stop(w->ring);
            pthread_join(t, NULL);
            FV_TRY(rc);
        }
        fv_ring_close(&w->ring);
    } while ((double)(fv_now_ns() - begin) * 1e-9 < seconds);
    return FV_OK;
}

/* --- waiting -------------------------------------------------------------------------------------- */

static void *take_one(void *arg)
{
    struct fv_ring_view v;

    fv_ring_take(arg, &v);
    return NULL;
}

static double busy(double seconds)
{
    const struct timespec t = {.tv_sec = (time_t)seconds,
                               .tv_nsec = (long)((seconds - (double)(time_t)seconds) * 1e9)};
    const uint64_t begin = fv_now_ns(), cpu = fv_process_ns();

    nanosleep(&t, NULL);
    return (double)(fv_process_ns() - cpu) / (double)(fv_now_ns() - begin);
}

/* Eight producers before a full ring, a consumer before an empty one: shares of one processor. */
static int measure_idle(double seconds, double *full_ring, double *empty_ring)
{
    struct feed full = {0}, empty = {0};
    pthread_t t;
    int rc = feed_open(&full, PRODUCERS_MAX, 4);

    if (rc >= 0) {
        let_it_sleep();
        *full_ring = busy(seconds);
        rc = bench_go_on(); /* a signal ends a sleep early */
        rc = rc < 0 ? rc : feed_open(&empty, 0, 4);
    }
    feed_close(&full);
    if (rc >= 0 && pthread_create(&t, NULL, take_one, empty.ring) != 0)
        rc = fv_err(FV_EIO, "cannot start a thread");
    if (rc >= 0) {
        let_it_sleep();
        *empty_ring = busy(seconds);
        fv_ring_stop(empty.ring);
        pthread_join(t, NULL);
        rc = bench_go_on();
    }
    feed_close(&empty);
    return rc;
}

/* --- the command ---------------------------------------------------------------------------------- */

static void print(const struct bench *b, struct waking *w, const struct bench_job *job, double full,
                  double empty)
{
    struct results r = {0};
    const double one = bench_per_s(&job[HANDOFF_1]), four = bench_per_s(&job[HANDOFF_4]);
    const double trip = 1e9 / bench_per_s(&job[ROUND_TRIP]),
                 line = 1e9 / bench_per_s(&job[PING_PONG]);
    const double adds = bench_per_s(&job[ADDITION]);
    const double ring50 = bench_times_percentile(&w->ring_times, 50) * 1e6;
    const double ring99 = bench_times_percentile(&w->ring_times, 99) * 1e6;
    const double bare50 = bench_times_percentile(&w->futex_times, 50) * 1e6;
    const double bare99 = bench_times_percentile(&w->futex_times, 99) * 1e6;

    results_real(&r, "handoffs_per_s_1_producer", one, "%10.0f (8 slots)", one);
    results_real(&r, "handoffs_per_s_4_producers", four, "%10.0f (8 slots)", four);
    results_real(&r, "limit_additions_per_s", adds, "%10.0f (one thread, one atomic)", adds);
    results_real(&r, "round_trip_ns", trip,
                 "%10.0f (1 slot: a hand-over to the consumer and one back)", trip);
    results_real(&r, "limit_cache_line_ns", line, "%10.0f (two threads that spin, to and fro)",
                 line);
    results_int(&r, "wake_samples", w->ring_times.n, NULL);
    results_real(&r, "wake_p50_us", ring50, "%10.1f (from before publish to after take, asleep)",
                 ring50);
    results_real(&r, "wake_p99_us", ring99, "%10.1f", ring99);
    results_real(&r, "limit_futex_p50_us", bare50, "%10.1f (a bare futex)", bare50);
    results_real(&r, "limit_futex_p99_us", bare99, "%10.1f", bare99);
    results_real(&r, "idle_full_ring", full, "%10.3f %% of a processor, 8 producers wait",
                 full * 100);
    results_real(&r, "idle_empty_ring", empty, "%10.3f %% of a processor, the consumer waits",
                 empty * 100);
    bench_print(b, &r, "ring", job, JOBS, NULL);
}

int fvbench_ring(int argc, char **argv)
{
    struct bench b = bench_defaults(&fvbench_ring_cmd);
    struct feed one = {0}, four = {0}, narrow = {0};
    struct waking w = {0};
    _Atomic uint32_t ball, sum;
    double full = 0, empty = 0;
    struct bench_job job[JOBS] = {
        [HANDOFF_1] = {.name = "handoff, 1 producer", .run = hand_over, .ctx = &one},
        [HANDOFF_4] = {.name = "handoff, 4 producers", .run = hand_over, .ctx = &four},
        [ROUND_TRIP] = {.name = "round trip", .run = hand_over, .ctx = &narrow},
        [PING_PONG] = {.name = "cache line", .run = ping, .ctx = &ball},
        [ADDITION] = {.name = "addition", .run = add, .ctx = &sum},
    };
    int rc = bench_parse(&b, NULL, 0, argc, argv);

    if (rc)
        return rc < 0 ? rc : FV_OK;
    atomic_init(&ball, 0);
    atomic_init(&sum, 0);
    rc = measure_idle(b.seconds, &full, &empty);
    if (rc >= 0)
        rc = wake_in_turns(&w, b.seconds);
    if (rc >= 0)
        rc = feed_open(&one, 1, 8);
    if (rc >= 0)
        rc = feed_open(&four, 4, 8);
    if (rc >= 0)
        rc = feed_open(&narrow, 1, 1);
    if (rc >= 0)
        rc = bench_run(&b, job, JOBS);
    if (rc >= 0)
        print(&b, &w, job, full, empty);
    feed_close(&one);
    feed_close(&four);
    feed_close(&narrow);
    fv_ring_close(&w.ring);
    bench_times_free(&w.ring_times);
    bench_times_free(&w.futex_times);
    return rc;
}
