/* SPDX-License-Identifier: MIT */
/* A ring of slots. Job t lives in slot t mod SLOTS from the moment a thread takes it until its result is taken; the
 * threads take jobs in order and finish them in any order, the caller waits for the next one. Two cursors say how
 * far both are: written <= next <= written + SLOTS. One lock guards them: it is taken three times a job, and a job
 * is an image's decoding or encoding, which takes a millisecond. Memory is bounded by the slots, however slow one
 * job is.
 */
#include "prep/pack/ordered.h"

#include "common/err.h"
#include "common/trace.h"
#include "prep/prep.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum { SLOTS_PER_THREAD = 8 };

struct run {
    const struct fv_ordered *o;
    unsigned char *slot, *done;
    uint64_t slots, next, written;
    int ready, named; /* done and not yet taken, for the trace; threads so far */
    pthread_mutex_t lock;
    pthread_cond_t room, arrived; /* for the threads; for the caller */
    int rc;                       /* the first failure, with its sentence */
    char text[FV_ERR_TEXT_MAX];
};

static void *slot_of(const struct run *r, uint64_t job)
{
    return r->slot + (size_t)(job % r->slots) * r->o->slot_bytes;
}

/* Called with the lock held, after the failing function has left its sentence in this thread. */
static void fail(struct run *r, int rc)
{
    if (r->rc == 0) {
        r->rc = rc;
        fv_err_save(r->text);
    }
    pthread_cond_broadcast(&r->room);
    pthread_cond_signal(&r->arrived);
}

/* Lock held. */
static void count_ready(struct run *r, int by)
{
    r->ready += by;
    fv_trace_counter("results ready", r->ready);
    fv_trace_counter("slots free", (double)(r->slots - (r->next - r->written)));
}

/* Lock held on entry and return. */
static int do_next(struct run *r, void *hand)
{
    if (r->next == r->written + r->slots) {
        const uint64_t span = fv_trace_begin("wait slot");
        pthread_cond_wait(&r->room, &r->lock);
        fv_trace_end("wait slot", span);
        return 0;
    }
    const uint64_t job = r->next++;
    pthread_mutex_unlock(&r->lock);
    int rc = fv_prep_stop ? fv_err(FV_EINTR, "interrupted")
                          : r->o->work(r->o->ctx, hand, job, slot_of(r, job));
    pthread_mutex_lock(&r->lock);
    r->done[job % r->slots] = 1;
    count_ready(r, 1);
    pthread_cond_signal(&r->arrived);
    return rc;
}

static void *worker(void *arg)
{
    struct run *r = arg;
    void *hand = NULL;
    char name[32];
    int rc = r->o->open_hand(r->o->ctx, &hand);
    pthread_mutex_lock(&r->lock);
    snprintf(name, sizeof name, "worker %d", r->named++);
    fv_trace_thread(name);
    while (rc >= 0 && r->rc == 0 && r->next < r->o->jobs)
        rc = do_next(r, hand);
    if (rc < 0)
        fail(r, rc);
    pthread_mutex_unlock(&r->lock);
    r->o->close_hand(hand);
    return NULL;
}

/* Lock held on entry and return. */
static void take_in_order(struct run *r)
{
    while (r->rc == 0 && r->written < r->o->jobs) {
        if (!r->done[r->written % r->slots]) {
            const uint64_t span = fv_trace_begin("wait result");
            pthread_cond_wait(&r->arrived, &r->lock);
            fv_trace_end("wait result", span);
            continue;
        }
        pthread_mutex_unlock(&r->lock);
        int rc = fv_prep_stop ? fv_err(FV_EINTR, "interrupted")
                              : r->o->sink(r->o->ctx, r->written, slot_of(r, r->written));
        pthread_mutex_lock(&r->lock);
        if (rc < 0) {
            fail(r, rc);
            return;
        }
        r->done[r->written++ % r->slots] = 0;
        count_ready(r, -1);
        pthread_cond_signal(&r->room);
    }
}

static int run_threads(struct run *r, pthread_t *thread)
{
    int started = 0;
    pthread_mutex_lock(&r->lock);
    while (started < r->o->threads && pthread_create(&thread[started], NULL, worker, r) == 0)
        started++;
    if (started)
        take_in_order(r);
    pthread_cond_broadcast(&r->room);
    pthread_mutex_unlock(&r->lock);
    for (int i = 0; i < started; i++)
        pthread_join(thread[i], NULL);
    if (!started)
        return fv_err(FV_EIO, "the system starts no thread");
    return r->rc < 0 ? fv_err_restore(r->rc, r->text) : 0;
}

int fv__ordered_run(const struct fv_ordered *o)
{
    struct run r = {.o = o, .slots = (uint64_t)o->threads * SLOTS_PER_THREAD};
    pthread_t *thread = calloc((size_t)o->threads, sizeof *thread);
    r.slot = calloc(r.slots, o->slot_bytes);
    r.done = calloc(r.slots, 1);
    int rc = thread && r.slot && r.done ? 0 : fv_err(FV_ENOMEM, "out of memory for threads");
    if (rc == 0) {
        pthread_mutex_init(&r.lock, NULL);
        pthread_cond_init(&r.room, NULL);
        pthread_cond_init(&r.arrived, NULL);
        rc = run_threads(&r, thread);
        pthread_cond_destroy(&r.arrived);
        pthread_cond_destroy(&r.room);
        pthread_mutex_destroy(&r.lock);
    }
    for (uint64_t i = 0; o->close_slot && r.slot && i < r.slots; i++)
        o->close_slot(slot_of(&r, i));
    free(r.slot);
    free(r.done);
    free(thread);
    return rc;
}
