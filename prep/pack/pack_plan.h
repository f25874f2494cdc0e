/* SPDX-License-Identifier: MIT */
/* In which order photos are packed, and which identities are held out: as the listing says of each, or by
 * the seeded rule among those of which it says nothing. */
#ifndef FV_PREP_PACK_PLAN_H
#define FV_PREP_PACK_PLAN_H

#include "prep/import/listing.h"
#include "prep/photo/framing.h"
#include "prep/prep.h"

struct fv_pack_plan {
    /* in packing order: training ones by name, then held-out ones */
    const struct fv_listed_identity **identity;
    size_t identities, training;          /* how many; how many of them are training ones */
    const struct fv_listed_photo **photo; /* all photos, identity by identity */
    size_t photos;
    const struct fv_listed_photo **whole; /* the same of all shards */
    size_t whole_photos;
    void *memory;
};

/* A part of the work, "2/3": the identities whose places among all, counted from 0, are 1 modulo 3. */
struct fv_shard {
    unsigned at, of; /* at < of */
};
/* NULL is "1/1". FV_EUSAGE. */
int fv__shard_parse(struct fv_shard *out, const char *text);

/* Who is held out, of all shards: a byte for each identity of the listing, in its order. Whether a photo is good is
 * asked under `framing`. */
int fv__plan_hold_out(const struct fv_listing *listing, const struct fv_pack_settings *s,
                      const struct fv_framing *framing, int threads, uint8_t *held);
/* Pointers lead into *listing, which must outlive the plan. */
int fv__plan_make(struct fv_pack_plan *out, const struct fv_listing *listing,
                  const struct fv_shard *shard, const uint8_t *held);
void fv__plan_free(struct fv_pack_plan *p); /* accepts a zeroed one */

#endif
