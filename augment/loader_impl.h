/* SPDX-License-Identifier: MIT */
/* What the two halves of the loader share: the consumer's (loader.c) and the workers' (loader_worker.c). */
#ifndef FV_AUGMENT_LOADER_IMPL_H
#define FV_AUGMENT_LOADER_IMPL_H

#include "augment/augment.h"
#include "augment/dsp.h"
#include "augment/policy.h"
#include "augment/ring.h"
#include "augment/sampler.h"

#include <pthread.h>
#include <stdalign.h>
#include <stdatomic.h>

enum { FV_CACHE_LINE = 64, FV_NOT_REPLACED = -1 };

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
    pthread_t thread;
    int number;
};

struct fv_loader_slot {
    struct fv_batch batch;
    void *memory;
    int64_t *replaced; /* (batch) the image that should have been there, or FV_NOT_REPLACED */
};

struct fv_loader {
    struct fv_loader_settings set;
    struct fv_store *store;
    struct fv_policy *policy;
    struct fv_dsp dsp;
    struct fv_ring *ring;
    struct fv_batch_source source;
    int src_h, src_w, out_h, out_w, replace, exact;
    struct fv_sampler *sampler;
    struct fv_loader_slot *slot;
    size_t slot_bytes;
    struct fv_loader_worker *worker;
    int workers, started;
    /* the consumer's own */
    struct fv_decoder *decoder;
    uint8_t *scratch;
    uint8_t *told; /* one bit an image: its replacement was reported */
    _Atomic uint64_t delivered_images, delivered_batches, replaced_images, waited_ns;
};

/* Starts the threads. */
int fv__loader_start(struct fv_loader *l);

#endif
