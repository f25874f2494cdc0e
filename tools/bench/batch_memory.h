/* SPDX-License-Identifier: MIT */
/* Batches of one's own, to measure with. */
#ifndef FV_TOOLS_BATCH_MEMORY_H
#define FV_TOOLS_BATCH_MEMORY_H

#include "augment/augment.h"

/* n images; pixels are left as they come, lambda is 1, labels are 0. */
int batch_alloc(struct fv_batch *b, int n, int height, int width);
/* All of it, from a batch of the same shape. */
void batch_copy(struct fv_batch *to, const struct fv_batch *from);
/* Noise pixels and labels in turn: the work of a training step does not depend on either. */
void batch_fill_noise(struct fv_batch *b, int classes);
void batch_free(struct fv_batch *b); /* accepts a zeroed one */

#endif
