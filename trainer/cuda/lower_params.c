/* SPDX-License-Identifier: MIT */
/* Parameters: the slots, the buckets of gradients, the update.
 *
 * Slots lie in the order in which backward completes gradients, that is from the last node to the first, so the
 * gradients that an all-reduce may take are one range that grows while backward runs. The order depends on the net
 * and T alone: training and inference programs share the arenas.
 */
#include "trainer/cuda/lower_build.h"

#include "common/err.h"

#include <stdlib.h>
#include <string.h>

enum { SLOT_ALIGN = 256 };

/* An fc layer of the tail that reads 1x1 pixels is the head, in fp32; all other matrices are T. */
static int weight_is_t(const struct fv__low_build *b, const struct fv_node *o)
{
    const struct fv_node *in = &b->net->node[o->in[0]];
    int node = (int)(o - b->net->node);
    return o->kind == FV_NODE_CONV ||
           (o->kind == FV_NODE_FC && (!b->value[node].tail || in->h * in->w > 1));
}

static struct fv_low_slot describe(const struct fv__low_build *b, int node, int which)
{
    const struct fv_node *o = &b->net->node[node];
    const struct fv_tensor *t = &b->net->tensor[o->tensor[which]];
    struct fv_low_slot slot = {
        .order = FV_LOW_VECTOR, .k = 1, .r = 1, .s = 1, .real_k = 1, .merged = 1, .group_k = 1};
    slot.real_c = t->dim[0];
    slot.c = fv__low_pad(t->dim[0]);
    if (o->kind == FV_NODE_LOSS && t->ndim == 2) {
        slot.order = FV_LOW_KRSC; /* a row for each class */
        slot.k = fv__low_pad(t->dim[0]);
        slot.real_k = t->dim[0];
        slot.real_c = t->dim[1];
        slot.c = fv__low_pad(t->dim[1]);
    }
    if (which == 0 &&
        (o->kind == FV_NODE_CONV || o->kind == FV_NODE_FC || o->kind == FV_NODE_COSINE)) {
        const struct fv_node *in = &b->net->node[o->in[0]];
        int depthwise = fv__low_is_depthwise(b->net, node);
        int conv = o->kind == FV_NODE_CONV;
        slot.order = depthwise ? FV_LOW_RSC : FV_LOW_KRSC;
        slot.r = conv ? o->window : in->h;
        slot.s = conv ? o->window : in->w;
        slot.real_k = depthwise ? 1 : o->c;
        slot.real_c = depthwise ? o->c : in->c / o->groups;
        slot.k = depthwise ? 1 : fv__low_pad(o->c);
        slot.merged = conv ? fv__low_merged(b->net, node) : 1;
        slot.group_k = o->c / o->groups;
        slot.c = fv__low_pad(slot.real_c * slot.merged);
        slot.is_t = weight_is_t(b, o);
    }
    slot.count = (size_t)slot.k * (size_t)slot.r * (size_t)slot.s * (size_t)slot.c;
    slot.bucket = -1;
    return slot;
}

static size_t place_slots(struct fv__low_build *b, int is_t, int buffer, size_t at)
{
    for (int i = b->net->nodes - 1; i >= 0; i--) {
        for (int k = 0; k < 4; k++) {
            int t = b->net->node[i].tensor[k];
            if (t < 0 || b->net->tensor[t].buffer != buffer || b->l->slot[t].is_t != is_t)
                continue;
            b->l->slot[t].offset = at;
            at += (b->l->slot[t].count + SLOT_ALIGN - 1) / SLOT_ALIGN * SLOT_ALIGN;
        }
    }
    return at;
}

int fv__low_slots(struct fv__low_build *b)
{
    struct fv_lowered *l = b->l;
    size_t t_bytes = fv_low_dtype_bytes(l->dtype);
    for (int i = 0; i < b->net->nodes; i++)
        for (int k = 0; k < 4; k++)
            if (b->net->node[i].tensor[k] >= 0)
                l->slot[b->net->node[i].tensor[k]] = describe(b, i, k);
    l->elements_t = place_slots(b, 1, 0, 0);
    l->elements = place_slots(b, 0, 0, l->elements_t);
    l->stat_elements = place_slots(b, 0, 1, 0);
    l->bytes[FV_LOW_MASTER] = l->bytes[FV_LOW_STATE] = l->elements * sizeof(float);
    l->bytes[FV_LOW_WORK] = l->dtype == FV_LOW_F32 ? 0 : l->elements_t * t_bytes;
    l->bytes[FV_LOW_GRAD] = fv_low_grad_byte(l, l->elements);
    l->bytes[FV_LOW_RUNNING] = l->bytes[FV_LOW_BATCHSTAT] = l->stat_elements * sizeof(float);
    return b->error;
}

size_t fv_low_slot_element(const struct fv_low_slot *slot, int k, int c, int tap)
{
    int row = slot->order == FV_LOW_RSC ? tap : k * slot->r * slot->s + tap;
    int within = slot->merged > 1 ? k / slot->group_k % slot->merged * slot->real_c : 0;
    return slot->offset + (size_t)row * (size_t)slot->c + (size_t)(within + c);
}

size_t fv_low_grad_byte(const struct fv_lowered *l, size_t element)
{
    size_t t_bytes = fv_low_dtype_bytes(l->dtype);
    return element <= l->elements_t ? element * t_bytes
                                    : l->elements_t * t_bytes + (element - l->elements_t) * 4;
}

static int view_of(struct fv__low_build *b, int *index, enum fv_low_space space,
                   enum fv_low_dtype t, int tensor, size_t byte, const char *what)
{
    if (*index < 0)
        *index = fv__low_view(b, space, t, b->l->slot[tensor].count, byte, -1, what);
    return *index;
}

int fv__low_master(struct fv__low_build *b, int tensor)
{
    if (tensor < 0)
        return -1;
    const struct fv_low_slot *slot = &b->l->slot[tensor];
    int running = b->net->tensor[tensor].buffer;
    return view_of(b, &b->master[tensor], running ? FV_LOW_RUNNING : FV_LOW_MASTER, FV_LOW_F32,
                   tensor, slot->offset * sizeof(float), b->net->tensor[tensor].name);
}

int fv__low_weight(struct fv__low_build *b, int tensor)
{
    if (tensor < 0 || !b->l->slot[tensor].is_t || b->l->dtype == FV_LOW_F32)
        return fv__low_master(b, tensor);
    size_t byte = b->l->slot[tensor].offset * fv_low_dtype_bytes(b->l->dtype);
    return view_of(b, &b->work[tensor], FV_LOW_WORK, b->l->dtype, tensor, byte,
                   b->net->tensor[tensor].name);
}

int fv__low_grad(struct fv__low_build *b, int tensor)
{
    if (tensor < 0 || (b->s->frozen && b->s->frozen[tensor]))
        return -1;
    const struct fv_low_slot *slot = &b->l->slot[tensor];
    return view_of(b, &b->grad[tensor], FV_LOW_GRAD, slot->is_t ? b->l->dtype : FV_LOW_F32, tensor,
                   fv_low_grad_byte(b->l, slot->offset), b->net->tensor[tensor].name);
}

int fv__low_batch_stat(struct fv__low_build *b, int tensor)
{
    if (tensor < 0)
        return -1;
    return view_of(b, &b->stat[tensor], FV_LOW_BATCHSTAT, FV_LOW_F32, tensor,
                   b->l->slot[tensor].offset * sizeof(float), b->net->tensor[tensor].name);
}

/* Cuts [from, to) into buckets at the borders of slots. */
static int cut(struct fv__low_build *b, int is_t, size_t from, size_t to)
{
    struct fv_lowered *l = b->l;
    size_t most = b->s->bucket_bytes ? b->s->bucket_bytes : (size_t)8 << 20;
    size_t start = from;
    for (int i = b->net->nodes - 1; i >= 0; i--) {
        for (int k = 0; k < 4; k++) {
            int t = b->net->node[i].tensor[k];
            if (t < 0 || b->net->tensor[t].buffer || l->slot[t].is_t != is_t)
                continue;
            struct fv_low_slot *slot = &l->slot[t];
            size_t end = slot->offset + (slot->count + SLOT_ALIGN - 1) / SLOT_ALIGN * SLOT_ALIGN;
            slot->bucket = l->bucket_count;
            size_t bytes = fv_low_grad_byte(l, end) - fv_low_grad_byte(l, start);
            if (bytes < most && end < to)
                continue;
            struct fv_low_bucket *list =
                realloc(l->bucket, ((size_t)l->bucket_count + 1) * sizeof *list);
            if (!list)
                return fv_err(FV_ENOMEM, "backend cuda: out of memory");
            l->bucket = list;
            list[l->bucket_count++] = (struct fv_low_bucket){.offset = fv_low_grad_byte(l, start),
                                                             .bytes = bytes,
                                                             .dtype = is_t ? l->dtype : FV_LOW_F32};
            start = end;
        }
    }
    return 0;
}

/* The last op that touches the range of the bucket; of backward, if none does. */
static int last_touch(const struct fv_lowered *l, const struct fv_low_bucket *bucket)
{
    for (int i = l->ops - 1; i >= 0; i--) {
        for (int k = 0; k < FV_LOW_ROLES; k++) {
            if (l->op[i].arg[k] < 0)
                continue;
            const struct fv_low_buffer *f = &l->buffer[l->op[i].arg[k]];
            if (f->space == FV_LOW_GRAD && f->offset < bucket->offset + bucket->bytes &&
                bucket->offset < f->offset + f->bytes)
                return i;
        }
    }
    return l->ops - 1;
}

/* The order of completion may differ a little from that of slots where units cross; the list gets the true one. */
static int by_completion(const void *a, const void *b)
{
    const struct fv_low_bucket *x = a, *y = b;
    if (x->op != y->op)
        return x->op < y->op ? -1 : 1;
    return x->offset < y->offset ? -1 : x->offset > y->offset;
}

static void renumber(struct fv__low_build *b)
{
    struct fv_lowered *l = b->l;
    for (int t = 0; t < b->net->tensors; t++) {
        struct fv_low_slot *slot = &l->slot[t];
        if (slot->bucket < 0)
            continue;
        size_t at = fv_low_grad_byte(l, slot->offset);
        for (int i = 0; i < l->bucket_count; i++)
            if (at >= l->bucket[i].offset && at < l->bucket[i].offset + l->bucket[i].bytes)
                slot->bucket = i;
    }
}

/* Rebuilds the list of ops with a BUCKET after the last op of each. */
int fv__low_buckets(struct fv__low_build *b)
{
    struct fv_lowered *l = b->l;
    FV_TRY(cut(b, 1, 0, l->elements_t));
    FV_TRY(cut(b, 0, l->elements_t, l->elements));
    for (int i = 0; i < l->bucket_count; i++)
        l->bucket[i].op = last_touch(l, &l->bucket[i]);
    if (l->bucket_count > 0)
        qsort(l->bucket, (size_t)l->bucket_count, sizeof *l->bucket, by_completion);
    renumber(b);
    struct fv_low_op *old = l->op;
    int count = l->ops, done = 0;
    l->op = NULL;
    l->ops = 0;
    for (int i = 0; i < count && !b->error; i++) {
        struct fv_low_op *op = fv__low_op(b, old[i].kind, -1);
        if (op)
            *op = old[i];
        for (; done < l->bucket_count && l->bucket[done].op == i; done++) {
            struct fv_low_bucket *bucket = &l->bucket[done];
            size_t items = bucket->bytes / fv_low_dtype_bytes(bucket->dtype);
            int view =
                fv__low_view(b, FV_LOW_GRAD, bucket->dtype, items, bucket->offset, -1, "bucket");
            op = fv__low_op(b, FV_LOW_BUCKET, -1);
            if (!op)
                break;
            op->arg[FV_LOW_GRADS] = view;
            op->bucket = done;
            bucket->op = l->ops - 1;
        }
    }
    free(old);
    return b->error;
}

static int whole(struct fv__low_build *b, enum fv_low_space space, const char *what)
{
    size_t bytes = b->l->bytes[space];
    if (bytes == 0)
        return -1;
    return fv__low_view(b, space, FV_LOW_U8, bytes, 0, -1, what);
}

/* Whether a term has a state for each class, which embeddings change. */
static int keeps_classes(const struct fv_loss_spec *spec)
{
    for (int t = 0; t < spec->terms; t++)
        for (int k = 0; k < FV_LOSS_STATES; k++)
            if (spec->term[t].loss->state[k].name && spec->term[t].loss->state[k].per_class)
                return 1;
    return 0;
}

void fv__low_update(struct fv__low_build *b)
{
    int grads = whole(b, FV_LOW_GRAD, "gradients");
    int masters = whole(b, FV_LOW_MASTER, "masters"), states = whole(b, FV_LOW_STATE, "states");
    int works = whole(b, FV_LOW_WORK, "copies"), running = whole(b, FV_LOW_RUNNING, "running");
    int batch = whole(b, FV_LOW_BATCHSTAT, "batch statistics");
    struct fv_low_op *op = fv__low_op(b, FV_LOW_CHECK, -1);
    if (!op)
        return;
    op->arg[FV_LOW_GRADS] = grads;
    op->arg[FV_LOW_ITEMS] = b->items;
    op->arg[FV_LOW_HITS] = b->hits;
    op->arg[FV_LOW_CONTROL_V] = b->control;
    op = fv__low_op(b, FV_LOW_OPTIM, -1);
    if (!op)
        return;
    op->arg[FV_LOW_GRADS] = grads;
    op->arg[FV_LOW_CONTROL_V] = b->control;
    op->arg[FV_LOW_MASTERS] = masters;
    op->arg[FV_LOW_STATES] = states;
    op->arg[FV_LOW_WORKS] = works;
    op = running >= 0 ? fv__low_op(b, FV_LOW_RUNNING_UPDATE, -1) : NULL;
    if (!op)
        return;
    op->arg[FV_LOW_RUNNINGS] = running;
    op->arg[FV_LOW_BATCHSTATS] = batch;
    op->arg[FV_LOW_CONTROL_V] = b->control;
    if (!keeps_classes(&b->net->loss))
        return;
    op->arg[FV_LOW_EMBEDDING] = b->loss_embedding;
    op->arg[FV_LOW_LABEL] = b->label;
    op->arg[FV_LOW_LABEL_MIX] = b->label_mix;
    op->arg[FV_LOW_LAMBDA] = b->lambda;
}
