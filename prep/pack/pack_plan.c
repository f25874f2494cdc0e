/* SPDX-License-Identifier: MIT */
/* A share of the identities is a share of those that end up in the data set. Labels are handed out while
 * packing, training identities first, so whether an identity has any good photo must be known before:
 * one photo of each is decoded for that, its first good one. Without held-out identities nothing
 * depends on it and nothing is decoded twice.
 */
#include "prep/pack/pack_plan.h"

#include "common/err.h"
#include "prep/pack/ordered.h"
#include "prep/pack/split.h"
#include "prep/photo/photo.h"
#include "prep/photo/photo_bytes.h"

#include <ctype.h>
#include <stdlib.h>

/* Whether the rule decides about an identity: not when any of its photos is given a split, or it has a place. */
static int is_open(const struct fv_listing *listing, const struct fv_listed_identity *id)
{
    if (id->standing != FV_STANDING_NEW)
        return 0;
    for (size_t i = 0; i < id->count; i++)
        if (listing->photo[id->first + i].split != FV_SPLIT_BY_RULE)
            return 0;
    return id->count > 0;
}

/* A listing holds out all photos of an identity or none. */
static int is_given_to_holdout(const struct fv_listing *listing,
                               const struct fv_listed_identity *id)
{
    if (id->standing != FV_STANDING_NEW)
        return id->standing == FV_STANDING_HELD_OUT;
    return id->count > 0 && listing->photo[id->first].split == FV_SPLIT_HOLDOUT;
}

struct probe {
    const struct fv_listing *listing;
    const struct fv_framing *framing;
    uint8_t *alive; /* an identity; 0 too for those that are not open */
};

/* One thread's tools. */
struct probe_hand {
    struct fv_photo *photo;
    uint8_t *rgb;
    struct fv_photo_bytes bytes;
};

static int open_hand(void *ctx, void **hand)
{
    const struct probe *p = ctx;
    const size_t size = (size_t)p->framing->size;
    struct probe_hand *h = calloc(1, sizeof *h);
    if (!(*hand = h) || !(h->rgb = malloc(size * size * 3)))
        return fv_err(FV_ENOMEM, "out of memory for a photo");
    return fv__photo_open(&h->photo, p->framing);
}

static void close_hand(void *hand)
{
    struct probe_hand *h = hand;
    if (!h)
        return;
    fv__photo_close(&h->photo);
    fv__photo_bytes_free(&h->bytes);
    free(h->rgb);
    free(h);
}

static int has_good_photo(const struct probe *p, struct probe_hand *h,
                          const struct fv_listed_identity *id)
{
    struct fv_refusal why;
    for (size_t i = 0; i < id->count; i++) {
        if (fv_prep_stop)
            return fv_err(FV_EINTR, "interrupted");
        const struct fv_listed_photo *photo = &p->listing->photo[id->first + i];
        int rc = fv__photo_bytes_read(&h->bytes, p->listing, photo, &why);
        if (rc == 0)
            rc = fv__photo_decode(h->photo, h->bytes.p, h->bytes.n,
                                  fv__listing_face(p->listing, photo), h->rgb, &why);
        fv__photo_bytes_done(&h->bytes);
        if (rc <= 0)
            return rc < 0 ? rc : 1;
    }
    return 0;
}

static int probe_identity(void *ctx, void *hand, uint64_t identity, void *slot)
{
    const struct probe *p = ctx;
    const struct fv_listed_identity *id = &p->listing->identity[identity];
    int rc = is_open(p->listing, id) ? has_good_photo(p, hand, id) : 0;
    *(uint8_t *)slot = rc == 1;
    return rc < 0 ? rc : 0;
}

static int note_alive(void *ctx, uint64_t identity, void *slot)
{
    ((const struct probe *)ctx)->alive[identity] = *(uint8_t *)slot;
    return 0;
}

static int find_alive(const struct fv_listing *listing, const struct fv_framing *framing,
                      int threads, uint8_t *alive)
{
    struct probe p = {listing, framing, alive};
    return fv__ordered_run(&(struct fv_ordered){.jobs = listing->identities,
                                                .threads = threads,
                                                .ctx = &p,
                                                .open_hand = open_hand,
                                                .close_hand = close_hand,
                                                .work = probe_identity,
                                                .sink = note_alive,
                                                .slot_bytes = sizeof *alive});
}

/* So many of n new identities that all together have the share, or as near to it as that gets. */
static size_t count_held_out(const struct fv_listing *listing, double share, size_t n)
{
    const size_t all = fv__split_count(share, n + listing->known);
    const size_t missing = all > listing->known_held_out ? all - listing->known_held_out : 0;
    return missing < n ? missing : n;
}

/* Sets held[i] for the identities that the rule chooses. */
static int choose_held_out(const struct fv_listing *listing, const struct fv_pack_settings *s,
                           const struct fv_framing *framing, int threads, uint8_t *held)
{
    size_t n = listing->identities, alive_n = 0;
    const char **name = malloc(n * sizeof *name);
    uint8_t *alive = calloc(n, 1), *chosen = calloc(n, 1);
    int rc = name && alive && chosen ? 0 : fv_err(FV_ENOMEM, "out of memory for %zu identities", n);
    if (rc == 0)
        rc = find_alive(listing, framing, threads, alive);
    for (size_t i = 0; rc == 0 && i < n; i++)
        if (alive[i])
            name[alive_n++] = listing->identity[i].name;
    if (rc == 0)
        rc = fv__split_choose((uint64_t)s->seed, FV_SPLIT_IDENTITIES, name, alive_n,
                              count_held_out(listing, s->holdout_ids, alive_n), chosen);
    for (size_t i = 0, k = 0; rc == 0 && i < n; i++)
        if (alive[i])
            held[i] = chosen[k++];
    free(name);
    free(alive);
    free(chosen);
    return rc;
}

static void append(const struct fv_listed_photo **photo, size_t *photos,
                   const struct fv_listing *listing, const struct fv_listed_identity *id)
{
    for (size_t i = 0; i < id->count; i++)
        photo[(*photos)++] = &listing->photo[id->first + i];
}

int fv__shard_parse(struct fv_shard *out, const char *text)
{
    enum { MOST = 1000000 };
    char *end;
    *out = (struct fv_shard){0, 1};
    if (!text)
        return 0;
    const unsigned long at = isdigit((unsigned char)*text) ? strtoul(text, &end, 10) : 0;
    const unsigned long of =
        at && *end == '/' && isdigit((unsigned char)end[1]) ? strtoul(end + 1, &end, 10) : 0;
    if (at < 1 || at > of || of > MOST || *end)
        return fv_err(FV_EUSAGE, "--shard: '%s' is no part of a whole: the second of three is 2/3",
                      text);
    *out = (struct fv_shard){(unsigned)at - 1, (unsigned)of};
    return 0;
}

int fv__plan_hold_out(const struct fv_listing *listing, const struct fv_pack_settings *s,
                      const struct fv_framing *framing, int threads, uint8_t *held)
{
    for (size_t i = 0; i < listing->identities; i++)
        held[i] = (uint8_t)is_given_to_holdout(listing, &listing->identity[i]);
    return s->holdout_ids > 0 ? choose_held_out(listing, s, framing, threads, held) : 0;
}

static void lay_out(struct fv_pack_plan *p, const struct fv_listing *listing,
                    const struct fv_shard *shard, const uint8_t *held)
{
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < listing->identities; i++) {
            const struct fv_listed_identity *id = &listing->identity[i];
            if (!held[i] != !pass)
                continue;
            if (shard->of > 1)
                append(p->whole, &p->whole_photos, listing, id);
            if (i % shard->of != shard->at)
                continue;
            p->identity[p->identities++] = id;
            append(p->photo, &p->photos, listing, id);
        }
        if (pass == 0)
            p->training = p->identities;
    }
    if (shard->of == 1)
        p->whole_photos = p->photos;
}

int fv__plan_make(struct fv_pack_plan *out, const struct fv_listing *listing,
                  const struct fv_shard *shard, const uint8_t *held)
{
    const size_t n = listing->identities, photos = listing->photos * (shard->of > 1 ? 2 : 1);
    *out = (struct fv_pack_plan){0};
    out->memory = calloc(1, n * sizeof *out->identity + photos * sizeof *out->photo);
    if (!out->memory)
        return fv_err(FV_ENOMEM, "out of memory for %zu files", photos);
    out->identity = out->memory;
    out->photo = (const struct fv_listed_photo **)(out->identity + n);
    out->whole = shard->of > 1 ? out->photo + listing->photos : out->photo;
    lay_out(out, listing, shard, held);
    return 0;
}

void fv__plan_free(struct fv_pack_plan *p)
{
    free(p->memory);
    *p = (struct fv_pack_plan){0};
}
