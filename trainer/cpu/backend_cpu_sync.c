/* SPDX-License-Identifier: MIT */
/* What goes from rank to rank.
 *
 * Gradients go in the net's order: on another machine the packed order may be another. The batch statistics that
 * the running ones are about to take go with them, so that those are the same on every rank after every step, and
 * no checkpoint has to bring them together. */
#include "trainer/cpu/backend_cpu.h"

#include "common/err.h"

#include <string.h>

/* Where the arena has the running statistic that this one goes into: 0 mean, 1 variance. */
static float *statistic(const struct fv_program *p, int node, int which)
{
    return p->plain + p->net->tensor[p->net->node[node].tensor[2 + which]].offset;
}

static float *measured(const struct fv__cpu_plan *plan, int node, int which)
{
    const struct fv__cpu_value *v = &plan->value[node];
    return fv__cpu_address(plan, fv__cpu_in_buffer(which ? v->var : v->mean));
}

int fv__cpu_average(struct fv_program *p, const struct fv__cpu_plan *plan)
{
    const struct fv_net *net = p->net;
    const size_t all = net->params + net->buffers;
    const float share = 1.0f / (float)p->comm->world;
    memset(p->plain + net->params, 0, net->buffers * sizeof *p->plain);
    FV_TRY(fv__cpu_unpack(p, p->grad, p->plain));
    for (int i = 0; i < net->nodes; i++)
        for (int k = 0; k < 2 && net->node[i].kind == FV_NODE_BN; k++)
            memcpy(statistic(p, i, k), measured(plan, i, k),
                   (size_t)net->node[i].c * sizeof(float));
    FV_TRY(fv_comm_sum_floats(p->comm, p->plain, all));
    for (size_t i = 0; i < all; i++)
        p->plain[i] *= share;
    for (int i = 0; i < net->nodes; i++)
        for (int k = 0; k < 2 && net->node[i].kind == FV_NODE_BN; k++)
            memcpy(measured(plan, i, k), statistic(p, i, k),
                   (size_t)net->node[i].c * sizeof(float));
    return fv__cpu_pack(p, p->grad, p->plain);
}
