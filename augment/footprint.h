/* SPDX-License-Identifier: MIT */
/* Which part of its source a plan looks at, so that no more of it need be decoded. */
#ifndef FV_AUGMENT_FOOTPRINT_H
#define FV_AUGMENT_FOOTPRINT_H

#include "augment/policy.h"
#include "store/store.h"

/* What fv_render will look at, reduced as often as it would halve the source first in both directions. */
void fv__footprint(const struct fv_plan *plan, int src_h, int src_w, int out_h, int out_w,
                   struct fv_region *region);
/* Makes a plan for the source one for that part of it. The result differs from that of the whole source by the rounding
 * of sampling points, and where it was reduced by what the codec's own reduction differs from a mean of 2 x 2. */
void fv__footprint_apply(struct fv_plan *plan, const struct fv_region *region);

#endif
