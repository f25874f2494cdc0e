/* SPDX-License-Identifier: MIT */
/* How steps are given must not change what they compute: captured as graphs and launched again, or piece by piece; with
 * results read at once, or a step late. Each way ends in the same bits, on a device that is the host
 * (device_host.h), whose graphs replay what was asked for with the arguments that it had, as CUDA's do. */
#include "common/err.h"
#include "tests/cmocka_all.h"
#include "tests/cuda/device_host.h"
#include "tests/cuda/noise.h"
#include "tests/cuda/rules.h"
#include "trainer/backend.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { N = 4, SIZE = 16, CLASSES = 6, STEPS_MAX = 16 };

extern const struct fv_backend fv_backend_cuda;
static const struct fv_backend *const cuda = &fv_backend_cuda;

static void must(int rc)
{
    if (rc < 0)
        fail_msg("%s", fv_err_text());
}

/* A run: its steps, and how they are given. */
struct plan {
    const char *type, *loss;
    int steps;
    struct fv_optim optim[STEPS_MAX]; /* of each step */
    int n[STEPS_MAX];                 /* images; 0: N */
    int dark[STEPS_MAX];              /* black images */
    int eval[STEPS_MAX];              /* inference before it */
    float spoiled; /* the value of weights that only black images bear; 0: none */
};

struct outcome {
    struct fv_step_result result[STEPS_MAX];
    char bad[STEPS_MAX][64]; /* layer that find_bad named */
    float *params, *state[FV_STATES];
    size_t count;
};

struct way {
    int graph, late;
};

static struct fv_net *build(const struct plan *plan)
{
    const struct fv_arch_settings a = {
        .size = SIZE, .classes = CLASSES, .stem = "auto", .loss = plan->loss, .std = {1, 1, 1}};
    struct fv_net *net;
    must(fv_net_build(&net, "tiny", &a));
    return net;
}

static void give(struct fv_program *p, const struct plan *plan, struct noise *d, int i)
{
    float *embedding = malloc(N * 64 * sizeof *embedding);
    noise_draw(d, (uint32_t)i, plan->n[i] ? plan->n[i] : N, CLASSES);
    if (plan->eval[i])
        must(cuda->eval(p, d->b.pixels, N, embedding, NULL));
    if (plan->dark[i])
        memset(d->b.pixels, 0, (size_t)N * SIZE * SIZE * 3);
    memcpy(d->b.label_mix, d->b.label, N * sizeof *d->b.label);
    d->b.ticket = (uint64_t)i;
    must(cuda->prefetch(p, &d->b));
    must(cuda->step(p, &d->b, &plan->optim[i]));
    free(embedding);
}

static void look(struct fv_program *p, const struct fv_net *net, struct outcome *o, int i)
{
    int node, gradient;
    if (o->result[i].finite || o->result[i].rescaled)
        return;
    const int rc = cuda->find_bad(p, &node, &gradient);
    if (rc == FV_ENOTFOUND) { /* the last part of a sum that an earlier one has broken */
        strcpy(o->bad[i], "none");
        return;
    }
    must(rc);
    strncpy(o->bad[i], net->node[node].name, sizeof o->bad[i] - 1);
}

static struct outcome train(const struct plan *plan, struct way way)
{
    const struct fv_device_settings ds = {.dtype = plan->type, .no_graph = !way.graph};
    struct fv_net *net = build(plan);
    struct fv_device *device;
    struct fv_program *p;
    struct noise *d = noise_new(N, SIZE);
    struct outcome o = {.count = net->params + net->buffers};
    o.params = malloc(o.count * sizeof(float));
    fv_net_init(net, 7, o.params);
    for (int i = 0; i < 9 && plan->spoiled != 0; i++)
        o.params[i] = plan->spoiled;
    must(cuda->open(&device, &ds));
    must(cuda->compile(device, net, N, 1, NULL, &p));
    must(cuda->params_set(p, o.params));
    must(cuda->read_late(p, way.late));
    for (int i = 0; i < plan->steps; i++) {
        give(p, plan, d, i);
        if (way.late && i > 0)
            must(cuda->result_before(p, &o.result[i - 1]));
        else if (!way.late)
            must(cuda->result(p, &o.result[i]));
        if (!way.late || i > 0)
            look(p, net, &o, way.late ? i - 1 : i);
    }
    if (way.late) {
        must(cuda->result(p, &o.result[plan->steps - 1]));
        look(p, net, &o, plan->steps - 1);
    }
    must(cuda->params_get(p, o.params));
    for (int s = 0; s < FV_STATES; s++) {
        o.state[s] = malloc(fv_state_count(net, (enum fv_state)s) * sizeof(float));
        must(cuda->state_get(p, (enum fv_state)s, o.state[s]));
    }
    cuda->release(&p);
    cuda->close(&device);
    noise_free(&d);
    assert_int_equal(fv_device_host.allocated, 0);
    fv_net_free(&net);
    return o;
}

static void forget(struct outcome *o)
{
    free(o->params);
    for (int s = 0; s < FV_STATES; s++)
        free(o->state[s]);
}

static void same_result(const struct fv_step_result *a, const struct fv_step_result *b)
{
    assert_int_equal(a->finite, b->finite);
    assert_int_equal(a->rescaled, b->rescaled);
    assert_int_equal(a->n, b->n);
    assert_true(a->loss == b->loss || (isnan(a->loss) && isnan(b->loss)));
    assert_true(a->grad_norm == b->grad_norm);
    if (a->finite)
        assert_true(a->correct == b->correct);
}

/* Both ways of capturing and of reading against steps launched piece by piece and read at once. Returns how many steps
 * were not finite. */
static int compare(const struct plan *plan)
{
    struct outcome want = train(plan, (struct way){0, 0});
    int bad = 0;
    for (int i = 0; i < plan->steps; i++)
        bad += !want.result[i].finite;
    for (int way = 1; way < 4; way++) {
        const int before = fv_device_host.graph_launches;
        struct outcome got = train(plan, (struct way){way & 1, way >> 1});
        for (int i = 0; i < plan->steps; i++) {
            same_result(&got.result[i], &want.result[i]);
            assert_string_equal(got.bad[i], want.bad[i]);
        }
        assert_int_equal(fv_device_host.graph_launches > before, way & 1);
        assert_memory_equal(got.params, want.params, want.count * sizeof(float));
        struct fv_net *net = build(plan);
        for (int s = 0; s < FV_STATES; s++)
            assert_memory_equal(got.state[s], want.state[s],
                                fv_state_count(net, (enum fv_state)s) * sizeof(float));
        fv_net_free(&net);
        forget(&got);
    }
    forget(&want);
    return bad;
}

/* What changes from step to step and what asks for another graph: rates, sizes of batches, frozen tensors, parts,
 * inference between. */
static void test_changes(void **state)
{
    (void)state;
    struct plan plan = {.type = "fp32", .steps = 12};
    float factor[64];
    struct fv_net *net = build(&plan);
    assert_true(net->tensors <= 64);
    for (int t = 0; t < net->tensors; t++)
        factor[t] = t < 6 ? 0 : 1;
    fv_net_free(&net);
    fv_device_host = (struct fv_device_host){.short_workspace = 1 << 16};
    for (int i = 0; i < plan.steps; i++) {
        plan.optim[i] = sgd;
        plan.optim[i].lr = 0.05 / (i + 1);
        plan.eval[i] = i % 3 == 2;
        plan.n[i] = i == 4 || i == 9 ? 3 : N;
        if (i >= 7)
            plan.optim[i].lr_factor = factor;
    }
    assert_int_equal(compare(&plan), 0);
    plan = (struct plan){.type = "fp16", .steps = 12, .loss = "adaface(s=8)+0.1*center"};
    for (int i = 0; i < plan.steps; i++) {
        plan.optim[i] = adamw;
        plan.optim[i].parts = 3;
        plan.optim[i].part = i % 3;
    }
    assert_int_equal(compare(&plan), 0);
}

/* Weights so large that only black images bear them: steps that are not finite here and there, one after another, at
 * the end; by themselves and as parts. The one that follows is as if it had waited, and the layer is that of the right
 * step. */
static void test_not_finite(void **state)
{
    (void)state;
    for (int parts = 1; parts <= 2; parts++) {
        struct plan plan = {.type = "fp32", .steps = 11, .spoiled = 3e38f};
        for (int i = 0; i < plan.steps; i++) {
            plan.optim[i] = parts > 1 ? adamw : sgd;
            plan.optim[i].weight_decay = 0;
            plan.optim[i].parts = parts > 1 ? parts : 0;
            plan.optim[i].part = i % parts;
            plan.dark[i] = !(i == 0 || i == 3 || i == 6 || i == 7 || i == 10);
        }
        fv_device_host = (struct fv_device_host){0};
        struct outcome o = train(&plan, (struct way){1, 1});
        assert_string_equal(o.bad[3], "conv1");
        assert_string_equal(o.bad[1], parts > 1 ? "none" : "");
        forget(&o);
        assert_true(compare(&plan) >= 5);
    }
}

/* fp16: too large a loss scale is found out step by step, and holds nothing up. */
static void test_rescaled(void **state)
{
    (void)state;
    struct plan plan = {.type = "fp16", .steps = 8};
    for (int parts = 1; parts <= 2; parts++) {
        for (int i = 0; i < plan.steps; i++) {
            plan.optim[i] = sgd;
            plan.optim[i].parts = parts > 1 ? parts : 0;
            plan.optim[i].part = i % parts;
        }
        fv_device_host = (struct fv_device_host){0};
        compare(&plan);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_changes),
                                       cmocka_unit_test(test_not_finite),
                                       cmocka_unit_test(test_rescaled)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
