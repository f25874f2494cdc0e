/* SPDX-License-Identifier: MIT */
/* Whether two runs would pack the same: hashes over all that is known of the photos without reading them. */
#ifndef FV_PREP_FINGERPRINT_H
#define FV_PREP_FINGERPRINT_H

#include "prep/import/listing.h"
#include "prep/pack/pack_plan.h"

struct fv_fingerprint {
    /* of names, labels, splits and faces in packing order, and of what was refused or passed over; of sizes, places
     * and times */
    uint64_t names, stamps;
};

struct fv_fingerprint fv__fingerprint(const struct fv_listing *l, const struct fv_pack_plan *plan);

#endif
