/* SPDX-License-Identifier: MIT */
#include "augment/sampler.h"
#include "common/err.h"
#include "common/rng.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* How far ahead of its window a block is asked for, so that the disk has time to bring it. */
enum { LEAD_BLOCKS = 8 };

struct identity {
    uint32_t first, count; /* of its images in `ids` */
};

/* Position `at` of an epoch that has all ranks' batches one after the other. */
typedef struct fv_draw draw_fn(const struct fv_sampler *s, uint32_t epoch, uint64_t at);

struct order {
    draw_fn *draw;
    int by_identity; /* identities are what is drawn: images may come more than once an epoch */
};

struct fv_sampler {
    struct fv_sampler_settings set;
    const struct order *order;
    uint32_t *ids; /* (n) images of the splits, in their order */
    struct identity *identity;
    uint32_t n, identities;
    uint64_t global;  /* images in a batch of all ranks together */
    uint64_t batches; /* an epoch */
    uint64_t total;   /* positions an epoch */
    uint64_t windows; /* of blocks */
};

/* --- orders ------------------------------------------------------------------------------------ */

static struct fv_draw draw_of(const struct fv_sampler *s, uint64_t at, uint64_t times)
{
    const uint32_t image = s->ids[at];
    return (struct fv_draw){image, (times & UINT32_MAX) << 32 | image};
}

static struct fv_draw draw_shuffle(const struct fv_sampler *s, uint32_t epoch, uint64_t at)
{
    return draw_of(s, fv_rng_permute(s->set.seed, epoch, s->n, at), 0);
}

static struct fv_draw draw_sequential(const struct fv_sampler *s, uint32_t epoch, uint64_t at)
{
    (void)epoch;
    return draw_of(s, at, 0);
}

/* The i-th of n in a permutation named by (op, a, b). */
static uint64_t permuted(const struct fv_sampler *s, enum fv_rng_op op, uint32_t a, uint64_t b,
                         uint64_t n, uint64_t i)
{
    struct fv_rng r = fv_rng_at(s->set.seed, a, b, op);
    return n > 1 ? fv_rng_permute(fv_rng_u64(&r), 0, n, i) : 0;
}

static uint32_t identity_of_round(const struct fv_sampler *s, uint64_t round, uint64_t i)
{
    return (uint32_t)permuted(s, FV_RNG_IDENTITIES, 0, round, s->identities, i);
}

static struct fv_draw draw_balanced(const struct fv_sampler *s, uint32_t epoch, uint64_t at)
{
    const uint64_t place = epoch * s->total + at, round = place / s->identities;
    const uint32_t id = identity_of_round(s, round, place % s->identities);
    const struct identity *who = &s->identity[id];
    const uint64_t turn = round / who->count;

    return draw_of(
        s,
        who->first + permuted(s, FV_RNG_IDENTITY_IMAGES, id, turn, who->count, round % who->count),
        turn);
}

/* Image k of the images_per_id that an identity shows in a round. Where it has so many, a turn is as many whole groups
 * of different images as it has; where it has fewer, a group is a turn of all, repeated. */
static struct fv_draw draw_of_group(const struct fv_sampler *s, uint32_t id, uint64_t round,
                                    uint64_t k)
{
    const struct identity *who = &s->identity[id];
    const uint64_t size = s->set.images_per_id, groups = who->count / size;
    const uint64_t turn = groups ? round / groups : round;
    const uint64_t i = groups ? round % groups * size + k : k % who->count;

    return draw_of(s, who->first + permuted(s, FV_RNG_IDENTITY_IMAGES, id, turn, who->count, i),
                   groups ? turn : round * size + k);
}

static struct fv_draw draw_pk(const struct fv_sampler *s, uint32_t epoch, uint64_t at)
{
    const uint64_t batch = epoch * s->batches + at / s->global, item = at % s->global;
    const uint64_t per_batch = s->global / s->set.images_per_id;
    const uint64_t batches = s->identities / per_batch, round = batch / batches;
    const uint64_t i = batch % batches * per_batch + item / s->set.images_per_id;

    return draw_of_group(s, identity_of_round(s, round, i), round, item % s->set.images_per_id);
}

/* Of the order blocks: n is cut into blocks in id order, one of them, another one each epoch, shorter than the others
 * where n does not divide; the short one comes last. */
struct blocks {
    uint64_t key, full, short_at; /* (the short one comes before the full block short_at) */
};

static struct blocks blocks_of(const struct fv_sampler *s, uint32_t epoch)
{
    struct fv_rng r = fv_rng_at(s->set.seed, epoch, 0, FV_RNG_BLOCKS);
    const uint32_t full = s->n / FV_SAMPLER_BLOCK;
    const uint64_t key = fv_rng_u64(&r);

    return (struct blocks){key, full, fv_rng_below(&r, full + 1)};
}

/* Where in `ids` the block lies that comes k-th. */
static uint64_t block_begin(const struct fv_sampler *s, const struct blocks *b, uint64_t k)
{
    if (k == b->full)
        return b->short_at * FV_SAMPLER_BLOCK;
    const uint64_t i = fv_rng_permute(b->key, 0, b->full, k);
    return i * FV_SAMPLER_BLOCK + (i >= b->short_at ? s->n % FV_SAMPLER_BLOCK : 0);
}

static struct fv_draw draw_blocks(const struct fv_sampler *s, uint32_t epoch, uint64_t at)
{
    const uint64_t w = ((at + 1) * s->windows - 1) / s->n;
    const uint64_t begin = s->n * w / s->windows, end = s->n * (w + 1) / s->windows;
    const uint64_t place = begin + permuted(s, FV_RNG_WINDOWS, epoch, w, end - begin, at - begin);
    const struct blocks b = blocks_of(s, epoch);

    return draw_of(s, block_begin(s, &b, place / FV_SAMPLER_BLOCK) + place % FV_SAMPLER_BLOCK, 0);
}

const char *const fv_sampler_orders[] = {"shuffle", "sequential", "balanced", "pk", "blocks", NULL};
static const struct order orders[] = {
    {draw_shuffle, 0}, {draw_sequential, 0}, {draw_balanced, 1}, {draw_pk, 1}, {draw_blocks, 0},
};

/* --- batches ----------------------------------------------------------------------------------- */

uint64_t fv_sampler_images(const struct fv_sampler *s)
{
    return s->n;
}

uint64_t fv_sampler_batches(const struct fv_sampler *s)
{
    return s->batches;
}

/* Positions in the epoch: this rank's part of what a batch of all ranks has. */
static void find_share(const struct fv_sampler *s, uint64_t ticket, uint64_t *begin, uint64_t *end)
{
    const uint64_t first = ticket % s->batches * s->global, left = s->total - first;
    const uint64_t n = left < s->global ? left : s->global;

    *begin = first + n * s->set.rank / s->set.world;
    *end = first + n * (s->set.rank + UINT64_C(1)) / s->set.world;
}

uint32_t fv_sampler_items(const struct fv_sampler *s, uint64_t ticket)
{
    uint64_t begin, end;

    find_share(s, ticket, &begin, &end);
    return (uint32_t)(end - begin);
}

struct fv_draw fv_sampler_draw(const struct fv_sampler *s, uint64_t ticket, uint32_t item)
{
    uint64_t begin, end;

    find_share(s, ticket, &begin, &end);
    return s->order->draw(s, (uint32_t)(ticket / s->batches), begin + item);
}

/* --- read-ahead -------------------------------------------------------------------------------- */

static uint64_t blocks_before(uint64_t place)
{
    return (place + FV_SAMPLER_BLOCK - 1) / FV_SAMPLER_BLOCK;
}

/* The order on disk, x images of it an epoch, goes ahead of the batches by a window and a little: an item asks for the
 * blocks that begin where it is in its epoch, so much further on. World neighbours in a batch count as one item, so
 * every rank asks for all. */
int fv_sampler_ahead(const struct fv_sampler *s, uint64_t ticket, uint32_t item, uint32_t n,
                     uint32_t *first, uint32_t *last)
{
    if (s->windows < 2)
        return 0;
    const uint64_t lead = blocks_before(s->n / s->windows) + 1 + LEAD_BLOCKS;
    const uint64_t at = ticket % s->batches * s->global + (uint64_t)item * s->set.world;
    const uint64_t next = at + s->set.world < s->total ? at + s->set.world : s->total;
    const uint64_t all = blocks_before(s->n);
    uint64_t k = blocks_before(at * s->n / s->total) + n;
    uint64_t epoch = ticket / s->batches;

    if (k >= blocks_before(next * s->n / s->total))
        return 0;
    k += lead < all ? lead : all;
    if (k >= all && !s->set.endless)
        return 0;
    epoch += k / all;
    const struct blocks b = blocks_of(s, (uint32_t)epoch);
    const uint64_t begin = block_begin(s, &b, k % all);
    const uint64_t size = k % all == b.full ? s->n % FV_SAMPLER_BLOCK : FV_SAMPLER_BLOCK;
    *first = s->ids[begin];
    *last = s->ids[begin + size - 1];
    return 1;
}

/* --- stand-ins --------------------------------------------------------------------------------- */

int fv_sampler_by_identity(const struct fv_sampler *s)
{
    return s->order->by_identity;
}

static uint32_t place_of(const struct fv_sampler *s, uint32_t image)
{
    uint32_t low = 0, high = s->n - 1;

    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        if (s->ids[middle] < image)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static const struct identity *identity_at(const struct fv_sampler *s, uint32_t place)
{
    uint32_t low = 0, high = s->identities - 1;

    while (low < high) {
        const uint32_t middle = low + (high - low + 1) / 2;
        if (s->identity[middle].first > place)
            high = middle - 1;
        else
            low = middle;
    }
    return &s->identity[low];
}

int fv_sampler_sibling(const struct fv_sampler *s, uint32_t image, uint32_t n, uint32_t *other)
{
    const uint32_t place = place_of(s, image);
    const struct identity *who = identity_at(s, place);

    if (n + UINT64_C(1) >= who->count)
        return 0;
    *other = s->ids[who->first + (place - who->first + n + UINT64_C(1)) % who->count];
    return 1;
}

int fv_sampler_other(const struct fv_sampler *s, uint64_t ticket, uint32_t item, uint32_t n,
                     uint32_t *other)
{
    enum { TRIES = 64 };
    uint64_t begin, end;

    if (n >= TRIES)
        return 0;
    find_share(s, ticket, &begin, &end);
    struct fv_rng r = fv_rng_at(s->set.seed, (uint32_t)(ticket / s->batches),
                                (begin + item) * TRIES + n, FV_RNG_STAND_IN);
    *other = s->ids[fv_rng_below(&r, s->n)];
    return 1;
}

/* --- open and close ---------------------------------------------------------------------------- */

/* Images are ordered by label, so each identity's lie together. */
static int list_images(struct fv_sampler *s, const struct fv_store *store)
{
    const struct fv_store_info *info = fv_store_info(store);
    uint32_t label = UINT32_MAX;

    s->ids = malloc((info->images + 1) * sizeof *s->ids);
    s->identity = malloc((info->labels + 1) * sizeof *s->identity);
    if (!s->ids || !s->identity)
        return fv_err(FV_ENOMEM, "out of memory for the list of %" PRIu64 " images", info->images);
    for (uint64_t i = 0; i < info->images; i++) {
        struct fv_store_image image;
        FV_TRY(fv_store_image(store, i, &image));
        if (!(s->set.splits >> image.split & 1))
            continue;
        if (image.label != label)
            s->identity[s->identities++] = (struct identity){s->n, 0};
        label = image.label;
        s->identity[s->identities - 1].count++;
        s->ids[s->n++] = (uint32_t)i;
    }
    if (s->n == 0)
        return fv_err(FV_ENOTFOUND, "%s: has no image of the kind asked for", fv_store_path(store));
    return FV_OK;
}

static int check_pk(const struct fv_sampler *s, const char *path)
{
    const uint64_t k = s->set.images_per_id;

    if (k < 1 || s->set.batch % k)
        return fv_err(FV_EINVAL,
                      "a batch of %" PRIu32 " is no number of identities of %" PRIu64
                      " images each: make --batch a multiple of --images-per-id",
                      s->set.batch, k);
    if (s->identities < s->global / k)
        return fv_err(FV_EINVAL,
                      "%s: has %" PRIu32 " identities, a batch asks for %" PRIu64
                      ": use a smaller --batch or more --images-per-id",
                      path, s->identities, s->global / k);
    return FV_OK;
}

static int plan_epoch(struct fv_sampler *s, const char *path)
{
    const struct fv_sampler_settings *set = &s->set;

    if (set->batch < 1 || set->world < 1 || set->rank >= set->world)
        return fv_err(FV_EINVAL, "there is no rank %" PRIu32 " of %" PRIu32 ": ranks count from 0",
                      set->rank, set->world);
    s->global = (uint64_t)set->batch * set->world;
    if (set->endless && s->n < s->global)
        return fv_err(FV_EINVAL,
                      "%s: has %" PRIu32 " images, fewer than a batch%s: use --batch %" PRIu32,
                      path, s->n, set->world > 1 ? " of all ranks" : "",
                      s->n / set->world ? s->n / set->world : 1);
    if (!set->endless && s->order->by_identity)
        return fv_err(FV_EINVAL, "the order %s repeats images: it is not for a single pass",
                      set->order);
    s->batches = s->n / s->global + (!set->endless && s->n % s->global);
    s->total = set->endless ? s->batches * s->global : s->n;
    if (s->order->draw == draw_pk)
        FV_TRY(check_pk(s, path));
    if (s->order->draw == draw_blocks) {
        const uint32_t window = set->window < FV_SAMPLER_BLOCK ? FV_SAMPLER_BLOCK : set->window;
        s->windows = (s->n + UINT64_C(0) + window / 2) / window;
        s->windows += s->windows == 0;
    }
    return FV_OK;
}

static const struct order *find_order(const char *name)
{
    for (int i = 0; fv_sampler_orders[i]; i++)
        if (strcmp(fv_sampler_orders[i], name) == 0)
            return &orders[i];
    return NULL;
}

int fv_sampler_open(struct fv_sampler **out, const struct fv_store *store,
                    const struct fv_sampler_settings *settings)
{
    const struct order *order = find_order(settings->order);

    *out = NULL;
    if (!order)
        return fv_err(FV_EUSAGE, "there is no order of images named '%s'", settings->order);
    struct fv_sampler *s = calloc(1, sizeof *s);
    if (!s)
        return fv_err(FV_ENOMEM, "out of memory");
    s->set = *settings;
    s->order = order;
    int rc = list_images(s, store);
    if (rc == FV_OK)
        rc = plan_epoch(s, fv_store_path(store));
    if (rc < 0)
        fv_sampler_close(&s);
    *out = s;
    return rc;
}

void fv_sampler_close(struct fv_sampler **sampler)
{
    if (!*sampler)
        return;
    free((*sampler)->ids);
    free((*sampler)->identity);
    free(*sampler);
    *sampler = NULL;
}
