/* SPDX-License-Identifier: MIT */
/* What the two halves of the loader share: the consumer's (loader.c) and the workers' (loader_worker.c). */
#ifndef FV_AUGMENT_LOADER_IMPL_H
#define FV_AUGMENT_LOADER_IMPL_H

#include "augment/augment.h"
#include "augment/dsp.h"
#include "augment/policy.h"
#include "augment/ring.h"
#include "augment/sampler.h"
#include "common/cpu.h"

#include <pthread.h>
#include <stdalign.h>
#include <stdatomic.h>

enum { FV_CACHE_LINE = 64 };
#define FV_NO_IMAGE UINT32_MAX

enum fv_on_error { FV_ON_ERROR_FAIL, FV_ON_ERROR_REPLACE, FV_ON_ERROR_SKIP };
extern const char *const fv__on_error_names[];

enum fv_loader_counter {
    FV_DECODE_NS,
    FV_WARP_NS,
    FV_COLOUR_NS,
    FV_ERASE_NS,
    FV_MIX_NS,
    FV_WAIT_NS,
    FV_LOADER_COUNTERS
};

struct fv_loader_worker {
    /* written by the worker alone */
    alignas(FV_CACHE_LINE) _Atomic uint64_t counter[FV_LOADER_COUNTERS];
    struct fv_loader *loader;
    struct fv_decoder *decoder;
    uint8_t *source, *scratch; /* a decoded image; what rendering and mixing need */
    struct fv_region want,
        got; /* of the image at hand: what the plan looks at, what is in source */
    pthread_t thread;
    int number;
};

/* Of an item: the image that should have been there and could not be read, or FV_NO_IMAGE; and what came in its place,
 * FV_NO_IMAGE when it was left out. */
struct fv_loader_note {
    uint32_t due, image;
};

struct fv_loader_slot {
    struct fv_batch batch;
    void *memory;
    struct fv_loader_note *note; /* (batch) */
};

struct fv_loader {
    struct fv_loader_settings set;
    struct fv_store *store;
    struct fv_policy *policy;
    struct fv_dsp dsp;
    struct fv_ring *ring;
    struct fv_batch_source source;
    int src_h, src_w, out_h, out_w, exact;
    enum fv_on_error on_error;
    struct fv_sampler *sampler;
    struct fv_loader_slot *slot;
    size_t slot_bytes, worker_bytes;
    struct fv_loader_worker *worker;
    struct fv_cpu_limits cpu;
    int workers, started;
    /* the consumer's own */
    struct fv_decoder *decoder;
    uint8_t *scratch;
    uint8_t *told; /* one bit an image: that it is bad was reported */
    _Atomic uint64_t delivered_images, delivered_batches, waited_ns, bad, replaced, left_out;
};

/* loader_worker.c */
int fv__loader_start(struct fv_loader *l); /* the threads */
/* Decodes an image into w->source. */
int fv__loader_read(struct fv_loader_worker *w, uint32_t image);

/* loader_bad.c */
/* Decodes what stands in for a bad image; *image is FV_NO_IMAGE when nothing does. */
int fv__loader_stand_in(const struct fv_loader *l, struct fv_loader_worker *w,
                        const struct fv_ring_claim *c, uint32_t bad, uint32_t *image);
/* Takes the items that are FV_NO_IMAGE out of a batch. */
void fv__loader_close_gaps(struct fv_batch *b);
/* Tells of a batch's bad images. */
void fv__loader_tell_bad(struct fv_loader *l, const struct fv_loader_slot *s);
/* An error when there were too many. */
int fv__loader_bear_bad(const struct fv_loader *l);

#endif
