/* SPDX-License-Identifier: MIT */
/* A ring of batches: hands slots from many producers to one consumer, in order, in place, without
 * copies. It knows nothing of what is in a slot: it deals in numbers, and its user keeps the
 * memory.
 *
 * A batch has a ticket t = first, first + 1, ... and lives in slot t mod N. Its unit of work is an
 * item (t, i). A producer does this:
 *
 *     fv_ring_attach(ring);
 *     while (fv_ring_claim(ring, &c)) {               the next item, once its slot is free
 *         rc = ... write item c.item of slot c.slot ...
 *         if (fv_ring_complete(ring, &c, rc)) {       true for the batch's last item
 *             ... finish the batch as a whole ...
 *             fv_ring_publish(ring, &c);
 *         }
 *     }
 *
 * and the consumer, one thread, this:
 *
 *     while ((rc = fv_ring_take(ring, &view)) > 0) {
 *         ... read slot view.slot ...
 *         fv_ring_release(ring);
 *     }
 *
 * Batches arrive in ticket order whatever producer was first. A failed item is completed like any
 * other; its error travels in the slot and is what `take` returns at that batch's position.
 */
#ifndef FV_AUGMENT_RING_H
#define FV_AUGMENT_RING_H

#include <stdint.h>

struct fv_ring;

/* Tickets are below this: also the `end` of a sequence without one. */
#define FV_RING_TICKETS (UINT64_C(1) << 60)
enum { FV_RING_MAX_SLOTS = 1024, FV_RING_MAX_PRODUCERS = 1024 };

struct fv_ring_shape {
    uint32_t slots;      /* batches in memory at once, 1 .. FV_RING_MAX_SLOTS */
    uint32_t items;      /* in every batch, at least 1 */
    uint32_t last_items; /* in batch end - 1, 1 .. items */
    uint64_t end;        /* the sequence is 0 .. end - 1; at most FV_RING_TICKETS */
};

/* The sequence begins at ticket 0. */
int fv_ring_open(struct fv_ring **out, const struct fv_ring_shape *shape);
/* Every producer must have left, and every fv_ring_stop have returned. Accepts NULL. */
void fv_ring_close(struct fv_ring **ring);

struct fv_ring_claim {
    uint64_t ticket;
    uint32_t item, slot;
    uint64_t waited_ns; /* that this claim waited for its slot */
};

/* Announces one more producer, itself or before it starts: fv_ring_seek waits for it from now on,
 * so it must go on claiming until a claim returns 0. FV_EFULL when there are FV_RING_MAX_PRODUCERS.
 */
int fv_ring_attach(struct fv_ring *ring);
/* 1 and the next item; 0 when the ring was stopped: the producer leaves. Sleeps while the item's
 * slot is in use, and from the end of the sequence to the next seek. */
int fv_ring_claim(struct fv_ring *ring, struct fv_ring_claim *claim);
/* The item is done; a negative rc says that it failed, with this thread's fv_err_text() as the
 * reason. 1 when it was the batch's last: everything that other producers wrote to the slot is
 * visible, and this one must publish it. */
int fv_ring_complete(struct fv_ring *ring, const struct fv_ring_claim *claim, int rc);
void fv_ring_publish(struct fv_ring *ring, const struct fv_ring_claim *claim);

struct fv_ring_view {
    uint64_t ticket;
    uint32_t slot, items;
    uint64_t waited_ns; /* that this take waited */
};

/* 1 and the next batch, to be read until its release; 0 at the end of the sequence; FV_EINTR when
 * the ring was stopped; FV_EINVAL when all slots are held; the first failed item's error and
 * sentence, again at every call until a seek. Several batches may be held at once. */
int fv_ring_take(struct fv_ring *ring, struct fv_ring_view *view);
/* Gives the oldest batch held back to the producers; nothing when none is held. */
void fv_ring_release(struct fv_ring *ring);
/* The next batch will be `ticket`, at most `end`. Waits until every producer has finished the item
 * at hand, drops what is in the ring, whatever is held included, and starts the producers there.
 * Called by the consumer. */
int fv_ring_seek(struct fv_ring *ring, uint64_t ticket);
/* Ends it for good, whoever is asleep: claims return 0, takes FV_EINTR. From any thread, any number
 * of times. */
void fv_ring_stop(struct fv_ring *ring);

/* Items in batch `ticket`. */
uint32_t fv_ring_items(const struct fv_ring *ring, uint64_t ticket);

/* How full the ring was a moment ago: batches that wait to be taken, and slots that the producers
 * may write to (the rest is held by the consumer). From any thread, for nothing but to be shown. */
uint32_t fv_ring_ready(const struct fv_ring *ring);
uint32_t fv_ring_free(const struct fv_ring *ring);

#endif
