/* SPDX-License-Identifier: MIT */
#include "trainer/cuda/hyper.h"

#include "common/err.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

_Static_assert(sizeof((struct fv_k_hyper *)NULL)->want == FV_WANT_BITS * sizeof(float), "wants");

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
    for (int k = 0; k < FV_WANT_BITS; k++)
        h->want[k] = (float)(optim->wants >> k & 1);
}

struct fv_k_block fv_k_block_of(const struct fv_optim *optim, int tensor)
{
    return (struct fv_k_block){
        .lr_factor = optim && optim->lr_factor ? optim->lr_factor[tensor] : 1,
        .decay_factor = optim && optim->decay_factor ? optim->decay_factor[tensor] : 1,
    };
}

/* A parameter of the term, or what it is without. */
static double value(const struct fv_loss_term *term, const char *name, double without)
{
    const double v = fv_loss_value(term, name);
    return isnan(v) ? without : v;
}

int fv_k_margin_set(struct fv_k_margin *m, const struct fv_loss_term *term, double epoch)
{
    const char *name = term->loss->name;
    const double warmth = fv_loss_warmth(term, epoch);
    *m = (struct fv_k_margin){.m1 = 1,
                              .scale = (float)value(term, "s", 1),
                              .limit = INFINITY,
                              .smooth = (float)value(term, "smooth", 0),
                              .weight = (float)term->weight,
                              .insightface = value(term, "grad", 0) != 0};
    if (strcmp(name, "adaface") == 0) {
        m->kind = FV_K_MARGIN_ADAFACE;
        m->m2 = value(term, "m", 0) * warmth;
        m->h = value(term, "h", 0);
        m->t_alpha = (float)value(term, "t_alpha", 0);
        m->limit = 1 - 1e-3f;
        return 0;
    }
    if (strcmp(name, "ce") == 0)
        return 0;
    m->kind = FV_K_MARGIN_ANGLE;
    if (strcmp(name, "arcface") == 0) {
        m->m2 = value(term, "m", 0) * warmth;
    } else if (strcmp(name, "cosface") == 0) {
        m->m3 = value(term, "m", 0) * warmth;
    } else if (strcmp(name, "combined") == 0) {
        m->m1 = 1 + warmth * (value(term, "m1", 1) - 1);
        m->m2 = value(term, "m2", 0) * warmth;
        m->m3 = value(term, "m3", 0) * warmth;
    } else {
        return fv_err(FV_EUNSUPPORTED, "backend cuda has no loss %s: use --backend cpu", name);
    }
    return 0;
}
