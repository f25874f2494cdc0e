/* SPDX-License-Identifier: MIT */
/* Jobs on any number of threads, their results taken one by one in order by the thread that asked. */
#ifndef FV_PREP_ORDERED_H
#define FV_PREP_ORDERED_H

#include <stddef.h>
#include <stdint.h>

struct fv_ordered {
    uint64_t jobs;
    int threads;
    void *ctx;
    /* One thread's tools. `close` is called after a failed `open` too. */
    int (*open_hand)(void *ctx, void **hand);
    void (*close_hand)(void *hand); /* accepts NULL */
    /* Fills the slot of a job: zeroed at first, later as the job before left it. On any thread. */
    int (*work)(void *ctx, void *hand, uint64_t job, void *slot);
    /* Takes it, in order, on the calling thread. */
    int (*sink)(void *ctx, uint64_t job, void *slot);
    void (*close_slot)(void *slot); /* NULL: slots own nothing */
    size_t slot_bytes;
};

/* A negative code of any function stops all; the first one is returned. FV_EINTR on fv_prep_stop. */
int fv__ordered_run(const struct fv_ordered *o);

#endif
