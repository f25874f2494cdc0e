/* SPDX-License-Identifier: MIT */
/* What of a net is drawn: the first weights, and dropout. Both are functions of a seed and a place, so that they are
 * the same in every backend and after resuming.
 */
#include "trainer/net/net.h"

#include "common/rng.h"

#include <math.h>

static double draw(const struct fv_tensor *t, struct fv_rng *rng)
{
    double bound;
    switch (t->init) {
    case FV_INIT_KAIMING_FAN_OUT:
        return sqrt(2.0 / (double)t->fan) * fv_rng_normal(rng);
    case FV_INIT_UNIFORM_FAN_IN:
        bound = 1 / sqrt((double)t->fan);
        return fv_rng_uniform(rng, -bound, bound);
    case FV_INIT_NORMAL:
        return t->init_value * fv_rng_normal(rng);
    case FV_INIT_CONSTANT:
        return t->init_value;
    case FV_INIT_ONE:
        return 1;
    case FV_INIT_ZERO:
        break;
    }
    return 0;
}

/* A stream holds 2^24 blocks of draws, which a large head exceeds: each 2^20 elements have a stream of their
 * own, so that all of them are independent. */
void fv_net_init(const struct fv_net *n, uint64_t seed, float *arena)
{
    for (int i = 0; i < n->tensors; i++) {
        const struct fv_tensor *t = &n->tensor[i];
        struct fv_rng rng = {0};
        for (size_t k = 0; k < t->count; k++) {
            if (k % (1u << 20) == 0)
                rng = fv_rng_at(seed, (uint32_t)(k >> 20), (uint64_t)i, FV_RNG_INIT);
            arena[t->offset + k] = (float)draw(t, &rng);
        }
    }
}

uint32_t fv_net_dropout_limit(const struct fv_node *node)
{
    return (uint32_t)((double)node->rate * 0x1p32);
}

/* The block of element e is number e / 4 of the stream, which has 2^24 of them: an output of more than 2^26 numbers
 * a batch begins again. */
void fv_net_dropout_factors(const struct fv_net *n, int node, uint64_t ticket, size_t first,
                            size_t count, float *factor)
{
    const struct fv_node *o = &n->node[node];
    const uint32_t limit = fv_net_dropout_limit(o);
    const float kept = (float)(1 / (1 - (double)o->rate));
    struct fv_rng rng = fv_rng_at(n->seed, (uint32_t)node, ticket, FV_RNG_DROPOUT);

    rng.ctr[0] |= (uint32_t)(first / 4) & 0x00ffffffu;
    for (size_t skip = first % 4; skip > 0; skip--)
        fv_rng_u32(&rng);
    for (size_t i = 0; i < count; i++)
        factor[i] = fv_rng_u32(&rng) < limit ? 0.0f : kept;
}
