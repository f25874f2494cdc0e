/* SPDX-License-Identifier: MIT */
/* Several parts as one data set: the order of identities and images that one file of all of them would have.
 * Identities of one name are one identity, its images in the order of their names whatever part holds them.
 */
#ifndef FV_STORE_UNITE_H
#define FV_STORE_UNITE_H

#include "store/part.h"

#include <stddef.h>
#include <stdint.h>

/* Where an image is: part and image in it. */
struct fv_place {
    uint32_t part, image;
};

struct fv_union {
    struct fv_part_label *label; /* (labels); names are the parts' */
    uint64_t labels, train_labels;
    struct fv_place *place; /* (images) */
    uint64_t images;
    uint32_t **label_of; /* (parts): from a part's label to the union's */
    size_t parts;
};

/* FV_EINVAL when parts contradict each other: an image that comes twice, an identity that one part trains on and
 * another holds out. The sentence names both files. */
int fv__union_make(struct fv_union *u, struct fv_part *const *part, size_t parts);
void fv__union_free(struct fv_union *u); /* accepts a zeroed one */

#endif
