/* SPDX-License-Identifier: MIT */
#include "trainer/cuda/hyper.h"

void fv_k_hyper_set(struct fv_k_hyper *h, const struct fv_optim *optim, int n, int growth_steps)
{
    *h = (struct fv_k_hyper){.inverse_parts = 1, .growth_steps = growth_steps, .n = n};
    if (!optim)
        return;
    h->beta1_exact = optim->beta1;
    h->beta2_exact = optim->beta2;
    h->lr = (float)optim->lr;
    h->weight_decay = (float)optim->weight_decay;
    h->momentum = (float)optim->momentum;
    h->beta1 = (float)optim->beta1;
    h->one_minus_beta1 = (float)(1 - optim->beta1);
    h->beta2 = (float)optim->beta2;
    h->one_minus_beta2 = (float)(1 - optim->beta2);
    h->eps = (float)optim->eps;
    h->clip_norm = (float)optim->clip_norm;
    h->ema_share = optim->ema_decay > 0 ? (float)(1 - optim->ema_decay) : 0;
    h->inverse_parts = optim->parts > 1 ? (float)(1.0 / optim->parts) : 1;
    h->nesterov = optim->nesterov;
    h->decoupled = optim->decoupled || optim->kind == FV_OPTIM_ADAMW;
    h->update = fv_optim_updates(optim);
}

struct fv_k_block fv_k_block_of(const struct fv_optim *optim, int tensor)
{
    return (struct fv_k_block){
        .lr_factor = optim && optim->lr_factor ? optim->lr_factor[tensor] : 1,
        .decay_factor = optim && optim->decay_factor ? optim->decay_factor[tensor] : 1,
    };
}
