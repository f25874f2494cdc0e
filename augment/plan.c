/* SPDX-License-Identifier: MIT */
/* Policy -> decisions for one sample or one batch. Every op has a stream of its own, named by its position
 * in the policy: what one op draws does not move the draws of another. */
#include "augment/policy_impl.h"

#include <math.h>
#include <string.h>

/* Composed in double precision; nearer than this to a copy is a copy. */
#define COPY_TOLERANCE 1e-9

/* An op adds one step, jitter (once in a policy) four, the last resize one. */
_Static_assert(FV_POLICY_STEPS + 4 <= FV_PLAN_STEPS, "a plan holds the steps of every policy");

static int is_near(const double m[9], const double copy[9])
{
    for (int i = 0; i < 9; i++)
        if (fabs(m[i] - copy[i]) > COPY_TOLERANCE)
            return 0;
    return 1;
}

static void find_copy(const struct fv_aug_frame *f, int src_h, int src_w)
{
    const double same[9] = {1, 0, 0, 0, 1, 0, 0, 0, 1};
    const double mirrored[9] = {-1, 0, src_w, 0, 1, 0, 0, 0, 1};

    if (src_h != f->out_h || src_w != f->out_w)
        return;
    f->plan->mirror = is_near(f->inverse, mirrored);
    f->plan->identity = f->plan->mirror || is_near(f->inverse, same);
}

void fv_policy_plan(const struct fv_policy *p, uint64_t seed, uint32_t epoch, uint64_t image,
                    int src_h, int src_w, int out_h, int out_w, struct fv_plan *plan)
{
    struct fv_aug_frame f = {.h = src_h,
                             .w = src_w,
                             .out_h = out_h,
                             .out_w = out_w,
                             .inverse = {1, 0, 0, 0, 1, 0, 0, 0, 1},
                             .plan = plan};

    plan->steps = plan->erases = plan->identity = plan->mirror = 0;
    for (int i = 0; i < p->steps; i++) {
        const struct fv_policy_step *step = &p->step[i];
        if (!step->op->decide)
            continue;
        struct fv_rng r = fv_rng_at(seed, epoch, image, FV_RNG_AUG + (unsigned)i);
        step->op->decide(step->value, &r, &f);
    }
    if (f.h != out_h || f.w != out_w)
        fv__aug_crop(&f, 0, 0, f.h, f.w);
    find_copy(&f, src_h, src_w);
    for (int i = 0; i < 9; i++)
        plan->inverse[i] = (float)f.inverse[i];
}

/* Shares that together exceed the whole are scaled down to it. The choice is the first draw of the first such op. */
void fv_policy_plan_batch(const struct fv_policy *p, uint64_t seed, uint32_t epoch, uint64_t step,
                          int n, int h, int w, struct fv_mix *mix)
{
    struct fv_rng r = {0};
    double whole = 0, left = -1;

    *mix = (struct fv_mix){.lambda = 1};
    if (n < 2)
        return;
    for (int i = 0; i < p->steps; i++)
        if (p->step[i].op->decide_batch)
            whole += p->step[i].value[p->step[i].op->share];
    for (int i = 0; i < p->steps; i++) {
        const struct fv_policy_step *s = &p->step[i];
        if (!s->op->decide_batch)
            continue;
        r = fv_rng_at(seed, epoch, step, FV_RNG_BATCH + (unsigned)i);
        const double first = fv_rng_unit(&r);
        if (left < 0)
            left = first * (whole > 1 ? whole : 1);
        if (left < s->value[s->op->share]) {
            s->op->decide_batch(s->value, &r, h, w, mix);
            return;
        }
        left -= s->value[s->op->share];
    }
}

int fv_policy_mixes(const struct fv_policy *p)
{
    for (int i = 0; i < p->steps; i++)
        if (p->step[i].op->decide_batch)
            return 1;
    return 0;
}
