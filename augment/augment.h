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
#include "common/api.h"
#include "common/err.h"
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
    int64_t batch; /* images in a batch (default 32) */
    int64_t
        threads; /* worker threads; 0: processors that may be used but one, at least one (default 0) */
    int64_t slots; /* batches in the ring (default 4) */
    int64_t size;  /* pixels a side of what comes out; 0: as stored (default 0) */
    int64_t seed;  /* (default 1) */
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
    /* an image that cannot be read ends the run ("fail"), or another one stands in: the next of its identity
     * ("replace", the default), or any of the splits ("skip"; in a single pass it is left out instead). Each is told of
     * once; more than a hundred that are more than 10 % of all end the run */
    const char *on_error;
    const struct fv_allocator *allocator; /* NULL: ordinary memory */
    /* told of bad images, by the thread that calls next; may be NULL */
    const struct fv_report *report;
};
extern const struct fv_opt fv_loader_opts[];

void fv_loader_defaults(struct fv_loader_settings *s);
/* The store must outlive the loader. Threads start at the first `next`. */
int fv_loader_open(struct fv_loader **out, struct fv_store *store,
                   const struct fv_loader_settings *s);
/* Stops the threads, whatever they are doing, and frees everything. Accepts NULL. */
FV_API void fv_loader_close(struct fv_loader **l);
/* The loader as the trainer sees it; valid until close. One consumer thread. */
FV_API const struct fv_batch_source *fv_loader_source(struct fv_loader *l);

struct fv_loader_stats {
    uint64_t images, batches; /* delivered */
    /* images that could not be read; how often another stood in, how often one was left out */
    uint64_t bad, replaced, left_out;
    uint64_t decode_ns, warp_ns, colour_ns, erase_ns, mix_ns; /* summed over threads */
    uint64_t producer_wait_ns, consumer_wait_ns;
    uint64_t threads; /* that make batches */
};
void fv_loader_stats(const struct fv_loader *l, struct fv_loader_stats *out);
/* Bytes of its batches and of what its threads work in. Accepts NULL. */
size_t fv_loader_memory(const struct fv_loader *l);
/* Tells report how many threads it has, and why. */
void fv_loader_say_threads(const struct fv_loader *l);
/* At the end: tells report how many images could not be read, if any. Accepts NULL. */
void fv_loader_say_bad(const struct fv_loader *l);

/* --- for other programs
 * These link libfv.so (pkg-config fv) and set everything by name, so that a new setting changes no layout:
 *
 *     fv_store_open(&store, "faces.lmdb");
 *     fv_loader_options_new(&options);
 *     fv_loader_options_set(options, "batch", "256");
 *     fv_loader_open_options(&loader, store, options);
 *     source = fv_loader_source(loader);
 *     while ((rc = source->next(source->ctx, &batch)) == 1) {
 *         ... batch->pixels ...
 *         source->release(source->ctx);
 *     }
 *
 * fv_err_text says in a sentence what a negative result means. docs/api.md has a whole program. */

struct fv_loader_options; /* begin as the defaults; one loader or many may be opened with them */
FV_API int fv_loader_options_new(struct fv_loader_options **out);
FV_API void fv_loader_options_free(struct fv_loader_options **o); /* accepts NULL */
/* FV_ENOTFOUND for an unknown name, listing those there are; FV_EUSAGE for a bad value. Both texts are copied. */
FV_API int fv_loader_options_set(struct fv_loader_options *o, const char *name, const char *value);
/* What decides which batches come, as "name = value" lines: equal texts on equal data, equal batches. Returns the bytes
 * of the text without its end; what does not fit into room bytes is cut off. FV_EUSAGE where the policy is none. */
FV_API int fv_loader_options_text(const struct fv_loader_options *o, char *text, size_t room);
/* Option i: 1, its name and a sentence about it; or 0 after the last. */
FV_API int fv_loader_options_row(size_t i, const char **name, const char **help);
/* Where batches lie, and who is told of replaced images (in the thread that asks for the next batch). Both must outlive
 * the loader; NULL: ordinary memory, nobody. */
FV_API void fv_loader_options_allocator(struct fv_loader_options *o, const struct fv_allocator *a);
FV_API void fv_loader_options_report(struct fv_loader_options *o, const struct fv_report *r);
/* As fv_loader_open. The options may be freed at once. */
FV_API int fv_loader_open_options(struct fv_loader **out, struct fv_store *store,
                                  const struct fv_loader_options *o);
/* A figure of fv_loader_stats by the name of its field: FV_ENOTFOUND lists them. */
FV_API int fv_loader_stat(const struct fv_loader *l, const char *name, uint64_t *value);
/* Figure i: 1 and its name, or 0 after the last. */
FV_API int fv_loader_stat_row(size_t i, const char **name);

/* Bytes of struct fv_batch as the library knows it: a program built with a newer header may use the fields that end
 * within them. struct fv_batch and struct fv_batch_source only ever grow at their end. */
FV_API size_t fv_batch_bytes(void);
FV_API const char *fv_version(void); /* of the library, "0.1.0" */

/* The policy language for its users: every op with its parameters and defaults, and the presets. */
void fv_policy_help(FILE *to);
/* The policy in its one canonical spelling, presets replaced by what they stand for, "none" where nothing is to be
 * done: what a run keeps. The caller frees it. */
int fv_policy_expand(char **out, const char *text);

#endif
