/* SPDX-License-Identifier: MIT */
/* The neck is that of InsightFace's nets, without bias, which the batch norm would undo: an embedding behind it has
 * both signs, which what comes out of a ReLU has not. */
#include "trainer/net/arch_head.h"

#include <string.h>

int fv__arch_neck(struct fv_net *n, const struct fv_arch_settings *s, int x)
{
    if (s->embedding > 0)
        x = fv_net_bn(n, "neck.1", fv_net_fc(n, "neck.0", x, s->embedding, 0));
    return n->embedding_node = x;
}

int fv__arch_head(struct fv_net *n, const struct fv_arch_settings *s, const char *name, int x)
{
    int in[FV_LOSS_INPUTS] = {-1, -1, -1};
    if (fv_net_set_loss(n, s->loss ? s->loss : "ce") < 0)
        return -1;
    const int taken = n->loss.reads & FV_LOSS_READS_LOGITS && strcmp(name, "head") == 0;
    const char *cosine = taken ? "head.cosine" : "head";
    if (n->loss.reads & FV_LOSS_READS_LOGITS)
        in[FV_LOSS_LOGITS] = fv_net_fc(n, name, x, s->classes, 1);
    if (n->loss.reads & FV_LOSS_READS_COSINE)
        in[FV_LOSS_COSINE] = fv_net_cosine(n, cosine, x, s->classes);
    if (n->loss.reads & (FV_LOSS_READS_EMBEDDING | FV_LOSS_READS_NORMS))
        in[FV_LOSS_EMBEDDING] = x;
    fv_net_loss_over(n, in, s->classes);
    return in[FV_LOSS_LOGITS];
}
