/* SPDX-License-Identifier: MIT */
#include "trainer/cuda/traffic.h"

#include "trainer/cuda/conv_key.h"

/* Launches of an op that has but one are not in here. */
static const unsigned char launches_of[FV_LOW_KINDS] = {
    [FV_LOW_BN_STATS] = 2, /* partial sums, and what comes of them; so are the next four */
    [FV_LOW_BN_REDUCE] = 2,       [FV_LOW_BN_REDUCE_POOL] = 2, [FV_LOW_BIAS_GRAD] = 2,
    [FV_LOW_DEPTHWISE_WGRAD] = 2, [FV_LOW_CHECK] = 2,
};

static int has(const struct fv_low_op *op, enum fv_low_role role)
{
    return op->arg[role] >= 0;
}

static int count_launches(const struct fv_lowered *l, const struct fv_low_op *op)
{
    switch (op->kind) {
    case FV_LOW_BUCKET:
        return 0;
    case FV_LOW_LOSS:
        return l->net->loss.terms;
    case FV_LOW_FC:
        return 1 + has(op, FV_LOW_B);
    case FV_LOW_ACT_BACKWARD:
        return 1 + has(op, FV_LOW_DSLOPE);
    case FV_LOW_BN_FOLD:
        return 1 + 2 * has(op, FV_LOW_COEF);
    default:
        return launches_of[op->kind] ? launches_of[op->kind] : 1;
    }
}

/* Along one side of an image: how many of its pixels lie under a window. */
static double pixels_seen(int in, int out, const struct fv_low_shape *s)
{
    const int seen = s->window < s->stride ? out * s->window : in;
    return seen < in ? seen : in;
}

/* The share of an operand that the op touches: windows that are smaller than their stride leave pixels out. */
static double share_touched(const struct fv_low_op *op, int role)
{
    const struct fv_low_shape *s = &op->shape;
    if (role != FV_LOW_X || (op->kind != FV_LOW_CONV && op->kind != FV_LOW_CONV_WGRAD &&
                             op->kind != FV_LOW_DEPTHWISE && op->kind != FV_LOW_DEPTHWISE_WGRAD))
        return 1;
    return pixels_seen(s->in_h, s->h, s) * pixels_seen(s->in_w, s->w, s) /
           ((double)s->in_h * s->in_w);
}

static void count_bytes(struct fv_traffic *t, const struct fv_lowered *l,
                        const struct fv_low_op *op, int planes)
{
    for (int role = 0; role < FV_LOW_ROLES && op->kind != FV_LOW_BUCKET; role++) {
        const int access = fv_low_kinds[op->kind].access[role];
        if (!has(op, (enum fv_low_role)role))
            continue;
        const struct fv_low_buffer *b = &l->buffer[op->arg[role]];
        const size_t times = b->space == FV_LOW_STATE ? (size_t)planes : 1;
        const uint64_t bytes =
            (uint64_t)((double)(b->bytes * times) * share_touched(op, role) + 0.5);
        t->read += access == FV_LOW_WRITE ? 0 : bytes;
        t->written += access == FV_LOW_READ ? 0 : bytes;
    }
}

static int is_vector_type(const struct fv_lowered *l, int buffer)
{
    return l->buffer[buffer].dtype == FV_LOW_F32;
}

static void count_flops(struct fv_traffic *t, const struct fv_lowered *l,
                        const struct fv_low_op *op)
{
    const struct fv_low_shape *s = &op->shape;
    const double outputs = (double)s->n * s->h * s->w * s->c, taps = (double)s->window * s->window;
    switch (op->kind) {
    case FV_LOW_CONV:
    case FV_LOW_CONV_DGRAD:
    case FV_LOW_CONV_WGRAD:
        t->flops = 2 * outputs * taps * s->in_c / s->groups;
        t->on_vectors = l->dtype == FV_LOW_F32;
        return;
    case FV_LOW_DEPTHWISE:
    case FV_LOW_DEPTHWISE_DGRAD:
    case FV_LOW_DEPTHWISE_WGRAD:
        t->flops = 2 * outputs * taps;
        t->on_vectors = 1;
        return;
    case FV_LOW_FC:
    case FV_LOW_FC_DGRAD:
    case FV_LOW_FC_WGRAD:
        t->flops = 2.0 * s->n * s->c * ((double)s->in_h * s->in_w * s->in_c);
        t->on_vectors =
            is_vector_type(l, op->arg[op->kind == FV_LOW_FC_DGRAD ? FV_LOW_DY : FV_LOW_X]);
        return;
    default:
        return;
    }
}

void fv_traffic_op(struct fv_traffic *out, const struct fv_lowered *l, int op, int planes)
{
    *out = (struct fv_traffic){.launches = count_launches(l, &l->op[op])};
    count_bytes(out, l, &l->op[op], planes);
    count_flops(out, l, &l->op[op]);
}

struct fv_traffic_card fv_traffic_h200(void)
{
    return (struct fv_traffic_card){.matrix_flops = 790e12,
                                    .vector_flops = 67e12,
                                    .bytes_per_s = 4.3e12,
                                    .compute_share = 0.65,
                                    .memory_share = 0.85,
                                    .launch_s = 2e-6};
}

double fv_traffic_seconds(const struct fv_traffic *t, const struct fv_traffic_card *card)
{
    const double peak = t->on_vectors ? card->vector_flops : card->matrix_flops;
    const double compute = t->flops / (card->compute_share * peak);
    const double memory = (double)(t->read + t->written) / (card->memory_share * card->bytes_per_s);
    return t->launches * card->launch_s + (compute > memory ? compute : memory);
}

int fv_traffic_can(void *net, const struct fv_low_query *q)
{
    const struct fv_net *n = net;
    struct fv_conv_key key;
    return q->dtype == FV_LOW_F16 && n->node[n->node[q->node].in[0]].kind != FV_NODE_INPUT &&
           fv_conv_key_of(&key, FV_LOW_CONV, q->graph, q->dtype, &q->shape);
}
