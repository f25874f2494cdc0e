/* SPDX-License-Identifier: MIT */
/* A batch: all that the consumer of the pipeline ever sees. Plain data, no code; the trainer includes
 * this header and nothing else of augment/.
 */
#ifndef FV_AUGMENT_BATCH_H
#define FV_AUGMENT_BATCH_H

#include <stdint.h>

/* Pixels are u8, NHWC, RGB, rows and images without padding. The soft label of item i is
 * lambda[i] on class label[i] and 1 - lambda[i] on class label_mix[i]; without mixing lambda is 1 and
 * both labels are equal. */
struct fv_batch {
    /* position in the endless sequence of batches: epoch * batches_per_epoch + step */
    uint64_t ticket;
    uint32_t epoch;
    uint32_t step; /* within the epoch */
    int n; /* items that count; the last batch of an evaluation pass may be short (of a rank: 0) */
    int capacity; /* items that the arrays hold; those from n on are zero pixels, label -1 */
    int height, width;
    uint8_t *pixels;    /* (capacity, height, width, 3) */
    int32_t *label;     /* (capacity) */
    int32_t *label_mix; /* (capacity) */
    float *lambda;      /* (capacity) */
    uint32_t *image;    /* (capacity) image id in the data set */
};

/* Where batches come from. A trainer is given one and knows nothing of records, threads or rings. */
struct fv_batch_source {
    void *ctx;
    /* The next batch in ticket order: 1 and *out, 0 at the end of a single pass, or an error. The batch
     * belongs to the source and is valid until the matching release. */
    int (*next)(void *ctx, const struct fv_batch **out);
    /* Gives the oldest batch not yet released back. */
    void (*release)(void *ctx);
    /* Restarts so that the next batch is number `ticket`; costs nothing that grows with `ticket`. */
    int (*seek)(void *ctx, uint64_t ticket);
    uint64_t batches_per_epoch;
    uint64_t images_per_epoch; /* in those batches */
    int batch, height, width, classes;
    /* Nanoseconds that `next` has spent waiting so far. */
    uint64_t (*waited_ns)(void *ctx);
    int mixes; /* items may be mixed of two identities */
};

#endif
