/* SPDX-License-Identifier: MIT */
/* Who still reads a value: what one step may do together, and what may be written over. */
#include "trainer/cpu/backend_cpu.h"

#include <math.h>

int fv__cpu_only_reader(const struct fv__cpu_plan *plan, int node, enum fv_node_kind kind)
{
    const struct fv_net *net = plan->program->net;
    if (plan->value[node].readers != 1 || node == net->embedding_node || node == net->logits_node)
        return -1;
    for (int i = node + 1; i < net->nodes; i++)
        for (int k = 0; k < FV_NODE_INPUTS; k++)
            if (net->node[i].in[k] == node)
                return net->node[i].kind == kind ? i : -1;
    return -1;
}

int fv__cpu_only_relu(const struct fv__cpu_plan *plan, int node)
{
    int relu = fv__cpu_only_reader(plan, node, FV_NODE_RELU);
    return relu >= 0 ? relu : fv__cpu_only_reader(plan, node, FV_NODE_RELU6);
}

float fv__cpu_relu_limit(const struct fv__cpu_plan *plan, int node)
{
    return fv__cpu_node(plan, node)->kind == FV_NODE_RELU6 ? 6.0f : INFINITY;
}

/* All nodes that read a node's output. */
static int all_readers(const struct fv__cpu_plan *plan, int node)
{
    const struct fv_net *net = plan->program->net;
    int readers = 0;
    for (int i = node + 1; i < net->nodes; i++)
        for (int k = 0; k < FV_NODE_INPUTS; k++)
            readers += net->node[i].in[k] == node;
    return readers;
}

/* Nothing else needs it, in backward neither, where an earlier reader may want it again. */
int fv__cpu_may_overwrite(const struct fv__cpu_plan *plan, int node)
{
    const struct fv_net *net = plan->program->net;
    enum fv_node_kind kind = net->node[node].kind;
    if (plan->value[node].readers != 1 || node == net->embedding_node || node == net->logits_node)
        return 0;
    return !plan->training ||
           ((kind == FV_NODE_BN || kind == FV_NODE_CONV) && all_readers(plan, node) == 1);
}

void fv__cpu_have_read(struct fv__cpu_plan *plan, int node)
{
    for (int k = 0; k < FV_NODE_INPUTS; k++)
        if (fv__cpu_node(plan, node)->in[k] >= 0)
            plan->value[fv__cpu_node(plan, node)->in[k]].readers--;
}

void fv__cpu_fuse(struct fv__cpu_plan *plan, int node, int later)
{
    plan->value[node].out = later;
    plan->value[later].fused = 1;
    fv__cpu_have_read(plan, later);
}

int fv__cpu_buffer_over(struct fv__cpu_plan *plan, int in, const struct fv__dnn_md *md)
{
    if (!fv__cpu_may_overwrite(plan, in))
        return fv__cpu_buffer_for(plan, md);
    int buffer = plan->value[in].buffer;
    plan->value[in].buffer = -1;
    return buffer;
}
