/* SPDX-License-Identifier: MIT */
/* Lowering from the outside: settings in, program out. Which nodes count, of which type their values are, and the
 * small functions by which the other files add ops and buffers.
 *
 * A node that neither the loss nor the embedding depends on is left out. The way from the last pixels to the loss
 * is fp32: 1x1 values that nothing but the head reads. There a 16-bit type would save nothing and cost accuracy
 * where the embedding is made. Inside the net (squeeze and excitation) 1x1 values stay T.
 */
#include "trainer/cuda/lower.h"

#include "trainer/cuda/lower_build.h"

#include "common/err.h"

#include <stdlib.h>
#include <string.h>

int fv__low_fail(struct fv__low_build *b, int code)
{
    if (!b->error)
        b->error = code;
    return -1;
}

/* Makes room for one more item; a new item is zeroed. Lists double at powers of two from 64 on. */
static void *append(struct fv__low_build *b, void *list, int *used, size_t item)
{
    void *grown = *(void **)list;
    if (b->error)
        return NULL;
    if (*used == 0 || (*used >= 64 && (*used & (*used - 1)) == 0))
        grown = realloc(grown, (*used == 0 ? 64 : 2 * (size_t)*used) * item);
    if (!grown) {
        fv__low_fail(b, fv_err(FV_ENOMEM, "backend cuda: out of memory"));
        return NULL;
    }
    *(void **)list = grown;
    void *fresh = (char *)grown + (size_t)(*used)++ * item;
    memset(fresh, 0, item);
    return fresh;
}

int fv__low_view(struct fv__low_build *b, enum fv_low_space space, enum fv_low_dtype t,
                 size_t count, size_t byte, int node, const char *what)
{
    struct fv_low_buffer *f = append(b, &b->l->buffer, &b->l->buffers, sizeof *f);
    if (!f)
        return -1;
    *f = (struct fv_low_buffer){.space = space,
                                .dtype = t,
                                .bytes = count * fv_low_dtype_bytes(t),
                                .offset = byte,
                                .node = node,
                                .what = what};
    return b->l->buffers - 1;
}

int fv__low_buffer(struct fv__low_build *b, enum fv_low_space space, enum fv_low_dtype t,
                   size_t count, int node, const char *what)
{
    size_t at = b->l->bytes[space];
    int index = fv__low_view(b, space, t, count, space == FV_LOW_ARENA ? 0 : at, node, what);
    if (space != FV_LOW_ARENA)
        b->l->bytes[space] = at + (count * fv_low_dtype_bytes(t) + 255) / 256 * 256;
    return index;
}

int fv__low_image(struct fv__low_build *b, int node, enum fv_low_dtype t, const char *what)
{
    const struct fv_node *o = &b->net->node[node];
    size_t pixels = (size_t)b->l->batch * (size_t)o->h * (size_t)o->w;
    return fv__low_buffer(b, FV_LOW_ARENA, t, pixels * (size_t)fv__low_pad(o->c), node, what);
}

int fv__low_vector(struct fv__low_build *b, int node, const char *what)
{
    return fv__low_buffer(b, FV_LOW_ARENA, FV_LOW_F32, (size_t)fv__low_pad(b->net->node[node].c),
                          node, what);
}

struct fv_low_shape fv__low_shape(const struct fv__low_build *b, int node)
{
    const struct fv_node *o = &b->net->node[node];
    const struct fv_node *in = o->in[0] < 0 ? o : &b->net->node[o->in[0]];
    return (struct fv_low_shape){
        .n = b->l->batch,
        .in_h = in->h,
        .in_w = in->w,
        .in_c = fv__low_pad(in->c),
        .h = o->h,
        .w = o->w,
        .c = fv__low_pad(o->c),
        .channels = o->c,
        .window = o->window,
        .stride = o->stride,
        .pad = o->pad,
        .groups = o->kind == FV_NODE_CONV ? o->groups / fv__low_merged(b->net, node) : o->groups};
}

struct fv_low_shape fv__low_matrix(int rows, int columns)
{
    return (struct fv_low_shape){.n = 1,
                                 .in_h = rows,
                                 .in_w = columns,
                                 .in_c = 1,
                                 .h = rows,
                                 .w = columns,
                                 .c = 1,
                                 .channels = 1};
}

struct fv_low_op *fv__low_op(struct fv__low_build *b, enum fv_low_kind kind, int node)
{
    struct fv_low_op *op = append(b, &b->l->op, &b->l->ops, sizeof *op);
    if (!op)
        return NULL;
    op->kind = kind;
    op->node = node;
    if (node >= 0)
        op->shape = fv__low_shape(b, node);
    for (int i = 0; i < FV_LOW_ROLES; i++)
        op->arg[i] = -1;
    return op;
}

int fv__low_can(struct fv__low_build *b, enum fv_low_graph graph, int node, int add)
{
    struct fv_low_query q = {.graph = graph,
                             .dtype = b->l->dtype,
                             .shape = fv__low_shape(b, node),
                             .add = add,
                             .node = node};
    return !b->error && b->s->can && b->s->can(b->s->ctx, &q);
}

int fv__low_is_depthwise(const struct fv_net *net, int node)
{
    const struct fv_node *o = &net->node[node];
    return o->kind == FV_NODE_CONV && o->groups > 1 && o->groups == o->c &&
           net->node[o->in[0]].c == o->c;
}

int fv__low_merged(const struct fv_net *net, int node)
{
    return fv__low_is_depthwise(net, node) ? 1 : net->node[node].groups;
}

int fv__low_is_product(const struct fv_net *net, int node)
{
    const struct fv_node *o = &net->node[node], *in = &net->node[o->in[0]];
    return o->kind == FV_NODE_CONV && in->h == 1 && in->w == 1 && o->window == 1 && o->groups == 1;
}

int fv__low_control(struct fv__low_build *b)
{
    if (b->control < 0)
        b->control = fv__low_buffer(b, FV_LOW_CONTROL, FV_LOW_U8, 256, -1, "control");
    return b->control;
}

static void mark_live(struct fv__low_build *b)
{
    const struct fv_net *net = b->net;
    b->value[net->embedding_node].live = 1;
    b->value[net->nodes - 1].live = b->l->train;
    if (net->logits_node >= 0)
        b->value[net->logits_node].live = 1;
    for (int i = net->nodes - 1; i >= 0; i--) {
        for (int k = 0; b->value[i].live && k < FV_NODE_INPUTS; k++) {
            int in = net->node[i].in[k];
            if (in < 0)
                continue;
            b->value[in].live = 1;
            b->value[in].uses++;
        }
    }
}

static int may_be_tail(const struct fv_node *o)
{
    return o->h == 1 && o->w == 1 && o->kind != FV_NODE_CONV && o->kind != FV_NODE_MAXPOOL &&
           o->kind != FV_NODE_INPUT;
}

/* A value is of the tail if it may be and whoever reads it is. */
static void choose_types(struct fv__low_build *b)
{
    const struct fv_net *net = b->net;
    for (int i = 0; i < net->nodes; i++)
        b->value[i].tail = may_be_tail(&net->node[i]);
    for (int i = net->nodes - 1; i >= 0; i--)
        for (int k = 0; k < FV_NODE_INPUTS; k++)
            if (net->node[i].in[k] >= 0 && !b->value[i].tail)
                b->value[net->node[i].in[k]].tail = 0;
    for (int i = 0; i < net->nodes; i++)
        b->value[i].dtype = b->value[i].tail ? FV_LOW_F32 : b->l->dtype;
}

static int is_frozen(const struct fv__low_build *b, int tensor)
{
    return b->net->tensor[tensor].buffer || (b->s->frozen && b->s->frozen[tensor]);
}

int fv__low_is_frozen_bn(const struct fv__low_build *b, int node)
{
    const struct fv_node *o = &b->net->node[node];
    return o->kind == FV_NODE_BN && b->s->frozen && is_frozen(b, o->tensor[0]) &&
           is_frozen(b, o->tensor[1]);
}

static void find_trained(struct fv__low_build *b)
{
    for (int i = 0; i < b->net->nodes; i++) {
        const struct fv_node *o = &b->net->node[i];
        for (int k = 0; k < 4; k++)
            if (o->tensor[k] >= 0 && !is_frozen(b, o->tensor[k]))
                b->value[i].trains = 1;
        for (int k = 0; k < FV_NODE_INPUTS; k++)
            if (o->in[k] >= 0 && b->value[o->in[k]].trains)
                b->value[i].trains = 1;
    }
}

static void start_values(struct fv__low_build *b)
{
    for (int i = 0; i < b->net->nodes; i++) {
        struct fv__low_value *v = &b->value[i];
        v->pad = fv__low_pad(b->net->node[i].c);
        v->buffer = v->cast = v->part_of = v->index = v->scaled = v->scaled_dy = -1;
        v->pool = v->pool_dy = v->pool_dy2 = v->open = -1;
        v->stat0 = v->stat1 = v->scale = v->shift = v->mean = v->rstd = v->finalize = v->coef =
            v->unit_x = v->unit_w = v->norm_x = v->norm_w = -1;
        v->unit.base = v->unit.bn2 = v->unit.r = v->unit.act_node = -1;
    }
    mark_live(b);
    choose_types(b);
    find_trained(b);
    for (int i = 0; i < b->net->nodes; i++)
        b->value[i].left = b->value[i].uses;
    if (!b->l->train) {
        b->value[b->net->embedding_node].uses++;
        if (b->net->logits_node >= 0)
            b->value[b->net->logits_node].uses++;
    }
}

static int check_settings(const struct fv_net *net, const struct fv_lower_settings *s)
{
    if (s->batch < 1)
        return fv_err(FV_EINVAL, "%s: a batch of %d images", net->arch, s->batch);
    if (s->dtype != FV_LOW_F32 && s->dtype != FV_LOW_BF16 && s->dtype != FV_LOW_F16)
        return fv_err(FV_EINVAL, "%s: the storage type is fp32, bf16 or fp16", net->arch);
    return 0;
}

static int *new_indices(int count)
{
    int *list = malloc(((size_t)count + 1) * sizeof *list);
    for (int i = 0; list && i < count; i++)
        list[i] = -1;
    return list;
}

static int begin(struct fv__low_build *b)
{
    const struct fv_net *net = b->net;
    b->value = calloc((size_t)net->nodes, sizeof *b->value);
    b->work = new_indices(net->tensors);
    b->master = new_indices(net->tensors);
    b->grad = new_indices(net->tensors);
    b->stat = new_indices(net->tensors);
    b->l->out = new_indices(net->nodes);
    b->l->grad = new_indices(net->nodes);
    b->l->slot = calloc((size_t)net->tensors + 1, sizeof *b->l->slot);
    if (!b->value || !b->work || !b->master || !b->grad || !b->stat || !b->l->out || !b->l->grad ||
        !b->l->slot)
        return fv_err(FV_ENOMEM, "backend cuda: out of memory");
    b->l->embedding = b->l->logits = -1;
    start_values(b);
    return fv__low_slots(b);
}

static int build(struct fv__low_build *b)
{
    struct fv_lowered *l = b->l;
    FV_TRY(begin(b));
    fv__low_forward(b);
    l->forward_ops = l->ops;
    if (l->train && !b->error)
        fv__low_backward(b);
    FV_TRY(b->error);
    if (l->train) {
        FV_TRY(fv__low_buckets(b));
        l->backward_ops = l->ops;
        fv__low_update(b);
    } else {
        l->backward_ops = l->ops;
    }
    FV_TRY(b->error);
    for (int i = 0; i < b->net->nodes; i++)
        l->out[i] = b->value[i].buffer;
    return fv__low_place(l, b->s->keep);
}

int fv_lower(struct fv_lowered **out, const struct fv_net *net, const struct fv_lower_settings *s)
{
    struct fv__low_build b = {.net = net, .s = s};
    *out = NULL;
    FV_TRY(check_settings(net, s));
    b.l = calloc(1, sizeof *b.l);
    if (!b.l)
        return fv_err(FV_ENOMEM, "backend cuda: out of memory");
    b.l->net = net;
    b.l->batch = s->batch;
    b.l->train = s->train;
    b.l->dtype = s->dtype;
    b.label = b.label_mix = b.lambda = b.control = b.items = b.hits = b.loss_embedding = -1;
    int rc = build(&b);
    free(b.value);
    free(b.work);
    free(b.master);
    free(b.grad);
    free(b.stat);
    if (rc < 0)
        fv_lowered_free(&b.l);
    *out = b.l;
    return rc;
}

void fv_lowered_free(struct fv_lowered **l)
{
    if (!l || !*l)
        return;
    free((*l)->buffer);
    free((*l)->op);
    free((*l)->slot);
    free((*l)->bucket);
    free((*l)->out);
    free((*l)->grad);
    free(*l);
    *l = NULL;
}
