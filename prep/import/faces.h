/* SPDX-License-Identifier: MIT */
/* Where faces are, from lists beside the photos. */
#ifndef FV_PREP_FACES_H
#define FV_PREP_FACES_H

#include "common/report.h"
#include "prep/import/listing.h"

/* Attaches what a list of boxes or landmarks says to the photos of a finished listing; *found is how many rows
 * are about one of them. A row means the photo whose name is prefix + path; the suffix of an image may be
 * missing from the row. The last row about a photo counts, a row about none is passed over. */
int fv__faces_attach(struct fv_listing *l, const char *path, const char *prefix,
                     const struct fv_report *r, size_t *found);

#endif
