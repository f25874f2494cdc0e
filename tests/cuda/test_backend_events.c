/* SPDX-License-Identifier: MIT */
/* What befalls a program of the cuda backend on a device that is the host: too little memory, batches under way or
 * announced, steps that are not finite; and what it says of itself. */
#include "tests/cuda/backend_pair.h"

#include "common/err.h"
#include "tests/cmocka_all.h"
#include "tests/cuda/device_host.h"
#include "tests/cuda/rules.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* What a program that was compiled for these settings says that a step takes; then takes one, for which nothing is
 * made anew. The memory of the device with it is *taken. */
static struct fv_memory_use said_and_taken(struct pair *p, const struct fv_optim *o, size_t *taken)
{
    struct pair_side s = {.backend = &fv_backend_cuda, .device = p->cuda.device};
    struct fv_memory_use before, after;
    struct fv_step_result r;
    struct pair_data d;
    const size_t others = fv_device_host.on_device;
    pair_make_batch(&d, 90, PAIR_N);
    pair_must(s.backend->compile(s.device, p->net, PAIR_N, 1, o, &s.program));
    pair_must(s.backend->params_set(s.program, p->arena));
    pair_must(s.backend->state_set(s.program, FV_STATE_FIRST, p->b));
    pair_must(s.backend->memory(s.program, o, 1, &before));
    const void *plan = s.program->plan[0];
    pair_must(s.backend->step(s.program, &d.b, o));
    pair_must(s.backend->result(s.program, &r));
    assert_ptr_equal(s.program->plan[0], plan);
    pair_must(s.backend->memory(s.program, o, 1, &after));
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
    pair_open(&p, "tiny", "fp32");
    float *factor = malloc((size_t)p.net->tensors * sizeof *factor);
    o.lr_factor = factor;
    pair_freeze(&p, factor, none);
    const struct fv_memory_use all = said_and_taken(&p, &o, &all_taken);
    pair_freeze(&p, factor, trunk);
    const struct fv_memory_use head = said_and_taken(&p, &o, &head_taken);
    assert_true(head.activations < all.activations);
    assert_int_equal(all_taken - head_taken, all.activations - head.activations);
    free(factor);
    pair_close(&p);
}

/* Steps that are given before the result of the last is asked for, from memory that is used again at once: ordinary
 * memory, and memory that the device reads by itself. */
static void test_batches_in_flight(void **state)
{
    (void)state;
    struct pair p;
    struct pair_data d;
    struct fv_step_result r, want;
    void *pinned;
    pair_open(&p, "tiny", "fp32");
    struct fv_gpu *g = p.cuda.device->gpu;
    pair_must(fv_gpu_host_alloc(g, &pinned, sizeof d.pixels, "pixels"));
    for (uint32_t i = 0; i < 5; i++) {
        pair_make_batch(&d, 60 + i, PAIR_N);
        pair_must(p.ref.backend->step(p.ref.program, &d.b, &sgd));
        if (i % 2) {
            memcpy(pinned, d.pixels, sizeof d.pixels);
            d.b.pixels = pinned;
        }
        pair_must(p.cuda.backend->step(p.cuda.program, &d.b, &sgd));
        memset(pinned, 0xaa, sizeof d.pixels);
        memset(&d, 0xaa, sizeof d);
    }
    pair_must(p.cuda.backend->result(p.cuda.program, &r));
    pair_must(p.ref.backend->result(p.ref.program, &want));
    assert_true(fabs(r.loss - want.loss) < 1e-4 * want.loss);
    pair_compare_params(&p, 2e-4);
    fv_gpu_host_free(g, pinned);
    pair_close(&p);
}

/* A batch that is announced, then given or not, with inference between. */
static void test_prefetch(void **state)
{
    (void)state;
    struct pair p;
    struct pair_data d, other;
    float e[PAIR_N * 64];
    pair_open(&p, "tiny", "fp32");
    for (uint32_t i = 0; i < 6; i++) {
        pair_make_batch(&d, 100 + i, i == 3 ? 2 : PAIR_N);
        pair_make_batch(&other, 200 + i, PAIR_N);
        d.b.ticket = i;
        other.b.ticket = i;
        pair_must(p.cuda.backend->prefetch(p.cuda.program, i % 3 == 1 ? &other.b : &d.b));
        if (i % 3 == 2)
            pair_must(p.cuda.backend->eval(p.cuda.program, other.pixels, PAIR_N, e, NULL));
        memset(&other, 0xaa, sizeof other);
        pair_step(&p, &d, &sgd, 1e-4);
    }
    pair_compare_params(&p, 2e-4);
    pair_close(&p);
}

/* A step that is not finite changes nothing, and the layer is named where it began. */
static void test_not_finite(void **state)
{
    (void)state;
    struct pair p;
    struct pair_data d;
    struct fv_step_result r;
    int node = -1, gradient = -1;
    pair_open(&p, "tiny", "fp32");
    pair_make_batch(&d, 70, PAIR_N);
    pair_step(&p, &d, &sgd, 1e-4);
    pair_must(p.cuda.backend->params_get(p.cuda.program, p.a));
    const int conv = fv_net_find_tensor(p.net, "layer2.0.conv1.weight");
    assert_true(conv >= 0);
    p.a[p.net->tensor[conv].offset] = INFINITY;
    pair_must(p.cuda.backend->params_set(p.cuda.program, p.a));
    pair_must(p.cuda.backend->step(p.cuda.program, &d.b, &sgd));
    pair_must(p.cuda.backend->result(p.cuda.program, &r));
    assert_int_equal(r.finite, 0);
    pair_must(p.cuda.backend->params_get(p.cuda.program, p.b));
    assert_memory_equal(p.a, p.b, p.count * sizeof(float));
    pair_must(p.cuda.backend->find_bad(p.cuda.program, &node, &gradient));
    assert_int_equal(r.rescaled, 0);
    assert_string_equal(p.net->node[node].name, "layer2.0.conv1");
    assert_int_equal(gradient, 0);
    pair_close(&p);
}

/* fp16: gradients too large for the scale cost a step, and the next scale is half of it. */
static void test_loss_scale(void **state)
{
    (void)state;
    struct pair p;
    struct pair_data d;
    struct fv_step_result r;
    double before, after;
    pair_open(&p, "tiny", "fp16");
    pair_make_batch(&d, 80, PAIR_N);
    pair_step(&p, &d, &sgd, 1e-2);
    pair_must(fv__cuda_loss_scale(p.cuda.program, &before));
    assert_true(before > 1);
    pair_must(p.cuda.backend->params_get(p.cuda.program, p.a));
    const int fc = fv_net_find_tensor(p.net, "fc.weight");
    for (size_t i = 0; i < p.net->tensor[fc].count; i++)
        p.a[p.net->tensor[fc].offset + i] *= 1e6f;
    pair_must(p.cuda.backend->params_set(p.cuda.program, p.a));
    pair_must(p.cuda.backend->step(p.cuda.program, &d.b, &sgd));
    pair_must(p.cuda.backend->result(p.cuda.program, &r));
    assert_int_equal(r.finite, 0);
    assert_int_equal(r.rescaled, 1);
    pair_must(p.cuda.backend->step(p.cuda.program, &d.b, &sgd));
    pair_must(fv__cuda_loss_scale(p.cuda.program, &after));
    assert_true(after == before / 2);
    /* of an accumulated step too, whose last part can but find that the sum is broken */
    struct fv_optim parts = sgd;
    parts.parts = 2;
    for (int i = 0; i < 3; i++) {
        parts.part = i % 2;
        pair_must(p.cuda.backend->step(p.cuda.program, &d.b, &parts));
        pair_must(p.cuda.backend->result(p.cuda.program, &r));
        assert_int_equal(r.finite, 0);
        pair_must(fv__cuda_loss_scale(p.cuda.program, &after));
        assert_true(after == before / (i == 0 ? 4 : 8)); /* the scale of that step */
    }
    pair_close(&p);
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
    pair_build(&net, "tiny");
    pair_must(fv_backend_cuda.open(&device, &ds));
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
    pair_must(fv_backend_cuda.open(&device, &ds));
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
    struct pair_data d;
    pair_open(&p, "tiny", "fp32");
    assert_null(p.cuda.backend->profile(p.cuda.program));
    pair_make_batch(&d, 90, PAIR_N);
    pair_step(&p, &d, &sgd, 1e-4);
    pair_must(p.cuda.backend->params_get(p.cuda.program, p.a));
    char *profile = p.cuda.backend->profile(p.cuda.program);
    char *chosen = fv__cuda_describe(p.cuda.program);
    assert_non_null(strstr(profile, "layer1.0.conv1"));
    assert_non_null(strstr(chosen, "layer2.0.downsample.0"));
    pair_must(p.cuda.backend->params_get(p.cuda.program, p.b));
    assert_memory_equal(p.a, p.b, p.count * sizeof(float)); /* profiling is without effect */
    free(profile);
    free(chosen);
    pair_close(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_frozen_memory), cmocka_unit_test(test_batches_in_flight),
        cmocka_unit_test(test_prefetch),      cmocka_unit_test(test_not_finite),
        cmocka_unit_test(test_loss_scale),    cmocka_unit_test(test_memory),
        cmocka_unit_test(test_open),          cmocka_unit_test(test_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
