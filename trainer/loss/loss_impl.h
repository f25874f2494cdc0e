/* SPDX-License-Identifier: MIT */
/* What the losses share (internal to trainer/loss/). */
#ifndef FV_TRAINER_LOSS_IMPL_H
#define FV_TRAINER_LOSS_IMPL_H

#include "trainer/loss/loss.h"

/* work: the items' losses (n), their hits (n), each term's values (n) by item, then each term's own. */
double *fv__loss_items(const struct fv_loss_call *c, int term);
double *fv__loss_own(const struct fv_loss_call *c, int term);
/* Whether one term alone reads this matrix: it sets the gradient, and several add to zeros. */
int fv__loss_is_alone(const struct fv_loss_spec *spec, enum fv_loss_input in);

static inline double fv__loss_at(const struct fv_loss_rows *m, size_t i)
{
    return m->f ? (double)m->f[i] : m->d[i];
}
static inline void fv__loss_put(const struct fv_loss_rows *m, size_t i, double v, int add)
{
    if (m->grad_f)
        m->grad_f[i] = (float)(add ? (double)m->grad_f[i] + v : v);
    else
        m->grad_d[i] = add ? m->grad_d[i] + v : v;
}

/* The logit of a class as the item's own, from its score x, and the slope d logit / dx. */
struct fv__loss_target {
    double logit, slope;
};

/* Softmax cross-entropy of one item over scores x with logits scale * x, of which the item's own class has another:
 * by `target`, or scale * x where that is NULL. */
struct fv__loss_softmax {
    double scale;
    double limit; /* scores are clamped to +-limit first, where their slope is 0; INFINITY: no */
    double smooth;
    struct fv__loss_target (*target)(const void *ctx, double x);
    const void *ctx;
};
void fv__loss_softmax(struct fv_loss_call *c, int term, size_t item,
                      const struct fv__loss_softmax *s);

/* e[i] = exp(x[i] - top) for x[i] <= top, to 1e-14 of its value where that is above 1e-300; a NaN stays one. */
enum { FV_LOSS_BLOCK = 64 };
void fv__loss_exp(double e[FV_LOSS_BLOCK], const double x[FV_LOSS_BLOCK], double top);

#endif
