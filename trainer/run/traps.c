/* SPDX-License-Identifier: MIT */
#include "trainer/run/traps.h"

#include <math.h>
#include <stdio.h>

/* With momentum a constant gradient moves a weight by lr / (1 - momentum) a step. */
static int sgd_rate(const struct fv_optim *o, double lr, int fresh, char *text, size_t n)
{
    const double moves = lr / (1 - o->momentum);
    if (moves > 10)
        snprintf(
            text, n,
            "--lr %g is far above what sgd with a momentum of %g works with: begin with --lr %.2g",
            lr, o->momentum, 1 - o->momentum);
    else if (moves < 1e-3 && fresh)
        snprintf(
            text, n,
            "--lr %g is far below what sgd with a momentum of %g learns with from random weights: "
            "begin with --lr %.2g",
            lr, o->momentum, 0.5 * (1 - o->momentum));
    else
        return 0;
    return 1;
}

static int adam_rate(const struct fv_optim *o, double lr, int fresh, char *text, size_t n)
{
    const char *name = fv_optim_rules[o->kind].name;
    if (lr > 0.0101)
        snprintf(text, n,
                 "--lr %g is far above what %s works with, which moves each weight by about the "
                 "rate in a step, whatever its gradient: begin with --lr 1e-3",
                 lr, name);
    else if (lr < 1e-6 && fresh)
        snprintf(
            text, n,
            "--lr %g is far below what %s learns with from random weights: begin with --lr 1e-3",
            lr, name);
    else
        return 0;
    return 1;
}

int fv__trap_rate(const struct fv_optim *o, double lr, int fresh, char *text, size_t n)
{
    return (o->kind == FV_OPTIM_SGD ? sgd_rate : adam_rate)(o, lr, fresh, text, n);
}

int fv__trap_validation(uint64_t epoch, double acc, double val_acc, uint64_t images, int classes,
                        char *text, size_t n)
{
    const double guess = 1.0 / classes;
    const double sigma = sqrt(guess * (1 - guess) / fmax((double)images, 1));
    if (epoch < 2 || !isfinite(val_acc))
        return 0;
    if (val_acc < guess - 3 * sigma)
        snprintf(text, n,
                 "%.2f %% of the validation images are named rightly, fewer than guessing gives "
                 "(%.2f %%): a --lr that is too high, a --batch too small for batch norms, or "
                 "labels that are not those of training",
                 val_acc * 100, guess * 100);
    else if (isfinite(acc) && acc > 0.5 && acc > 4 * guess && val_acc < guess + 2 * sigma)
        snprintf(text, n,
                 "%.1f %% of the training images are named rightly, and of the validation images "
                 "%.2f %%, no more than guessing gives: a --batch too small for batch norms, or "
                 "labels that are not those of training",
                 acc * 100, val_acc * 100);
    else
        return 0;
    return 1;
}

int fv__trap_wait(double share, double seconds, char *text, size_t n)
{
    if (!(share > 0.3) || seconds < 10)
        return 0;
    snprintf(text, n,
             "training waited for images %.0f %% of the time: more --loader-threads, a cheaper "
             "--aug, or photos packed at the size of training; fvbench doctor tells which",
             share * 100);
    return 1;
}
