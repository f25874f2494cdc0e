/* SPDX-License-Identifier: MIT */
/* What the host hands to the kernels for one step, from the settings of trainer/backend.h: plain C, no device. */
#ifndef FV_TRAINER_CUDA_HYPER_H
#define FV_TRAINER_CUDA_HYPER_H

#include "trainer/backend.h"
#include "trainer/cuda/kernels.h"
#include "trainer/loss/loss.h"

/* optim NULL: a step without an update, whose gradients are wanted all the same. growth_steps: see kernels.h. */
void fv_k_hyper_set(struct fv_k_hyper *h, const struct fv_optim *optim, int n, int growth_steps);
/* The factors of a tensor's blocks. */
struct fv_k_block fv_k_block_of(const struct fv_optim *optim, int tensor);
/* A term of the loss, at a time in epochs. FV_EUNSUPPORTED for a term that is not over class scores. */
int fv_k_margin_set(struct fv_k_margin *m, const struct fv_loss_term *term, double epoch);

#endif
