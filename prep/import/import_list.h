/* SPDX-License-Identifier: MIT */
/* A list of photos as part of a larger layout. */
#ifndef FV_PREP_IMPORT_LIST_H
#define FV_PREP_IMPORT_LIST_H

#include "prep/import/listing.h"

/* What fvprep export calls the list of the photos in its folder. */
#define FV_LIST_OF_EXPORT "photos.csv"

/* Adds the photos of the list at `path` to a listing that has begun. Their names are a prefix + path: the
 * first of `prefix` (NULL after the last) under which the first photo is there. Their split is `split` where
 * the list gives none. */
int fv__list_add(struct fv_listing *l, const char *path, const char *const *prefix, int split);

#endif
