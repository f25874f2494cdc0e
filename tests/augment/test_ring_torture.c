/* SPDX-License-Identifier: MIT */
/* The ring on bad days: threads that stop dead in the middle of anything, stops and seeks at any moment, failures
 * everywhere. Moments are drawn from seeds; which thread is where at that moment is up to the machine. */
#include "augment/ring.h"
#include "common/clock.h"
#include "common/err.h"
#include "tests/augment/ring_rig.h"
#include "tests/cmocka_all.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* --- a thread that stands still --------------------------------------------------------------- */

static unsigned a_second_at_10(uint64_t ticket, uint32_t item)
{
    return ticket == 10 && item == 1 ? 1000000 : 0;
}

/* One item takes a second: the batches before it arrive, the others wait behind it at no cost, and all go on. */
static void a_producer_sleeps_in_its_item(void **state)
{
    struct rig *g = rig_open(8, 4, 4);
    struct fv_ring_view v;

    (void)state;
    atomic_store(&g->item_us, a_second_at_10);
    rig_start(g);
    rig_expect(g, 0, 10);
    const double before = rig_cpu_ms();
    assert_int_equal(fv_ring_take(g->ring, &v), 1);
    assert_true(rig_batch_is(g, &v, 10));
    assert_true(v.waited_ns > 500000000);
    assert_true(rig_cpu_ms() - before < 100);
    fv_ring_release(g->ring);
    rig_expect(g, 11, 200);
    rig_close(g);
}

static _Atomic int pause_ms;
static _Atomic int paused;

static void stand_still(int signal_number)
{
    const int ms = atomic_load(&pause_ms);
    const struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L};

    (void)signal_number;
    nanosleep(&t, NULL);
    atomic_fetch_add(&paused, 1);
}

struct pauser {
    struct rig *rig;
    _Atomic int done;
};

/* Stops one producer after the other, wherever it is: in its item, between two steps of the protocol, in the kernel. */
static void *pause_producers(void *arg)
{
    struct pauser *p = arg;
    uint64_t seed = 5;

    for (int i = 0; i < 60; i++) {
        atomic_store(&pause_ms, i == 30 ? 1000 : 1 + (int)(rig_random(&seed) % 8));
        const int before = atomic_load(&paused);
        pthread_kill(p->rig->thread[rig_random(&seed) % (uint32_t)p->rig->producers], SIGUSR1);
        for (int ms = 0; atomic_load(&paused) == before && ms < 5000; ms++)
            usleep(1000);
    }
    atomic_store(&p->done, 1);
    return NULL;
}

static void a_producer_is_stopped_anywhere(void **state)
{
    const struct sigaction quiet = {.sa_handler = stand_still};
    struct pauser p = {.rig = rig_open(5, 2, 3)};
    struct sigaction before;
    pthread_t t;
    uint64_t at = 0;

    (void)state;
    sigaction(SIGUSR1, &quiet, &before);
    atomic_store(&paused, 0);
    rig_start(p.rig);
    assert_int_equal(pthread_create(&t, NULL, pause_producers, &p), 0);
    for (; !atomic_load(&p.done); at++)
        rig_expect(p.rig, at, at + 1);
    pthread_join(t, NULL);
    assert_true(atomic_load(&paused) >= 50);
    rig_expect(p.rig, at, at + 100);
    rig_close(p.rig);
    sigaction(SIGUSR1, &before, NULL);
}

static _Atomic int enough;

static void that_will_do(int signal_number)
{
    (void)signal_number;
    atomic_store(&enough, 1);
}

/* What the child of the next test does: exit status 0 when all batches came right. */
static int run_until_enough(void)
{
    struct rig *g = rig_open(4, 2, 3);
    struct fv_ring_view v;
    int good = 1;

    rig_start(g);
    for (uint64_t t = 0; good && !atomic_load(&enough); t++) {
        good = fv_ring_take(g->ring, &v) == 1 && rig_batch_is(g, &v, t);
        fv_ring_release(g->ring);
    }
    rig_close(g);
    return good ? 0 : 1;
}

/* SIGSTOP freezes all threads at once, SIGCONT wakes those in the kernel early. */
static void the_process_is_stopped_and_continued(void **state)
{
    const struct sigaction tell = {.sa_handler = that_will_do};
    struct sigaction before;
    uint64_t seed = 8;
    int status;

    (void)state;
    sigaction(SIGUSR2, &tell, &before);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        _exit(run_until_enough());
    for (int i = 0; i < 40; i++) {
        usleep(rig_random(&seed) % 10000);
        kill(child, SIGSTOP);
        usleep(i == 5 ? 1000000 : rig_random(&seed) % 10000);
        kill(child, SIGCONT);
    }
    kill(child, SIGUSR2);
    assert_int_equal(waitpid(child, &status, 0), child);
    sigaction(SIGUSR2, &before, NULL);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

/* --- stops at any moment ---------------------------------------------------------------------- */

struct stopper {
    struct fv_ring *ring;
    uint64_t after_ns;
};

static void *stop_after(void *arg)
{
    const struct stopper *s = arg;

    for (const uint64_t begin = fv_now_ns(); fv_now_ns() - begin < s->after_ns;)
        ;
    fv_ring_stop(s->ring);
    return NULL;
}

/* Takes, holds, stalls and seeks until the ring is stopped. */
static void use_until_stopped(struct rig *g, uint64_t *seed)
{
    struct fv_ring_view v;
    uint64_t at = 0;
    uint32_t held = 0;
    const uint32_t habit = rig_random(seed) % 4;

    for (;;) {
        if (habit == 3 && rig_random(seed) % 4 == 0) {
            const uint64_t to = rig_random(seed);
            if (fv_ring_seek(g->ring, to) == FV_EINTR)
                return;
            at = to;
            held = 0;
        }
        const int rc = fv_ring_take(g->ring, &v);
        if (rc == FV_EINTR)
            return;
        assert_int_equal(rc, 1);
        assert_true(rig_batch_is(g, &v, at));
        at++;
        held++;
        if (habit == 1) /* the ring fills up behind it */
            usleep(50);
        while (held == g->shape.slots || (held && habit != 2)) {
            fv_ring_release(g->ring);
            held--;
        }
    }
}

static void it_is_stopped_at_any_moment(void **state)
{
    uint64_t seed = 77;

    (void)state;
    for (int i = 0; i < 3000; i++) {
        const int producers = (int)(rig_random(&seed) % 5);
        struct rig *g = rig_open(producers, 1 + rig_random(&seed) % 3, 1 + rig_random(&seed) % 4);
        struct stopper s = {g->ring, rig_random(&seed) % 150000};
        pthread_t t;
        rig_start(g);
        assert_int_equal(pthread_create(&t, NULL, stop_after, &s), 0);
        use_until_stopped(g, &seed);
        pthread_join(t, NULL);
        rig_close(g);
    }
}

/* --- seeks and failures ----------------------------------------------------------------------- */

static void a_storm_of_seeks(void **state)
{
    static const uint32_t slots[] = {1, 2, 5};
    uint64_t seed = 3;

    (void)state;
    for (int k = 0; k < 3; k++) {
        struct rig *g = rig_open_to(4, slots[k], 3, 1000, 2);
        rig_start(g);
        for (int i = 0; i < 2000; i++) {
            const uint64_t to = rig_random(&seed) % 1001, left = 1000 - to,
                           n = rig_random(&seed) % 4;
            assert_int_equal(fv_ring_seek(g->ring, to), FV_OK);
            rig_expect(g, to, to + (n < left ? n : left));
        }
        rig_close(g);
    }
}

static uint64_t scatter(uint64_t ticket, uint32_t item)
{
    uint64_t h = ticket * UINT64_C(0x9E3779B97F4A7C15) + item;

    h = (h ^ h >> 31) * UINT64_C(0xD6E8FEB86659FD93);
    return h ^ h >> 32;
}

static int one_in_16(uint64_t ticket, uint32_t item)
{
    return scatter(ticket, item) % 16 == 0;
}

/* Half the batches have a failed item: each comes as an error that names the lowest, all others come whole. */
static void failures_everywhere(void **state)
{
    struct rig *g = rig_open(6, 3, 10);
    struct fv_ring_view v;
    int failed = 0;

    (void)state;
    g->fails = one_in_16;
    rig_start(g);
    for (uint64_t t = 0; t < 2000; t++) {
        char sentence[32] = "";
        for (uint32_t i = 10; i-- > 0;)
            if (one_in_16(t, i))
                snprintf(sentence, sizeof sentence, "item %u is bad", i);
        if (!sentence[0]) {
            rig_expect(g, t, t + 1);
            continue;
        }
        assert_int_equal(fv_ring_take(g->ring, &v), FV_ECORRUPT);
        assert_string_equal(fv_err_text(), sentence);
        assert_int_equal(fv_ring_seek(g->ring, t + 1), FV_OK);
        failed++;
    }
    assert_true(failed > 500 && failed < 1500);
    rig_close(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_process_is_stopped_and_continued), /* forks: before any thread */
        cmocka_unit_test(a_producer_sleeps_in_its_item),
        cmocka_unit_test(a_producer_is_stopped_anywhere),
        cmocka_unit_test(it_is_stopped_at_any_moment),
        cmocka_unit_test(a_storm_of_seeks),
        cmocka_unit_test(failures_everywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
