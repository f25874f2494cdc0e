/* SPDX-License-Identifier: MIT */
/* Who is held out: a seeded rule over names.
 *
 * Every name has a rank that depends on the seed and on nothing else, and the lowest ranks are chosen.
 * So the choice does not depend on the order or number of files, and an identity more moves at most
 * one other in and one other out.
 */
#ifndef FV_PREP_SPLIT_H
#define FV_PREP_SPLIT_H

#include <stddef.h>
#include <stdint.h>

enum fv_split_what {
    FV_SPLIT_IDENTITIES = 0, /* of a set; names are folders */
    FV_SPLIT_IMAGES = 1,     /* of one identity; names are paths from the photo folder on */
};

/* How many of n a share is: the nearest whole number, halves up; at least 1 for a share above 0 and at
 * most n-1 for one below 1, so that neither side is empty while n allows it (n = 1 gives 0). */
size_t fv__split_count(double share, size_t n);

/* The rank of a name: 64 bits of Philox keyed by the seed, at the name's FNV-1a hash. */
uint64_t fv__split_rank(uint64_t seed, enum fv_split_what what, const char *name);

/* Sets chosen[i] to 1 for the `count` names of lowest rank and to 0 for the others; equal ranks are
 * ordered by name. FV_ENOMEM. */
int fv__split_choose(uint64_t seed, enum fv_split_what what, const char *const *name, size_t n,
                     size_t count, uint8_t *chosen);

#endif
