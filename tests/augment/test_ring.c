/* SPDX-License-Identifier: MIT */
/* The ring alone. Producers write a function of (ticket, item) with ordinary stores and the
 * consumer checks every one of them, so a batch out of order, an item twice or never, or a slot
 * reused too early is seen here, and a missing happens-before by ThreadSanitizer. A lost wake-up is
 * a hang: the time limit of the test. */
#include "augment/ring.h"
#include "common/clock.h"
#include "common/err.h"
#include "tests/cmocka_all.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum { MAX_PRODUCERS = 24, MAX_ITEMS = 64, MAX_SLOTS = 8 };

struct batch {
    uint64_t item[MAX_ITEMS];
    uint64_t sum; /* made by whoever completes the batch */
};

struct rig {
    struct fv_ring *ring;
    struct fv_ring_shape shape;
    struct batch slot[MAX_SLOTS];
    pthread_t thread[MAX_PRODUCERS];
    int producers;
    _Atomic int slow_us; /* how long the item that slow_item() picks takes */
    uint64_t fail_ticket;
    int fails; /* items fails and 2 * fails of fail_ticket fail; 0: none */
};

static uint64_t value(uint64_t ticket, uint32_t item)
{
    return (ticket + 1) * UINT64_C(0x9E3779B97F4A7C15) ^ (uint64_t)item << 17;
}

static int slow_item(uint64_t ticket, uint32_t item)
{
    return item == 0 && ticket % 5 == 2;
}

static void *produce(void *arg)
{
    struct rig *g = arg;
    struct fv_ring_claim c;

    while (fv_ring_claim(g->ring, &c)) {
        struct batch *b = &g->slot[c.slot];
        int rc = FV_OK;

        if (slow_item(c.ticket, c.item) && atomic_load(&g->slow_us))
            usleep((useconds_t)atomic_load(&g->slow_us));
        b->item[c.item] = value(c.ticket, c.item);
        if (g->fails && c.ticket == g->fail_ticket && c.item && c.item % (uint32_t)g->fails == 0)
            rc = fv_err(FV_ECORRUPT, "item %u is bad", c.item);
        if (fv_ring_complete(g->ring, &c, rc)) {
            b->sum = 0;
            for (uint32_t i = 0; i < fv_ring_items(g->ring, c.ticket); i++)
                b->sum += b->item[i];
            fv_ring_publish(g->ring, &c);
        }
    }
    return NULL;
}

static void *attach_and_produce(void *arg)
{
    return fv_ring_attach(((struct rig *)arg)->ring) == FV_OK ? produce(arg) : NULL;
}

static struct rig *rig_open(int producers, uint32_t slots, uint32_t items, uint64_t end,
                            uint32_t last_items)
{
    struct rig *g = calloc(1, sizeof *g);

    assert_non_null(g);
    g->shape = (struct fv_ring_shape){
        .slots = slots, .items = items, .end = end, .last_items = last_items};
    assert_int_equal(fv_ring_open(&g->ring, &g->shape), FV_OK);
    g->producers = producers;
    return g;
}

static void rig_start(struct rig *g)
{
    for (int i = 0; i < g->producers; i++)
        assert_int_equal(pthread_create(&g->thread[i], NULL, attach_and_produce, g), 0);
}

static void rig_close(struct rig *g)
{
    fv_ring_stop(g->ring);
    for (int i = 0; i < g->producers; i++)
        pthread_join(g->thread[i], NULL);
    fv_ring_close(&g->ring);
    assert_null(g->ring);
    fv_ring_close(&g->ring);
    free(g);
}

static void check(const struct rig *g, const struct fv_ring_view *v, uint64_t ticket)
{
    const struct batch *b = &g->slot[v->slot];
    uint64_t sum = 0;

    assert_true(v->ticket == ticket);
    assert_int_equal(v->slot, ticket % g->shape.slots);
    for (uint32_t i = 0; i < v->items; i++) {
        assert_true(b->item[i] == value(ticket, i));
        sum += b->item[i];
    }
    assert_true(b->sum == sum);
}

static void expect(struct rig *g, uint64_t from, uint64_t to)
{
    struct fv_ring_view v;

    for (uint64_t t = from; t < to; t++) {
        assert_int_equal(fv_ring_take(g->ring, &v), 1);
        check(g, &v, t);
        assert_int_equal(v.items, t + 1 == g->shape.end ? g->shape.last_items : g->shape.items);
        fv_ring_release(g->ring);
    }
}

/* --- data
 * ------------------------------------------------------------------------------------------ */

static void every_batch_arrives_whole_and_in_order(void **state)
{
    static const int producers[] = {1, 2, 3, 8, 24};
    static const uint32_t slots[] = {1, 2, 3, 8}, items[] = {1, 3, 32};

    (void)state;
    for (int p = 0; p < 5; p++)
        for (int s = 0; s < 4; s++)
            for (int i = 0; i < 3; i++) {
                struct rig *g =
                    rig_open(producers[p], slots[s], items[i], FV_RING_TICKETS, items[i]);
                rig_start(g);
                expect(g, 0, 100);
                rig_close(g);
            }
}

/* One slot, one item: every batch needs two hand-overs, most of them through sleep. */
static void no_wakeup_is_lost(void **state)
{
    (void)state;
    for (int producers = 1; producers <= 4; producers += 3) {
        struct rig *g = rig_open(producers, 1, 1, FV_RING_TICKETS, 1);
        rig_start(g);
        expect(g, 0, 10000);
        rig_close(g);
    }
}

static void a_bounded_sequence_ends_short_and_restarts(void **state)
{
    struct fv_ring_view v;
    struct rig *g = rig_open(3, 2, 16, 7, 5);

    (void)state;
    rig_start(g);
    for (int pass = 0; pass < 3; pass++) {
        expect(g, 0, 7);
        assert_int_equal(fv_ring_take(g->ring, &v), 0);
        assert_int_equal(fv_ring_take(g->ring, &v), 0);
        assert_int_equal(fv_ring_seek(g->ring, 0), FV_OK);
    }
    assert_int_equal(fv_ring_seek(g->ring, 6), FV_OK);
    expect(g, 6, 7);
    assert_int_equal(fv_ring_seek(g->ring, 7), FV_OK);
    assert_int_equal(fv_ring_take(g->ring, &v), 0);
    assert_int_equal(fv_ring_seek(g->ring, 8), FV_EINVAL);
    rig_close(g);
}

static void the_consumer_may_hold_all_slots(void **state)
{
    struct fv_ring_view v[4], more;
    struct rig *g = rig_open(3, 4, 8, FV_RING_TICKETS, 8);

    (void)state;
    rig_start(g);
    fv_ring_release(g->ring); /* nothing is held: nothing happens */
    for (uint64_t t = 0; t < 40; t += 4) {
        for (int i = 0; i < 4; i++)
            assert_int_equal(fv_ring_take(g->ring, &v[i]), 1);
        assert_int_equal(fv_ring_take(g->ring, &more), FV_EINVAL);
        for (int i = 0; i < 4; i++) {
            check(g, &v[i], t + (uint64_t)i);
            fv_ring_release(g->ring);
        }
    }
    rig_close(g);
}

/* The turn's low half, the futex word, wraps at ticket 2^30; 2^32 and the last tickets for good
 * measure. */
static void tickets_may_be_large(void **state)
{
    static const uint64_t at[] = {UINT64_C(1) << 30, UINT64_C(1) << 31, UINT64_C(1) << 32,
                                  UINT64_C(1) << 48, FV_RING_TICKETS - 20};

    (void)state;
    for (uint32_t slots = 1; slots <= 7; slots += 3)
        for (int i = 0; i < 5; i++) {
            struct rig *g = rig_open(4, slots, 3, FV_RING_TICKETS, 2);
            struct fv_ring_view v;
            assert_int_equal(fv_ring_seek(g->ring, at[i] - 20), FV_OK);
            rig_start(g);
            expect(g, at[i] - 20, at[i] + 20);
            if (at[i] + 20 == FV_RING_TICKETS)
                assert_int_equal(fv_ring_take(g->ring, &v), 0);
            rig_close(g);
        }
}

static void a_slow_producer_delays_but_does_not_disorder(void **state)
{
    struct rig *g = rig_open(8, 4, 4, FV_RING_TICKETS, 4);

    (void)state;
    atomic_store(&g->slow_us, 3000);
    rig_start(g);
    expect(g, 0, 50);
    rig_close(g);
}

/* --- seeking
 * --------------------------------------------------------------------------------------- */

static void seeking_lands_anywhere_at_any_moment(void **state)
{
    (void)state;
    for (uint32_t slots = 1; slots <= 8; slots += 7) {
        struct rig *g = rig_open(5, slots, 6, FV_RING_TICKETS, 6);
        struct fv_ring_view v;
        uint64_t at = 12345;

        atomic_store(&g->slow_us, 300);
        assert_int_equal(fv_ring_seek(g->ring, 3), FV_OK); /* before there is any producer */
        rig_start(g);
        expect(g, 3, 5);
        for (int i = 0; i < 150; i++) {
            at = at * 6364136223846793005u + 1442695040888963407u;
            const uint64_t to = at >> 34;
            assert_int_equal(fv_ring_seek(g->ring, to), FV_OK);
            if (i % 7 == 3)
                usleep(2000); /* time to fill up and fall asleep */
            expect(g, to, to + at % 4);
            if (i % 3 == 1) /* and with a batch in hand */
                assert_int_equal(fv_ring_take(g->ring, &v), 1);
        }
        rig_close(g);
    }
}

/* --- stopping
 * -------------------------------------------------------------------------------------- */

static void *stop_soon(void *arg)
{
    usleep(20000);
    fv_ring_stop(((struct rig *)arg)->ring);
    return NULL;
}

static void stopping_wakes_producers_of_a_full_ring(void **state)
{
    (void)state;
    for (uint32_t slots = 1; slots <= 3; slots++) {
        struct rig *g = rig_open(8, slots, 2, FV_RING_TICKETS, 2);
        struct fv_ring_view v;
        rig_start(g);
        usleep(10000);
        fv_ring_stop(g->ring);
        fv_ring_stop(g->ring);
        assert_int_equal(fv_ring_take(g->ring, &v), FV_EINTR);
        assert_int_equal(fv_ring_seek(g->ring, 0), FV_EINTR);
        rig_close(g);
    }
}

static void stopping_wakes_the_consumer_of_an_empty_ring(void **state)
{
    struct rig *g = rig_open(0, 2, 2, FV_RING_TICKETS, 2);
    struct fv_ring_view v;
    pthread_t t;

    (void)state;
    assert_int_equal(pthread_create(&t, NULL, stop_soon, g), 0);
    assert_int_equal(fv_ring_take(g->ring, &v), FV_EINTR);
    assert_true(v.waited_ns > 1000000);
    pthread_join(t, NULL);
    rig_close(g);
}

static void stopping_wakes_producers_that_wait_for_a_seek(void **state)
{
    struct rig *g = rig_open(4, 2, 2, 3, 1);
    struct fv_ring_view v;

    (void)state;
    rig_start(g);
    expect(g, 0, 3);
    assert_int_equal(fv_ring_take(g->ring, &v), 0);
    usleep(5000);
    rig_close(g);
}

/* --- errors
 * ---------------------------------------------------------------------------------------- */

static void an_error_surfaces_at_its_batch(void **state)
{
    (void)state;
    for (int producers = 1; producers <= 8; producers += 7) {
        struct rig *g = rig_open(producers, 3, 32, FV_RING_TICKETS, 32);
        struct fv_ring_view v;
        g->fail_ticket = 9;
        g->fails = 7; /* items 7, 14, 21 and 28 */
        rig_start(g);
        for (int again = 0; again < 2; again++) {
            expect(g, 0, 9);
            for (int i = 0; i < 2; i++) {
                fv_err(FV_EINVAL, "something else");
                assert_int_equal(fv_ring_take(g->ring, &v), FV_ECORRUPT);
                assert_string_equal(fv_err_text(), "item 7 is bad");
            }
            assert_int_equal(fv_ring_seek(g->ring, 10), FV_OK);
            expect(g, 10, 20);
            assert_int_equal(fv_ring_seek(g->ring, 0), FV_OK);
        }
        rig_close(g);
    }
}

static void impossible_rings_are_refused(void **state)
{
    static const struct fv_ring_shape bad[] = {
        {.slots = 0, .items = 1, .last_items = 1, .end = 1},
        {.slots = FV_RING_MAX_SLOTS + 1, .items = 1, .last_items = 1, .end = 1},
        {.slots = 1, .items = 0, .last_items = 0, .end = 1},
        {.slots = 1, .items = 4, .last_items = 5, .end = 1},
        {.slots = 1, .items = 4, .last_items = 0, .end = 1},
        {.slots = 1, .items = 1, .last_items = 1, .end = FV_RING_TICKETS + 1},
    };
    struct fv_ring *r;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(fv_ring_open(&r, &bad[i]), FV_EINVAL);
        assert_null(r);
    }
}

/* --- cost
 * ------------------------------------------------------------------------------------------ */

static double cpu_ms(void)
{
    struct rusage u;

    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1e3 +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e3;
}

/* Whoever waits, sleeps: eight producers before a full ring take less than 1 % of one processor. */
static void waiting_costs_nothing(void **state)
{
    struct rig *g = rig_open(8, 2, 4, FV_RING_TICKETS, 4);

    (void)state;
    rig_start(g);
    usleep(50000);
    const double before = cpu_ms();
    const uint64_t begin = fv_now_ns();
    usleep(400000);
    assert_true(cpu_ms() - before < 0.01 * (double)(fv_now_ns() - begin) / 1e6);
    rig_close(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_batch_arrives_whole_and_in_order),
        cmocka_unit_test(no_wakeup_is_lost),
        cmocka_unit_test(a_bounded_sequence_ends_short_and_restarts),
        cmocka_unit_test(the_consumer_may_hold_all_slots),
        cmocka_unit_test(tickets_may_be_large),
        cmocka_unit_test(a_slow_producer_delays_but_does_not_disorder),
        cmocka_unit_test(seeking_lands_anywhere_at_any_moment),
        cmocka_unit_test(stopping_wakes_producers_of_a_full_ring),
        cmocka_unit_test(stopping_wakes_the_consumer_of_an_empty_ring),
        cmocka_unit_test(stopping_wakes_producers_that_wait_for_a_seek),
        cmocka_unit_test(an_error_surfaces_at_its_batch),
        cmocka_unit_test(impossible_rings_are_refused),
        cmocka_unit_test(waiting_costs_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
