/* SPDX-License-Identifier: MIT */
/* What ref makes of two steps and of inference, and how far a lowered program is from it. */
#include "tests/cuda/interpret_rig.h"

#include "common/err.h"
#include "common/rng.h"
#include "tests/cmocka_all.h"

#include <malloc.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern const struct fv_backend fv_backend_ref;

void rig_must(int rc)
{
    if (rc < 0)
        fail_msg("%s", fv_err_text());
}

struct answers {
    int share; /* of yes, per 8 */
    struct fv_rng rng;
};

static int can(void *ctx, const struct fv_low_query *q)
{
    struct answers *a = ctx;
    (void)q;
    return (int)fv_rng_below(&a->rng, 8) < a->share;
}

/* Weights by He; shifts well away from zero, so that few values are near a kink and rounding decides nothing. */
static float *draw_arena(const struct fv_net *net)
{
    struct fv_rng rng = fv_rng_at(5, 0, 0, FV_RNG_TEST);
    float *arena = calloc(net->params + net->buffers, sizeof *arena);
    assert_non_null(arena);
    fv_net_init(net, 5, arena);
    for (int i = 0; i < net->tensors; i++) {
        const struct fv_tensor *t = &net->tensor[i];
        int running = strstr(t->name, ".running_") != NULL;
        int shift = strstr(t->name, ".bias") != NULL;
        for (size_t k = 0; t->ndim == 1 && (running || !t->buffer) && k < t->count; k++) {
            float u = (float)fv_rng_uniform(&rng, .05, .3);
            if (running)
                arena[t->offset + k] += u;
            else
                arena[t->offset + k] = shift ? (k % 2 ? -.3f : .3f) - u : .7f + u;
        }
    }
    return arena;
}

static void draw_batch(struct rig_data *d, const struct fv_net *net, uint32_t seed)
{
    int size = net->size;
    struct fv_rng rng = fv_rng_at(seed, 0, 0, FV_RNG_TEST);
    size_t pixels = (size_t)(RIG_N * size * size) * 3;
    d->pixels = malloc(pixels);
    assert_non_null(d->pixels);
    for (size_t i = 0; i < pixels; i++)
        d->pixels[i] = (uint8_t)fv_rng_below(&rng, 256);
    for (int i = 0; i < RIG_N; i++) {
        d->label[i] = i / 2 + (int32_t)seed; /* pairs, for losses over pairs */
        d->label_mix[i] = (int32_t)fv_rng_below(&rng, RIG_CLASSES);
        d->lambda[i] = net->loss.soft ? (float[]){1, .25f, .625f}[i % 3] : 1;
    }
    d->batch = (struct fv_batch){.n = RIG_N,
                                 .capacity = RIG_N,
                                 .height = size,
                                 .width = size,
                                 .pixels = d->pixels,
                                 .label = d->label,
                                 .label_mix = d->label_mix,
                                 .lambda = d->lambda};
}

static struct fv_optim optim_of(const struct rig_truth *t)
{
    return (struct fv_optim){.kind = FV_OPTIM_SGD,
                             .lr = .01,
                             .momentum = .9,
                             .nesterov = 1,
                             .weight_decay = 1e-2,
                             .lr_factor = t->lr_factor};
}

void rig_make_truth(struct rig_truth *t, const struct fv_net *net, const unsigned char *frozen)
{
    struct fv_device *d = NULL;
    struct fv_program *p = NULL;
    size_t all = net->params + net->buffers;
    struct fv_optim optim;
    *t = (struct rig_truth){.net = net, .frozen = frozen, .start = draw_arena(net)};
    t->lr_factor = calloc((unsigned)net->tensors, sizeof(float));
    for (int i = 0; i < net->tensors; i++)
        t->lr_factor[i] = !frozen || !frozen[i];
    optim = optim_of(t);
    rig_must(fv_backend_ref.open(&d, &(struct fv_device_settings){.threads = 1}));
    rig_must(fv_backend_ref.compile(d, net, RIG_N, 1, NULL, &p));
    rig_must(fv_backend_ref.params_set(p, t->start));
    for (int i = 0; i < RIG_STEPS; i++) {
        struct fv_step_result r;
        draw_batch(&t->data[i], net, (uint32_t)i);
        t->grads[i] = calloc(net->params, sizeof(float));
        rig_must(fv_backend_ref.step(p, &t->data[i].batch, &optim));
        rig_must(fv_backend_ref.result(p, &r));
        rig_must(fv_backend_ref.grads_get(p, t->grads[i]));
        t->loss[i] = r.loss;
        t->correct[i] = r.correct;
    }
    t->arena = calloc(all, sizeof(float));
    t->embedding = calloc((size_t)(RIG_N * net->embedding), sizeof(float));
    t->logits = calloc((size_t)RIG_N * RIG_CLASSES, sizeof(float));
    rig_must(fv_backend_ref.params_get(p, t->arena));
    rig_must(fv_backend_ref.eval(p, t->data[0].pixels, RIG_N, t->embedding, t->logits));
    fv_backend_ref.release(&p);
    fv_backend_ref.close(&d);
}

void rig_free_truth(struct rig_truth *t)
{
    for (int i = 0; i < RIG_STEPS; i++) {
        free(t->grads[i]);
        free(t->data[i].pixels);
    }
    free(t->start);
    free(t->lr_factor);
    free(t->arena);
    free(t->embedding);
    free(t->logits);
}

/* Norm of the difference over the norm of the truth. */
static double distance(const float *a, const float *truth, size_t count)
{
    double diff = 0, norm = 0;
    for (size_t i = 0; i < count; i++) {
        double d = (double)a[i] - (double)truth[i];
        diff += d * d;
        norm += (double)truth[i] * (double)truth[i];
    }
    return diff == 0 ? 0 : isfinite(diff) ? sqrt(diff / (norm + 1e-30)) : INFINITY;
}

/* The largest distance of a tensor, and of the whole. Tensors whose gradient is a sum that cancels to nothing
 * (biases before a batch norm) are measured against the whole. */
static double worst_tensor(const struct rig_truth *r, const float *a, const float *truth, int all)
{
    const struct fv_net *net = r->net;
    double worst = 0, whole = 0;
    for (size_t i = 0; i < net->params; i++)
        whole += (double)truth[i] * (double)truth[i];
    for (int t = 0; t < net->tensors; t++) {
        const struct fv_tensor *x = &net->tensor[t];
        double norm = 0, d;
        if (!all && (x->buffer || (r->frozen && r->frozen[t])))
            continue;
        for (size_t i = 0; i < x->count; i++)
            norm += (double)truth[x->offset + i] * (double)truth[x->offset + i];
        d = distance(a + x->offset, truth + x->offset, x->count);
        if (norm < 1e-8 * whole)
            d *= sqrt(norm / whole);
        if (d > worst)
            worst = d;
    }
    return worst;
}

/* Runs both steps and inference on the lowered programs; what differs how much. */
struct rig_outcome rig_run(const struct rig_truth *t, const struct fv_lowered *train,
                           const struct fv_lowered *infer)
{
    const struct fv_net *net = t->net;
    struct rig_outcome o = {0};
    struct fv_optim optim = optim_of(t);
    struct interp *p = NULL, *q = NULL;
    size_t all = net->params + net->buffers;
    float *arena = calloc(all, sizeof *arena), *grads = calloc(net->params, sizeof *grads);
    float *out = calloc((size_t)RIG_N * (size_t)(net->embedding + RIG_CLASSES), sizeof *out);
    float *logits = out + (size_t)RIG_N * (size_t)net->embedding;
    memcpy(arena, t->start, all * sizeof *arena);
    interp_open(&p, train);
    interp_set(p, t->start);
    for (int i = 0; i < RIG_STEPS && !p->fault[0]; i++) {
        if (interp_step(p, &t->data[i].batch, &optim) < 0)
            break;
        interp_grads(p, grads);
        double loss = fabs(p->loss - t->loss[i]) / (fabs(t->loss[i]) + 1e-3);
        loss += fabs(p->correct - t->correct[i]) > 1e-6 && train->dtype == FV_LOW_F32;
        o.loss = fmax(o.loss, isfinite(loss) ? loss : INFINITY);
        o.grads = fmax(o.grads, worst_tensor(t, grads, t->grads[i], 0));
    }
    interp_get(p, arena);
    o.arena = worst_tensor(t, arena, t->arena, 1);
    memcpy(o.fault, p->fault, sizeof o.fault);
    if (infer && !p->fault[0]) {
        interp_open(&q, infer);
        interp_set(q, arena);
        interp_eval(q, t->data[0].pixels, out, logits);
        memcpy(o.fault, q->fault, sizeof o.fault);
        o.eval = fmax(distance(out, t->embedding, (size_t)(RIG_N * net->embedding)),
                      distance(logits, t->logits, (size_t)RIG_N * RIG_CLASSES));
    }
    interp_close(&p);
    interp_close(&q);
    free(arena);
    free(grads);
    free(out);
    return o;
}

struct fv_lowered *rig_lower(const struct fv_net *net, enum fv_low_dtype dtype, int train,
                             int share, uint32_t seed, const unsigned char *frozen)
{
    struct answers a = {share, fv_rng_at(seed, 0, 0, FV_RNG_TEST)};
    struct fv_lower_settings s = {.batch = RIG_N,
                                  .train = train,
                                  .dtype = dtype,
                                  .bucket_bytes = 1 << 18,
                                  .can = can,
                                  .ctx = &a,
                                  .frozen = frozen};
    struct fv_lowered *l = NULL;
    rig_must(fv_lower(&l, net, &s));
    return l;
}
