/* SPDX-License-Identifier: MIT */
/* What fvtrain does otherwise as one of several processes. For a process by itself, all of it does nothing. */
#ifndef FV_TOOLS_TRAIN_RANKS_H
#define FV_TOOLS_TRAIN_RANKS_H

#include "augment/augment.h"
#include "trainer/trainer.h"

/* Rank 0's text is everybody's: it may lie in a file that only rank 0 sees. *text is NULL elsewhere; free it. */
int train_ranks_share_text(struct fv_comm *comm, char **text);
/* From the loader of the whole batch to that of this rank's part, with its share of the processors. FV_EUSAGE
 * where the batch does not divide evenly. */
int train_ranks_divide(const struct fv_comm *comm, struct fv_loader_settings *loader);

#endif
