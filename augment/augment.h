/* SPDX-License-Identifier: MIT */
/* The loader: batches out of a data set, the same ones for any number of threads.
 *
 * Work is counted in samples. Worker threads take the next sample number, decode that record, carry
 * out the decisions of the augmentation policy, by default in one warp and one colour pass, straight into the
 * batch's slot of the ring, and whoever completes a batch's last sample mixes the batch (CutMix)
 * and publishes it. Every decision is a function of (seed, epoch, image, op), and the order one of
 * (seed, epoch): pixels, order and CutMix partners do not depend on threads, slots, scheduling or
 * restarts.
 *
 * Steady state allocates nothing and copies no batch.
 */
#ifndef FV_AUGMENT_AUGMENT_H
#define FV_AUGMENT_AUGMENT_H

#include "augment/batch.h"
#include "common/opt.h"
#include "common/report.h"
#include "store/dataset.h"

struct fv_loader;

/* Where slots live: a trainer gives pinned memory here. */
struct fv_allocator {
    void *ctx;
    void *(*alloc)(void *ctx, size_t bytes); /* 64-byte aligned; NULL on failure */
    void (*free)(void *ctx, void *p, size_t bytes);
};

struct fv_loader_settings {
    int64_t batch;   /* images in a batch (default 32) */
    int64_t threads; /* worker threads; 0: all processors but one, at least one (default 0) */
    int64_t slots;   /* batches in the ring (default 4) */
    int64_t size;    /* pixels a side of what comes out; 0: as stored (default 0) */
    int64_t seed;    /* (default 1) */
    /* augmentation, "" for none: "rrc(0.8,1),flip,rotate(10),jitter(.2,.2,.2),..." */
    const char *policy;
    /* "fused": one warp and one colour pass (default); "exact": operation by operation with torchvision's formulas
     * and roundings (augment/README.md tells them apart) */
    const char *mode;
    /* augment/sampler.h says which image comes when */
    const char *order;     /* one of fv_sampler_orders (default "shuffle") */
    int64_t images_per_id; /* of "pk": a batch has batch / images_per_id identities (default 4) */
    int64_t window;        /* of "blocks": images shuffled among each other (default 16384) */
    int64_t rank,
        world; /* this process has part `rank` of every batch of `world` (default 0 of 1) */
    /* not options: set by the program */
    unsigned splits; /* bit set of 1 << enum fv_split (default TRAIN) */
    int endless; /* epochs without end, whole batches only (default 1); 0: one pass, last one short
                  */
    /* "fail": a bad record ends the run; "replace": another image of the same label stands in (the
     * next readable one), reported once (default "replace") */
    const char *on_error;
    const struct fv_allocator *allocator; /* NULL: ordinary memory */
    /* told of replaced images, by the thread that calls next; may be NULL */
    const struct fv_report *report;
};
extern const struct fv_opt fv_loader_opts[];

void fv_loader_defaults(struct fv_loader_settings *s);
/* The store must outlive the loader. Threads start at the first `next`. */
int fv_loader_open(struct fv_loader **out, struct fv_store *store,
                   const struct fv_loader_settings *s);
/* Stops the threads, whatever they are doing, and frees everything. Accepts NULL. */
void fv_loader_close(struct fv_loader **l);
/* The loader as the trainer sees it; valid until close. One consumer thread. */
const struct fv_batch_source *fv_loader_source(struct fv_loader *l);

struct fv_loader_stats {
    uint64_t images, batches, replaced;
    uint64_t decode_ns, warp_ns, colour_ns, erase_ns, mix_ns; /* summed over threads */
    uint64_t producer_wait_ns, consumer_wait_ns;
};
void fv_loader_stats(const struct fv_loader *l, struct fv_loader_stats *out);

/* The policy language, for --help and for errors: every op with its parameters and defaults. */
void fv_policy_help(FILE *to);

#endif
