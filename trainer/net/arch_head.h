/* SPDX-License-Identifier: MIT */
/* How every architecture ends. */
#ifndef FV_TRAINER_ARCH_HEAD_H
#define FV_TRAINER_ARCH_HEAD_H

#include "trainer/net/net.h"

/* A net whose features have no length to choose: where the settings ask for an embedding, a fully connected layer
 * "neck.0" of that length without bias and its batch norm "neck.1". Returns the embedding. */
int fv__arch_neck(struct fv_net *n, const struct fv_arch_settings *s, int x);
/* The heads that the loss reads and the loss: over the embedding x a fully connected layer `name` with bias for logits,
 * a cosine head "head" ("head.cosine" where that name is taken) for margins on the angle, both, or none. Returns the
 * node of the layer, for another way to begin; -1 where there is none. */
int fv__arch_head(struct fv_net *n, const struct fv_arch_settings *s, const char *name, int x);

#endif
