/* SPDX-License-Identifier: MIT */
/* Lowered programs of every architecture, run by the interpreter, against ref: loss, gradients, updated parameters,
 * running statistics and what inference gives, over two steps. Graphs of cuDNN: none fused, all, and at random; the
 * large nets have each with one of the types. */
#include "common/err.h"
#include "common/rng.h"
#include "tests/cmocka_all.h"
#include "tests/cuda/interpret.h"

#include <malloc.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern const struct fv_backend fv_backend_ref;

enum { N = 4, CLASSES = 11, SIZE = 8 };

static void must(int rc)
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

struct data {
    struct fv_batch batch;
    uint8_t *pixels;
    int32_t label[N], label_mix[N];
    float lambda[N];
};

static void draw_batch(struct data *d, int size, uint32_t seed)
{
    struct fv_rng rng = fv_rng_at(seed, 0, 0, FV_RNG_TEST);
    size_t pixels = (size_t)(N * size * size) * 3;
    d->pixels = malloc(pixels);
    assert_non_null(d->pixels);
    for (size_t i = 0; i < pixels; i++)
        d->pixels[i] = (uint8_t)fv_rng_below(&rng, 256);
    for (int i = 0; i < N; i++) {
        d->label[i] = (int32_t)fv_rng_below(&rng, CLASSES);
        d->label_mix[i] = (int32_t)fv_rng_below(&rng, CLASSES);
        d->lambda[i] = (float[]){1, .25f, .625f}[i % 3];
    }
    d->batch = (struct fv_batch){.n = N,
                                 .capacity = N,
                                 .height = size,
                                 .width = size,
                                 .pixels = d->pixels,
                                 .label = d->label,
                                 .label_mix = d->label_mix,
                                 .lambda = d->lambda};
}

/* What ref makes of the two steps; made once a net. */
enum { STEPS = 2 };
struct truth {
    const struct fv_net *net;
    float *start, *grads[STEPS], *arena, *embedding, *logits;
    double loss[STEPS], correct[STEPS];
    struct data data[STEPS];
};

static const struct fv_optim optim = {
    .kind = FV_OPTIM_SGD, .lr = .01, .momentum = .9, .nesterov = 1, .weight_decay = 1e-2};

static void make_truth(struct truth *t, const struct fv_net *net)
{
    struct fv_device *d = NULL;
    struct fv_program *p = NULL;
    size_t all = net->params + net->buffers;
    *t = (struct truth){.net = net, .start = draw_arena(net)};
    must(fv_backend_ref.open(&d, &(struct fv_device_settings){.threads = 1}));
    must(fv_backend_ref.compile(d, net, N, 1, &p));
    must(fv_backend_ref.params_set(p, t->start));
    for (int i = 0; i < STEPS; i++) {
        struct fv_step_result r;
        draw_batch(&t->data[i], net->size, (uint32_t)i);
        t->grads[i] = calloc(net->params, sizeof(float));
        must(fv_backend_ref.step(p, &t->data[i].batch, &optim));
        must(fv_backend_ref.result(p, &r));
        must(fv_backend_ref.grads_get(p, t->grads[i]));
        t->loss[i] = r.loss;
        t->correct[i] = r.correct;
    }
    t->arena = calloc(all, sizeof(float));
    t->embedding = calloc((size_t)(N * net->embedding), sizeof(float));
    t->logits = calloc((size_t)N * CLASSES, sizeof(float));
    must(fv_backend_ref.params_get(p, t->arena));
    must(fv_backend_ref.eval(p, t->data[0].pixels, N, t->embedding, t->logits));
    fv_backend_ref.release(&p);
    fv_backend_ref.close(&d);
}

static void free_truth(struct truth *t)
{
    for (int i = 0; i < STEPS; i++) {
        free(t->grads[i]);
        free(t->data[i].pixels);
    }
    free(t->start);
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
static double worst_tensor(const struct fv_net *net, const float *a, const float *truth,
                           int buffers)
{
    double worst = 0, whole = 0;
    for (size_t i = 0; i < net->params; i++)
        whole += (double)truth[i] * (double)truth[i];
    for (int t = 0; t < net->tensors; t++) {
        const struct fv_tensor *x = &net->tensor[t];
        double norm = 0, d;
        if (x->buffer && !buffers)
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

struct outcome {
    double loss, grads, arena, eval;
    char fault[256];
};

/* Runs both steps and inference on the lowered programs; what differs how much. */
static struct outcome run(const struct truth *t, const struct fv_lowered *train,
                          const struct fv_lowered *infer)
{
    const struct fv_net *net = t->net;
    struct outcome o = {0};
    struct interp *p = NULL, *q = NULL;
    size_t all = net->params + net->buffers;
    float *arena = calloc(all, sizeof *arena), *grads = calloc(net->params, sizeof *grads);
    float *out = calloc((size_t)N * (size_t)(net->embedding + CLASSES), sizeof *out);
    float *logits = out + (size_t)N * (size_t)net->embedding;
    memcpy(arena, t->start, all * sizeof *arena);
    interp_open(&p, train);
    interp_set(p, t->start);
    for (int i = 0; i < STEPS && !p->fault[0]; i++) {
        if (interp_step(p, &t->data[i].batch, &optim) < 0)
            break;
        interp_grads(p, grads);
        double loss = fabs(p->loss - t->loss[i]) / (fabs(t->loss[i]) + 1e-3);
        loss += fabs(p->correct - t->correct[i]) > 1e-6 && train->dtype == FV_LOW_F32;
        o.loss = fmax(o.loss, isfinite(loss) ? loss : INFINITY);
        o.grads = fmax(o.grads, worst_tensor(net, grads, t->grads[i], 0));
    }
    interp_get(p, arena);
    o.arena = worst_tensor(net, arena, t->arena, 1);
    memcpy(o.fault, p->fault, sizeof o.fault);
    if (infer && !p->fault[0]) {
        interp_open(&q, infer);
        interp_set(q, arena);
        interp_eval(q, t->data[0].pixels, out, logits);
        memcpy(o.fault, q->fault, sizeof o.fault);
        o.eval = fmax(distance(out, t->embedding, (size_t)(N * net->embedding)),
                      distance(logits, t->logits, (size_t)N * CLASSES));
    }
    interp_close(&p);
    interp_close(&q);
    free(arena);
    free(grads);
    free(out);
    return o;
}

static struct fv_lowered *lower(const struct fv_net *net, enum fv_low_dtype dtype, int train,
                                int share, uint32_t seed)
{
    struct answers a = {share, fv_rng_at(seed, 0, 0, FV_RNG_TEST)};
    struct fv_lower_settings s = {
        .batch = N, .train = train, .dtype = dtype, .bucket_bytes = 1 << 18, .can = can, .ctx = &a};
    struct fv_lowered *l = NULL;
    must(fv_lower(&l, net, &s));
    return l;
}

/* How much may differ, of fp32: rounding, amplified by batch norms over few values. Rounding to 16 bits also changes
 * which values pass an activation: there gradients are not compared, and the interpreter's own checks count. */
static void compare(const struct truth *t, enum fv_low_dtype dtype, int share, uint32_t seed)
{
    double tolerance = dtype == FV_LOW_F32 ? 2e-3 : .2;
    struct fv_lowered *train = lower(t->net, dtype, 1, share, seed);
    struct fv_lowered *infer = lower(t->net, dtype, 0, share, seed);
    struct outcome o = run(t, train, infer);
    printf("%-14s %s, %d/8 fused: loss %.1e, gradients %.1e, parameters %.1e, inference %.1e\n",
           t->net->arch, fv_low_dtype_names[dtype], share, o.loss, o.grads, o.arena, o.eval);
    if (o.fault[0])
        fail_msg("%s: %s", t->net->arch, o.fault);
    assert_true(o.loss < tolerance && o.arena < tolerance && o.eval < tolerance);
    assert_true(dtype != FV_LOW_F32 ? isfinite(o.grads) : o.grads < tolerance);
    fv_lowered_free(&train);
    fv_lowered_free(&infer);
}

static void test_architecture(void **state)
{
    const char *arch = *state;
    struct fv_arch_settings s = {.size = SIZE,
                                 .classes = CLASSES,
                                 .stem = "auto",
                                 .mean = {.5f, .4f, .3f},
                                 .std = {.2f, .25f, .3f}};
    struct fv_net *net = NULL;
    struct truth t;
    must(fv_net_build(&net, arch, &s));
    /* A batch norm over a handful of values amplifies rounding; a large epsilon keeps that small. */
    for (int i = 0; i < net->nodes; i++)
        net->node[i].eps = .5f;
    make_truth(&t, net);
    compare(&t, FV_LOW_F32, 4, 1);
    compare(&t, FV_LOW_F16, 8, 2);
    compare(&t, FV_LOW_BF16, 0, 3);
    if (net->params < 8000000) {
        compare(&t, FV_LOW_F32, 0, 1);
        compare(&t, FV_LOW_F32, 8, 1);
        compare(&t, FV_LOW_BF16, 4, 3);
    }
    free_truth(&t);
    fv_net_free(&net);
}

int main(int argc, char **argv)
{
    (void)argc;
    mallopt(M_MMAP_THRESHOLD, 32 << 20); /* memory is taken and given back for every operand */
    mallopt(M_TRIM_THRESHOLD, 1 << 30);
    struct CMUnitTest tests[] = {cmocka_unit_test_prestate(test_architecture, argv[1])};
    tests[0].name = argv[1];
    return cmocka_run_group_tests_name("interpret", tests, NULL, NULL);
}
