/* SPDX-License-Identifier: MIT */
/* Convolutions of a lowered program as plans of cuDNN, found once for each graph and shape. Also refusals are kept:
 * lowering asks again and again. */
#include "trainer/cuda/conv_worth.h"
#include "trainer/cuda/device_cuda_gpu.h"

#include "common/err.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const size_t workspace_limit = (size_t)1 << 30;

struct fv_gpu_conv {
    struct fv_conv_key key;
    struct fv_cudnn_plan *plan; /* NULL: cuDNN refuses */
    char why[FV_ERR_TEXT_MAX];
    struct fv_conv_worth worth; /* of a fused graph: why it is taken, or is not */
    struct fv_gpu_conv *next;
};

static int same_key(const struct fv_conv_key *a, const struct fv_conv_key *b)
{
    return a->graph == b->graph && a->type == b->type && a->n == b->n && a->h == b->h &&
           a->w == b->w && a->c == b->c && a->k == b->k && a->window == b->window &&
           a->stride == b->stride && a->pad == b->pad;
}

static struct fv_gpu_conv *find(struct fv_gpu *g, const struct fv_conv_key *key)
{
    struct fv_gpu_conv *c = g->conv;
    while (c && !same_key(&c->key, key))
        c = c->next;
    if (c)
        return c;
    c = calloc(1, sizeof *c);
    if (!c)
        return NULL;
    const struct fv_plan_settings s = {.cache = g->cache, .workspace_limit = workspace_limit};
    c->key = *key;
    g->bound = 0; /* candidates are timed on the default stream */
    if (fv_cudnn_set_stream(g->cudnn, NULL) < 0) {
        free(c);
        return NULL;
    }
    if (fv_cudnn_plan_find(&c->plan, g->cudnn, key, &s) < 0)
        fv_err_save(c->why);
    c->next = g->conv;
    g->conv = c;
    return c;
}

/* What the graphs of that shape take, those that are weighed against each other. */
static struct fv_conv_times times_of(struct fv_gpu *g, struct fv_conv_key key)
{
    const unsigned weighed = fv_conv_weighed(key.graph);
    struct fv_conv_times t = {.bytes_per_us = g->bytes_per_us};
    for (int i = 0; i < FV_CONV_GRAPHS; i++) {
        if (!(weighed & 1u << i))
            continue;
        key.graph = (enum fv_conv_graph)i;
        const struct fv_gpu_conv *c = find(g, &key);
        t.us[i] = c && c->plan ? c->plan->choice.us : -1;
    }
    return t;
}

int fv_gpu_conv_can(struct fv_gpu *g, const struct fv_low_query *q)
{
    struct fv_conv_key key;
    if (!fv_conv_key_of(&key, FV_LOW_KINDS, q->graph, q->dtype, &q->shape))
        return 0;
    struct fv_gpu_conv *c = find(g, &key);
    if (!c || !c->plan)
        return 0;
    const struct fv_conv_times t = times_of(g, key);
    return fv_conv_is_worth(&key, &t, &c->worth);
}

int fv_gpu_conv_slow(const struct fv_gpu *g, int i, char *text, size_t size)
{
    const struct fv_gpu_conv *c = g->conv;
    while (c && (c->worth.together <= c->worth.apart || i-- > 0))
        c = c->next;
    if (!c)
        return 0;
    char key[160];
    fv_conv_key_text(&c->key, key, sizeof key);
    snprintf(text, size, "%s: %.0f us, %.0f us without", key, c->worth.together, c->worth.apart);
    return 1;
}

int fv_gpu_conv_find(struct fv_gpu *g, const struct fv_low_op *op, enum fv_low_dtype type,
                     const struct fv_gpu_conv **out)
{
    struct fv_conv_key key;
    *out = NULL;
    if (!fv_conv_key_of(&key, op->kind, op->graph, type, &op->shape))
        return fv_err(FV_EUNSUPPORTED,
                      "backend cuda: no graph for %s (%s, %d groups): use --backend cpu",
                      fv_low_kinds[op->kind].name, fv_low_graph_names[op->graph], op->shape.groups);
    const struct fv_gpu_conv *c = find(g, &key);
    if (!c)
        return fv_err(FV_EBACKEND, "backend cuda: no plan could be looked for");
    if (!c->plan)
        return fv_err_restore(FV_EUNSUPPORTED, c->why);
    *out = c;
    return 0;
}

/* The tail of a workspace holds what a graph computes and nobody asks for: eq_* of DGRAD_BN. */
static size_t spare_bytes(const struct fv_gpu_conv *c)
{
    return 3 * ((fv_conv_role_bytes(&c->key, FV_CONV_EQ_DY) + 255) / 256 * 256);
}

size_t fv_gpu_conv_workspace(const struct fv_gpu_conv *c)
{
    return c->plan->workspace + spare_bytes(c);
}

const char *fv_gpu_conv_text(const struct fv_gpu_conv *c)
{
    static _Thread_local char text[160];
    static const char *const from[] = {"first of the heuristics", "timed", "from the cache"};
    const struct fv_cudnn_plan *p = c->plan;
    char worth[64] = "";
    if (c->worth.apart > 0)
        snprintf(worth, sizeof worth, "; with what comes with it %.0f us, %.0f us without",
                 c->worth.together, c->worth.apart);
    snprintf(text, sizeof text, "engine %d, %.0f us, workspace %.1f MiB, %s%s", p->choice.engine,
             p->choice.us, (double)p->workspace / (1 << 20), from[p->from], worth);
    return text;
}

int fv_gpu_conv_run(struct fv_gpu *g, const struct fv_gpu_conv *c, const struct fv_low_op *op,
                    void *const arg[FV_LOW_ROLES], void *workspace)
{
    (void)op; /* the key says all of it */
    void *a[FV_CONV_ROLES] = {NULL};
    char *spare = (char *)workspace + c->plan->workspace;
    const size_t each = spare_bytes(c) / 3;
    for (int role = 0; role < FV_CONV_ROLES; role++) {
        const enum fv_low_role operand = fv_conv_operand(&c->key, (enum fv_conv_role)role);
        a[role] =
            operand < FV_LOW_ROLES ? arg[operand] : spare + (size_t)(role - FV_CONV_EQ_DY) * each;
    }
    if (!g->bound)
        FV_TRY(fv_cudnn_set_stream(g->cudnn, g->stream[FV_GPU_WORK]));
    g->bound = 1;
    return fv_cudnn_plan_run(g->cudnn, c->plan, a, workspace);
}

void fv__gpu_close_convs(struct fv_gpu *g)
{
    for (struct fv_gpu_conv *c = g->conv, *next; c; c = next) {
        next = c->next;
        fv_cudnn_plan_free(&c->plan);
        free(c);
    }
    g->conv = NULL;
}
