/* SPDX-License-Identifier: MIT */
/* What the ring promises, one promise a test; test_ring_torture.c has the bad days. */
#include "augment/ring.h"
#include "common/clock.h"
#include "common/err.h"
#include "common/trace.h"
#include "tests/augment/ring_rig.h"
#include "tests/cmocka_all.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* --- data ------------------------------------------------------------------------------------- */

/* With 32 producers, many more threads than cores. */
static void every_batch_arrives_whole_and_in_order(void **state)
{
    static const int producers[] = {1, 2, 3, 8, 32};
    static const uint32_t slots[] = {1, 2, 3, 8}, items[] = {1, 3, 32};

    (void)state;
    for (int p = 0; p < 5; p++)
        for (int s = 0; s < 4; s++)
            for (int i = 0; i < 3; i++) {
                struct rig *g = rig_open(producers[p], slots[s], items[i]);
                rig_start(g);
                rig_expect(g, 0, 100);
                rig_close(g);
            }
}

/* One slot, one item: every batch needs two hand-overs, most of them through sleep. */
static void no_wakeup_is_lost(void **state)
{
    (void)state;
    for (int producers = 1; producers <= 4; producers += 3) {
        struct rig *g = rig_open(producers, 1, 1);
        rig_start(g);
        rig_expect(g, 0, 10000);
        rig_close(g);
    }
}

static void a_bounded_sequence_ends_short_and_restarts(void **state)
{
    struct fv_ring_view v;
    struct rig *g = rig_open_to(3, 2, 16, 7, 5);

    (void)state;
    rig_start(g);
    for (int pass = 0; pass < 3; pass++) {
        rig_expect(g, 0, 7);
        assert_int_equal(fv_ring_take(g->ring, &v), 0);
        assert_int_equal(fv_ring_take(g->ring, &v), 0);
        assert_int_equal(fv_ring_seek(g->ring, 0), FV_OK);
    }
    assert_int_equal(fv_ring_seek(g->ring, 6), FV_OK);
    rig_expect(g, 6, 7);
    assert_int_equal(fv_ring_seek(g->ring, 7), FV_OK);
    assert_int_equal(fv_ring_take(g->ring, &v), 0);
    assert_int_equal(fv_ring_seek(g->ring, 8), FV_EINVAL);
    rig_close(g);
}

static void the_consumer_may_hold_all_slots(void **state)
{
    struct fv_ring_view v[4], more;
    struct rig *g = rig_open(3, 4, 8);

    (void)state;
    rig_start(g);
    fv_ring_release(g->ring); /* nothing is held: nothing happens */
    for (uint64_t t = 0; t < 40; t += 4) {
        for (int i = 0; i < 4; i++)
            assert_int_equal(fv_ring_take(g->ring, &v[i]), 1);
        assert_int_equal(fv_ring_take(g->ring, &more), FV_EINVAL);
        for (int i = 0; i < 4; i++) {
            assert_true(rig_batch_is(g, &v[i], t + (uint64_t)i));
            fv_ring_release(g->ring);
        }
    }
    rig_close(g);
}

/* The turn's low half, the futex word, wraps at ticket 2^30; then 2^32, and the last tickets that there are. One item a
 * batch and one slot: everybody sleeps across the edge. */
static void tickets_may_be_large(void **state)
{
    static const uint64_t at[] = {UINT64_C(1) << 30, UINT64_C(1) << 31, UINT64_C(1) << 32,
                                  UINT64_C(1) << 48, FV_RING_TICKETS - 20};
    static const uint32_t slots[] = {1, 2, 7};
    static const int producers[] = {1, 4, 32};

    (void)state;
    for (int k = 0; k < 3 * 3 * 5; k++) {
        const uint64_t edge = at[k % 5];
        struct rig *g = rig_open_to(producers[k / 5 % 3], slots[k / 15], 1 + (uint32_t)k % 2 * 2,
                                    FV_RING_TICKETS, 1);
        struct fv_ring_view v;

        assert_int_equal(fv_ring_seek(g->ring, edge - 20), FV_OK);
        rig_start(g);
        rig_expect(g, edge - 20, edge + 20);
        if (edge + 20 == FV_RING_TICKETS) {
            assert_int_equal(fv_ring_take(g->ring, &v), 0);
            assert_int_equal(fv_ring_seek(g->ring, FV_RING_TICKETS + 1), FV_EINVAL);
            assert_int_equal(fv_ring_seek(g->ring, FV_RING_TICKETS), FV_OK);
            assert_int_equal(fv_ring_take(g->ring, &v), 0);
            assert_int_equal(fv_ring_seek(g->ring, FV_RING_TICKETS - 1), FV_OK);
            rig_expect(g, FV_RING_TICKETS - 1, FV_RING_TICKETS);
        }
        rig_close(g);
    }
}

/* --- how full it is --------------------------------------------------------------------------- */

static void fill_one(struct fv_ring *r)
{
    struct fv_ring_claim c;

    assert_int_equal(fv_ring_claim(r, &c), 1);
    assert_int_equal(fv_ring_complete(r, &c, FV_OK), 1);
    fv_ring_publish(r, &c);
}

static void it_says_how_full_it_is(void **state)
{
    struct rig *g = rig_open(0, 3, 1);
    struct fv_ring_view v;

    (void)state;
    for (int round = 0; round < 2; round++) {
        for (uint32_t n = 0; n <= 3; n++) {
            assert_int_equal(fv_ring_ready(g->ring), n);
            assert_int_equal(fv_ring_free(g->ring), 3 - n);
            if (n < 3)
                fill_one(g->ring);
        }
        assert_int_equal(fv_ring_take(g->ring, &v), 1);
        assert_int_equal(fv_ring_take(g->ring, &v), 1);
        assert_int_equal(fv_ring_ready(g->ring), 1);
        assert_int_equal(fv_ring_free(g->ring), 0);
        fv_ring_release(g->ring);
        assert_int_equal(fv_ring_ready(g->ring), 1);
        assert_int_equal(fv_ring_free(g->ring), 1);
        assert_int_equal(fv_ring_seek(g->ring, 1000), FV_OK);
    }
    rig_close(g);
}

/* In a trace, counts of rings that are open at once are told apart; one after another are one. */
static void rings_open_at_once_have_graphs_of_their_own(void **state)
{
    char path[] = "/tmp/fv-test-ring-XXXXXX", line[512];
    int of[3] = {0};

    (void)state;
    close(mkstemp(path));
    assert_int_equal(fv_trace_start(path), FV_OK);
    for (int round = 0; round < 2; round++) {
        struct rig *a = rig_open(0, 3, 1), *b = rig_open(0, 3, 1);
        fill_one(a->ring);
        fill_one(b->ring);
        fill_one(b->ring);
        rig_close(a);
        rig_close(b);
    }
    assert_int_equal(fv_trace_stop(), FV_OK);
    FILE *f = fopen(path, "r");
    while (fgets(line, sizeof line, f))
        if (strstr(line, "batches ready"))
            of[!strstr(line, "\"id\"") ? 0 : strstr(line, "\"id\":\"2\"") ? 1 : 2]++;
    fclose(f);
    unlink(path);
    assert_int_equal(of[0], 2);
    assert_int_equal(of[1], 4);
    assert_int_equal(of[2], 0);
}

/* --- seeking ---------------------------------------------------------------------------------- */

static unsigned some_are_slow(uint64_t ticket, uint32_t item)
{
    return item == 0 && ticket % 5 == 2 ? 300 : 0;
}

static void seeking_lands_anywhere_at_any_moment(void **state)
{
    (void)state;
    for (uint32_t slots = 1; slots <= 8; slots += 7) {
        struct rig *g = rig_open(5, slots, 6);
        struct fv_ring_view v;
        uint64_t seed = 12345;

        atomic_store(&g->item_us, some_are_slow);
        assert_int_equal(fv_ring_seek(g->ring, 3), FV_OK); /* before there is any producer */
        rig_start(g);
        rig_expect(g, 3, 5);
        for (int i = 0; i < 150; i++) {
            const uint64_t to = rig_random(&seed);
            assert_int_equal(fv_ring_seek(g->ring, to), FV_OK);
            if (i % 7 == 3)
                usleep(2000); /* time to fill up and fall asleep */
            rig_expect(g, to, to + to % 4);
            if (i % 3 == 1) /* and with a batch in hand */
                assert_int_equal(fv_ring_take(g->ring, &v), 1);
        }
        rig_close(g);
    }
}

/* --- stopping --------------------------------------------------------------------------------- */

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
        struct rig *g = rig_open(8, slots, 2);
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
    struct rig *g = rig_open(0, 2, 2);
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
    struct rig *g = rig_open_to(4, 2, 2, 3, 1);
    struct fv_ring_view v;

    (void)state;
    rig_start(g);
    rig_expect(g, 0, 3);
    assert_int_equal(fv_ring_take(g->ring, &v), 0);
    usleep(5000);
    rig_close(g);
}

/* --- errors ----------------------------------------------------------------------------------- */

static int four_of_batch_9(uint64_t ticket, uint32_t item)
{
    return ticket == 9 && item && item % 7 == 0;
}

static void an_error_surfaces_at_its_batch(void **state)
{
    (void)state;
    for (int producers = 1; producers <= 8; producers += 7) {
        struct rig *g = rig_open(producers, 3, 32);
        struct fv_ring_view v;
        g->fails = four_of_batch_9;
        rig_start(g);
        for (int again = 0; again < 2; again++) {
            rig_expect(g, 0, 9);
            for (int i = 0; i < 2; i++) {
                fv_err(FV_EINVAL, "something else");
                assert_int_equal(fv_ring_take(g->ring, &v), FV_ECORRUPT);
                assert_string_equal(fv_err_text(), "item 7 is bad");
            }
            assert_int_equal(fv_ring_seek(g->ring, 10), FV_OK);
            rig_expect(g, 10, 20);
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

static void no_more_than_so_many_producers(void **state)
{
    struct rig *g = rig_open(0, 1, 1);

    (void)state;
    for (int i = 0; i < FV_RING_MAX_PRODUCERS; i++)
        assert_int_equal(fv_ring_attach(g->ring), FV_OK);
    assert_int_equal(fv_ring_attach(g->ring), FV_EFULL);
    rig_close(g);
}

/* --- cost ------------------------------------------------------------------------------------- */

static void *take_one(void *arg)
{
    struct fv_ring_view v;

    return fv_ring_take(((struct rig *)arg)->ring, &v) == FV_EINTR ? NULL : arg;
}

/* Whoever waits, sleeps: eight producers before a full ring, a consumer before an empty one, and four producers past
 * the end, all together, take less than 1 % of one processor in two seconds. */
static void waiting_costs_nothing(void **state)
{
    struct rig *full = rig_open(8, 2, 4), *empty = rig_open(0, 2, 4),
               *over = rig_open_to(4, 2, 4, 3, 1);
    pthread_t consumer;
    void *wrong;

    (void)state;
    rig_start(full);
    rig_start(over);
    rig_expect(over, 0, 3);
    assert_int_equal(pthread_create(&consumer, NULL, take_one, empty), 0);
    usleep(50000);
    const double before = rig_cpu_ms();
    const uint64_t begin = fv_now_ns();
    usleep(2000000);
    assert_true(rig_cpu_ms() - before < 0.01 * (double)(fv_now_ns() - begin) / 1e6);
    fv_ring_stop(empty->ring);
    pthread_join(consumer, &wrong);
    assert_null(wrong);
    rig_close(over);
    rig_close(empty);
    rig_close(full);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_batch_arrives_whole_and_in_order),
        cmocka_unit_test(no_wakeup_is_lost),
        cmocka_unit_test(a_bounded_sequence_ends_short_and_restarts),
        cmocka_unit_test(the_consumer_may_hold_all_slots),
        cmocka_unit_test(tickets_may_be_large),
        cmocka_unit_test(it_says_how_full_it_is),
        cmocka_unit_test(rings_open_at_once_have_graphs_of_their_own),
        cmocka_unit_test(seeking_lands_anywhere_at_any_moment),
        cmocka_unit_test(stopping_wakes_producers_of_a_full_ring),
        cmocka_unit_test(stopping_wakes_the_consumer_of_an_empty_ring),
        cmocka_unit_test(stopping_wakes_producers_that_wait_for_a_seek),
        cmocka_unit_test(an_error_surfaces_at_its_batch),
        cmocka_unit_test(impossible_rings_are_refused),
        cmocka_unit_test(no_more_than_so_many_producers),
        cmocka_unit_test(waiting_costs_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
