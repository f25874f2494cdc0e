/* SPDX-License-Identifier: MIT */
/* Listings of a lowered program, for people: every op with its operands, and what the convolutions became. */
#include "trainer/cuda/lower.h"

#include <stdio.h>
#include <stdlib.h>

static const char *node_name(const struct fv_lowered *l, int node)
{
    return node >= 0 ? l->net->node[node].name : "";
}

static void print_operand(FILE *f, const struct fv_lowered *l, const struct fv_low_op *op, int role)
{
    static const char *const sign[] = {"?", "<", ">", "="};
    const struct fv_low_buffer *b = &l->buffer[op->arg[role]];
    fprintf(f, " %s%s", fv_low_role_names[role], sign[fv_low_kinds[op->kind].access[role]]);
    if (b->space == FV_LOW_ARENA)
        fprintf(f, "%d", op->arg[role]);
    else
        fprintf(f, "%s+%zu", fv_low_space_names[b->space], b->offset);
}

static void print_op(FILE *f, const struct fv_lowered *l, int i)
{
    const struct fv_low_op *op = &l->op[i];
    const struct fv_low_shape *s = &op->shape;
    fprintf(f, "%4d %-17s", i, fv_low_kinds[op->kind].name);
    if (op->node >= 0)
        fprintf(f, " %-22s %dx%dx%d", node_name(l, op->node), s->h, s->w, s->channels);
    if (op->graph != FV_LOW_GRAPH_NONE)
        fprintf(f, " [%s]", fv_low_graph_names[op->graph]);
    if (op->act != FV_LOW_ACT_NONE)
        fprintf(f, " (%s)", fv_low_act_names[op->act]);
    for (int role = 0; role < FV_LOW_ROLES; role++)
        if (op->arg[role] >= 0)
            print_operand(f, l, op, role);
    fputc('\n', f);
}

static void print_buffers(FILE *f, const struct fv_lowered *l)
{
    for (int i = 0; i < l->buffers; i++) {
        const struct fv_low_buffer *b = &l->buffer[i];
        if (b->space == FV_LOW_ARENA)
            fprintf(f, "%4d %-16s %-22s %s %zu bytes at %zu, ops %d to %d\n", i, b->what,
                    node_name(l, b->node), fv_low_dtype_names[b->dtype], b->bytes, b->offset,
                    b->first, b->last);
    }
}

char *fv_lowered_dump(const struct fv_lowered *l)
{
    char *text = NULL;
    size_t size;
    FILE *f = open_memstream(&text, &size);
    if (!f)
        return NULL;
    fprintf(f, "%s, batch %d, %s, %s: %d ops (forward to %d, backward to %d)\n", l->net->arch,
            l->batch, fv_low_dtype_names[l->dtype], l->train ? "training" : "inference", l->ops,
            l->forward_ops, l->backward_ops);
    for (int i = 0; i < FV_LOW_SPACES; i++)
        fprintf(f, "%s %zu bytes\n", fv_low_space_names[i], l->bytes[i]);
    fprintf(f, "alive at once at most %zu bytes\n", fv_lowered_least_bytes(l));
    for (int i = 0; i < l->ops; i++)
        print_op(f, l, i);
    print_buffers(f, l);
    if (fclose(f) == 0)
        return text;
    free(text);
    return NULL;
}

static const char *graph_of(const struct fv_lowered *l, int node, enum fv_low_kind kind)
{
    for (int i = 0; i < l->ops; i++)
        if (l->op[i].node == node && l->op[i].kind == kind)
            return fv_low_graph_names[l->op[i].graph];
    return "-";
}

char *fv_lowered_graphs(const struct fv_lowered *l)
{
    char *text = NULL;
    size_t size;
    FILE *f = open_memstream(&text, &size);
    if (!f)
        return NULL;
    fprintf(f, "%-24s %-14s %-14s %s\n", "convolution", "forward", "weights", "data");
    for (int i = 0; i < l->net->nodes; i++)
        if (l->net->node[i].kind == FV_NODE_CONV)
            fprintf(f, "%-24s %-14s %-14s %s\n", l->net->node[i].name, graph_of(l, i, FV_LOW_CONV),
                    graph_of(l, i, FV_LOW_CONV_WGRAD), graph_of(l, i, FV_LOW_CONV_DGRAD));
    if (fclose(f) == 0)
        return text;
    free(text);
    return NULL;
}
