/* SPDX-License-Identifier: MIT */
/* The passes that a fused graph saves are kernels of our own which only move memory, so that their bytes say what they
 * take: by the model of traffic.h, with this device's bandwidth. */
#include "trainer/cuda/conv_worth.h"

#include "trainer/cuda/traffic.h"

#include <stddef.h>

static double pass(const struct fv_conv_times *t, size_t bytes, int launches)
{
    const struct fv_traffic_card usual = fv_traffic_h200();
    return (double)bytes / (t->bytes_per_us * usual.memory_share) + launches * usual.launch_s * 1e6;
}

/* The statistics of y: one reading and two launches, in place of one that ends the sums. */
static double stats(const struct fv_conv_key *k, const struct fv_conv_times *t)
{
    return pass(t, fv_conv_role_bytes(k, FV_CONV_Y), 1);
}

/* y with its statistics from an input that is there, the faster way. */
static double forward(const struct fv_conv_key *k, const struct fv_conv_times *t)
{
    const double plain = t->us[FV_CONV_FORWARD] + stats(k, t), fused = t->us[FV_CONV_FORWARD_STATS];
    return fused > 0 && fused < plain ? fused : plain;
}

static int timed(const struct fv_conv_times *t, enum fv_conv_graph a, enum fv_conv_graph b)
{
    return t->us[a] > 0 && t->us[b] > 0;
}

/* 0 where the figures to weigh are not there. */
static int weigh(const struct fv_conv_key *k, const struct fv_conv_times *t,
                 struct fv_conv_worth *out)
{
    const size_t x = fv_conv_role_bytes(k, FV_CONV_X);
    if (!(t->bytes_per_us > 0))
        return 0;
    switch (k->graph) {
    case FV_CONV_FORWARD_STATS:
        out->together = t->us[FV_CONV_FORWARD_STATS];
        out->apart = t->us[FV_CONV_FORWARD] + stats(k, t);
        return timed(t, FV_CONV_FORWARD_STATS, FV_CONV_FORWARD);
    case FV_CONV_BN_FORWARD_STATS:
    case FV_CONV_BN_WGRAD: /* saves the pass that applies the batch norm: x read, the activation written */
        out->together = t->us[FV_CONV_BN_FORWARD_STATS] + t->us[FV_CONV_BN_WGRAD];
        out->apart = forward(k, t) + t->us[FV_CONV_WGRAD] + pass(t, 2 * x, 1);
        return timed(t, FV_CONV_BN_FORWARD_STATS, FV_CONV_BN_WGRAD) &&
               timed(t, FV_CONV_FORWARD, FV_CONV_WGRAD);
    case FV_CONV_DGRAD_BN: /* saves the batch norm's reduction: the gradient and x read, two launches for one */
        out->together = t->us[FV_CONV_DGRAD_BN];
        out->apart = t->us[FV_CONV_DGRAD] + pass(t, 2 * x, 1);
        return timed(t, FV_CONV_DGRAD_BN, FV_CONV_DGRAD);
    default:
        return 0;
    }
}

#define BIT(graph) (1u << FV_CONV_##graph)

unsigned fv_conv_weighed(enum fv_conv_graph graph)
{
    switch (graph) {
    case FV_CONV_FORWARD_STATS:
        return BIT(FORWARD_STATS) | BIT(FORWARD);
    case FV_CONV_BN_FORWARD_STATS:
    case FV_CONV_BN_WGRAD:
        return BIT(BN_FORWARD_STATS) | BIT(BN_WGRAD) | BIT(FORWARD) | BIT(FORWARD_STATS) |
               BIT(WGRAD);
    case FV_CONV_DGRAD_BN:
        return BIT(DGRAD_BN) | BIT(DGRAD);
    default:
        return 1u << graph;
    }
}

int fv_conv_is_worth(const struct fv_conv_key *k, const struct fv_conv_times *t,
                     struct fv_conv_worth *out)
{
    *out = (struct fv_conv_worth){0};
    if (t->us[k->graph] < 0)
        return 0;
    if ((k->graph == FV_CONV_BN_FORWARD_STATS || k->graph == FV_CONV_BN_WGRAD) &&
        (t->us[FV_CONV_BN_FORWARD_STATS] < 0 || t->us[FV_CONV_BN_WGRAD] < 0))
        return 0;
    if (weigh(k, t, out))
        return out->together <= out->apart;
    *out = (struct fv_conv_worth){0};
    return 1;
}
