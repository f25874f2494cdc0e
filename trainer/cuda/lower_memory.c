/* SPDX-License-Identifier: MIT */
/* Where buffers lie: lifetimes from the ops, offsets so that what lives at the same time does not overlap.
 *
 * Placing is first fit in several orders, of which the smallest arena wins: which order is best depends on the net,
 * and each costs a millisecond. Buffers smaller than a page do not matter; they are placed last.
 */
#include "trainer/cuda/lower_build.h"

#include "common/err.h"

#include <stdlib.h>

enum { ALIGN = 256 };

static size_t rounded(const struct fv_low_buffer *f)
{
    return (f->bytes + ALIGN - 1) / ALIGN * ALIGN;
}

static void find_lifetimes(struct fv_lowered *l, int keep)
{
    for (int i = 0; i < l->buffers; i++) {
        l->buffer[i].first = l->ops;
        l->buffer[i].last = -1;
    }
    for (int i = 0; i < l->ops; i++) {
        for (int k = 0; k < FV_LOW_ROLES; k++) {
            if (l->op[i].arg[k] < 0)
                continue;
            struct fv_low_buffer *f = &l->buffer[l->op[i].arg[k]];
            if (i < f->first)
                f->first = i;
            f->last = i;
        }
    }
    for (int i = 0; i < l->buffers; i++)
        if (keep || i == l->embedding || i == l->logits || l->buffer[i].space != FV_LOW_ARENA)
            l->buffer[i].last = l->ops;
    for (int i = 0; keep && i < l->buffers; i++)
        l->buffer[i].first = 0;
}

struct ranked {
    struct fv_low_buffer *buffer;
    double rank;
    int index;
};

static int by_rank(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;
    if (x->rank != y->rank)
        return x->rank < y->rank ? 1 : -1;
    return x->index - y->index;
}

enum order { BY_SIZE, BY_SIZE_AND_LIFE, BY_LIFE, BY_BIRTH, BY_DEATH, ORDERS };

static double rank_of(const struct fv_low_buffer *f, enum order order)
{
    double bytes = (double)rounded(f), life = f->last - f->first + 1;
    switch (order) {
    case BY_SIZE:
        return bytes;
    case BY_SIZE_AND_LIFE:
        return bytes * life;
    case BY_LIFE:
        return life;
    case BY_BIRTH:
        return -(double)f->first;
    default:
        return (double)f->last;
    }
}

/* Puts list[i] at the lowest place that is free while it lives; list[0 .. i-1] are placed, by offset in `at`. */
static size_t place(struct ranked *list, int i, struct fv_low_buffer **at)
{
    struct fv_low_buffer *f = list[i].buffer;
    size_t free_from = 0;
    for (int k = 0; k < i; k++) {
        if (at[k]->first > f->last || f->first > at[k]->last)
            continue;
        if (at[k]->offset >= free_from + rounded(f))
            break;
        if (at[k]->offset + rounded(at[k]) > free_from)
            free_from = at[k]->offset + rounded(at[k]);
    }
    f->offset = free_from;
    int k = i;
    for (; k > 0 && at[k - 1]->offset > free_from; k--)
        at[k] = at[k - 1];
    at[k] = f;
    return free_from + rounded(f);
}

static size_t place_all(struct ranked *list, int count, struct fv_low_buffer **at, enum order order)
{
    size_t bytes = 0;
    for (int i = 0; i < count; i++)
        list[i].rank = rank_of(list[i].buffer, order);
    qsort(list, (size_t)count, sizeof *list, by_rank);
    for (int i = 0; i < count; i++) {
        size_t end = place(list, i, at);
        if (end > bytes)
            bytes = end;
    }
    return bytes;
}

int fv__low_place(struct fv_lowered *l, int keep)
{
    struct ranked *list = malloc(((size_t)l->buffers + 1) * sizeof *list);
    struct fv_low_buffer **at = malloc(((size_t)l->buffers + 1) * sizeof *at);
    int count = 0, best = 0;
    find_lifetimes(l, keep);
    for (int i = 0; list && i < l->buffers; i++)
        if (l->buffer[i].space == FV_LOW_ARENA && l->buffer[i].last >= 0)
            list[count++] = (struct ranked){&l->buffer[i], 0, i};
    if (list && at) {
        size_t least = SIZE_MAX;
        for (int order = 0; order < ORDERS; order++) {
            size_t bytes = place_all(list, count, at, (enum order)order);
            if (bytes < least) {
                least = bytes;
                best = order;
            }
        }
        l->bytes[FV_LOW_ARENA] = place_all(list, count, at, (enum order)best);
    }
    free(list);
    free(at);
    return list && at ? 0 : fv_err(FV_ENOMEM, "backend cuda: out of memory");
}

size_t fv_lowered_least_bytes(const struct fv_lowered *l)
{
    size_t most = 0;
    for (int i = 0; i < l->ops; i++) {
        size_t alive = 0;
        for (int k = 0; k < l->buffers; k++)
            if (l->buffer[k].space == FV_LOW_ARENA && l->buffer[k].first <= i &&
                i <= l->buffer[k].last)
                alive += rounded(&l->buffer[k]);
        if (alive > most)
            most = alive;
    }
    return most;
}

int fv_lower_memory(struct fv_low_memory *out, const struct fv_net *net,
                    const struct fv_lower_settings *s, int state_planes)
{
    struct fv_lowered *l = NULL;
    FV_TRY(fv_lower(&l, net, s));
    *out = (struct fv_low_memory){.activations = l->bytes[FV_LOW_ARENA],
                                  .parameters = l->bytes[FV_LOW_MASTER] + l->bytes[FV_LOW_WORK] +
                                                l->bytes[FV_LOW_RUNNING],
                                  .batch = l->bytes[FV_LOW_BATCH] + l->bytes[FV_LOW_CONTROL]};
    if (s->train) {
        out->parameters += l->bytes[FV_LOW_GRAD] + l->bytes[FV_LOW_BATCHSTAT];
        out->states = l->bytes[FV_LOW_STATE] * (size_t)state_planes;
    }
    out->total = out->activations + out->parameters + out->states + out->batch;
    fv_lowered_free(&l);
    return 0;
}
