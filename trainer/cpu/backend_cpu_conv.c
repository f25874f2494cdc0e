/* SPDX-License-Identifier: MIT */
/* Which layouts a convolution computes in.
 *
 * A layout for which oneDNN has a fast forward pass may leave the gradients to its reference implementation, a hundred
 * times slower: 8 channels as plain planes do, and so do blocks of channels under a depthwise convolution whose window
 * is the whole map. So the three passes of training are tried together, with the layouts that there are, those that the
 * library would choose for the forward pass, channels last, which newer implementations take, and plain ones, for which
 * it always has a matrix product. The first without a slow pass is taken, else the one with the least of them.
 */
#include "trainer/cpu/backend_cpu.h"

#include "common/err.h"

#include <string.h>

/* What a pass by the reference implementation, and by im2col and a matrix product, is worth avoiding. */
enum { REFERENCE = 100, PRODUCT = 1 };

/* Pixels a side that Winograd's method computes at a time: on smaller maps most of its work is for nothing. */
enum { TILE = 4 };

int fv__cpu_conv_cost(const struct fv__dnn_op *op)
{
    const char *name = fv__dnn_op_name(op);
    if (strncmp(name, "ref", 3) == 0)
        return REFERENCE;
    return strncmp(name, "x64:gemm", 8) == 0 || strncmp(name, "gemm", 4) == 0 ? PRODUCT : 0;
}

struct fv__dnn_conv fv__cpu_conv_of(const struct fv__cpu_plan *plan, int node)
{
    const struct fv_node *o = &plan->program->net->node[node];
    return (struct fv__dnn_conv){.stride = o->stride,
                                 .pad = o->pad,
                                 .winograd = plan->program->device->winograd && o->h >= TILE &&
                                             o->w >= TILE,
                                 .training = plan->training};
}

struct fv__dnn_md *fv__cpu_conv_weights(struct fv__cpu_plan *plan, int node)
{
    const struct fv_node *o = &plan->program->net->node[node];
    const int *d = plan->program->net->tensor[o->tensor[0]].dim;
    if (o->groups == 1)
        return fv__cpu_md(plan, 4, d, FV_DNN_ANY);
    return fv__cpu_md(plan, 5, (int[5]){o->groups, d[0] / o->groups, d[1], d[2], d[3]}, FV_DNN_ANY);
}

/* Of both gradients, behind this forward pass. */
static int backward_cost(struct fv__cpu_plan *plan, int node, const struct fv__dnn_conv *conv,
                         const struct fv__dnn_md *bias, const struct fv__dnn_op *forward)
{
    const struct fv_net *net = plan->program->net;
    dnnl_engine_t engine = plan->program->device->engine;
    struct fv__dnn_md *src = fv__cpu_op_md(plan, forward, dnnl_query_src_md);
    struct fv__dnn_md *dst = fv__cpu_op_md(plan, forward, dnnl_query_dst_md);
    struct fv__dnn_md *weights = fv__cpu_conv_weights(plan, node);
    struct fv__dnn_op op = {0};
    int cost = 0;
    if (plan->error)
        return 0;
    int rc = fv__dnn_conv_backward_weights(&op, engine, conv, src, weights, bias, dst, forward);
    cost += rc < 0 ? REFERENCE : fv__cpu_conv_cost(&op);
    fv__dnn_op_free(&op);
    if (net->node[net->node[node].in[0]].kind == FV_NODE_INPUT)
        return cost;
    rc = fv__dnn_conv_backward_data(&op, engine, conv, src, weights, dst, forward);
    cost += rc < 0 ? REFERENCE : fv__cpu_conv_cost(&op);
    fv__dnn_op_free(&op);
    return cost;
}

int fv__cpu_conv_make(struct fv__cpu_plan *plan, int node, const struct fv__dnn_conv *conv,
                      const struct fv__dnn_md *bias, const struct fv__dnn_md *sum,
                      struct fv__dnn_op *op)
{
    static const enum fv__dnn_layout layout[] = {FV_DNN_ANY, FV_DNN_ANY, FV_DNN_CHANNELS_LAST,
                                                 FV_DNN_PLAIN};
    enum { TRIES = sizeof layout / sizeof layout[0] };
    const int from = plan->program->net->node[node].in[0];
    const struct fv__dnn_md *packed =
        plan->program->slot[plan->program->net->node[node].tensor[0]].packed;
    const struct fv__dnn_md *any = fv__cpu_conv_weights(plan, node);
    int least = 0, rc = 0;
    for (int i = 0; i < TRIES; i++) {
        struct fv__dnn_op made = {0};
        const struct fv__dnn_md *src =
            i == 0 ? plan->value[from].md : fv__cpu_value_md(plan, from, layout[i]);
        const struct fv__dnn_md *dst = sum ? sum : fv__cpu_value_md(plan, node, layout[i]);
        FV_TRY(plan->error);
        rc = fv__dnn_conv_forward(&made, plan->program->device->engine, conv, src,
                                  i == 0 && packed ? packed : any, bias, dst);
        if (rc < 0)
            continue;
        int cost = fv__cpu_conv_cost(&made);
        if (plan->training)
            cost += backward_cost(plan, node, conv, bias, &made);
        if (op->primitive && cost >= least) {
            fv__dnn_op_free(&made);
            continue;
        }
        fv__dnn_op_free(op);
        *op = made;
        least = cost;
        if (cost == 0)
            break;
    }
    return op->primitive ? 0 : rc;
}
