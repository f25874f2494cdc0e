/* SPDX-License-Identifier: MIT */
/* The walk through a tree of identity folders: those on its first level are the identities, and photos may
 * lie at any depth below.
 *
 *   photo     a regular file (or a link to one) that is named like an image or begins like one
 *   refused   was meant as a photo, but cannot be one: each with its reason (prep/pack/reject.h)
 *   ignored   hidden, or nothing that looks like an image
 *
 * A photo beside the identity folders is refused; in a tree that is held out it is ignored, since test
 * photos come without labels.
 */
#ifndef FV_PREP_WALK_H
#define FV_PREP_WALK_H

#include "prep/import/listing.h"

/* Adds the tree at l->root/rel (rel "": at the root) to a listing; names begin with rel. FV_ENOTFOUND when
 * the folder is missing or is none; FV_EINTR on fv_prep_stop. */
int fv__walk_tree(struct fv_listing *l, const char *rel, int split);
/* Adds the photos at any depth below l->root/rel, of which nobody says whom they show: each is an identity
 * of its own, named as the photo is, and held out. */
int fv__walk_strangers(struct fv_listing *l, const char *rel);

/* Adds one photo that a list names; rel is cleaned in place of empty and "." parts. Its name is `name`; NULL:
 * rel. What is not there, or leads out of the root, is refused. 0 or FV_ENOMEM. */
int fv__walk_listed(struct fv_listing *l, const char *identity, char *rel, const char *name,
                    int split, uint32_t face);

/* Whether the root has a folder of that name. */
int fv__walk_has_folder(const char *root, const char *name);
/* The names in a folder, sorted, without "." and "..". 1 with errno when it cannot be read. */
int fv__walk_names(const char *path, char ***names, size_t *n);
void fv__walk_free_names(char **names, size_t n);

#endif
