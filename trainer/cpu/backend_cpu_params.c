/* SPDX-License-Identifier: MIT */
/* The numbers of a program: from the net's canonical arena into the layouts that oneDNN chose and back.
 *
 * A layout may pad channels; padding is zero in weights, gradients and states and no update changes that, so a
 * round trip is exact. Inference keeps the arena as it was set, since folding a batch norm into a convolution
 * cannot be undone.
 */
#include "trainer/cpu/backend_cpu.h"

#include "common/err.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* One dimension has one layout, and loops of ours read cosine heads and the loss's states as they are; the layout of
 * convolutions and fully connected layers is chosen later. */
static int is_plain(const struct fv_node *o, const struct fv_tensor *t)
{
    return t->ndim == 1 || o->kind == FV_NODE_COSINE || o->kind == FV_NODE_LOSS;
}

static int slot_new(struct fv_program *p, int tensor, int groups, int plain)
{
    const struct fv_tensor *t = &p->net->tensor[tensor];
    struct fv__cpu_slot *s = &p->slot[tensor];
    int grouped[5] = {groups, t->dim[0] / groups, t->dim[1], t->dim[2], t->dim[3]};
    FV_TRY(fv__dnn_md_new(&s->plain, groups > 1 ? 5 : t->ndim, groups > 1 ? grouped : t->dim,
                          FV_DNN_PLAIN));
    return plain ? fv__dnn_md_new(&s->packed, t->ndim, t->dim, FV_DNN_PLAIN) : 0;
}

int fv__cpu_slots_new(struct fv_program *p)
{
    const struct fv_net *net = p->net;
    p->slots = net->tensors + net->nodes;
    p->slot = calloc((size_t)p->slots, sizeof *p->slot);
    p->folded = calloc((size_t)net->nodes, sizeof *p->folded);
    p->frozen = calloc((size_t)net->nodes, sizeof *p->frozen);
    p->needed = calloc((size_t)net->nodes, sizeof *p->needed);
    p->still = calloc((size_t)net->tensors + 1, sizeof *p->still);
    if (!p->slot || !p->folded || !p->frozen || !p->needed || !p->still)
        return fv_err(FV_ENOMEM, "backend cpu: out of memory");
    for (int i = 0; i < net->nodes; i++) {
        const struct fv_node *o = &net->node[i];
        p->folded[i] = -1;
        for (int k = 0; k < 4; k++)
            if (o->tensor[k] >= 0)
                FV_TRY(slot_new(p, o->tensor[k], k == 0 ? o->groups : 1,
                                is_plain(o, &net->tensor[o->tensor[k]])));
        if (o->kind == FV_NODE_CONV && !p->train)
            FV_TRY(fv__dnn_md_new(&p->slot[net->tensors + i].packed, 1, &o->c, FV_DNN_PLAIN));
    }
    return 0;
}

static void place_slot(struct fv_program *p, struct fv__cpu_slot *s)
{
    enum { LINE = 16 };
    if (!s->packed)
        return;
    s->offset = p->packed;
    s->count = fv__dnn_md_bytes(s->packed) / sizeof(float);
    p->packed += (s->count + LINE - 1) / LINE * LINE;
}

float *fv__cpu_floats(size_t count)
{
    size_t bytes = (count * sizeof(float) + 64) / 64 * 64;
    float *f = aligned_alloc(64, bytes);
    if (f)
        memset(f, 0, bytes);
    return f;
}

int fv__cpu_slots_place(struct fv_program *p)
{
    const struct fv_net *net = p->net;
    for (int buffers = 0; buffers < 2; buffers++) {
        for (int t = 0; t < net->tensors; t++)
            if (net->tensor[t].buffer == buffers)
                place_slot(p, &p->slot[t]);
        if (!buffers)
            p->trained = p->packed;
    }
    for (int s = net->tensors; s < p->slots; s++)
        place_slot(p, &p->slot[s]);
    p->weight = fv__cpu_floats(p->packed);
    p->plain = fv__cpu_floats(net->params + net->buffers);
    if (p->train)
        p->grad = fv__cpu_floats(p->trained);
    if (!p->weight || !p->plain || (p->train && !p->grad))
        return fv_err(FV_ENOMEM, "%s: no memory for %zu MB of weights", net->arch,
                      p->packed * sizeof(float) >> 20);
    return 0;
}

int fv__cpu_reorder(struct fv_program *p, const struct fv__dnn_md *from, const float *in,
                    const struct fv__dnn_md *to, float *out)
{
    struct fv__dnn_op op = {0};
    dnnl_memory_t memory[3] = {NULL, NULL, NULL};
    dnnl_engine_t engine = p->device->engine;
    struct fv__dnn_md *scratch_md = NULL;
    float *scratch = NULL;
    int rc = fv__dnn_reorder(&op, engine, from, to);
    if (rc == 0)
        rc = fv__dnn_op_md(&scratch_md, &op, dnnl_query_scratchpad_md);
    if (rc == 0 && !(scratch = fv__cpu_floats(fv__dnn_md_bytes(scratch_md) / sizeof(float) + 1)))
        rc = fv_err(FV_ENOMEM, "backend cpu: out of memory");
    const struct fv__dnn_md *md[3] = {from, to, scratch_md};
    void *data[3] = {(void *)in, out, scratch}; /* a source is only read */
    for (int i = 0; i < 3 && rc == 0; i++) {
        rc = fv__dnn_memory_new(&memory[i], engine, md[i]);
        if (rc == 0)
            rc = fv__dnn_fail(dnnl_memory_set_data_handle(memory[i], data[i]), "memory");
    }
    dnnl_exec_arg_t args[] = {
        {DNNL_ARG_FROM, memory[0]}, {DNNL_ARG_TO, memory[1]}, {DNNL_ARG_SCRATCHPAD, memory[2]}};
    if (rc == 0)
        rc = fv__dnn_fail(dnnl_primitive_execute(op.primitive, p->device->stream, 3, args),
                          "reorder");
    for (int i = 0; i < 3; i++)
        dnnl_memory_destroy(memory[i]);
    fv__dnn_md_free(&scratch_md);
    fv__dnn_op_free(&op);
    free(scratch);
    return rc;
}

static int pack_tensor(struct fv_program *p, int t, const float *in, float *packed)
{
    const struct fv__cpu_slot *s = &p->slot[t];
    return fv__cpu_reorder(p, s->plain, in, s->packed, packed + s->offset);
}

/* Gradients and most states have no place for buffers. */
static int has_buffers(const struct fv_program *p, const float *packed)
{
    return packed == p->weight || packed == p->vector[FV_STATE_EMA];
}

int fv__cpu_pack(struct fv_program *p, float *packed, const float *arena)
{
    for (int t = 0; t < p->net->tensors; t++) {
        const struct fv_tensor *tensor = &p->net->tensor[t];
        if (p->slot[t].packed && (has_buffers(p, packed) || !tensor->buffer))
            FV_TRY(pack_tensor(p, t, arena + tensor->offset, packed));
    }
    return 0;
}

int fv__cpu_unpack(struct fv_program *p, const float *packed, float *arena)
{
    for (int t = 0; t < p->net->tensors; t++) {
        const struct fv_tensor *tensor = &p->net->tensor[t];
        const struct fv__cpu_slot *s = &p->slot[t];
        if (s->packed && (has_buffers(p, packed) || !tensor->buffer))
            FV_TRY(fv__cpu_reorder(p, s->packed, packed + s->offset, s->plain,
                                   arena + tensor->offset));
    }
    return 0;
}

/* bn(conv(x)) = conv with weights w * f and bias (b - mean) * f + beta, where f = gamma / sqrt(var + eps). */
static int fold(struct fv_program *p, int node, float *weights)
{
    const struct fv_node *conv = &p->net->node[node], *bn = &p->net->node[p->folded[node]];
    const struct fv_tensor *t = p->net->tensor, *w = &t[conv->tensor[0]];
    const float *gamma = p->plain + t[bn->tensor[0]].offset;
    const float *beta = p->plain + t[bn->tensor[1]].offset;
    const float *mean = p->plain + t[bn->tensor[2]].offset;
    const float *var = p->plain + t[bn->tensor[3]].offset;
    const float *bias = conv->tensor[1] >= 0 ? p->plain + t[conv->tensor[1]].offset : NULL;
    float *out = p->weight + p->slot[p->net->tensors + node].offset;
    size_t each = w->count / (size_t)conv->c;
    for (size_t k = 0; k < (size_t)conv->c; k++) {
        double f = (double)gamma[k] / sqrt((double)var[k] + (double)bn->eps);
        double b = bias ? (double)bias[k] : 0;
        for (size_t i = k * each; i < (k + 1) * each; i++)
            weights[i] = (float)((double)p->plain[w->offset + i] * f);
        out[k] = (float)((b - (double)mean[k]) * f + (double)beta[k]);
    }
    return pack_tensor(p, conv->tensor[0], weights, p->weight);
}

/* Folding has a scratch as large as a tensor, packing into Winograd's layout one as large as the packed tensor. */
static size_t packing_scratch(const struct fv_program *p)
{
    size_t most = 0;
    for (int i = 0; i < p->net->tensors; i++)
        if (p->slot[i].packed && p->net->tensor[i].count + p->slot[i].count > most)
            most = p->net->tensor[i].count + p->slot[i].count;
    return most * sizeof(float);
}

static size_t held(const struct fv_program *p)
{
    return (p->packed + p->net->params + p->net->buffers) * sizeof(float);
}

void fv__cpu_memory(const struct fv_program *p, struct fv_memory_use *out)
{
    *out = (struct fv_memory_use){.weights = held(p),
                                  .gradients = p->train ? p->trained * sizeof(float) : 0};
    for (int i = 0; i < FV_STATES; i++)
        out->states += p->vector[i] ? fv__cpu_state_floats(p, (enum fv_state)i) * sizeof(float) : 0;
    for (int i = 0; i < FV_CPU_PLANS; i++)
        out->activations += p->plan[i] ? p->plan[i]->arena_bytes : 0;
    if (p->infer)
        out->evaluation =
            held(p->infer) + p->infer->plan[0]->arena_bytes + packing_scratch(p->infer);
}

static size_t largest_tensor(const struct fv_net *net)
{
    size_t most = 0;
    for (int t = 0; t < net->tensors; t++)
        if (net->tensor[t].count > most)
            most = net->tensor[t].count;
    return most;
}

/* The rows of a cosine head's weight, divided by their norms. */
static void unit_weight(struct fv_program *p, int tensor)
{
    const struct fv_tensor *t = &p->net->tensor[tensor];
    float *w = p->weight + p->slot[tensor].offset;
    fv__cpu_unit_rows(p->device->threads, w, (size_t)t->dim[0], (size_t)t->dim[1], w, NULL);
}

int fv__cpu_pack_folded(struct fv_program *p, const float *arena)
{
    memcpy(p->plain, arena, (p->net->params + p->net->buffers) * sizeof *arena);
    FV_TRY(fv__cpu_pack(p, p->weight, arena));
    float *scratch = fv__cpu_floats(largest_tensor(p->net));
    int rc = scratch ? 0 : fv_err(FV_ENOMEM, "backend cpu: out of memory");
    for (int i = 0; i < p->net->nodes && rc == 0; i++)
        if (p->folded[i] >= 0)
            rc = fold(p, i, scratch);
    for (int i = 0; i < p->net->nodes; i++)
        if (p->net->node[i].kind == FV_NODE_COSINE)
            unit_weight(p, p->net->node[i].tensor[0]);
    free(scratch);
    return rc;
}
