/* SPDX-License-Identifier: MIT */
/* The cuda backend against ref, on a device that is the host (device_host.h): the backend's own code from batch to
 * result, lowering, the mapping of ops to kernels and the kernels themselves, emulated. What is not run here is
 * cuDNN, cuBLASLt, NCCL, and the capture of graphs.
 *
 * fp32: ref computes in double, so the difference is rounding. bf16 and fp16: the measure is the angle between
 * gradients, and the loss; their limits follow from 8 and 11 bits of mantissa over some ten layers. */
#include "common/err.h"
#include "common/rng.h"
#include "tests/cmocka_all.h"
#include "tests/cuda/device_host.h"
#include "tests/cuda/noise.h"
#include "tests/cuda/rules.h"
#include "trainer/cuda/backend_cuda.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { N = 4, SIZE = 16, CLASSES = 6 };

extern const struct fv_backend fv_backend_cuda, fv_backend_ref;

static void must(int rc)
{
    if (rc < 0)
        fail_msg("%s", fv_err_text());
}

static const char *loss = "ce"; /* of the nets that follow */

static void build(struct fv_net **net, const char *arch)
{
    const struct fv_arch_settings s = {.size = SIZE,
                                       .classes = CLASSES,
                                       .stem = "auto",
                                       .loss = loss,
                                       .mean = {.5f, .4f, .3f},
                                       .std = {.2f, .25f, .3f}};
    must(fv_net_build(net, arch, &s));
}

/* A batch of noise with soft labels; `pixels` may be given. */
struct data {
    struct fv_batch b;
    uint8_t pixels[N * SIZE * SIZE * 3];
    int32_t label[N], label_mix[N];
    float lambda[N];
    uint32_t image[N];
};

static void make_batch(struct data *d, uint32_t seed, int n)
{
    *d = (struct data){.b = {.capacity = N,
                             .height = SIZE,
                             .width = SIZE,
                             .pixels = d->pixels,
                             .label = d->label,
                             .label_mix = d->label_mix,
                             .lambda = d->lambda,
                             .image = d->image}};
    noise_fill(&d->b, seed, n, CLASSES);
}

/* One backend's side of a comparison. */
struct side {
    const struct fv_backend *backend;
    struct fv_device *device;
    struct fv_program *program;
};

static void open_side(struct side *s, const struct fv_backend *backend, const char *type,
                      const struct fv_net *net, int train, const float *arena)
{
    const struct fv_device_settings ds = {.dtype = type, .no_graph = 1};
    s->backend = backend;
    must(backend->open(&s->device, &ds));
    must(backend->compile(s->device, net, N, train, NULL, &s->program));
    must(backend->params_set(s->program, arena));
}

static void close_side(struct side *s)
{
    s->backend->release(&s->program);
    s->backend->close(&s->device);
}

struct pair {
    struct fv_net *net;
    struct side cuda, ref;
    float *arena, *a, *b;
    size_t count;
};

static void open_pair(struct pair *p, const char *arch, const char *type)
{
    fv_device_host = (struct fv_device_host){.fused = fv_device_host.fused};
    build(&p->net, arch);
    p->count = p->net->params + p->net->buffers;
    p->arena = malloc(p->count * sizeof(float));
    p->a = calloc(p->count, sizeof(float));
    p->b = calloc(p->count, sizeof(float));
    fv_net_init(p->net, 7, p->arena);
    open_side(&p->cuda, &fv_backend_cuda, type, p->net, 1, p->arena);
    open_side(&p->ref, &fv_backend_ref, NULL, p->net, 1, p->arena);
}

static void close_pair(struct pair *p)
{
    close_side(&p->cuda);
    close_side(&p->ref);
    assert_int_equal(fv_device_host.allocated, 0);
    fv_net_free(&p->net);
    free(p->arena);
    free(p->a);
    free(p->b);
}

/* Norm of the difference over the norm of what is wanted. */
static double distance(const float *got, const float *want, size_t n)
{
    double d = 0, w = 0;
    for (size_t i = 0; i < n; i++) {
        d += pow((double)got[i] - (double)want[i], 2);
        w += pow((double)want[i], 2);
    }
    return sqrt(d) / (sqrt(w) + 1e-30);
}

static void near(const char *what, const float *got, const float *want, size_t n, double limit)
{
    const double d = distance(got, want, n);
    if (!(d <= limit))
        fail_msg("%s: relative distance %g, limit %g", what, d, limit);
}

/* Both or neither are numbers. */
static void same(double got, double want)
{
    assert_true(isnan(want) ? isnan(got) : fabs(got - want) <= 1e-4 * fabs(want));
}

static void step_both(struct pair *p, const struct data *d, const struct fv_optim *o, double limit)
{
    struct fv_step_result cuda, ref;
    must(p->cuda.backend->step(p->cuda.program, &d->b, o));
    must(p->ref.backend->step(p->ref.program, &d->b, o));
    must(p->cuda.backend->result(p->cuda.program, &cuda));
    must(p->ref.backend->result(p->ref.program, &ref));
    assert_int_equal(cuda.finite, 1);
    assert_int_equal(cuda.n, ref.n);
    assert_true(fabs(cuda.loss - ref.loss) <= limit * fabs(ref.loss));
    assert_true(fabs(cuda.correct - ref.correct) < 1e-5);
    for (int t = 0; t < p->net->loss.terms; t++)
        assert_true(fabs(cuda.term[t] - ref.term[t]) <= limit * fabs(ref.term[t]) + 1e-6);
    same(cuda.active, ref.active);
    same(cuda.distance, ref.distance);
    assert_true(fabs(cuda.grad_norm - ref.grad_norm) <= limit * fabs(ref.grad_norm));
}

static void compare_grads(struct pair *p, double limit)
{
    must(p->cuda.backend->grads_get(p->cuda.program, p->a));
    must(p->ref.backend->grads_get(p->ref.program, p->b));
    near("gradients", p->a, p->b, p->net->params, limit);
}

static void compare_params(struct pair *p, double limit)
{
    must(p->cuda.backend->params_get(p->cuda.program, p->a));
    must(p->ref.backend->params_get(p->ref.program, p->b));
    near("parameters", p->a, p->b, p->net->params, limit);
    near("running statistics", p->a + p->net->params, p->b + p->net->params, p->net->buffers,
         limit);
}

static void compare_state(struct pair *p, enum fv_state which, double limit)
{
    must(p->cuda.backend->state_get(p->cuda.program, which, p->a));
    must(p->ref.backend->state_get(p->ref.program, which, p->b));
    near("a state", p->a, p->b, fv_state_count(p->net, which), limit);
}

static void test_fp32_sgd(void **state)
{
    (void)state;
    struct pair p;
    struct data d;
    open_pair(&p, "tiny", "fp32");
    for (uint32_t i = 0; i < 3; i++) {
        make_batch(&d, i, N);
        step_both(&p, &d, &sgd, 1e-4);
        compare_grads(&p, 2e-3);
    }
    compare_params(&p, 1e-4);
    compare_state(&p, FV_STATE_FIRST, 2e-3);
    close_pair(&p);
}

/* Clipping, decoupled decay, an average, and factors of tensors. */
static void test_fp32_adamw(void **state)
{
    (void)state;
    struct pair p;
    struct data d;
    struct fv_optim o = adamw;
    open_pair(&p, "tiny", "fp32");
    float *lr = malloc((size_t)p.net->tensors * sizeof *lr);
    float *decay = malloc((size_t)p.net->tensors * sizeof *decay);
    for (int i = 0; i < p.net->tensors; i++) {
        lr[i] = i == 0 ? 0 : i % 3 ? 1 : 0.5f;
        decay[i] = p.net->tensor[i].no_decay ? 0 : 1;
    }
    o.lr_factor = lr;
    o.decay_factor = decay;
    for (uint32_t i = 0; i < 3; i++) {
        make_batch(&d, 10 + i, N);
        step_both(&p, &d, &o, 1e-3);
        o.updates++;
    }
    compare_params(&p, 1e-3);
    compare_state(&p, FV_STATE_FIRST, 1e-2);
    compare_state(&p, FV_STATE_SECOND, 1e-2);
    compare_state(&p, FV_STATE_EMA, 1e-3);
    must(p.cuda.backend->params_get(p.cuda.program, p.a));
    assert_memory_equal(p.a, p.arena, p.net->tensor[0].count * sizeof(float)); /* frozen */
    free(lr);
    free(decay);
    close_pair(&p);
}

/* Freezes all tensors whose name begins with one of these. */
static void freeze(const struct pair *p, float *factor, const char *const *names)
{
    for (int t = 0; t < p->net->tensors; t++) {
        factor[t] = 1;
        for (int i = 0; names[i]; i++)
            if (strncmp(p->net->tensor[t].name, names[i], strlen(names[i])) == 0)
                factor[t] = 0;
    }
}

/* Sets of frozen tensors that change from step to step, batch norms among them, which then work as in inference: no
 * frozen number changes, and ref does the same. */
static void frozen(const char *type, double limit)
{
    static const char *const trunk[] = {"conv1", "bn1", "layer1", "layer2", NULL},
                             *const norms[] = {"bn1", "layer1.0.bn1", "layer2.0.downsample.1",
                                               NULL},
                             *const head[] = {"fc", NULL}, *const none[] = {NULL};
    static const char *const *const sets[] = {none, trunk, trunk, norms, head, none, norms};
    struct pair p;
    struct data d;
    struct fv_optim o = adamw;
    open_pair(&p, "tiny", type);
    float *factor = malloc((size_t)p.net->tensors * sizeof *factor);
    float *before = malloc(p.count * sizeof *before);
    o.lr_factor = factor;
    for (uint32_t i = 0; i < sizeof sets / sizeof sets[0]; i++) {
        make_batch(&d, 500 + i, i == 2 ? 3 : N);
        freeze(&p, factor, sets[i]);
        must(p.cuda.backend->params_get(p.cuda.program, before));
        must(p.cuda.backend->prefetch(p.cuda.program, &d.b));
        step_both(&p, &d, &o, limit);
        o.updates++;
        must(p.cuda.backend->grads_get(p.cuda.program, p.b));
        must(p.cuda.backend->params_get(p.cuda.program, p.a));
        for (int t = 0; t < p.net->tensors; t++) {
            const struct fv_tensor *x = &p.net->tensor[t];
            for (size_t k = 0; factor[t] == 0 && !x->buffer && k < x->count; k++)
                assert_true(p.b[x->offset + k] == 0);
            if (factor[t] == 0)
                assert_memory_equal(p.a + x->offset, before + x->offset, x->count * sizeof(float));
            else if (!x->buffer)
                assert_memory_not_equal(p.a + x->offset, before + x->offset,
                                        x->count * sizeof(float));
        }
    }
    compare_params(&p, limit);
    compare_state(&p, FV_STATE_EMA, limit);
    free(factor);
    free(before);
    close_pair(&p);
}

static void test_frozen(void **state)
{
    (void)state;
    frozen("fp32", 2e-3);
    frozen("bf16", 5e-2);
}

/* What a program that was compiled for these settings says that a step takes; then takes one, for which nothing is
 * made anew. The memory of the device with it is *taken. */
static struct fv_memory_use said_and_taken(struct pair *p, const struct fv_optim *o, size_t *taken)
{
    struct side s = {.backend = &fv_backend_cuda, .device = p->cuda.device};
    struct fv_memory_use before, after;
    struct fv_step_result r;
    struct data d;
    const size_t others = fv_device_host.on_device;
    make_batch(&d, 90, N);
    must(s.backend->compile(s.device, p->net, N, 1, o, &s.program));
    must(s.backend->params_set(s.program, p->arena));
    must(s.backend->state_set(s.program, FV_STATE_FIRST, p->b));
    must(s.backend->memory(s.program, o, 1, &before));
    const void *plan = s.program->plan[0];
    must(s.backend->step(s.program, &d.b, o));
    must(s.backend->result(s.program, &r));
    assert_ptr_equal(s.program->plan[0], plan);
    must(s.backend->memory(s.program, o, 1, &after));
    assert_memory_equal(&before, &after, sizeof before);
    *taken = fv_device_host.on_device - others;
    s.backend->release(&s.program);
    return before;
}

static void test_frozen_memory(void **state)
{
    (void)state;
    static const char *const trunk[] = {"conv1", "bn1", "layer1", "layer2", NULL}, *const none[] = {
                                                                                       NULL};
    struct pair p;
    struct fv_optim o = {.lr = 0.05, .momentum = 0.9};
    size_t all_taken, head_taken;
    open_pair(&p, "tiny", "fp32");
    float *factor = malloc((size_t)p.net->tensors * sizeof *factor);
    o.lr_factor = factor;
    freeze(&p, factor, none);
    const struct fv_memory_use all = said_and_taken(&p, &o, &all_taken);
    freeze(&p, factor, trunk);
    const struct fv_memory_use head = said_and_taken(&p, &o, &head_taken);
    assert_true(head.activations < all.activations);
    assert_int_equal(all_taken - head_taken, all.activations - head.activations);
    free(factor);
    close_pair(&p);
}

/* Two parts to an update, of which the first leaves the weights alone. */
static void test_accumulation(void **state)
{
    (void)state;
    struct pair p;
    struct data d;
    struct fv_optim o = sgd;
    open_pair(&p, "tiny", "fp32");
    o.parts = 2;
    for (uint32_t i = 0; i < 4; i++) {
        make_batch(&d, 20 + i, N);
        o.part = (int)(i % 2);
        step_both(&p, &d, &o, 1e-4);
        if (i == 2) {
            compare_state(&p, FV_STATE_SUM, 2e-3);
            compare_params(&p, 1e-4);
        }
    }
    compare_params(&p, 1e-4);
    close_pair(&p);
}

/* A batch that is not full, before and after full ones; without an update. */
static void test_sizes(void **state)
{
    (void)state;
    struct pair p;
    struct data d;
    open_pair(&p, "tiny", "fp32");
    const int sizes[] = {N, 2, 3, N, 2};
    for (uint32_t i = 0; i < 5; i++) {
        make_batch(&d, 30 + i, sizes[i]);
        step_both(&p, &d, i % 2 ? NULL : &sgd, 1e-4);
        compare_grads(&p, 2e-3);
    }
    compare_params(&p, 1e-4);
    close_pair(&p);
}

/* The engines of a short batch may take more workspace than those of a full one. */
static void test_short_workspace(void **state)
{
    (void)state;
    struct pair p;
    struct data d;
    open_pair(&p, "tiny", "fp32");
    fv_device_host.short_workspace = 1 << 20;
    const int sizes[] = {N, 3, N};
    for (uint32_t i = 0; i < 3; i++) {
        make_batch(&d, 30 + i, sizes[i]);
        step_both(&p, &d, &sgd, 1e-4);
    }
    compare_params(&p, 1e-4);
    close_pair(&p);
}

/* Inference, of a training program between steps and of one for inference. */
static void test_eval(void **state)
{
    (void)state;
    struct pair p;
    struct data d;
    struct side alone;
    float e[2][N * 64], l[2][N * CLASSES];
    open_pair(&p, "tiny", "fp32");
    assert_true(p.net->embedding <= 64);
    make_batch(&d, 40, N);
    step_both(&p, &d, &sgd, 1e-4);
    must(p.cuda.backend->eval(p.cuda.program, d.pixels, 3, e[0], l[0]));
    must(p.ref.backend->eval(p.ref.program, d.pixels, 3, e[1], l[1]));
    near("embeddings", e[0], e[1], (size_t)(3 * p.net->embedding), 1e-4);
    near("logits", l[0], l[1], 3 * CLASSES, 1e-4);
    step_both(&p, &d, &sgd, 1e-4);
    must(p.cuda.backend->params_get(p.cuda.program, p.a));
    open_side(&alone, &fv_backend_cuda, "fp32", p.net, 0, p.a);
    must(alone.backend->eval(alone.program, d.pixels, N, e[0], NULL));
    must(p.ref.backend->eval(p.ref.program, d.pixels, N, e[1], NULL));
    near("embeddings", e[0], e[1], (size_t)(N * p.net->embedding), 1e-4);
    assert_int_equal(alone.backend->step(alone.program, &d.b, &sgd), FV_EINVAL);
    close_side(&alone);
    close_pair(&p);
}

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double cosine(const float *a, const float *b, size_t n)
{
    double ab = 0, aa = 0, bb = 0;
    for (size_t i = 0; i < n; i++) {
        ab += (double)a[i] * (double)b[i];
        aa += (double)a[i] * (double)a[i];
        bb += (double)b[i] * (double)b[i];
    }
    return ab / sqrt(aa * bb);
}

/* A first step from each of several batches: now and then a rounded value falls on the other side of a kink, so it is
 * the median that tells how well gradients agree. */
static void half(const char *type, int fused, double loss_limit, double median, double least)
{
    enum { TRIALS = 7 };
    double c[TRIALS];
    struct pair p;
    struct data d;
    for (uint32_t i = 0; i < TRIALS; i++) {
        fv_device_host.fused = fused;
        open_pair(&p, "tiny", type);
        make_batch(&d, 50 + i, N);
        step_both(&p, &d, &sgd, loss_limit);
        assert_int_equal(fv_device_host.fused_convs > 0, fused);
        must(p.cuda.backend->grads_get(p.cuda.program, p.a));
        must(p.ref.backend->grads_get(p.ref.program, p.b));
        c[i] = cosine(p.a, p.b, p.net->params);
        assert_true(fabs(distance(p.a, p.b, p.net->params)) < 2 * sqrt(1 - c[i]) + 1e-3);
        compare_params(&p, 2e-2);
        close_pair(&p);
        fv_device_host.fused = 0;
    }
    qsort(c, TRIALS, sizeof c[0], ascending);
    print_message("%s%s: cosine of the gradients with ref's, median %.6f, least %.6f\n", type,
                  fused ? ", fused" : "", c[TRIALS / 2], c[0]);
    assert_true(c[TRIALS / 2] >= median && c[0] >= least);
}

static void test_bf16(void **state)
{
    (void)state;
    half("bf16", 0, 2e-2, 0.99, 0.95);
    half("bf16", 1, 2e-2, 0.99, 0.95);
}

static void test_fp16(void **state)
{
    (void)state;
    half("fp16", 0, 2e-3, 0.999, 0.98);
    half("fp16", 1, 2e-3, 0.999, 0.98);
}

/* Steps that are given before the result of the last is asked for, from memory that is used again at once: ordinary
 * memory, and memory that the device reads by itself. */
static void test_batches_in_flight(void **state)
{
    (void)state;
    struct pair p;
    struct data d;
    struct fv_step_result r, want;
    void *pinned;
    open_pair(&p, "tiny", "fp32");
    struct fv_gpu *g = p.cuda.device->gpu;
    must(fv_gpu_host_alloc(g, &pinned, sizeof d.pixels, "pixels"));
    for (uint32_t i = 0; i < 5; i++) {
        make_batch(&d, 60 + i, N);
        must(p.ref.backend->step(p.ref.program, &d.b, &sgd));
        if (i % 2) {
            memcpy(pinned, d.pixels, sizeof d.pixels);
            d.b.pixels = pinned;
        }
        must(p.cuda.backend->step(p.cuda.program, &d.b, &sgd));
        memset(pinned, 0xaa, sizeof d.pixels);
        memset(&d, 0xaa, sizeof d);
    }
    must(p.cuda.backend->result(p.cuda.program, &r));
    must(p.ref.backend->result(p.ref.program, &want));
    assert_true(fabs(r.loss - want.loss) < 1e-4 * want.loss);
    compare_params(&p, 2e-4);
    fv_gpu_host_free(g, pinned);
    close_pair(&p);
}

/* A step that is not finite: nothing changes, whatever a loss keeps. */
static void spoil(struct pair *p, const struct data *d)
{
    struct fv_step_result r;
    const struct fv_tensor *first = &p->net->tensor[0];
    must(p->cuda.backend->params_get(p->cuda.program, p->a));
    p->a[first->offset] = NAN;
    must(p->cuda.backend->params_set(p->cuda.program, p->a));
    must(p->cuda.backend->step(p->cuda.program, &d->b, &sgd));
    must(p->cuda.backend->result(p->cuda.program, &r));
    assert_int_equal(r.finite, 0);
    must(p->cuda.backend->params_get(p->cuda.program, p->b));
    assert_memory_equal(p->a, p->b, p->count * sizeof(float));
}

/* Every loss there is, alone and in sums, with margins that grow; a step that is not finite leaves their states alone.
 * Items are of one identity each: some losses have no meaning for mixtures. */
static void test_losses(void **state)
{
    (void)state;
    static const char *const losses[] = {"ce(smooth=0.1)",
                                         "arcface(s=16,m=0.3,warmup=2)",
                                         "0.5*cosface(s=12,m=0.2)",
                                         "combined(s=10)",
                                         "adaface(s=16,t_alpha=0.3)",
                                         "triplet(margin=0.5)",
                                         "triplet(mine=semi-hard)",
                                         "ce+0.1*triplet(soft=yes)",
                                         "ce+0.3*cosface(s=8)",
                                         "arcface(s=8)+0.5*adaface(s=12)+0.2*center+0.3*triplet"};
    struct pair p;
    struct data d;
    for (size_t i = 0; i < sizeof losses / sizeof losses[0]; i++) {
        loss = losses[i];
        open_pair(&p, "tiny", "fp32");
        for (uint32_t k = 0; k < 4; k++) {
            make_batch(&d, 300 + k, k == 2 ? N - 1 : N);
            d.label[0] = d.label[1]; /* a pair */
            memcpy(d.label_mix, d.label, sizeof d.label);
            p.cuda.backend->set_epoch(p.cuda.program, 0.5 * k);
            p.ref.backend->set_epoch(p.ref.program, 0.5 * k);
            step_both(&p, &d, &sgd, 1e-4);
            compare_grads(&p, 2e-3);
        }
        compare_params(&p, 2e-4);
        spoil(&p, &d);
        close_pair(&p);
    }
    loss = "ce";
}

/* Depthwise convolutions, ReLU6 and dropout, which drops what ref drops. */
static void test_mobilenet(void **state)
{
    (void)state;
    struct pair p;
    struct data d;
    open_pair(&p, "mobilenet-v2", "fp32");
    make_batch(&d, 400, N);
    d.b.ticket = 7;
    step_both(&p, &d, &sgd, 1e-4);
    compare_grads(&p, 3e-2); /* fifty batch norms over few values */
    close_pair(&p);
}

/* Whatever an architecture is lowered to has a kernel. */
static void test_every_arch(void **state)
{
    (void)state;
    for (int i = 0; fv_archs[i]; i++)
        for (int train = 0; train < 2; train++) {
            const struct fv_lower_settings s = {.batch = 2, .train = train, .dtype = FV_LOW_BF16};
            struct fv_lowered *l;
            struct fv_net *net;
            build(&net, fv_archs[i]->name);
            must(fv_lower(&l, net, &s));
            must(fv_dispatch_check(l));
            fv_lowered_free(&l);
            fv_net_free(&net);
        }
}

/* A batch that is announced, then given or not, with inference between. */
static void test_prefetch(void **state)
{
    (void)state;
    struct pair p;
    struct data d, other;
    float e[N * 64];
    open_pair(&p, "tiny", "fp32");
    for (uint32_t i = 0; i < 6; i++) {
        make_batch(&d, 100 + i, i == 3 ? 2 : N);
        make_batch(&other, 200 + i, N);
        d.b.ticket = i;
        other.b.ticket = i;
        must(p.cuda.backend->prefetch(p.cuda.program, i % 3 == 1 ? &other.b : &d.b));
        if (i % 3 == 2)
            must(p.cuda.backend->eval(p.cuda.program, other.pixels, N, e, NULL));
        memset(&other, 0xaa, sizeof other);
        step_both(&p, &d, &sgd, 1e-4);
    }
    compare_params(&p, 2e-4);
    close_pair(&p);
}

/* A step that is not finite changes nothing, and the layer is named where it began. */
static void test_not_finite(void **state)
{
    (void)state;
    struct pair p;
    struct data d;
    struct fv_step_result r;
    int node = -1, gradient = -1;
    open_pair(&p, "tiny", "fp32");
    make_batch(&d, 70, N);
    step_both(&p, &d, &sgd, 1e-4);
    must(p.cuda.backend->params_get(p.cuda.program, p.a));
    const int conv = fv_net_find_tensor(p.net, "layer2.0.conv1.weight");
    assert_true(conv >= 0);
    p.a[p.net->tensor[conv].offset] = INFINITY;
    must(p.cuda.backend->params_set(p.cuda.program, p.a));
    must(p.cuda.backend->step(p.cuda.program, &d.b, &sgd));
    must(p.cuda.backend->result(p.cuda.program, &r));
    assert_int_equal(r.finite, 0);
    must(p.cuda.backend->params_get(p.cuda.program, p.b));
    assert_memory_equal(p.a, p.b, p.count * sizeof(float));
    must(p.cuda.backend->find_bad(p.cuda.program, &node, &gradient));
    assert_int_equal(r.rescaled, 0);
    assert_string_equal(p.net->node[node].name, "layer2.0.conv1");
    assert_int_equal(gradient, 0);
    close_pair(&p);
}

/* fp16: gradients too large for the scale cost a step, and the next scale is half of it. */
static void test_loss_scale(void **state)
{
    (void)state;
    struct pair p;
    struct data d;
    struct fv_step_result r;
    double before, after;
    open_pair(&p, "tiny", "fp16");
    make_batch(&d, 80, N);
    step_both(&p, &d, &sgd, 1e-2);
    must(fv__cuda_loss_scale(p.cuda.program, &before));
    assert_true(before > 1);
    must(p.cuda.backend->params_get(p.cuda.program, p.a));
    const int fc = fv_net_find_tensor(p.net, "fc.weight");
    for (size_t i = 0; i < p.net->tensor[fc].count; i++)
        p.a[p.net->tensor[fc].offset + i] *= 1e6f;
    must(p.cuda.backend->params_set(p.cuda.program, p.a));
    must(p.cuda.backend->step(p.cuda.program, &d.b, &sgd));
    must(p.cuda.backend->result(p.cuda.program, &r));
    assert_int_equal(r.finite, 0);
    assert_int_equal(r.rescaled, 1);
    must(p.cuda.backend->step(p.cuda.program, &d.b, &sgd));
    must(fv__cuda_loss_scale(p.cuda.program, &after));
    assert_true(after == before / 2);
    /* of an accumulated step too, whose last part can but find that the sum is broken */
    struct fv_optim parts = sgd;
    parts.parts = 2;
    for (int i = 0; i < 3; i++) {
        parts.part = i % 2;
        must(p.cuda.backend->step(p.cuda.program, &d.b, &parts));
        must(p.cuda.backend->result(p.cuda.program, &r));
        assert_int_equal(r.finite, 0);
        must(fv__cuda_loss_scale(p.cuda.program, &after));
        assert_true(after == before / (i == 0 ? 4 : 8)); /* the scale of that step */
    }
    close_pair(&p);
}

/* Too little memory: the sentence names a batch, which then fits, also if it is convolutions that take the most. */
static void memory(size_t workspace)
{
    struct fv_net *net;
    struct fv_device *device;
    struct fv_program *program;
    const struct fv_device_settings ds = {.dtype = "fp32", .no_graph = 1};
    int fits = 4000;
    fv_device_host = (struct fv_device_host){.workspace = workspace};
    build(&net, "tiny");
    must(fv_backend_cuda.open(&device, &ds));
    fv_device_host.limit = (size_t)24 << 20;
    /* the first answer guesses what convolutions take, the second knows it */
    for (int rc = FV_ENOMEM, tries = 0; rc < 0; tries++) {
        assert_true(tries < 1 + (workspace > 0) + 1);
        rc = fv_backend_cuda.compile(device, net, fits, 1, NULL, &program);
        if (rc == 0)
            break;
        assert_int_equal(rc, FV_ENOMEM);
        assert_null(program);
        assert_int_equal(fv_device_host.allocated, 0);
        const char *at = strstr(fv_err_text(), "--batch ");
        assert_non_null(at);
        assert_true(atoi(at + 8) > 1 && atoi(at + 8) < fits);
        fits = atoi(at + 8);
    }
    assert_true(fits < 4000);
    struct fv_memory_use use;
    assert_int_equal(fv_backend_cuda.memory(program, NULL, 1, &use), 0);
    assert_true(use.weights > 0 && use.activations > 0 &&
                use.weights + use.states + use.activations <= fv_device_host.limit);
    fv_backend_cuda.release(&program);
    fv_device_host.limit = 4096;
    assert_int_equal(fv_backend_cuda.compile(device, net, 2, 1, NULL, &program), FV_ENOMEM);
    assert_non_null(strstr(fv_err_text(), "even for one image"));
    fv_backend_cuda.close(&device);
    fv_net_free(&net);
    fv_device_host.limit = 0;
}

static void test_memory(void **state)
{
    (void)state;
    memory(0);
    memory(200000);
    fv_device_host.workspace = 0;
}

static void test_open(void **state)
{
    (void)state;
    struct fv_device *device;
    struct fv_device_settings ds = {.dtype = "int8"};
    fv_device_host = (struct fv_device_host){.limit = 0};
    assert_int_equal(fv_backend_cuda.open(&device, &ds), FV_EUSAGE);
    assert_null(device);
    ds.dtype = "auto";
    must(fv_backend_cuda.open(&device, &ds));
    assert_non_null(strstr(fv_backend_cuda.info(device), "bf16"));
    fv_backend_cuda.close(&device);
    fv_device_host.no_device = 1;
    assert_int_equal(fv_backend_cuda.open(&device, &ds), FV_EUNSUPPORTED);
    assert_null(device);
    fv_device_host.no_device = 0;
}

/* What was chosen and where time goes are texts with a line for each convolution. */
static void test_texts(void **state)
{
    (void)state;
    struct pair p;
    struct data d;
    open_pair(&p, "tiny", "fp32");
    assert_null(p.cuda.backend->profile(p.cuda.program));
    make_batch(&d, 90, N);
    step_both(&p, &d, &sgd, 1e-4);
    must(p.cuda.backend->params_get(p.cuda.program, p.a));
    char *profile = p.cuda.backend->profile(p.cuda.program);
    char *chosen = fv__cuda_describe(p.cuda.program);
    assert_non_null(strstr(profile, "layer1.0.conv1"));
    assert_non_null(strstr(chosen, "layer2.0.downsample.0"));
    must(p.cuda.backend->params_get(p.cuda.program, p.b));
    assert_memory_equal(p.a, p.b, p.count * sizeof(float)); /* profiling is without effect */
    free(profile);
    free(chosen);
    close_pair(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_open),          cmocka_unit_test(test_fp32_sgd),
        cmocka_unit_test(test_fp32_adamw),    cmocka_unit_test(test_frozen),
        cmocka_unit_test(test_frozen_memory), cmocka_unit_test(test_accumulation),
        cmocka_unit_test(test_sizes),         cmocka_unit_test(test_short_workspace),
        cmocka_unit_test(test_eval),          cmocka_unit_test(test_bf16),
        cmocka_unit_test(test_fp16),          cmocka_unit_test(test_batches_in_flight),
        cmocka_unit_test(test_losses),        cmocka_unit_test(test_mobilenet),
        cmocka_unit_test(test_every_arch),    cmocka_unit_test(test_prefetch),
        cmocka_unit_test(test_not_finite),    cmocka_unit_test(test_loss_scale),
        cmocka_unit_test(test_memory),        cmocka_unit_test(test_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
