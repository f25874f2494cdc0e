/* SPDX-License-Identifier: MIT */
/* The ideal loader: a source that hands out the same few batches again and again, at once. What training does with it
 * is what training would do if data were free. */
#ifndef FV_TOOLS_REPLAY_H
#define FV_TOOLS_REPLAY_H

#include "augment/augment.h"

struct replay;

/* Copies the next n batches of a source, which then is not needed any more. */
int replay_open(struct replay **out, const struct fv_batch_source *from, int n);
void replay_close(struct replay **r); /* accepts NULL */
/* Valid until close. Tickets go on without end; pixels and labels repeat. */
const struct fv_batch_source *replay_source(struct replay *r);

#endif
