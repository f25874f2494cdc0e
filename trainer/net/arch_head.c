/* SPDX-License-Identifier: MIT */
/* The neck is that of InsightFace's nets, without bias, which the batch norm would undo: an embedding behind it has
 * both signs, which what comes out of a ReLU has not. */
#include "trainer/net/arch_head.h"

int fv__arch_neck(struct fv_net *n, const struct fv_arch_settings *s, int x)
{
    if (s->embedding > 0)
        x = fv_net_bn(n, "neck.1", fv_net_fc(n, "neck.0", x, s->embedding, 0));
    return n->embedding_node = x;
}

int fv__arch_head(struct fv_net *n, const struct fv_arch_settings *s, const char *name, int x)
{
    int logits = fv_net_fc(n, name, x, s->classes, 1);
    fv_net_loss(n, logits);
    return logits;
}
