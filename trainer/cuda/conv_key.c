/* SPDX-License-Identifier: MIT */
#include "trainer/cuda/conv_key.h"

#include <stdio.h>

const char *const fv_cudnn_type_names[FV_CUDNN_TYPES] = {"fp32", "bf16", "fp16"};
const char *const fv_conv_graph_names[FV_CONV_GRAPHS] = {"forward",
                                                         "data gradient",
                                                         "weight gradient",
                                                         "forward+stats",
                                                         "bn+relu+forward+stats",
                                                         "bn+relu+weight gradient",
                                                         "data gradient+relu+bn"};

void fv_conv_key_text(const struct fv_conv_key *k, char *out, size_t size)
{
    snprintf(out, size, "%s %s %dx%dx%dx%d -> %d, %dx%d/%d pad %d", fv_conv_graph_names[k->graph],
             fv_cudnn_type_names[k->type], k->n, k->h, k->w, k->c, k->k, k->window, k->window,
             k->stride, k->pad);
}

#define ROLE(r) (1u << FV_CONV_##r)
static const unsigned roles_of[FV_CONV_GRAPHS] = {
    [FV_CONV_FORWARD] = ROLE(X) | ROLE(W) | ROLE(Y),
    [FV_CONV_DGRAD] = ROLE(X) | ROLE(W) | ROLE(Y),
    [FV_CONV_WGRAD] = ROLE(X) | ROLE(W) | ROLE(Y),
    [FV_CONV_FORWARD_STATS] = ROLE(X) | ROLE(W) | ROLE(Y) | ROLE(SUM) | ROLE(SQUARES),
    [FV_CONV_BN_FORWARD_STATS] =
        ROLE(X) | ROLE(W) | ROLE(Y) | ROLE(SCALE) | ROLE(SHIFT) | ROLE(SUM) | ROLE(SQUARES),
    [FV_CONV_BN_WGRAD] = ROLE(X) | ROLE(W) | ROLE(Y) | ROLE(SCALE) | ROLE(SHIFT),
    [FV_CONV_DGRAD_BN] = ROLE(X) | ROLE(W) | ROLE(Y) | ROLE(MEAN) | ROLE(RSTD) | ROLE(GAMMA) |
                         ROLE(BETA) | ROLE(G) | ROLE(DGAMMA) | ROLE(DBETA) | ROLE(EQ_DY) |
                         ROLE(EQ_X) | ROLE(EQ_B),
};

size_t fv_conv_role_bytes(const struct fv_conv_key *k, enum fv_conv_role role)
{
    const size_t item = k->type == FV_CUDNN_F32 ? 4 : 2, n = (size_t)k->n;
    if (!(roles_of[k->graph] & 1u << role))
        return 0;
    switch (role) {
    case FV_CONV_X:
    case FV_CONV_G:
        return n * (size_t)k->h * (size_t)k->w * (size_t)k->c * item;
    case FV_CONV_Y:
        return n * (size_t)fv_conv_out_size(k, k->h) * (size_t)fv_conv_out_size(k, k->w) *
               (size_t)k->k * item;
    case FV_CONV_W:
        return (size_t)k->k * (size_t)k->window * (size_t)k->window * (size_t)k->c * item;
    case FV_CONV_SCALE:
    case FV_CONV_SHIFT:
        return (size_t)k->c * item;
    case FV_CONV_SUM:
    case FV_CONV_SQUARES:
        return (size_t)k->k * sizeof(float);
    default:
        return (size_t)k->c * sizeof(float);
    }
}

/* From lowering */

enum { NO_GRAPH = -1 };

static int graph_of(enum fv_low_kind kind, enum fv_low_graph graph)
{
    switch (graph) {
    case FV_LOW_GRAPH_PLAIN:
        return kind == FV_LOW_CONV         ? FV_CONV_FORWARD
               : kind == FV_LOW_CONV_DGRAD ? FV_CONV_DGRAD
               : kind == FV_LOW_CONV_WGRAD ? FV_CONV_WGRAD
                                           : NO_GRAPH;
    case FV_LOW_GRAPH_STATS:
        return FV_CONV_FORWARD_STATS;
    case FV_LOW_GRAPH_PROLOGUE_STATS:
        return FV_CONV_BN_FORWARD_STATS;
    case FV_LOW_GRAPH_WGRAD_PROLOGUE:
        return FV_CONV_BN_WGRAD;
    case FV_LOW_GRAPH_DGRAD_BN:
        return FV_CONV_DGRAD_BN;
    default:
        return NO_GRAPH;
    }
}

static enum fv_cudnn_type type_of(enum fv_low_dtype t)
{
    return t == FV_LOW_BF16 ? FV_CUDNN_BF16 : t == FV_LOW_F16 ? FV_CUDNN_F16 : FV_CUDNN_F32;
}

int fv_conv_key_of(struct fv_conv_key *key, enum fv_low_kind kind, enum fv_low_graph graph,
                   enum fv_low_dtype type, const struct fv_low_shape *s)
{
    const int g = graph_of(kind, graph);
    if (g == NO_GRAPH || s->groups != 1)
        return 0;
    *key = (struct fv_conv_key){.graph = (enum fv_conv_graph)g,
                                .type = type_of(type),
                                .n = s->n,
                                .h = s->in_h,
                                .w = s->in_w,
                                .c = s->in_c,
                                .k = s->c,
                                .window = s->window,
                                .stride = s->stride,
                                .pad = s->pad};
    return 1;
}

enum fv_low_role fv_conv_operand(const struct fv_conv_key *key, enum fv_conv_role role)
{
    static const enum fv_low_role forward[FV_CONV_ROLES] = {
        [FV_CONV_X] = FV_LOW_X,           [FV_CONV_W] = FV_LOW_W,
        [FV_CONV_Y] = FV_LOW_Y,           [FV_CONV_SUM] = FV_LOW_STAT0,
        [FV_CONV_SQUARES] = FV_LOW_STAT1, [FV_CONV_SCALE] = FV_LOW_SCALE16,
        [FV_CONV_SHIFT] = FV_LOW_SHIFT16, [FV_CONV_MEAN] = FV_LOW_MEAN,
        [FV_CONV_RSTD] = FV_LOW_RSTD,     [FV_CONV_GAMMA] = FV_LOW_GAMMA,
        [FV_CONV_BETA] = FV_LOW_BETA,     [FV_CONV_G] = FV_LOW_DX,
        [FV_CONV_DGAMMA] = FV_LOW_STAT1, /* sum of dz * xhat */
        [FV_CONV_DBETA] = FV_LOW_STAT0,  /* sum of dz */
        [FV_CONV_EQ_DY] = FV_LOW_ROLES,   [FV_CONV_EQ_X] = FV_LOW_ROLES,
        [FV_CONV_EQ_B] = FV_LOW_ROLES,
    };
    const enum fv_conv_graph g = key->graph;
    const int weights = g == FV_CONV_WGRAD || g == FV_CONV_BN_WGRAD;
    if (role == FV_CONV_Y && (weights || g == FV_CONV_DGRAD || g == FV_CONV_DGRAD_BN))
        return FV_LOW_DY;
    if (role == FV_CONV_X && g == FV_CONV_DGRAD)
        return FV_LOW_DX;
    if (role == FV_CONV_W && weights)
        return FV_LOW_DW;
    return forward[role];
}
