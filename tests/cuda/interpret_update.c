/* SPDX-License-Identifier: MIT */
/* The ops at the end of a step: the loss, the result, and what changes the net's numbers. */
#include "tests/cuda/interpret_ops.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Rows without their padding; NULL if absent. */
static float *dense(struct interp_call *c, int role, size_t columns)
{
    float *all = interp_take(c, role);
    size_t n = (size_t)c->op->shape.n, stride = all ? interp_count(c, role) / n : 0;
    for (size_t i = 0; all && i < n; i++)
        memmove(all + i * columns, all + i * stride, columns * sizeof *all);
    return all;
}

static void put_dense(struct interp_call *c, int role, size_t columns, float *values)
{
    float *all = interp_new(c, role);
    size_t n = (size_t)c->op->shape.n, stride = all ? interp_count(c, role) / n : 0;
    for (size_t i = 0; all && i < n; i++)
        memcpy(all + i * stride, values + i * columns, columns * sizeof *all);
    interp_put(c, role, all);
    free(values);
}

/* The states of the loss's terms, in the net's own order. */
static void load_states(struct interp_call *c, struct fv_loss_call *loss)
{
    const struct fv_net *net = c->l->net;
    c->interp->states = calloc(net->params + net->buffers, sizeof(float));
    if (!c->interp->states)
        abort();
    interp_get(c->interp, c->interp->states);
    for (int t = 0; t < net->loss.terms; t++)
        for (int k = 0; k < FV_LOSS_STATES; k++)
            if (fv_net_loss_state(net, t, k) >= 0)
                loss->state[t][k] =
                    c->interp->states + net->tensor[fv_net_loss_state(net, t, k)].offset;
}

/* The loss itself is trainer/loss's: here it matters what it is given and where its gradients go. */
void interp_run_loss(struct interp_call *c)
{
    static const int in[] = {FV_LOW_Y, FV_LOW_COSINES, FV_LOW_EMBEDDING};
    static const int out[] = {FV_LOW_DX, FV_LOW_DCOSINES, FV_LOW_DEMBEDDING};
    const struct fv_net *net = c->l->net;
    int n = c->op->shape.n;
    struct fv_loss_call loss = {.spec = &net->loss,
                                .n = n,
                                .classes = net->classes,
                                .dim = net->embedding,
                                .label = c->arg[FV_LOW_LABEL],
                                .label_mix = c->arg[FV_LOW_LABEL_MIX],
                                .lambda = c->arg[FV_LOW_LAMBDA],
                                .epoch = INFINITY};
    size_t columns[] = {(size_t)net->classes, (size_t)net->classes, (size_t)net->embedding};
    float *items = interp_new(c, FV_LOW_ITEMS), *hits = interp_new(c, FV_LOW_HITS);
    loss.work = calloc(fv_loss_work(&net->loss, n, net->embedding) + 1, sizeof *loss.work);
    for (int k = 0; k < FV_LOSS_INPUTS; k++) {
        loss.in[k].f = dense(c, in[k], columns[k]);
        loss.in[k].grad_f = interp_new(c, out[k]);
    }
    load_states(c, &loss);
    fv_loss_run(&loss);
    for (int i = 0; i < net->loss.terms * n; i++) /* after the items' losses and hits */
        items[i] = (float)(net->loss.term[i / n].weight * loss.work[2 * n + i]);
    for (int i = 0; hits && i < n; i++)
        hits[i] = (float)loss.work[n + i];
    fv_loss_commit(&loss);
    interp_put_states(c->interp);
    for (int k = 0; k < FV_LOSS_INPUTS; k++) {
        free((float *)(uintptr_t)loss.in[k].f);
        if (loss.in[k].grad_f)
            put_dense(c, out[k], columns[k], loss.in[k].grad_f);
    }
    interp_put(c, FV_LOW_ITEMS, items);
    interp_put(c, FV_LOW_HITS, hits);
    free(loss.work);
}

/* Items and hits become the step's result. */
void interp_run_check(struct interp_call *c)
{
    float *items = interp_take(c, FV_LOW_ITEMS), *hits = interp_take(c, FV_LOW_HITS);
    const size_t n = (size_t)c->l->batch;
    c->interp->loss = c->interp->correct = 0;
    for (size_t i = 0; i < interp_count(c, FV_LOW_ITEMS); i++)
        c->interp->loss += (double)items[i] / (double)n;
    for (size_t i = 0; hits && i < n; i++)
        c->interp->correct += (double)hits[i];
    interp_free_all(2, (float *[]){items, hits});
}

void interp_run_nothing(struct interp_call *c)
{
    (void)c;
}

/* Over whole slots, padding included: it is zero and has to stay zero. */
static void update_slot(struct interp_call *c, int t)
{
    const struct fv_low_slot *s = &c->l->slot[t];
    struct fv_optim_scalars k = fv_optim_scalars(c->optim, t);
    float *w = (float *)c->arg[FV_LOW_MASTERS] + s->offset;
    float *state = c->arg[FV_LOW_STATES];
    const unsigned char *grad = c->arg[FV_LOW_GRADS];
    enum fv_low_dtype type = s->is_t ? c->l->dtype : FV_LOW_F32;
    grad += fv_low_grad_byte(c->l, s->offset);
    float *g = malloc(s->count * sizeof *g);
    if (!g)
        abort();
    interp_widen(type, grad, g, s->count);
    for (size_t i = 0; !k.frozen && i < s->count; i++) {
        size_t first = s->offset + i, second = c->l->elements + first;
        double v = (double)w[i], st[2] = {(double)state[first], (double)state[second]};
        fv_optim_rules[c->optim->kind].update(&k, &v, (double)g[i], st);
        w[i] = (float)v;
        state[first] = (float)st[0];
        state[second] = (float)st[1];
    }
    free(g);
    if (s->is_t && c->arg[FV_LOW_WORKS])
        interp_narrow(c->l->dtype, w, (uint16_t *)c->arg[FV_LOW_WORKS] + s->offset, s->count);
}

void interp_run_optim(struct interp_call *c)
{
    for (int t = 0; c->optim && t < c->l->net->tensors; t++)
        if (!c->l->net->tensor[t].buffer)
            update_slot(c, t);
}

void interp_run_running_update(struct interp_call *c)
{
    float *running = c->arg[FV_LOW_RUNNINGS];
    const float *batch = c->arg[FV_LOW_BATCHSTATS];
    for (int i = 0; i < c->l->net->nodes; i++) {
        const struct fv_node *o = &c->l->net->node[i];
        if (o->kind != FV_NODE_BN || fv_optim_is_frozen_bn(c->optim, c->l->net, i))
            continue;
        for (int k = 2; k < 4; k++) {
            size_t at = c->l->slot[o->tensor[k]].offset;
            for (int j = 0; j < o->c; j++)
                running[at + (size_t)j] +=
                    o->momentum * (batch[at + (size_t)j] - running[at + (size_t)j]);
        }
    }
}
