/* SPDX-License-Identifier: MIT */
/* What becomes of an image that cannot be read (--on-error). It is a matter of the image's place in the order, so no
 * thread or ring changes it:
 *
 *   fail     its error ends the run, at its batch
 *   replace  the next readable image of its identity, by id, stands in; where there is none, as skip
 *   skip     any image of the splits stands in, drawn for the place in the epoch. An order that draws identities keeps
 *            the identity: as replace
 *
 * A single pass has no image twice, so nothing may be drawn there: skip leaves the image out, and the batch is shorter;
 * replace fails where the identity has no other.
 *
 * A batch's label is that of the image that is there; the decisions stay those of the image that was due. Workers note
 * in the slot what they met, and the consumer tells of it when it reaches that batch, so even the messages come in a
 * fixed order: each file once. Too many of them are a broken disk rather than broken images: that ends the run. */
#include "augment/loader_impl.h"
#include "common/err.h"

#include <inttypes.h>
#include <string.h>

enum { TOLERATED = 100, TOLERATED_PERCENT = 10 };

const char *const fv__on_error_names[] = {"fail", "replace", "skip", NULL};

/* --- workers ----------------------------------------------------------------------------------- */

int fv__loader_stand_in(const struct fv_loader *l, struct fv_loader_worker *w,
                        const struct fv_ring_claim *c, uint32_t bad, uint32_t *image)
{
    const int alike = l->on_error == FV_ON_ERROR_REPLACE || fv_sampler_by_identity(l->sampler);
    struct fv_store_image about = {0};

    *image = FV_NO_IMAGE;
    if (l->on_error == FV_ON_ERROR_SKIP && !l->set.endless)
        return FV_OK;
    for (uint32_t n = 0; alike && fv_sampler_sibling(l->sampler, bad, n, image); n++)
        if (fv__loader_read(w, *image) == FV_OK)
            return FV_OK;
    for (uint32_t n = 0;
         l->set.endless && fv_sampler_other(l->sampler, c->ticket, c->item, n, image); n++)
        if (fv__loader_read(w, *image) == FV_OK)
            return FV_OK;
    FV_TRY(fv_store_image(l->store, bad, &about));
    return fv_err(
        FV_ECORRUPT,
        "%s: neither %s nor any image that may stand in for it can be read: pack the data "
        "set again",
        fv_store_path(l->store), about.name);
}

void fv__loader_close_gaps(struct fv_batch *b)
{
    const size_t bytes = (size_t)b->height * (size_t)b->width * 3;
    int n = 0;

    for (int i = 0; i < b->n; i++) {
        if (b->image[i] == FV_NO_IMAGE)
            continue;
        if (n < i) {
            memcpy(b->pixels + (size_t)n * bytes, b->pixels + (size_t)i * bytes, bytes);
            b->label[n] = b->label[i];
            b->image[n] = b->image[i];
        }
        n++;
    }
    b->n = n;
}

/* --- the consumer ------------------------------------------------------------------------------ */

static int is_new(struct fv_loader *l, uint32_t image)
{
    uint8_t *byte = &l->told[image / 8];
    const uint8_t bit = (uint8_t)(1u << image % 8);
    const int fresh = !(*byte & bit);

    *byte |= bit;
    return fresh;
}

/* The reason is found by reading the image again: only now, and only once. */
static void tell(struct fv_loader *l, const struct fv_loader_note *note)
{
    struct fv_store_image other;

    if (fv_decoder_read(l->decoder, note->due, l->scratch) == FV_OK)
        return;
    if (note->image == FV_NO_IMAGE)
        fv_say(l->set.report, FV_LEVEL_WARN, "%s; it is left out", fv_err_text());
    else if (fv_store_image(l->store, note->image, &other) == FV_OK)
        fv_say(l->set.report, FV_LEVEL_WARN, "%s; %s stands in for it", fv_err_text(), other.name);
}

static void add(_Atomic uint64_t *to, uint64_t n)
{
    atomic_fetch_add_explicit(to, n, memory_order_relaxed); /* a statistic: orders nothing */
}

void fv__loader_tell_bad(struct fv_loader *l, const struct fv_loader_slot *s)
{
    const uint32_t items = fv_sampler_items(l->sampler, s->batch.ticket);

    for (uint32_t i = 0; i < items; i++) {
        const struct fv_loader_note *note = &s->note[i];
        if (note->due == FV_NO_IMAGE)
            continue;
        add(note->image == FV_NO_IMAGE ? &l->left_out : &l->replaced, 1);
        if (!is_new(l, note->due))
            continue;
        add(&l->bad, 1);
        tell(l, note);
    }
}

int fv__loader_bear_bad(const struct fv_loader *l)
{
    const uint64_t bad = atomic_load_explicit(&l->bad, memory_order_relaxed);
    const uint64_t all = fv_sampler_images(l->sampler);
    if (bad > TOLERATED && bad * 100 > all * TOLERATED_PERCENT)
        return fv_err(FV_ECORRUPT,
                      "%s: %" PRIu64 " of %" PRIu64
                      " images could not be read, more than %d %%: check the disk, then the file "
                      "with fvprep verify",
                      fv_store_path(l->store), bad, all, TOLERATED_PERCENT);
    return FV_OK;
}

void fv_loader_say_bad(const struct fv_loader *l)
{
    struct fv_loader_stats s;

    if (!l)
        return;
    fv_loader_stats(l, &s);
    if (s.left_out)
        fv_say(l->set.report, FV_LEVEL_WARN,
               "%s: %" PRIu64 " bad images, left out %" PRIu64 " times", fv_store_path(l->store),
               s.bad, s.left_out);
    else if (s.bad)
        fv_say(l->set.report, FV_LEVEL_WARN,
               "%s: %" PRIu64 " bad images, for which others stood in %" PRIu64 " times",
               fv_store_path(l->store), s.bad, s.replaced);
}
