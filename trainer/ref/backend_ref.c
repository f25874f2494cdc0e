/* SPDX-License-Identifier: MIT */
/* The reference backend: what a net means, in the plainest C.
 *
 * It is the oracle for every other backend, so it shares no trick with any of them, fuses nothing, and keeps the
 * output and the gradient of every node. It computes in double from fp32 parameters: its own rounding is then
 * out of the question when another backend differs, and finite differences of its loss are sharp enough to check
 * its gradients. Parameters and the optimiser's states are rounded to fp32 once a step.
 */
#include "trainer/ref/backend_ref.h"

#include "common/err.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct fv_device {
    char info[64];
};

static int ref_open(struct fv_device **out, const struct fv_device_settings *s)
{
    (void)s;
    *out = calloc(1, sizeof **out);
    if (!*out)
        return fv_err(FV_ENOMEM, "backend ref: out of memory");
    strcpy((*out)->info, "reference (plain C, double), 1 thread");
    return 0;
}

static void ref_close(struct fv_device **d)
{
    if (!d)
        return;
    free(*d);
    *d = NULL;
}

static const char *ref_info(const struct fv_device *d)
{
    return d->info;
}

static size_t out_count(const struct fv_program *p, int node)
{
    const struct fv_node *o = &p->net->node[node];
    return (size_t)p->batch * (size_t)o->h * (size_t)o->w * (size_t)o->c;
}

/* The largest number of weights in one convolution. */
static size_t largest_conv(const struct fv_net *net)
{
    size_t most = 0;
    for (int i = 0; i < net->nodes; i++)
        if (net->node[i].kind == FV_NODE_CONV && net->tensor[net->node[i].tensor[0]].count > most)
            most = net->tensor[net->node[i].tensor[0]].count;
    return most;
}

static void *take(struct fv_program *p, size_t count, size_t item)
{
    return fv_arena_take(&p->memory, count * item, 64);
}

static void carve_node(struct fv_program *p, int i)
{
    const struct fv_node *o = &p->net->node[i];
    struct fv__ref_node node = {0};
    node.out = take(p, out_count(p, i), sizeof(double));
    if (p->train && o->kind != FV_NODE_INPUT)
        node.grad = node.grad_memory = take(p, out_count(p, i), sizeof(double));
    if (p->train && o->kind == FV_NODE_BN)
        node.stat = take(p, 2 * (size_t)o->c + 1, sizeof(double));
    if (p->node)
        p->node[i] = node;
}

/* What the loss reads, and memory for what it writes. */
static void carve_loss(struct fv_program *p)
{
    const struct fv_net *net = p->net;
    const struct fv_node *o = &net->node[net->nodes - 1];
    double *work = take(p, fv_loss_work(&net->loss, p->batch, net->embedding), sizeof(double));
    p->loss = (struct fv_loss_call){
        .spec = &net->loss, .classes = net->classes, .dim = net->embedding, .work = work};
    for (int k = 0; k < FV_LOSS_INPUTS; k++)
        if (net->loss.reads & 1u << k)
            p->loss.in[k].grad_d = take(p, out_count(p, o->in[k]), sizeof(double));
    for (int k = 0; k < FV_LOSS_INPUTS && p->node; k++)
        if (o->in[k] >= 0)
            p->loss.in[k].d = p->node[o->in[k]].out;
    for (int t = 0; t < net->loss.terms && p->value; t++)
        for (int k = 0; k < FV_LOSS_STATES; k++)
            if (fv_net_loss_state(net, t, k) >= 0)
                p->loss.state[t][k] = p->value + net->tensor[fv_net_loss_state(net, t, k)].offset;
}

/* Twice over: the first pass counts, the second lays out. */
static void carve(struct fv_program *p)
{
    const struct fv_net *net = p->net;
    size_t conv = largest_conv(net);
    p->node = take(p, (size_t)net->nodes, sizeof *p->node);
    p->value = take(p, net->params + net->buffers, sizeof *p->value);
    p->weight = take(p, conv, sizeof *p->weight);
    p->row = take(p, (size_t)net->embedding, sizeof *p->row);
    p->needed = take(p, (size_t)net->nodes, sizeof *p->needed);
    if (p->train) {
        p->grad = take(p, net->params, sizeof *p->grad);
        p->weight_grad = take(p, conv, sizeof *p->weight_grad);
    }
    for (int i = 0; i < net->nodes; i++)
        carve_node(p, i);
    if (p->train)
        carve_loss(p);
}

static void ref_release(struct fv_program **p)
{
    if (!p || !*p)
        return;
    free((*p)->shared);
    for (int i = 0; i < FV_STATES; i++)
        free((*p)->vector[i]);
    fv_arena_free(&(*p)->memory);
    free(*p);
    *p = NULL;
}

static int ref_compile(struct fv_device *d, const struct fv_net *net, int batch, int train,
                       const struct fv_optim *optim, struct fv_program **out)
{
    (void)d;
    (void)optim;
    *out = NULL;
    if (batch < 1)
        return fv_err(FV_EINVAL, "%s: a batch of %d images", net->arch, batch);
    struct fv_program *p = calloc(1, sizeof *p);
    if (!p)
        return fv_err(FV_ENOMEM, "backend ref: out of memory");
    p->net = net;
    p->batch = batch;
    p->train = train;
    p->epoch = INFINITY;
    carve(p);
    int rc = fv_arena_commit(&p->memory);
    if (rc < 0)
        ref_release(&p);
    else
        carve(p);
    *out = p;
    return rc;
}

static int ref_memory(struct fv_program *p, const struct fv_optim *optim, int evaluates,
                      struct fv_memory_use *out)
{
    (void)optim;
    (void)evaluates; /* by the same outputs */
    *out = (struct fv_memory_use){.weights = (p->net->params + p->net->buffers) * sizeof *p->value,
                                  .gradients = p->train ? p->net->params * sizeof *p->grad : 0};
    out->activations = p->memory.size - out->weights - out->gradients;
    for (int i = 0; i < FV_STATES; i++)
        out->states += p->vector[i] ? fv_state_count(p->net, (enum fv_state)i) * sizeof(float) : 0;
    return 0;
}

static int ref_params_set(struct fv_program *p, const float *arena)
{
    memcpy(p->value, arena, (p->net->params + p->net->buffers) * sizeof *arena);
    return 0;
}

static int ref_params_get(struct fv_program *p, float *arena)
{
    memcpy(arena, p->value, (p->net->params + p->net->buffers) * sizeof *arena);
    return 0;
}

static int need_training(const struct fv_program *p)
{
    return p->train ? 0 : fv_err(FV_EINVAL, "%s was compiled for inference only", p->net->arch);
}

static int ref_state_set(struct fv_program *p, enum fv_state which, const float *v)
{
    FV_TRY(need_training(p));
    return fv__ref_state_set(p, which, v);
}

static int ref_state_get(struct fv_program *p, enum fv_state which, float *v)
{
    FV_TRY(need_training(p));
    return fv__ref_state_get(p, which, v);
}

static int ref_grads_get(struct fv_program *p, float *g)
{
    FV_TRY(need_training(p));
    for (size_t i = 0; i < p->net->params; i++)
        g[i] = (float)p->grad[i];
    return 0;
}

static void forward(struct fv_program *p)
{
    for (int i = 0; i < p->net->nodes; i++)
        if (p->net->node[i].kind != FV_NODE_LOSS || p->by_batch)
            fv__ref_ops[p->net->node[i].kind].forward(p, i);
}

/* What is not needed has no gradient to add to, and nothing to hand on. */
static void backward(struct fv_program *p, const struct fv_optim *optim)
{
    const struct fv_net *net = p->net;
    memset(p->grad, 0, net->params * sizeof *p->grad);
    fv_optim_find_needed(optim, net, p->needed);
    for (int i = 0; i < net->nodes; i++) {
        p->node[i].grad = p->needed[i] ? p->node[i].grad_memory : NULL;
        if (p->node[i].grad)
            memset(p->node[i].grad, 0, out_count(p, i) * sizeof(double));
    }
    for (int i = net->nodes - 1; i > 0; i--)
        if (p->node[i].grad)
            fv__ref_ops[net->node[i].kind].backward(p, i);
    for (int t = 0; t < net->tensors; t++)
        if (!net->tensor[t].buffer && !fv_optim_trains(optim, net, t))
            memset(p->grad + net->tensor[t].offset, 0, net->tensor[t].count * sizeof *p->grad);
}

void fv__ref_sync(struct fv_program *p, double *sums, size_t n)
{
    if (p->sync_bn && p->error == 0)
        p->error = fv_comm_sum_doubles(p->comm, sums, n);
}

static int ref_set_comm(struct fv_program *p, struct fv_comm *comm, int sync_bn)
{
    FV_TRY(need_training(p));
    if (fv_comm_world(comm) == 1)
        return 0;
    free(p->shared);
    p->shared = malloc((p->net->params + p->net->buffers) * sizeof *p->shared);
    if (!p->shared)
        return fv_err(FV_ENOMEM, "backend ref: out of memory");
    p->comm = comm;
    p->sync_bn = sync_bn;
    return 0;
}

static int ref_step(struct fv_program *p, const struct fv_batch *b, const struct fv_optim *optim)
{
    FV_TRY(need_training(p));
    FV_TRY(fv_backend_check_batch(p->net, p->batch, b));
    p->n = b->n;
    p->by_batch = 1;
    p->pixels = b->pixels;
    p->label = b->label;
    p->label_mix = b->label_mix;
    p->lambda = b->lambda;
    p->ticket = b->ticket;
    for (int i = 0; i < p->net->nodes; i++)
        p->node[i].by_running = fv_optim_is_frozen_bn(optim, p->net, i);
    forward(p);
    backward(p, optim);
    p->state = FV__REF_STEPPED;
    FV_TRY(p->error);
    return fv__ref_finish_step(p, optim);
}

static void ref_set_epoch(struct fv_program *p, double epoch)
{
    p->epoch = epoch;
}

static int ref_result(struct fv_program *p, struct fv_step_result *out)
{
    if (p->result.n == 0)
        return fv_err(FV_EINVAL, "%s: no step was taken", p->net->arch);
    *out = p->result;
    return 0;
}

static void copy_out(const struct fv_program *p, int node, const double *values, float *out)
{
    size_t count = out_count(p, node) / (size_t)p->batch * (size_t)p->n;
    for (size_t i = 0; i < count; i++)
        out[i] = (float)values[i];
}

static int ref_eval(struct fv_program *p, const uint8_t *pixels, int n, float *embedding,
                    float *logits)
{
    if (n < 1 || n > p->batch)
        return fv_err(FV_EINVAL, "%d images for a program of 1 .. %d", n, p->batch);
    FV_TRY(fv_backend_check_logits(p->net, logits));
    p->n = n;
    p->by_batch = 0;
    p->pixels = pixels;
    forward(p);
    p->state = FV__REF_EVALUATED;
    if (embedding)
        copy_out(p, p->net->embedding_node, p->node[p->net->embedding_node].out, embedding);
    if (logits)
        copy_out(p, p->net->logits_node, p->node[p->net->logits_node].out, logits);
    return 0;
}

static int all_finite(const double *v, size_t n)
{
    for (size_t i = 0; v && i < n; i++)
        if (!isfinite(v[i]))
            return 0;
    return 1;
}

static int ref_find_bad(struct fv_program *p, int *node, int *gradient)
{
    if (p->state != FV__REF_STEPPED || p->result.finite)
        return fv_err(FV_EUNSUPPORTED, "%s: the last step was finite", p->net->arch);
    for (*gradient = 0; *gradient < 2; ++*gradient)
        for (int i = 0; i < p->net->nodes; i++) {
            *node = *gradient ? p->net->nodes - 1 - i : i;
            const struct fv__ref_node *v = &p->node[*node];
            const size_t count = out_count(p, *node) / (size_t)p->batch * (size_t)p->n;
            if (p->net->node[*node].kind != FV_NODE_LOSS &&
                !all_finite(*gradient ? v->grad : v->out, count))
                return 0;
        }
    return fv_err(FV_ENOTFOUND, "all outputs and gradients are finite");
}

static int ref_node_get(struct fv_program *p, int node, int gradient, float *out)
{
    if (node < 0 || node >= p->net->nodes)
        return fv_err(FV_EINVAL, "%s has no node %d", p->net->arch, node);
    const struct fv_node *o = &p->net->node[node];
    if (p->state == FV__REF_NEW || (gradient && !p->node[node].grad) ||
        ((gradient || o->kind == FV_NODE_LOSS) && p->state != FV__REF_STEPPED))
        return fv_err(FV_EUNSUPPORTED, "%s: node %d (%s): not computed", p->net->arch, node,
                      fv_node_names[o->kind]);
    copy_out(p, node, gradient ? p->node[node].grad : p->node[node].out, out);
    return 0;
}

const struct fv_backend fv_backend_ref = {
    .name = "ref",
    .help = "plain C in double precision, slow: the oracle for the others",
    .open = ref_open,
    .close = ref_close,
    .info = ref_info,
    .compile = ref_compile,
    .release = ref_release,
    .memory = ref_memory,
    .params_set = ref_params_set,
    .params_get = ref_params_get,
    .state_set = ref_state_set,
    .state_get = ref_state_get,
    .grads_get = ref_grads_get,
    .step = ref_step,
    .set_epoch = ref_set_epoch,
    .result = ref_result,
    .eval = ref_eval,
    .set_comm = ref_set_comm,
    .find_bad = ref_find_bad,
    .node_get = ref_node_get,
};
