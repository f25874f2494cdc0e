/* SPDX-License-Identifier: MIT */
/* A worker: takes an item of the ring, finds out which image is due, decodes, renders, and finishes the batch whose
 * last item it made. */
#include "augment/footprint.h"
#include "augment/loader_impl.h"
#include "common/clock.h"
#include "common/err.h"
#include "common/trace.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

static void count(struct fv_loader_worker *w, enum fv_loader_counter which, uint64_t ns)
{
    /* Relaxed: a single writer, and readers want no more than a recent figure. */
    atomic_store_explicit(&w->counter[which],
                          atomic_load_explicit(&w->counter[which], memory_order_relaxed) + ns,
                          memory_order_relaxed);
}

int fv__loader_read(struct fv_loader_worker *w, uint32_t image)
{
    return fv_decoder_read_region(w->decoder, image, &w->want, w->source, &w->got);
}

/* The image that is due, or what stands in for it: batch->image says which, FV_NO_IMAGE that none does. */
static int decode(struct fv_loader *l, struct fv_loader_worker *w, const struct fv_ring_claim *c,
                  uint32_t due)
{
    const uint64_t span = fv_trace_begin("decode"), begin = fv_now_ns();
    struct fv_loader_slot *s = &l->slot[c->slot];
    struct fv_store_image about = {0};
    uint32_t image = due;

    int rc = fv__loader_read(w, due);
    const int bad = rc < 0 && l->on_error != FV_ON_ERROR_FAIL;
    if (bad)
        rc = fv__loader_stand_in(l, w, c, due, &image);
    s->note[c->item] = (struct fv_loader_note){bad ? due : FV_NO_IMAGE, image};
    if (rc == FV_OK && image != FV_NO_IMAGE)
        rc = fv_store_image(l->store, image, &about);
    s->batch.image[c->item] = image;
    s->batch.label[c->item] = s->batch.label_mix[c->item] = (int32_t)about.label;
    s->batch.lambda[c->item] = 1;
    count(w, FV_DECODE_NS, fv_now_ns() - begin);
    fv_trace_end("decode", span);
    return rc;
}

static void read_ahead(const struct fv_loader *l, const struct fv_ring_claim *c)
{
    uint32_t first, last;

    for (uint32_t n = 0; fv_sampler_ahead(l->sampler, c->ticket, c->item, n, &first, &last); n++)
        fv_store_will_need(l->store, first, last);
}

static int make_item(struct fv_loader *l, struct fv_loader_worker *w, const struct fv_ring_claim *c)
{
    struct fv_loader_slot *s = &l->slot[c->slot];
    const struct fv_draw due = fv_sampler_draw(l->sampler, c->ticket, c->item);
    const uint32_t epoch = (uint32_t)(c->ticket / l->source.batches_per_epoch);
    const size_t bytes = (size_t)l->out_h * (size_t)l->out_w * 3;
    struct fv_render_times times = {0};
    struct fv_plan plan;

    if (c->item >= fv_sampler_items(l->sampler, c->ticket))
        return FV_OK;
    read_ahead(l, c);
    fv_policy_plan(l->policy, (uint64_t)l->set.seed, epoch, due.sample, l->src_h, l->src_w,
                   l->out_h, l->out_w, &plan);
    w->want = (struct fv_region){.w = l->src_w, .h = l->src_h};
    if (!l->exact)
        fv__footprint(&plan, l->src_h, l->src_w, l->out_h, l->out_w, &w->want);
    FV_TRY(decode(l, w, c, due.image));
    if (s->batch.image[c->item] == FV_NO_IMAGE)
        return FV_OK;
    const uint64_t span = fv_trace_begin("render");
    uint8_t *pixels = s->batch.pixels + c->item * bytes;
    if (l->exact) {
        fv_render_exact(&plan, w->source, l->src_h, l->src_w, pixels, l->out_h, l->out_w,
                        w->scratch, &times);
    } else {
        fv__footprint_apply(&plan, &w->got);
        fv_render(&l->dsp, &plan, w->source, w->got.h, w->got.w, pixels, l->out_h, l->out_w,
                  w->scratch, &times);
    }
    count(w, FV_WARP_NS, times.warp_ns);
    count(w, FV_COLOUR_NS, times.colour_ns);
    count(w, FV_ERASE_NS, times.erase_ns);
    fv_trace_end("render", span);
    return FV_OK;
}

/* What concerns the batch as a whole, once its items are there. */
static void finish_batch(struct fv_loader *l, struct fv_loader_worker *w,
                         const struct fv_ring_claim *c)
{
    struct fv_batch *b = &l->slot[c->slot].batch;
    const size_t bytes = (size_t)l->out_h * (size_t)l->out_w * 3;
    const uint64_t span = fv_trace_begin("mix"), begin = fv_now_ns();
    struct fv_mix mix;

    b->ticket = c->ticket;
    b->epoch = (uint32_t)(c->ticket / l->source.batches_per_epoch);
    b->step = (uint32_t)(c->ticket % l->source.batches_per_epoch);
    b->n = (int)fv_sampler_items(l->sampler, c->ticket);
    fv__loader_close_gaps(b);
    memset(b->pixels + (size_t)b->n * bytes, 0, (size_t)(b->capacity - b->n) * bytes);
    for (int i = b->n; i < b->capacity; i++) {
        b->label[i] = b->label_mix[i] = -1;
        b->lambda[i] = 1;
        b->image[i] = FV_NO_IMAGE;
    }
    fv_policy_plan_batch(l->policy, (uint64_t)l->set.seed, b->epoch, b->step, b->n, b->height,
                         b->width, &mix);
    fv_mix_apply(&l->dsp, &mix, b, w->scratch);
    count(w, FV_MIX_NS, fv_now_ns() - begin);
    fv_trace_end("mix", span);
}

static void *work(void *arg)
{
    struct fv_loader_worker *w = arg;
    struct fv_loader *l = w->loader;
    struct fv_ring_claim c;
    char name[32];

    snprintf(name, sizeof name, "loader %d", w->number);
    pthread_setname_np(pthread_self(), name);
    fv_trace_thread(name);
    while (fv_ring_claim(l->ring, &c)) {
        count(w, FV_WAIT_NS, c.waited_ns);
        if (fv_ring_complete(l->ring, &c, make_item(l, w, &c))) {
            finish_batch(l, w, &c);
            fv_ring_publish(l->ring, &c);
        }
    }
    return NULL;
}

/* Signals are for the program's own thread. */
int fv__loader_start(struct fv_loader *l)
{
    sigset_t all, before;
    int rc = FV_OK;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    while (rc == FV_OK && l->started < l->workers) {
        struct fv_loader_worker *w = &l->worker[l->started];
        rc = fv_ring_attach(l->ring);
        if (rc == FV_OK && pthread_create(&w->thread, NULL, work, w) != 0)
            rc = fv_err(FV_EIO, "cannot start loader thread %d of %d: use fewer --loader-threads",
                        l->started + 1, l->workers);
        if (rc == FV_OK)
            l->started++;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc < 0)
        fv_ring_stop(l->ring); /* the one that was announced and did not come would be waited for */
    return rc;
}
