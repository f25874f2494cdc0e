/* SPDX-License-Identifier: MIT */
/* The last node: what the loss reads, and the states of its terms, which are buffers of that node. */
#include "trainer/net/net_build.h"

#include "common/err.h"
#include "common/fs.h"

#include <stdlib.h>
#include <string.h>

static void add_states(struct fv_net *n, struct fv_node *node, int classes, int dim)
{
    int count = 0;
    for (int t = 0; t < n->loss.terms; t++) {
        for (int k = 0; k < FV_LOSS_STATES; k++) {
            const struct fv_loss_state *s = &n->loss.term[t].loss->state[k];
            const char *dot = s->name ? strrchr(s->name, '.') : NULL;
            if (!dot)
                continue;
            char *module = fv_format("%.*s", (int)(dot - s->name), s->name);
            if (!module) {
                fv__net_fail(n, FV_ENOMEM, "out of memory");
                return;
            }
            const struct fv_tensor tensor = {
                .buffer = 1, .init = FV_INIT_CONSTANT, .init_value = s->init};
            const int dims[4] = {s->per_class ? classes : 1, dim};
            node->tensor[count++] =
                fv__net_add_tensor(n, module, dot + 1, s->per_class ? 2 : 1, dims, tensor);
            free(module);
        }
    }
}

int fv_net_loss_state(const struct fv_net *n, int term, int which)
{
    int count = 0;
    if (which >= FV_LOSS_STATES || !n->loss.term[term].loss->state[which].name)
        return -1;
    for (int t = 0; t <= term; t++)
        for (int k = 0; k < (t < term ? FV_LOSS_STATES : which); k++)
            count += n->loss.term[t].loss->state[k].name != NULL;
    return n->node[n->nodes - 1].tensor[count];
}

int fv_net_set_loss(struct fv_net *n, const char *text)
{
    if (!n->error)
        n->error = fv_loss_parse(&n->loss, text);
    return n->error ? -1 : 0;
}

int fv_net_loss_over(struct fv_net *n, const int in[FV_LOSS_INPUTS], int classes)
{
    int some = -1, dim = 0;
    for (int k = 0; k < FV_LOSS_INPUTS; k++)
        some = in[k] >= 0 ? in[k] : some;
    struct fv_node *node = fv__net_add_node(n, FV_NODE_LOSS, "", some, -1);
    if (!node)
        return -1;
    for (int k = 0; k < FV_LOSS_INPUTS; k++) {
        node->in[k] = in[k];
        if (in[k] >= n->nodes - 1)
            return fv__net_fail(n, FV_EINVAL, "the loss reads a node that does not exist");
        if (in[k] >= 0 && (n->node[in[k]].h != 1 || n->node[in[k]].w != 1))
            return fv__net_fail(n, FV_EINVAL, "the loss reads 1x1 pixels");
        if (in[k] >= 0 && k != FV_LOSS_EMBEDDING && n->node[in[k]].c != classes)
            return fv__net_fail(n, FV_EINVAL, "a head of %d classes where there are %d",
                                n->node[in[k]].c, classes);
    }
    if (in[FV_LOSS_EMBEDDING] >= 0)
        dim = n->node[in[FV_LOSS_EMBEDDING]].c;
    n->classes = classes;
    if (n->loss.scored >= 0)
        n->logits_node = in[fv_loss_scores(&n->loss.term[n->loss.scored])];
    n->logit_scale = fv_loss_scale(&n->loss);
    node->c = 1;
    add_states(n, node, classes, dim);
    return fv__net_last(n);
}

int fv_net_loss(struct fv_net *n, int logits)
{
    const int in[FV_LOSS_INPUTS] = {logits, -1, -1};
    if (fv_net_set_loss(n, "ce") < 0)
        return -1;
    return fv_net_loss_over(n, in, logits >= 0 && logits < n->nodes ? n->node[logits].c : 0);
}
