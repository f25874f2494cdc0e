/* SPDX-License-Identifier: MIT */
/* Where faces are, from lists beside the photos. */
#ifndef FV_PREP_FACES_H
#define FV_PREP_FACES_H

#include "common/report.h"
#include "prep/listing.h"

/* Attaches what a list of boxes or landmarks says to the photos of a finished listing, and reports how many
 * rows found theirs; the last row about a photo counts. A row means the photo whose name is prefix + path; the
 * suffix of an image may be missing from the row. A row without a photo is passed over; FV_ENOTFOUND when none
 * has one. */
int fv__faces_attach(struct fv_listing *l, const char *path, const char *prefix,
                     const struct fv_report *r);

#endif
