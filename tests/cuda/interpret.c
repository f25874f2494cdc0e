/* SPDX-License-Identifier: MIT */
/* The interpreter's memory and its checks; see interpret.h for what it refuses. */
#include "tests/cuda/interpret.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { GUARD = 256, POISON = 0xff, UNIT = 256, PLANES = 2 };

int interp_fault(struct interp *p, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    if (!p->fault[0])
        vsnprintf(p->fault, sizeof p->fault, fmt, args);
    va_end(args);
    return -1;
}

static void *must_alloc(size_t bytes)
{
    void *m = calloc(bytes + 1, 1);
    if (!m)
        abort();
    return m;
}

static size_t space_bytes(const struct fv_lowered *l, int space)
{
    return l->bytes[space] * (space == FV_LOW_STATE ? PLANES : 1);
}

/* --- parameters between the canonical order and the slots ----------------------------------------------------- */

/* Copies a tensor between its slot and its place in the net's arena, whose order is (k, c, r, s). */
static void move_tensor(const struct fv_lowered *l, int tensor, float *slots, float *arena, int in)
{
    const struct fv_low_slot *s = &l->slot[tensor];
    int window = s->r * s->s;
    float *at = arena + l->net->tensor[tensor].offset;
    for (int k = 0; k < s->real_k; k++) {
        for (int c = 0; c < s->real_c; c++) {
            for (int t = 0; t < window; t++, at++) {
                float *slot = slots + fv_low_slot_element(s, k, c, t);
                *(in ? slot : at) = *(in ? at : slot);
            }
        }
    }
}

static void move_all(const struct interp *p, float *arena, int in)
{
    const struct fv_lowered *l = p->l;
    for (int t = 0; t < l->net->tensors; t++) {
        int space = l->net->tensor[t].buffer ? FV_LOW_RUNNING : FV_LOW_MASTER;
        move_tensor(l, t, (float *)(void *)p->memory[space], arena, in);
    }
}

void interp_set(struct interp *p, const float *arena)
{
    const struct fv_lowered *l = p->l;
    memset(p->memory[FV_LOW_MASTER], 0, l->bytes[FV_LOW_MASTER]);
    memset(p->memory[FV_LOW_RUNNING], 0, l->bytes[FV_LOW_RUNNING]);
    memset(p->memory[FV_LOW_STATE], 0, space_bytes(l, FV_LOW_STATE));
    move_all(p, (float *)(uintptr_t)arena, 1);
    if (l->dtype != FV_LOW_F32)
        interp_narrow(l->dtype, (float *)(void *)p->memory[FV_LOW_MASTER], p->memory[FV_LOW_WORK],
                      l->elements_t);
}

void interp_get(const struct interp *p, float *arena)
{
    move_all(p, arena, 0);
}

void interp_put_states(struct interp *p)
{
    const struct fv_net *net = p->l->net;
    const struct fv_node *o = &net->node[net->nodes - 1];
    for (int k = 0; k < 4; k++)
        if (o->tensor[k] >= 0)
            move_tensor(p->l, o->tensor[k], (float *)(void *)p->memory[FV_LOW_RUNNING], p->states,
                        1);
    free(p->states);
    p->states = NULL;
}

void interp_grads(const struct interp *p, float *grads)
{
    const struct fv_lowered *l = p->l;
    float *slots = must_alloc(l->elements * sizeof *slots);
    interp_widen(l->dtype, p->memory[FV_LOW_GRAD], slots, l->elements_t);
    interp_widen(FV_LOW_F32, p->memory[FV_LOW_GRAD] + fv_low_grad_byte(l, l->elements_t),
                 slots + l->elements_t, l->elements - l->elements_t);
    for (int t = 0; t < l->net->tensors; t++)
        if (!l->net->tensor[t].buffer)
            move_tensor(l, t, slots, grads, 0);
    free(slots);
}

/* Of an operand: the optimiser's states are as many planes as there may be. */
static size_t operand_bytes(const struct fv_low_buffer *f)
{
    return f->bytes * (f->space == FV_LOW_STATE ? PLANES : 1);
}

/* --- lifetimes ------------------------------------------------------------------------------------------------- */

static void own(struct interp *p, int buffer, int owner)
{
    const struct fv_low_buffer *f = &p->l->buffer[buffer];
    for (size_t u = f->offset / UNIT; u < (f->offset + f->bytes + UNIT - 1) / UNIT; u++)
        p->owner[u] = owner;
}

static void poison(struct interp *p, int buffer)
{
    const struct fv_low_buffer *f = &p->l->buffer[buffer];
    memset(p->memory[f->space] + f->offset, POISON, f->bytes);
    memset(p->known[f->space] + f->offset, 0, f->bytes);
}

static int begin_life(struct interp *p, int buffer, int at)
{
    const struct fv_low_buffer *f = &p->l->buffer[buffer];
    if (f->offset + f->bytes > p->l->bytes[FV_LOW_ARENA])
        return interp_fault(p, "op %d: buffer %d lies outside the arena", at, buffer);
    for (size_t u = f->offset / UNIT; u < (f->offset + f->bytes + UNIT - 1) / UNIT; u++)
        if (p->owner[u] >= 0)
            return interp_fault(p, "op %d: buffer %d is given the memory of %d, which is alive", at,
                                buffer, p->owner[u]);
    own(p, buffer, buffer);
    poison(p, buffer);
    return 0;
}

static int change_lives(struct interp *p, int at, int begin)
{
    for (int i = 0; i < p->l->buffers; i++) {
        const struct fv_low_buffer *f = &p->l->buffer[i];
        if (f->space != FV_LOW_ARENA || f->last < 0)
            continue;
        if (begin && f->first == at && begin_life(p, i, at) < 0)
            return -1;
        if (!begin && f->last == at) {
            poison(p, i);
            own(p, i, -1);
        }
    }
    return 0;
}

/* --- one op ---------------------------------------------------------------------------------------------------- */

/* From its bucket on a gradient is on its way to other ranks: only the update may read it. */
static int check_bucket(struct interp *p, int at, int role)
{
    const struct fv_low_op *op = &p->l->op[at];
    const struct fv_low_buffer *f = &p->l->buffer[op->arg[role]];
    int update = op->kind == FV_LOW_CHECK || op->kind == FV_LOW_OPTIM;
    for (int i = 0; f->space == FV_LOW_GRAD && i < p->l->bucket_count; i++) {
        const struct fv_low_bucket *b = &p->l->bucket[i];
        if (f->offset >= b->offset + b->bytes || b->offset >= f->offset + f->bytes)
            continue;
        if (op->kind == FV_LOW_BUCKET ? p->reduced[i] && i == op->bucket : p->reduced[i] != update)
            return interp_fault(p, "op %d: %s and bucket %d come in the wrong order", at,
                                fv_low_role_names[role], i);
    }
    if (op->kind == FV_LOW_BUCKET)
        p->reduced[op->bucket] = 1;
    return 0;
}

static int check_operand(struct interp *p, int at, int role)
{
    const struct fv_low_op *op = &p->l->op[at];
    int access = fv_low_kinds[op->kind].access[role];
    const struct fv_low_buffer *f = &p->l->buffer[op->arg[role]];
    const char *name = fv_low_role_names[role];
    if (access == FV_LOW_ABSENT)
        return interp_fault(p, "op %d has no operand %s", at, name);
    if (f->offset + operand_bytes(f) > space_bytes(p->l, f->space))
        return interp_fault(p, "op %d: %s lies outside its space", at, name);
    if (f->space == FV_LOW_ARENA && (at < f->first || at > f->last))
        return interp_fault(p, "op %d: %s is buffer %d, which is not alive", at, name,
                            op->arg[role]);
    for (size_t u = f->offset / UNIT;
         f->space == FV_LOW_ARENA && u < (f->offset + operand_bytes(f) + UNIT - 1) / UNIT; u++)
        if (p->owner[u] != op->arg[role])
            return interp_fault(p, "op %d: %s is buffer %d, whose memory is another's", at, name,
                                op->arg[role]);
    const unsigned char *known = p->known[f->space] + f->offset;
    const unsigned char *hole = access == FV_LOW_WRITE ? NULL : memchr(known, 0, operand_bytes(f));
    if (hole)
        return interp_fault(p, "op %d (%s) reads %s, byte %td of which nobody has written", at,
                            fv_low_kinds[op->kind].name, name, hole - known);
    return 0;
}

/* Two operands may be one buffer only if neither is written. */
static int check_aliases(struct interp *p, int at)
{
    const struct fv_low_op *op = &p->l->op[at];
    for (int i = 0; i < FV_LOW_ROLES; i++) {
        for (int k = 0; k < FV_LOW_ROLES; k++) {
            if (i == k || op->arg[i] < 0 || op->arg[k] < 0 ||
                fv_low_kinds[op->kind].access[i] == FV_LOW_READ)
                continue;
            const struct fv_low_buffer *a = &p->l->buffer[op->arg[i]];
            const struct fv_low_buffer *b = &p->l->buffer[op->arg[k]];
            if (a->space == b->space && a->offset < b->offset + b->bytes &&
                b->offset < a->offset + a->bytes)
                return interp_fault(p, "op %d: %s and %s overlap", at, fv_low_role_names[i],
                                    fv_low_role_names[k]);
        }
    }
    return 0;
}

/* A private copy between guards, at `block`; what is only written begins as poison (elsewhere than in the arena but
 * for the padding of vectors, which nobody writes). */
static void copy_in(const struct interp *p, int at, int role, unsigned char *block)
{
    const struct fv_low_op *op = &p->l->op[at];
    const struct fv_low_buffer *f = &p->l->buffer[op->arg[role]];
    int poison_it = fv_low_kinds[op->kind].access[role] == FV_LOW_WRITE && f->space == FV_LOW_ARENA;
    memset(block, POISON, GUARD);
    memset(block + GUARD + operand_bytes(f), POISON, GUARD);
    if (poison_it)
        memset(block + GUARD, POISON, operand_bytes(f));
    else
        memcpy(block + GUARD, p->memory[f->space] + f->offset, operand_bytes(f));
}

/* What the copies of an op's operands take, each from a multiple of UNIT. */
static size_t copy_bytes(const struct fv_lowered *l, int arg)
{
    return arg < 0 ? 0 : (operand_bytes(&l->buffer[arg]) + UNIT - 1) / UNIT * UNIT + 2 * GUARD;
}

static size_t most_copied(const struct fv_lowered *l)
{
    size_t most = 0;
    for (int i = 0; i < l->ops; i++) {
        size_t bytes = 0;
        for (int k = 0; k < FV_LOW_ROLES; k++)
            bytes += copy_bytes(l, l->op[i].arg[k]);
        most = bytes > most ? bytes : most;
    }
    return most;
}

static int is_poison(const unsigned char *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (bytes[i] != POISON)
            return 0;
    return 1;
}

/* The first of `count` items, of `item` bytes each, that is all poison; `count` if there is none. */
static size_t find_poison(const unsigned char *bytes, size_t count, size_t item)
{
    const unsigned char *at = bytes, *end = bytes + count * item;
    while ((at = memchr(at, POISON, (size_t)(end - at)))) {
        size_t i = (size_t)(at - bytes) / item;
        if (is_poison(bytes + i * item, item))
            return i;
        at = bytes + (i + 1) * item;
    }
    return count;
}

static int copy_out(struct interp *p, int at, int role, const unsigned char *block)
{
    const struct fv_low_op *op = &p->l->op[at];
    const struct fv_low_buffer *f = &p->l->buffer[op->arg[role]];
    const char *name = fv_low_role_names[role], *kind = fv_low_kinds[op->kind].name;
    unsigned char *home = p->memory[f->space] + f->offset;
    size_t item = fv_low_dtype_bytes(f->dtype);
    if (!is_poison(block, GUARD) || !is_poison(block + GUARD + operand_bytes(f), GUARD))
        return interp_fault(p, "op %d (%s) writes beyond %s", at, kind, name);
    if (fv_low_kinds[op->kind].access[role] == FV_LOW_READ) {
        if (memcmp(home, block + GUARD, operand_bytes(f)) != 0)
            return interp_fault(p, "op %d (%s) writes %s, which it only reads", at, kind, name);
        return 0;
    }
    /* bytes of any type, and bits, any of whose bytes may be as poison is */
    int whole = (f->space != FV_LOW_ARENA && f->dtype == FV_LOW_U8) || role == FV_LOW_OPEN;
    size_t left = find_poison(block + GUARD, operand_bytes(f) / item, item);
    if (!whole && left < operand_bytes(f) / item)
        return interp_fault(p, "op %d (%s) leaves item %zu of %s unwritten", at, kind, left, name);
    memcpy(home, block + GUARD, operand_bytes(f));
    memset(p->known[f->space] + f->offset, 1, operand_bytes(f));
    return 0;
}

/* Loss, check, update: each needs what the one before has left in the control block. */
static int check_stage(struct interp *p, int at)
{
    enum fv_low_kind kind = p->l->op[at].kind;
    int needs = kind == FV_LOW_CHECK                                    ? 1
                : kind == FV_LOW_OPTIM || kind == FV_LOW_RUNNING_UPDATE ? 2
                                                                        : 0;
    if (p->stage < needs)
        return interp_fault(p, "op %d (%s) comes before %s", at, fv_low_kinds[kind].name,
                            needs == 1 ? "the loss" : "the check");
    p->stage = kind == FV_LOW_LOSS ? 1 : kind == FV_LOW_CHECK ? 2 : p->stage;
    p->updates |= kind == FV_LOW_OPTIM ? 1 : kind == FV_LOW_RUNNING_UPDATE ? 2 : 0;
    return 0;
}

static int run_op(struct interp *p, int at, const struct fv_optim *optim)
{
    struct interp_call call = {.l = p->l, .op = &p->l->op[at], .interp = p, .optim = optim};
    unsigned char *block = p->copies;
    if (check_aliases(p, at) < 0)
        return -1;
    for (int i = 0; i < FV_LOW_ROLES; i++)
        if (call.op->arg[i] >= 0 && (check_operand(p, at, i) < 0 || check_bucket(p, at, i) < 0))
            return -1;
    if (check_stage(p, at) < 0)
        return -1;
    for (int i = 0; i < FV_LOW_ROLES; i++) {
        if (call.op->arg[i] < 0)
            continue;
        copy_in(p, at, i, block);
        call.arg[i] = block + GUARD;
        block += copy_bytes(p->l, call.op->arg[i]);
    }
    interp_run(&call);
    for (int i = 0; i < FV_LOW_ROLES; i++)
        if (call.arg[i] && copy_out(p, at, i, (unsigned char *)call.arg[i] - GUARD) < 0)
            return -1;
    return p->fault[0] ? -1 : 0;
}

int interp_open(struct interp **out, const struct fv_lowered *l)
{
    struct interp *p = *out = must_alloc(sizeof *p);
    p->l = l;
    for (int i = 0; i < FV_LOW_SPACES; i++) {
        p->memory[i] = must_alloc(space_bytes(l, i));
        p->known[i] = must_alloc(space_bytes(l, i));
        memset(p->known[i], i != FV_LOW_ARENA && i != FV_LOW_BATCH, space_bytes(l, i));
    }
    p->copies = must_alloc(most_copied(l));
    p->reduced = must_alloc((size_t)l->bucket_count * sizeof *p->reduced);
    size_t units = l->bytes[FV_LOW_ARENA] / UNIT + 1;
    p->owner = must_alloc(units * sizeof *p->owner);
    for (size_t i = 0; i < units; i++)
        p->owner[i] = -1;
    return 0;
}

void interp_close(struct interp **p)
{
    if (!*p)
        return;
    for (int i = 0; i < FV_LOW_SPACES; i++) {
        free((*p)->memory[i]);
        free((*p)->known[i]);
    }
    free((*p)->owner);
    free((*p)->copies);
    free((*p)->reduced);
    free(*p);
    *p = NULL;
}

/* --- a program ------------------------------------------------------------------------------------------------- */

/* Poison for what some op is to write: the tensor's own numbers. The padding of vectors is zero and stays so. */
static void forget_slot(struct interp *p, enum fv_low_space space, int tensor)
{
    const struct fv_low_slot *s = &p->l->slot[tensor];
    size_t count = s->order == FV_LOW_VECTOR ? (size_t)s->real_c : s->count;
    size_t from = space == FV_LOW_GRAD ? fv_low_grad_byte(p->l, s->offset) : s->offset * 4;
    size_t item = space == FV_LOW_GRAD && s->is_t ? fv_low_dtype_bytes(p->l->dtype) : 4;
    for (int i = 0; i < p->l->buffers; i++) {
        const struct fv_low_buffer *f = &p->l->buffer[i];
        if (f->space != space || f->offset != from || f->bytes != s->count * item)
            continue;
        memset(p->memory[space] + from, POISON, count * item);
        memset(p->known[space] + from, 0, count * item);
        return;
    }
}

/* Nothing of the arena is alive between two runs of a program, and no gradient or statistic of the last step may
 * be taken for one of this. */
static void forget(struct interp *p)
{
    const struct fv_lowered *l = p->l;
    for (int t = 0; l->train && t < l->net->tensors; t++)
        forget_slot(p, l->net->tensor[t].buffer ? FV_LOW_BATCHSTAT : FV_LOW_GRAD, t);
    for (size_t i = 0; i < l->bytes[FV_LOW_ARENA] / UNIT + 1; i++)
        p->owner[i] = -1;
    memset(p->memory[FV_LOW_ARENA], POISON, l->bytes[FV_LOW_ARENA]);
    memset(p->known[FV_LOW_ARENA], 0, l->bytes[FV_LOW_ARENA]);
}

static void put_batch(struct interp *p, int role, const void *from)
{
    for (int i = 0; i < p->l->ops; i++) {
        int arg = p->l->op[i].arg[role];
        if (arg < 0 || !from)
            continue;
        const struct fv_low_buffer *f = &p->l->buffer[arg];
        memcpy(p->memory[f->space] + f->offset, from, f->bytes);
        memset(p->known[f->space] + f->offset, 1, f->bytes);
    }
}

static int run_all(struct interp *p, const struct fv_optim *optim)
{
    for (int i = 0; i < p->l->ops; i++) {
        if (change_lives(p, i, 1) < 0 || run_op(p, i, optim) < 0)
            return -1;
        change_lives(p, i, 0);
    }
    return 0;
}

int interp_step(struct interp *p, const struct fv_batch *b, const struct fv_optim *optim)
{
    forget(p);
    p->stage = p->updates = 0;
    memset(p->reduced, 0, (size_t)p->l->bucket_count * sizeof *p->reduced);
    p->ticket = b->ticket;
    put_batch(p, FV_LOW_PIXELS, b->pixels);
    put_batch(p, FV_LOW_LABEL, b->label);
    put_batch(p, FV_LOW_LABEL_MIX, b->label_mix);
    put_batch(p, FV_LOW_LAMBDA, b->lambda);
    if (run_all(p, optim) < 0)
        return -1;
    return p->updates == (p->l->stat_elements ? 3 : 1) ? 0
                                                       : interp_fault(p, "an update is missing");
}

static void get_rows(const struct interp *p, int buffer, int channels, float *out)
{
    const struct fv_low_buffer *f = &p->l->buffer[buffer];
    const float *rows = (const float *)(const void *)(p->memory[f->space] + f->offset);
    size_t stride = f->bytes / sizeof(float) / (size_t)p->l->batch;
    for (int i = 0; i < p->l->batch; i++)
        memcpy(out + (size_t)i * (size_t)channels, rows + (size_t)i * stride,
               (size_t)channels * sizeof *out);
}

int interp_eval(struct interp *p, const uint8_t *pixels, float *embedding, float *logits)
{
    forget(p);
    put_batch(p, FV_LOW_PIXELS, pixels);
    if (run_all(p, NULL) < 0)
        return -1;
    if (embedding)
        get_rows(p, p->l->embedding, p->l->net->embedding, embedding);
    if (logits)
        get_rows(p, p->l->logits, p->l->net->classes, logits);
    return 0;
}
