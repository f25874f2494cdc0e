/* SPDX-License-Identifier: MIT */
/* Producers for the tests of the ring. They write a function of (ticket, item) with ordinary stores and the consumer
 * checks every one of them, so a batch out of order, an item twice or never, or a slot reused too early is seen, and a
 * missing happens-before by ThreadSanitizer. A lost wake-up is a hang: the time limit of the test. */
#ifndef FV_TESTS_AUGMENT_RING_RIG_H
#define FV_TESTS_AUGMENT_RING_RIG_H

#include "augment/ring.h"

#include <pthread.h>
#include <stdatomic.h>

enum { RIG_PRODUCERS = 32, RIG_ITEMS = 64, RIG_SLOTS = 8 };

struct rig {
    struct fv_ring *ring;
    struct fv_ring_shape shape;
    struct {
        uint64_t item[RIG_ITEMS];
        uint64_t sum; /* made by whoever completes the batch */
    } slot[RIG_SLOTS];
    pthread_t thread[RIG_PRODUCERS];
    int producers;
    /* How long an item takes; NULL: no time. Told to all producers at once. */
    _Atomic(unsigned (*)(uint64_t ticket, uint32_t item)) item_us;
    /* Whether an item fails, with the sentence "item <i> is bad"; NULL: none does. */
    int (*fails)(uint64_t ticket, uint32_t item);
};

/* An endless ring without producers yet. */
struct rig *rig_open(int producers, uint32_t slots, uint32_t items);
/* The same with an end: batches 0 .. end - 1, the last one of last_items. */
struct rig *rig_open_to(int producers, uint32_t slots, uint32_t items, uint64_t end,
                        uint32_t last_items);
void rig_start(struct rig *g);
/* Stops the ring, waits for all producers. */
void rig_close(struct rig *g);

/* Whether a batch is the one that `ticket` is to be, whole. */
int rig_batch_is(const struct rig *g, const struct fv_ring_view *v, uint64_t ticket);
/* Takes and releases from .. to - 1; asserts that they are right. */
void rig_expect(struct rig *g, uint64_t from, uint64_t to);

/* What the process has had of its processors. */
double rig_cpu_ms(void);
/* Scattered numbers from a seed, which it moves on. */
uint32_t rig_random(uint64_t *seed);

#endif
