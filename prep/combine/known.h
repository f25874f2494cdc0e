/* SPDX-License-Identifier: MIT */
/* Photos that are to be added to a data set: what it has of them already. */
#ifndef FV_PREP_KNOWN_H
#define FV_PREP_KNOWN_H

#include "prep/import/listing.h"
#include "prep/pack/duplicates.h"

/* Drops the photos that the data set has under their names, counts them in *dropped, and tells each identity that
 * it has how it stands there: that decides about its new photos, whatever the listing says of them. Identities
 * without a photo left are dropped too if it has them. */
int fv__known_settle(struct fv_listing *l, struct fv_store *set, uint64_t *dropped);
/* Pictures that are in the data set come before those of the listing. The data set must outlive *d. */
int fv__known_pictures(struct fv_duplicates *d, const struct fv_store *set);

#endif
