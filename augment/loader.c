/* SPDX-License-Identifier: MIT */
/* Worker threads between a data set and the ring: settings, the consumer's side, memory. What a worker does is in
 * loader_worker.c, what becomes of an image that cannot be read in loader_bad.c. Which image is due is
 * augment/sampler.h's matter, how batches travel augment/ring.h's, and what happens to pixels augment/policy.h's. */
#include "augment/loader_impl.h"
#include "common/cpu.h"
#include "common/err.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* --- settings
 * -------------------------------------------------------------------------------------- */

static const char *const mode_names[] = {"fused", "exact", NULL};

#define FIELD(f) offsetof(struct fv_loader_settings, f)
const struct fv_opt fv_loader_opts[] = {
    {"batch", 'b', FV_OPT_INT, 0, FIELD(batch), "N", "images in a batch", 1, 1 << 16, NULL},
    {"loader-threads", 'j', FV_OPT_INT, FV_OPT_TRANSIENT, FIELD(threads), "N",
     "threads that make batches; 0: the processors this process may use, but one", 0,
     FV_RING_MAX_PRODUCERS, NULL},
    {"slots", 0, FV_OPT_INT, FV_OPT_TRANSIENT, FIELD(slots), "N", "batches made ahead", 1,
     FV_RING_MAX_SLOTS, NULL},
    {"size", 0, FV_OPT_INT, 0, FIELD(size), "PX", "side of the images made; 0: as stored", 0, 4096,
     NULL},
    {"seed", 0, FV_OPT_INT, 0, FIELD(seed), "N", "what all random decisions follow from", 0,
     9007199254740992.0, NULL},
    {"order", 0, FV_OPT_CHOICE, 0, FIELD(order), "HOW",
     "what makes a batch: any images, images as they lie, identities equally often, K images of "
     "each of a few identities, or any images of a part of the file (for data larger than memory)",
     0, 0, fv_sampler_orders},
    {"images-per-id", 0, FV_OPT_INT, 0, FIELD(images_per_id), "K",
     "order pk: images of an identity, so that a batch has batch / K identities", 1, 1 << 16, NULL},
    {"window", 0, FV_OPT_INT, 0, FIELD(window), "N",
     "order blocks: images shuffled among each other; two windows should fit in memory", 64,
     1 << 30, NULL},
    {"rank", 0, FV_OPT_INT, 0, FIELD(rank), "N",
     "which part of every batch this process has, among those of --world", 0, 65535, NULL},
    {"world", 0, FV_OPT_INT, 0, FIELD(world), "N", "processes that share every batch", 1, 65536,
     NULL},
    {"aug", 0, FV_OPT_STRING, 0, FIELD(policy), "POLICY",
     "augmentation: ops or a preset; list: show them all; none: leave images alone", 0, 0, NULL},
    {"aug-mode", 0, FV_OPT_CHOICE, 0, FIELD(mode), "HOW",
     "carry out the policy in one resample and one pass of colour, or operation by operation as "
     "torchvision does",
     0, 0, mode_names},
    {"on-error", 0, FV_OPT_CHOICE, 0, FIELD(on_error), "WHAT",
     "an image that cannot be read ends the run (fail), or another one stands in: of its identity "
     "(replace), or any (skip)",
     0, 0, fv__on_error_names},
    {0},
};

void fv_loader_defaults(struct fv_loader_settings *s)
{
    *s = (struct fv_loader_settings){
        .batch = 32,
        .slots = 4,
        .seed = 1,
        .policy = "none",
        .mode = "fused",
        .splits = 1u << FV_SPLIT_TRAIN,
        .endless = 1,
        .order = "shuffle",
        .images_per_id = 4,
        .window = 16384,
        .world = 1,
        .on_error = "replace",
    };
}

/* --- the consumer
 * ---------------------------------------------------------------------------------- */

static void add(_Atomic uint64_t *to, uint64_t n)
{
    atomic_fetch_add_explicit(to, n, memory_order_relaxed); /* a statistic: orders nothing */
}

static int next_batch(void *ctx, const struct fv_batch **out)
{
    struct fv_loader *l = ctx;
    struct fv_ring_view v;

    *out = NULL;
    FV_TRY(fv__loader_bear_bad(l)); /* once too many, always too many */
    if (!l->started)
        FV_TRY(fv__loader_start(l));
    const int rc = fv_ring_take(l->ring, &v);
    if (rc <= 0)
        return rc;
    const struct fv_loader_slot *s = &l->slot[v.slot];
    fv__loader_tell_bad(l, s);
    FV_TRY(fv__loader_bear_bad(l));
    add(&l->waited_ns, v.waited_ns);
    add(&l->delivered_images, (uint64_t)s->batch.n);
    add(&l->delivered_batches, 1);
    *out = &s->batch;
    return 1;
}

static void release_batch(void *ctx)
{
    fv_ring_release(((struct fv_loader *)ctx)->ring);
}

static int seek_batch(void *ctx, uint64_t ticket)
{
    return fv_ring_seek(((struct fv_loader *)ctx)->ring, ticket);
}

static uint64_t waited(void *ctx)
{
    return atomic_load_explicit(&((struct fv_loader *)ctx)->waited_ns, memory_order_relaxed);
}

const struct fv_batch_source *fv_loader_source(struct fv_loader *l)
{
    return &l->source;
}

void fv_loader_stats(const struct fv_loader *l, struct fv_loader_stats *out)
{
    uint64_t sum[FV_LOADER_COUNTERS] = {0};

    for (int i = 0; i < l->workers; i++)
        for (int k = 0; k < FV_LOADER_COUNTERS; k++)
            sum[k] += atomic_load_explicit(&l->worker[i].counter[k], memory_order_relaxed);
    *out = (struct fv_loader_stats){
        .images = atomic_load_explicit(&l->delivered_images, memory_order_relaxed),
        .batches = atomic_load_explicit(&l->delivered_batches, memory_order_relaxed),
        .bad = atomic_load_explicit(&l->bad, memory_order_relaxed),
        .replaced = atomic_load_explicit(&l->replaced, memory_order_relaxed),
        .left_out = atomic_load_explicit(&l->left_out, memory_order_relaxed),
        .decode_ns = sum[FV_DECODE_NS],
        .warp_ns = sum[FV_WARP_NS],
        .colour_ns = sum[FV_COLOUR_NS],
        .erase_ns = sum[FV_ERASE_NS],
        .mix_ns = sum[FV_MIX_NS],
        .producer_wait_ns = sum[FV_WAIT_NS],
        .threads = (uint64_t)l->workers,
        .consumer_wait_ns = atomic_load_explicit(&l->waited_ns, memory_order_relaxed),
    };
}

/* --- open and close
 * -------------------------------------------------------------------------------- */

static void *ordinary_alloc(void *ctx, size_t bytes)
{
    (void)ctx;
    return aligned_alloc(FV_CACHE_LINE, bytes);
}

static void ordinary_free(void *ctx, void *p, size_t bytes)
{
    (void)ctx, (void)bytes;
    free(p);
}

static const struct fv_allocator ordinary_memory = {.alloc = ordinary_alloc, .free = ordinary_free};

static size_t round_up(size_t n)
{
    return (n + FV_CACHE_LINE - 1) / FV_CACHE_LINE * FV_CACHE_LINE;
}

static int no_memory(const char *what)
{
    return fv_err(FV_ENOMEM, "out of memory for the loader's %s", what);
}

static int open_sampler(struct fv_loader *l)
{
    const struct fv_sampler_settings set = {
        .order = l->set.order,
        .seed = (uint64_t)l->set.seed,
        .splits = l->set.splits,
        .endless = l->set.endless,
        .batch = (uint32_t)l->set.batch,
        .rank = (uint32_t)l->set.rank,
        .world = (uint32_t)l->set.world,
        .images_per_id = (uint32_t)l->set.images_per_id,
        .window = (uint32_t)l->set.window,
    };

    FV_TRY(fv_sampler_open(&l->sampler, l->store, &set));
    l->told = calloc(fv_store_info(l->store)->images / 8 + 1, 1);
    if (!l->told)
        return no_memory("list of bad images");
    const uint64_t batches = fv_sampler_batches(l->sampler);
    l->source.batches_per_epoch = batches;
    l->source.images_per_epoch =
        (batches - 1) * set.batch + fv_sampler_items(l->sampler, batches - 1);
    return FV_OK;
}

static int open_ring(struct fv_loader *l)
{
    const uint64_t per_epoch = l->source.batches_per_epoch;
    struct fv_ring_shape shape = {.slots = (uint32_t)l->set.slots,
                                  .items = (uint32_t)l->set.batch,
                                  .last_items = (uint32_t)l->set.batch};

    if (l->set.endless) { /* as far as an epoch's number has 32 bits */
        shape.end = per_epoch > FV_RING_TICKETS >> 32 ? FV_RING_TICKETS : per_epoch << 32;
    } else {
        const uint32_t last = fv_sampler_items(l->sampler, per_epoch - 1);
        shape.end = per_epoch;
        shape.last_items = last ? last : 1; /* an empty batch has somebody to finish it */
    }
    return fv_ring_open(&l->ring, &shape);
}

/* One allocation a slot: pixels, then the four columns. */
static int open_slots(struct fv_loader *l)
{
    const size_t n = (size_t)l->set.batch;
    const size_t pixels = round_up(n * (size_t)l->out_h * (size_t)l->out_w * 3);
    const size_t column = round_up(n * 4);

    l->slot_bytes = pixels + 4 * column;
    l->slot = calloc((size_t)l->set.slots, sizeof *l->slot);
    if (!l->slot)
        return no_memory("slots");
    for (int64_t i = 0; i < l->set.slots; i++) {
        struct fv_loader_slot *s = &l->slot[i];
        uint8_t *p = l->set.allocator->alloc(l->set.allocator->ctx, l->slot_bytes);
        s->memory = p;
        s->note = malloc(n * sizeof *s->note);
        if (!p || !s->note)
            return no_memory("batches: use fewer --slots or a smaller --batch");
        s->batch = (struct fv_batch){
            .capacity = (int)n,
            .height = l->out_h,
            .width = l->out_w,
            .pixels = p,
            .label = (int32_t *)(void *)(p + pixels),
            .label_mix = (int32_t *)(void *)(p + pixels + column),
            .lambda = (float *)(void *)(p + pixels + 2 * column),
            .image = (uint32_t *)(void *)(p + pixels + 3 * column),
        };
    }
    return FV_OK;
}

size_t fv_loader_memory(const struct fv_loader *l)
{
    return l ? (size_t)l->set.slots * l->slot_bytes + (size_t)l->workers * l->worker_bytes : 0;
}

/* One processor is kept free for the thread that takes the batches and launches the work on them. */
static void choose_threads(struct fv_loader *l)
{
    fv_cpu_limits(&l->cpu, "");
    const int spare = fv_cpu_available(&l->cpu) - 1;
    l->workers = l->set.threads ? (int)l->set.threads : spare > 1 ? spare : 1;
}

void fv_loader_say_threads(const struct fv_loader *l)
{
    const char *why = l->set.threads ? "as told"
                      : fv_cpu_available(&l->cpu) > 1
                          ? "one kept free for the thread that takes batches"
                          : "shared with the thread that takes batches";
    char available[100];

    fv_cpu_say_limits(&l->cpu, available, sizeof available);
    fv_say(l->set.report, FV_LEVEL_INFO, "loader threads: %d, %s (%s)", l->workers, why, available);
}

static int open_workers(struct fv_loader *l)
{
    const size_t source = round_up((size_t)l->src_h * (size_t)l->src_w * 3 + FV_DECODE_PAD);
    const size_t render = (l->exact ? fv_render_exact_scratch
                                    : fv_render_scratch)(l->src_h, l->src_w, l->out_h, l->out_w);
    const size_t image = (size_t)l->out_h * (size_t)l->out_w * 3;
    const size_t scratch = round_up(render > image ? render : image);

    choose_threads(l);
    l->worker_bytes = source + scratch;
    l->worker = aligned_alloc(FV_CACHE_LINE, (size_t)l->workers * sizeof *l->worker);
    l->scratch = aligned_alloc(FV_CACHE_LINE, source);
    if (!l->worker || !l->scratch)
        return no_memory("threads");
    memset(l->worker, 0, (size_t)l->workers * sizeof *l->worker);
    for (int i = 0; i < l->workers; i++) {
        struct fv_loader_worker *w = &l->worker[i];
        w->loader = l;
        w->number = i;
        w->source = aligned_alloc(FV_CACHE_LINE, l->worker_bytes);
        if (!w->source)
            return no_memory("threads");
        memset(w->source, 0, source);
        w->scratch = w->source + source;
        FV_TRY(fv_decoder_open(&w->decoder, l->store));
    }
    return fv_decoder_open(&l->decoder, l->store);
}

static int read_on_error(struct fv_loader *l)
{
    for (int i = 0; fv__on_error_names[i]; i++)
        if (strcmp(fv__on_error_names[i], l->set.on_error) == 0) {
            l->on_error = (enum fv_on_error)i;
            return FV_OK;
        }
    return fv_err(FV_EUSAGE, "a bad image cannot be dealt with by '%s': fail, replace, skip can",
                  l->set.on_error);
}

static int open_all(struct fv_loader *l)
{
    const struct fv_store_info *info = fv_store_info(l->store);

    l->src_h = info->height;
    l->src_w = info->width;
    l->out_h = l->set.size ? (int)l->set.size : l->src_h;
    l->out_w = l->set.size ? (int)l->set.size : l->src_w;
    l->exact = strcmp(l->set.mode, "exact") == 0;
    FV_TRY(read_on_error(l));
    if (!l->set.allocator)
        l->set.allocator = &ordinary_memory;
    l->source = (struct fv_batch_source){
        .ctx = l,
        .next = next_batch,
        .release = release_batch,
        .seek = seek_batch,
        .waited_ns = waited,
        .batch = (int)l->set.batch,
        .height = l->out_h,
        .width = l->out_w,
        .classes = (int)info->train_labels,
    };
    fv_dsp_init(&l->dsp);
    FV_TRY(fv_policy_parse(&l->policy, l->set.policy ? l->set.policy : ""));
    l->source.mixes = fv_policy_mixes(l->policy);
    FV_TRY(open_sampler(l));
    FV_TRY(open_ring(l));
    FV_TRY(open_slots(l));
    return open_workers(l);
}

int fv_loader_open(struct fv_loader **out, struct fv_store *store,
                   const struct fv_loader_settings *s)
{
    *out = NULL;
    if (s->batch < 1 || s->batch > 1 << 16 || s->threads < 0 || s->size < 0 || s->slots < 1 ||
        s->images_per_id < 1 || s->window < 1 || s->rank < 0 || s->world < 1)
        return fv_err(FV_EINVAL, "a loader of %" PRId64 " slots of %" PRId64 " images cannot be",
                      s->slots, s->batch);
    struct fv_loader *l = calloc(1, sizeof *l);
    if (!l)
        return no_memory("settings");
    l->set = *s;
    l->store = store;
    const int rc = open_all(l);
    if (rc < 0)
        fv_loader_close(&l);
    *out = l;
    return rc;
}

void fv_loader_close(struct fv_loader **loader)
{
    struct fv_loader *l = *loader;

    if (!l)
        return;
    if (l->ring)
        fv_ring_stop(l->ring);
    for (int i = 0; i < l->started; i++)
        pthread_join(l->worker[i].thread, NULL);
    for (int i = 0; l->worker && i < l->workers; i++) {
        fv_decoder_close(&l->worker[i].decoder);
        free(l->worker[i].source);
    }
    for (int64_t i = 0; l->slot && i < l->set.slots; i++) {
        if (l->slot[i].memory)
            l->set.allocator->free(l->set.allocator->ctx, l->slot[i].memory, l->slot_bytes);
        free(l->slot[i].note);
    }
    fv_decoder_close(&l->decoder);
    fv_ring_close(&l->ring);
    fv_sampler_close(&l->sampler);
    fv_policy_free(&l->policy);
    free(l->scratch);
    free(l->worker);
    free(l->slot);
    free(l->told);
    free(l);
    *loader = NULL;
}
