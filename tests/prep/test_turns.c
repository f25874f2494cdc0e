/* SPDX-License-Identifier: MIT */
/* Turns: what all threads hold together never exceeds what the kind allows, and nobody waits for ever. */
#include "prep/photo/turns.h"

#include "prep/photo/photo.h"
#include "prep/photo/photo_file.h"
#include "tests/cmocka_all.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

enum { THREADS = 8, ROUNDS = 2000 };

static const uint64_t most[] = {
    [FV_TURN_FILE] = FV_PHOTO_MAX_BYTES, [FV_TURN_PICTURE] = FV_PHOTO_MAX_WHOLE_BYTES};
static atomic_ullong held[FV_TURN_KINDS], largest[FV_TURN_KINDS];
static atomic_int exceeded;

static void enter(enum fv_turn_kind kind, uint64_t bytes)
{
    unsigned long long now = atomic_fetch_add(&held[kind], bytes) + bytes;
    unsigned long long seen = atomic_load(&largest[kind]);
    if (now > most[kind])
        atomic_store(&exceeded, 1);
    while (now > seen && !atomic_compare_exchange_weak(&largest[kind], &seen, now))
        ;
}

/* As a photo goes: its file, within that its picture, both given back. */
static void *take_turns(void *arg)
{
    uint32_t seed = *(const uint32_t *)arg;
    for (int i = 0; i < ROUNDS; i++) {
        struct fv_turn file = {0}, picture = {0};
        seed = seed * 1664525u + 1013904223u;
        uint64_t a = most[FV_TURN_FILE] * (1 + (seed >> 30)) / 4;
        uint64_t b = most[FV_TURN_PICTURE] * (1 + (seed >> 28 & 3)) / 4;
        fv__turn_take(&file, FV_TURN_FILE, a);
        enter(FV_TURN_FILE, a);
        fv__turn_take(&picture, FV_TURN_PICTURE, b);
        enter(FV_TURN_PICTURE, b);
        sched_yield(); /* others want theirs meanwhile */
        atomic_fetch_sub(&held[FV_TURN_PICTURE], b);
        fv__turn_give_back(&picture, FV_TURN_PICTURE);
        fv__turn_give_back(&picture, FV_TURN_PICTURE); /* no second time */
        atomic_fetch_sub(&held[FV_TURN_FILE], a);
        fv__turn_give_back(&file, FV_TURN_FILE);
    }
    return NULL;
}

static void together_never_too_much(void **state)
{
    pthread_t thread[THREADS];
    uint32_t seed[THREADS];
    (void)state;
    for (uint32_t i = 0; i < THREADS; i++) {
        seed[i] = 77 * i + 1;
        assert_int_equal(pthread_create(&thread[i], NULL, take_turns, &seed[i]), 0);
    }
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(thread[i], NULL), 0);
    assert_false(exceeded);
    for (int kind = 0; kind < FV_TURN_KINDS; kind++)
        assert_int_equal(largest[kind], most[kind]); /* all of it is there to be had */
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(together_never_too_much)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
