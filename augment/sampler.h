/* SPDX-License-Identifier: MIT */
/* Which image is item i of batch t, as a function: of the data set, the settings and (t, i), and of nothing else.
 * There is no state to carry, so any thread may ask, a run resumes at any batch at once, and no rank has to know of
 * another.
 *
 * Of n images of the chosen splits an epoch has floor(n / (world * batch)) batches; a single pass has one more
 * where something is left. The orders:
 *
 *   shuffle     a permutation of all images, another one in each epoch
 *   sequential  by image id
 *   balanced    every identity equally often, however many images it has. Identities come in rounds: each once a
 *               round, in an order of the round's own. An identity's images are taken in turn, shuffled anew when all
 *               were. Rounds run on across the borders of epochs, so at any time of the whole run two identities, and
 *               two images of one, differ by one at most
 *   pk          batch / images_per_id identities, all different (in the batches of all ranks together), times
 *               images_per_id images, side by side. Rounds as above, but of whole batches: each leaves out as many
 *               identities as do not fill one, others every time. The images of an identity are different ones, as far
 *               as it has so many, and repeat where it has fewer
 *   blocks      for data larger than memory. Blocks of FV_SAMPLER_BLOCK images that lie together are permuted, and
 *               images shuffled within windows of about `window` images, so that only two windows are in use at a
 *               time: the one being read and the one being read ahead
 *
 * Ranks: position t * world * batch of an epoch begins the batch t of all ranks together; rank r has the r-th part of
 * it, so the batches of all ranks, one after the other, are the batch of a single rank of world * batch. All ranks
 * have equally many batches. The last one of a single pass is divided evenly; where fewer images than ranks are left,
 * some get none of it.
 */
#ifndef FV_AUGMENT_SAMPLER_H
#define FV_AUGMENT_SAMPLER_H

#include "store/store.h"

#include <stdint.h>

struct fv_sampler; /* immutable: shared by all threads */

enum { FV_SAMPLER_BLOCK = 64 };

extern const char *const fv_sampler_orders[]; /* their names, NULL-terminated */

struct fv_sampler_settings {
    const char *order;
    uint64_t seed;
    unsigned splits; /* bit set of 1 << enum fv_split */
    int endless;     /* 0: a single pass, in which no image comes twice */
    uint32_t batch, rank, world;
    uint32_t images_per_id; /* of pk */
    uint32_t window;        /* of blocks */
};

/* Reads the index of the store once. FV_ENOTFOUND when the splits are empty, FV_EINVAL when the order is impossible
 * with these settings. Uses the store no more after that. */
int fv_sampler_open(struct fv_sampler **out, const struct fv_store *store,
                    const struct fv_sampler_settings *settings);
void fv_sampler_close(struct fv_sampler **sampler); /* accepts NULL */

uint64_t fv_sampler_images(const struct fv_sampler *s);  /* in the splits */
uint64_t fv_sampler_batches(const struct fv_sampler *s); /* an epoch */
/* Items of this rank in a batch: `batch`, but for the end of a single pass. */
uint32_t fv_sampler_items(const struct fv_sampler *s, uint64_t ticket);

struct fv_draw {
    uint32_t image;
    /* What decisions about this draw are keyed by, beside the epoch. The image id; where an order brings an image
     * more than once, the upper half says which time it is, so that it looks different. */
    uint64_t sample;
};
struct fv_draw fv_sampler_draw(const struct fv_sampler *s, uint64_t ticket, uint32_t item);

/* Read-ahead. Whoever makes an item asks for what this gives, n = 0, 1, ... while it is 1: images first .. last by
 * id (those of other splits between them included) will be due about a window later. Only the order blocks has any. */
int fv_sampler_ahead(const struct fv_sampler *s, uint64_t ticket, uint32_t item, uint32_t n,
                     uint32_t *first, uint32_t *last);

/* Identities are what the order draws: a stand-in for an image is to be of the same one. */
int fv_sampler_by_identity(const struct fv_sampler *s);
/* Stand-ins for an image that cannot be read; n = 0, 1, ... 0 when there are no more. */
/* Others of its identity in the splits, the next by id first. */
int fv_sampler_sibling(const struct fv_sampler *s, uint32_t image, uint32_t n, uint32_t *other);
/* Any of the splits, drawn for this place in the epoch. */
int fv_sampler_other(const struct fv_sampler *s, uint64_t ticket, uint32_t item, uint32_t n,
                     uint32_t *other);

#endif
