/* SPDX-License-Identifier: MIT */
/* Looking into a program: what was chosen for each layer, where the time of a step goes, what single nodes have
 * computed, and which layer was the first to leave the finite numbers. */
#include "trainer/cuda/backend_cuda.h"

#include "common/err.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *node_name(const struct fv_program *p, int node)
{
    if (node < 0)
        return "";
    return p->net->node[node].name[0] ? p->net->node[node].name
                                      : fv_node_names[p->net->node[node].kind];
}

/* A line for each convolution, forward and backward: graph and engine. */
char *fv__cuda_describe(const struct fv_program *p)
{
    const struct fv__cuda_plan *plan = p->plan[0] ? p->plan[0] : p->infer;
    char *text = NULL;
    size_t size;
    FILE *f = open_memstream(&text, &size);
    if (!f)
        return NULL;
    fprintf(f, "%-28s %-14s %-16s %s\n", "layer", "op", "graph", "by");
    for (int i = 0; i < plan->l->ops; i++) {
        const struct fv_low_op *op = &plan->l->op[i];
        if (plan->conv[i])
            fprintf(f, "%-28s %-14s %-16s %s\n", node_name(p, op->node),
                    fv_low_kinds[op->kind].name, fv_low_graph_names[op->graph],
                    fv_gpu_conv_text(plan->conv[i]));
    }
    char slow[256];
    for (int i = 0; fv_gpu_conv_slow(p->device->gpu, i, slow, sizeof slow); i++)
        fprintf(f, "slower than apart, not taken: %s\n", slow);
    fprintf(f, "memory: parameters %.0f, activations %.0f, workspace %.0f MiB\n",
            (double)p->parameter_bytes / (1 << 20), (double)p->arena_bytes / (1 << 20),
            (double)p->scratch_bytes / (1 << 20));
    fclose(f);
    return text;
}

/* The last step once more, op by op with the clock between: without its update, so without effect. */

static int time_op(struct fv__cuda_plan *plan, struct fv__cuda_slot *slot, int op, void *event[2],
                   double *ms)
{
    struct fv_gpu *g = plan->program->device->gpu;
    FV_TRY(fv_gpu_event_record(g, event[0], FV_GPU_WORK));
    FV_TRY(fv__cuda_plan_range(plan, slot, op, op + 1));
    FV_TRY(fv_gpu_event_record(g, event[1], FV_GPU_WORK));
    FV_TRY(fv_gpu_event_sync(g, event[1]));
    return fv_gpu_event_ms(g, event[0], event[1], ms);
}

static int time_ops(struct fv__cuda_plan *plan, struct fv__cuda_slot *slot, FILE *f)
{
    struct fv_program *p = plan->program;
    const struct fv_lowered *l = plan->l;
    const int end = l->train ? l->backward_ops : l->ops;
    double kind_ms[FV_LOW_KINDS] = {0}, all = 0;
    void *event[2] = {NULL, NULL};
    int rc = fv_gpu_event_new(p->device->gpu, &event[0], 1);
    if (rc == 0)
        rc = fv_gpu_event_new(p->device->gpu, &event[1], 1);
    fprintf(f, "%-28s %-18s %10s\n", "layer", "op", "us");
    for (int i = 0; i < end && rc == 0; i++) {
        const struct fv_low_op *op = &l->op[i];
        double ms = 0;
        rc = time_op(plan, slot, i, event, &ms);
        fprintf(f, "%-28s %-18s %10.1f\n", node_name(p, op->node), fv_low_kinds[op->kind].name,
                ms * 1e3);
        kind_ms[op->kind] += ms;
        all += ms;
    }
    for (int k = 0; k < FV_LOW_KINDS && rc == 0; k++)
        if (kind_ms[k] > 0)
            fprintf(f, "%-28s %-18s %10.1f\n", "all", fv_low_kinds[k].name, kind_ms[k] * 1e3);
    fprintf(f, "%-28s %-18s %10.1f\n", "all", "", all * 1e3);
    for (int i = 0; i < 2; i++)
        fv_gpu_event_free(p->device->gpu, event[i]);
    return rc;
}

char *fv__cuda_profile(struct fv_program *p)
{
    char *text = NULL;
    size_t size;
    if (!p->last || !p->last->plan) {
        fv_err(FV_EINVAL, "%s: nothing has run yet", p->net->arch);
        return NULL;
    }
    FILE *f = open_memstream(&text, &size);
    if (!f)
        return NULL;
    int rc = fv__cuda_wait_work(p);
    if (rc == 0)
        rc = time_ops(p->last->plan, p->last, f);
    fclose(f);
    if (rc == 0)
        return text;
    free(text);
    return NULL;
}

/* Values, as they lie in memory */

static int fetch(struct fv_program *p, const struct fv_low_buffer *b, float **out)
{
    const size_t count = b->bytes / fv_low_dtype_bytes(b->dtype);
    char *raw = malloc(b->bytes + 1);
    *out = malloc((count + 1) * sizeof **out);
    int rc = raw && *out ? 0 : fv_err(FV_ENOMEM, "backend cuda: out of memory");
    if (rc == 0)
        rc = fv_gpu_download(p->device->gpu, FV_GPU_WORK, raw, p->arena + b->offset, b->bytes);
    if (rc == 0)
        rc = fv__cuda_wait_work(p);
    if (rc == 0)
        fv__cuda_widen(b->dtype, raw, *out, count);
    free(raw);
    if (rc < 0) {
        free(*out);
        *out = NULL;
    }
    return rc;
}

static int is_real(const struct fv_low_buffer *b)
{
    return b->space == FV_LOW_ARENA && b->dtype <= FV_LOW_F16;
}

/* 1 if a number in what the op has written into this role is not finite. */
static int is_bad(struct fv_program *p, const struct fv_lowered *l, const struct fv_low_op *op,
                  enum fv_low_role role, int *bad)
{
    float *v;
    *bad = 0;
    if (op->arg[role] < 0 || !is_real(&l->buffer[op->arg[role]]))
        return 0;
    const struct fv_low_buffer *b = &l->buffer[op->arg[role]];
    FV_TRY(fetch(p, b, &v));
    for (size_t i = 0; i < b->bytes / fv_low_dtype_bytes(b->dtype) && !*bad; i++)
        *bad = !isfinite(v[i]);
    free(v);
    return 0;
}

/* Runs the ops of forward, then of backward, one at a time, and looks at what each has written. Each rank does so for
 * itself, and stops where it finds something; but where batch norms need the others all go on to the end. */
int fv__cuda_find_bad(struct fv_program *p, int *node, int *gradient)
{
    int found = 0;
    struct fv__cuda_slot *slot = p->judged ? p->judged : p->last;
    if (!slot || !slot->plan || !slot->plan->l->train)
        return fv_err(FV_EINVAL, "%s: no step was taken", p->net->arch);
    const struct fv_lowered *l = slot->plan->l;
    FV_TRY(fv__cuda_wait_work(p));
    for (int i = 0; i < l->backward_ops && (!found || p->sync_bn); i++) {
        const enum fv_low_role roles[] = {i < l->forward_ops ? FV_LOW_Y : FV_LOW_DX, FV_LOW_DZ};
        const struct fv_low_op *op = &l->op[i];
        FV_TRY(fv__cuda_plan_alone(slot->plan, slot, i, i + 1));
        for (size_t r = 0; r < sizeof roles / sizeof roles[0] && !found; r++) {
            int bad;
            if (i < l->forward_ops && roles[r] == FV_LOW_DZ)
                continue;
            FV_TRY(is_bad(p, l, op, roles[r], &bad));
            if (bad) {
                *node = l->buffer[op->arg[roles[r]]].node;
                *gradient = i >= l->forward_ops;
                found = 1;
            }
        }
    }
    return found ? 0 : fv_err(FV_ENOTFOUND, "%s: every layer was finite", p->net->arch);
}

/* Each item's loss: the sum of its terms. */
static int item_losses(struct fv_program *p, const struct fv_lowered *l, int node, float *out)
{
    const size_t n = (size_t)l->batch;
    float *v;
    FV_TRY(fetch(p, &l->buffer[l->out[node]], &v));
    for (size_t i = 0; i < n; i++)
        out[i] = 0;
    for (size_t i = 0; i < n * (size_t)p->net->loss.terms; i++)
        out[i % n] += v[i];
    free(v);
    return 0;
}

/* A node's value of the last run. The arena is reused within a run: what other ops have overwritten since is gone. */
int fv__cuda_node_get(struct fv_program *p, int node, int gradient, float *out)
{
    struct fv__cuda_slot *slot = p->last;
    if (!slot || !slot->plan)
        return fv_err(FV_EINVAL, "%s: nothing has run yet", p->net->arch);
    const struct fv_lowered *l = slot->plan->l;
    const struct fv_node *o = &p->net->node[node];
    if (o->kind == FV_NODE_LOSS && l->train && !gradient)
        return item_losses(p, l, node, out);
    const int b = gradient ? l->grad[node] : l->out[node];
    float *v;
    if (b < 0 || !is_real(&l->buffer[b]))
        return fv_err(FV_EUNSUPPORTED, "%s: not kept by backend cuda", node_name(p, node));
    FV_TRY(fetch(p, &l->buffer[b], &v));
    double scale = 1;
    int rc = gradient ? fv__cuda_loss_scale(p, &scale) : 0;
    const size_t rows = (size_t)slot->n * (size_t)o->h * (size_t)o->w, c = (size_t)o->c;
    const size_t count = l->buffer[b].bytes / fv_low_dtype_bytes(l->buffer[b].dtype);
    const size_t stride = count / ((size_t)l->batch * (size_t)o->h * (size_t)o->w);
    for (size_t i = 0; i < rows && rc == 0; i++)
        for (size_t k = 0; k < c; k++)
            out[i * c + k] = (float)((double)v[i * stride + k] / scale);
    free(v);
    return rc;
}
