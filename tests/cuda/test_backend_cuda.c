/* SPDX-License-Identifier: MIT */
/* The cuda backend against ref, on a device that is the host: the backend's own code from batch to result, lowering,
 * the mapping of ops to kernels and the kernels themselves, emulated. What is not run here is cuDNN, cuBLASLt, NCCL,
 * and the capture of graphs.
 *
 * fp32: ref computes in double, so the difference is rounding. bf16 and fp16: the measure is the angle between
 * gradients, and the loss; their limits follow from 8 and 11 bits of mantissa over some ten layers. */
#include "tests/cuda/backend_pair.h"

#include "common/err.h"
#include "tests/cmocka_all.h"
#include "tests/cuda/device_host.h"
#include "tests/cuda/rules.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static void test_fp32_sgd(void **state)
{
    (void)state;
    struct pair p;
    struct pair_data d;
    pair_open(&p, "tiny", "fp32");
    for (uint32_t i = 0; i < 3; i++) {
        pair_make_batch(&d, i, PAIR_N);
        pair_step(&p, &d, &sgd, 1e-4);
        pair_compare_grads(&p, 2e-3);
    }
    pair_compare_params(&p, 1e-4);
    pair_compare_state(&p, FV_STATE_FIRST, 2e-3);
    pair_close(&p);
}

/* Clipping, decoupled decay, an average, and factors of tensors. */
static void test_fp32_adamw(void **state)
{
    (void)state;
    struct pair p;
    struct pair_data d;
    struct fv_optim o = adamw;
    pair_open(&p, "tiny", "fp32");
    float *lr = malloc((size_t)p.net->tensors * sizeof *lr);
    float *decay = malloc((size_t)p.net->tensors * sizeof *decay);
    for (int i = 0; i < p.net->tensors; i++) {
        lr[i] = i == 0 ? 0 : i % 3 ? 1 : 0.5f;
        decay[i] = p.net->tensor[i].no_decay ? 0 : 1;
    }
    o.lr_factor = lr;
    o.decay_factor = decay;
    for (uint32_t i = 0; i < 3; i++) {
        pair_make_batch(&d, 10 + i, PAIR_N);
        pair_step(&p, &d, &o, 1e-3);
        o.updates++;
    }
    pair_compare_params(&p, 1e-3);
    pair_compare_state(&p, FV_STATE_FIRST, 1e-2);
    pair_compare_state(&p, FV_STATE_SECOND, 1e-2);
    pair_compare_state(&p, FV_STATE_EMA, 1e-3);
    pair_must(p.cuda.backend->params_get(p.cuda.program, p.a));
    assert_memory_equal(p.a, p.arena, p.net->tensor[0].count * sizeof(float)); /* frozen */
    free(lr);
    free(decay);
    pair_close(&p);
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
    struct pair_data d;
    struct fv_optim o = adamw;
    pair_open(&p, "tiny", type);
    float *factor = malloc((size_t)p.net->tensors * sizeof *factor);
    float *before = malloc(p.count * sizeof *before);
    o.lr_factor = factor;
    for (uint32_t i = 0; i < sizeof sets / sizeof sets[0]; i++) {
        pair_make_batch(&d, 500 + i, i == 2 ? 3 : PAIR_N);
        pair_freeze(&p, factor, sets[i]);
        pair_must(p.cuda.backend->params_get(p.cuda.program, before));
        pair_must(p.cuda.backend->prefetch(p.cuda.program, &d.b));
        pair_step(&p, &d, &o, limit);
        o.updates++;
        pair_must(p.cuda.backend->grads_get(p.cuda.program, p.b));
        pair_must(p.cuda.backend->params_get(p.cuda.program, p.a));
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
    pair_compare_params(&p, limit);
    pair_compare_state(&p, FV_STATE_EMA, limit);
    free(factor);
    free(before);
    pair_close(&p);
}

static void test_frozen(void **state)
{
    (void)state;
    frozen("fp32", 2e-3);
    frozen("bf16", 5e-2);
}

/* Two parts to an update, of which the first leaves the weights alone. */
static void test_accumulation(void **state)
{
    (void)state;
    struct pair p;
    struct pair_data d;
    struct fv_optim o = sgd;
    pair_open(&p, "tiny", "fp32");
    o.parts = 2;
    for (uint32_t i = 0; i < 4; i++) {
        pair_make_batch(&d, 20 + i, PAIR_N);
        o.part = (int)(i % 2);
        pair_step(&p, &d, &o, 1e-4);
        if (i == 2) {
            pair_compare_state(&p, FV_STATE_SUM, 2e-3);
            pair_compare_params(&p, 1e-4);
        }
    }
    pair_compare_params(&p, 1e-4);
    pair_close(&p);
}

/* A batch that is not full, before and after full ones; without an update. */
static void test_sizes(void **state)
{
    (void)state;
    struct pair p;
    struct pair_data d;
    pair_open(&p, "tiny", "fp32");
    const int sizes[] = {PAIR_N, 2, 3, PAIR_N, 2};
    for (uint32_t i = 0; i < 5; i++) {
        pair_make_batch(&d, 30 + i, sizes[i]);
        pair_step(&p, &d, i % 2 ? NULL : &sgd, 1e-4);
        pair_compare_grads(&p, 2e-3);
    }
    pair_compare_params(&p, 1e-4);
    pair_close(&p);
}

/* The engines of a short batch may take more workspace than those of a full one. */
static void test_short_workspace(void **state)
{
    (void)state;
    struct pair p;
    struct pair_data d;
    pair_open(&p, "tiny", "fp32");
    fv_device_host.short_workspace = 1 << 20;
    const int sizes[] = {PAIR_N, 3, PAIR_N};
    for (uint32_t i = 0; i < 3; i++) {
        pair_make_batch(&d, 30 + i, sizes[i]);
        pair_step(&p, &d, &sgd, 1e-4);
    }
    pair_compare_params(&p, 1e-4);
    pair_close(&p);
}

/* Inference, of a training program between steps and of one for inference. */
static void test_eval(void **state)
{
    (void)state;
    struct pair p;
    struct pair_data d;
    struct pair_side alone;
    float e[2][PAIR_N * 64], l[2][PAIR_N * PAIR_CLASSES];
    pair_open(&p, "tiny", "fp32");
    assert_true(p.net->embedding <= 64);
    pair_make_batch(&d, 40, PAIR_N);
    pair_step(&p, &d, &sgd, 1e-4);
    pair_must(p.cuda.backend->eval(p.cuda.program, d.pixels, 3, e[0], l[0]));
    pair_must(p.ref.backend->eval(p.ref.program, d.pixels, 3, e[1], l[1]));
    pair_near("embeddings", e[0], e[1], (size_t)(3 * p.net->embedding), 1e-4);
    pair_near("logits", l[0], l[1], 3 * PAIR_CLASSES, 1e-4);
    pair_step(&p, &d, &sgd, 1e-4);
    pair_must(p.cuda.backend->params_get(p.cuda.program, p.a));
    pair_open_side(&alone, &fv_backend_cuda, "fp32", p.net, 0, p.a);
    pair_must(alone.backend->eval(alone.program, d.pixels, PAIR_N, e[0], NULL));
    pair_must(p.ref.backend->eval(p.ref.program, d.pixels, PAIR_N, e[1], NULL));
    pair_near("embeddings", e[0], e[1], (size_t)(PAIR_N * p.net->embedding), 1e-4);
    assert_int_equal(alone.backend->step(alone.program, &d.b, &sgd), FV_EINVAL);
    pair_close_side(&alone);
    pair_close(&p);
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
    struct pair_data d;
    for (uint32_t i = 0; i < TRIALS; i++) {
        fv_device_host.fused = fused;
        pair_open(&p, "tiny", type);
        pair_make_batch(&d, 50 + i, PAIR_N);
        pair_step(&p, &d, &sgd, loss_limit);
        assert_int_equal(fv_device_host.fused_convs > 0, fused);
        pair_must(p.cuda.backend->grads_get(p.cuda.program, p.a));
        pair_must(p.ref.backend->grads_get(p.ref.program, p.b));
        c[i] = cosine(p.a, p.b, p.net->params);
        assert_true(fabs(pair_distance(p.a, p.b, p.net->params)) < 2 * sqrt(1 - c[i]) + 1e-3);
        pair_compare_params(&p, 2e-2);
        pair_close(&p);
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

/* A step that is not finite: nothing changes, whatever a loss keeps. */
static void spoil(struct pair *p, const struct pair_data *d)
{
    struct fv_step_result r;
    const struct fv_tensor *first = &p->net->tensor[0];
    pair_must(p->cuda.backend->params_get(p->cuda.program, p->a));
    p->a[first->offset] = NAN;
    pair_must(p->cuda.backend->params_set(p->cuda.program, p->a));
    pair_must(p->cuda.backend->step(p->cuda.program, &d->b, &sgd));
    pair_must(p->cuda.backend->result(p->cuda.program, &r));
    assert_int_equal(r.finite, 0);
    pair_must(p->cuda.backend->params_get(p->cuda.program, p->b));
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
    struct pair_data d;
    for (size_t i = 0; i < sizeof losses / sizeof losses[0]; i++) {
        pair_loss = losses[i];
        pair_open(&p, "tiny", "fp32");
        for (uint32_t k = 0; k < 4; k++) {
            pair_make_batch(&d, 300 + k, k == 2 ? PAIR_N - 1 : PAIR_N);
            d.label[0] = d.label[1]; /* a pair */
            memcpy(d.label_mix, d.label, sizeof d.label);
            p.cuda.backend->set_epoch(p.cuda.program, 0.5 * k);
            p.ref.backend->set_epoch(p.ref.program, 0.5 * k);
            pair_step(&p, &d, &sgd, 1e-4);
            pair_compare_grads(&p, 2e-3);
        }
        pair_compare_params(&p, 2e-4);
        spoil(&p, &d);
        pair_close(&p);
    }
    pair_loss = "ce";
}

/* Depthwise convolutions, ReLU6 and dropout, which drops what ref drops. */
static void test_mobilenet(void **state)
{
    (void)state;
    struct pair p;
    struct pair_data d;
    pair_open(&p, "mobilenet-v2", "fp32");
    pair_make_batch(&d, 400, PAIR_N);
    d.b.ticket = 7;
    pair_step(&p, &d, &sgd, 1e-4);
    pair_compare_grads(&p, 3e-2); /* fifty batch norms over few values */
    pair_close(&p);
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
            pair_build(&net, fv_archs[i]->name);
            pair_must(fv_lower(&l, net, &s));
            pair_must(fv_dispatch_check(l));
            fv_lowered_free(&l);
            fv_net_free(&net);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fp32_sgd),  cmocka_unit_test(test_fp32_adamw),
        cmocka_unit_test(test_frozen),    cmocka_unit_test(test_accumulation),
        cmocka_unit_test(test_sizes),     cmocka_unit_test(test_short_workspace),
        cmocka_unit_test(test_eval),      cmocka_unit_test(test_bf16),
        cmocka_unit_test(test_fp16),      cmocka_unit_test(test_losses),
        cmocka_unit_test(test_mobilenet), cmocka_unit_test(test_every_arch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
