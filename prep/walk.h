/* SPDX-License-Identifier: MIT */
/* The walk through a tree of identity folders: those on its first level are the identities, and photos may
 * lie at any depth below.
 *
 *   photo     a regular file (or a link to one) that is named like an image or begins like one
 *   refused   was meant as a photo, but cannot be one: each with its reason (prep/reject.h)
 *   ignored   hidden, or nothing that looks like an image
 */
#ifndef FV_PREP_WALK_H
#define FV_PREP_WALK_H

#include "prep/listing.h"

/* Adds the tree at l->root/rel (rel "": at the root) to a listing; names begin with rel. FV_ENOTFOUND when
 * the folder is missing or is none; FV_EINTR on fv_prep_stop. */
int fv__walk_tree(struct fv_listing *l, const char *rel, int split);

#endif
