/* SPDX-License-Identifier: MIT */
/* Gradients against central differences, and what a step promises besides.
 *
 *     test_grad BACKEND TOLERANCE
 *
 * The gradients are the named backend's; the differences are always of ref's loss, which is computed in double: with
 * steps of 2e-6 they are good to about 1e-7 of a tensor's root mean square, and at the weights drawn here no step
 * crosses a kink of a ReLU or max-pool.
 */
#include "common/err.h"
#include "common/rng.h"
#include "tests/cmocka_all.h"
#include "trainer/backend.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SIZE = 12, CLASSES = 5, N = 4 };

static const char *backend_name;
static double tolerance;

/* The kinds of node of a residual net, with groups, depthwise, biases, a sum of a node with itself, and a node
 * read thrice. */
static int build_mixed(struct fv_net **out)
{
    static const float mean[3] = {.5f, .4f, .3f}, std[3] = {.2f, .25f, .3f};
    FV_TRY(fv_net_new(out, "mixed"));
    struct fv_net *n = *out;
    int x = fv_net_input(n, SIZE, mean, std);
    x = fv_net_relu(n, fv_net_conv(n, "a", x, 6, 3, 1, 1, 3, 1));
    x = fv_net_bn(n, "bn", fv_net_conv(n, "b", x, 6, 5, 1, 2, 6, 0));
    int y = fv_net_maxpool(n, fv_net_add(n, x, x), 3, 2, 1);
    x = fv_net_add(n, fv_net_conv(n, "c", x, 6, 2, 2, 0, 2, 1), y);
    x = n->embedding_node = fv_net_gap(n, fv_net_conv(n, "d", x, 8, 3, 1, 0, 1, 1));
    fv_net_loss(n, fv_net_fc(n, "fc", x, CLASSES, 1));
    return fv_net_finish(n);
}

/* The kinds that are missing there: PReLU, ReLU6 with values beyond both ends, a gate of sigmoids, dropout, a fully
 * connected layer over a map, a batch norm whose scale stays 1. */
static int build_acts(struct fv_net **out)
{
    static const float mean[3] = {.5f, .4f, .3f}, std[3] = {.2f, .25f, .3f};
    FV_TRY(fv_net_new(out, "acts"));
    struct fv_net *n = *out;
    n->seed = 9;
    int x = fv_net_input(n, SIZE, mean, std);
    x = fv_net_prelu(n, "prelu", fv_net_bn(n, "bn", fv_net_conv(n, "a", x, 6, 3, 2, 1, 1, 0)));
    int y = fv_net_conv(n, "b", x, 20, 3, 1, 1, 1, 1);
    y = fv_net_add(n, y, y);
    x = fv_net_relu6(n, fv_net_add(n, y, y));
    y = fv_net_relu(n, fv_net_conv(n, "fc1", fv_net_gap(n, x), 3, 1, 1, 0, 1, 1));
    y = fv_net_sigmoid(n, fv_net_conv(n, "fc2", y, 20, 1, 1, 0, 1, 1));
    x = fv_net_scale(n, x, y);
    x = fv_net_prelu(n, "prelu2", fv_net_conv(n, "c", x, 9, 3, 2, 1, 1, 0));
    x = fv_net_fc(n, "fc", fv_net_dropout(n, x, .3), 8, 0);
    x = n->embedding_node = fv_net_bn_unit_scale(n, "features", x);
    fv_net_loss(n, fv_net_fc(n, "head", fv_net_dropout(n, x, .2), CLASSES, 1));
    return fv_net_finish(n);
}

static int build_tiny(struct fv_net **out)
{
    return fv_net_build(out, "tiny",
                        &(struct fv_arch_settings){
                            SIZE, CLASSES, "auto", {.5f, .5f, .5f}, {.25f, .25f, .25f}, 0, NULL});
}

struct rig {
    struct fv_net *net;
    const struct fv_backend *backend;
    struct fv_device *device;
    struct fv_program *program;
    float *arena, *grad, *other;
    uint8_t pixels[N * SIZE * SIZE * 3];
    int32_t label[N], label_mix[N];
    float lambda[N];
    struct fv_batch batch;
};

static void must(int rc)
{
    if (rc < 0)
        fail_msg("%s", fv_err_text());
}

static void open_rig(struct rig *r, const char *backend, int (*build)(struct fv_net **))
{
    struct fv_rng rng = fv_rng_at(3, 0, 0, FV_RNG_TEST);
    *r =
        (struct rig){.label = {0, 1, 4, 2}, .label_mix = {0, 3, 1, 2}, .lambda = {1, .25f, .6f, 0}};
    must(build(&r->net));
    must(fv_backend_open(backend, &(struct fv_device_settings){.threads = 1}, &r->backend,
                         &r->device));
    must(r->backend->compile(r->device, r->net, N, 1, NULL, &r->program));
    r->arena = calloc(r->net->params + r->net->buffers, sizeof(float));
    r->grad = calloc(r->net->params, sizeof(float));
    r->other = calloc(r->net->params + r->net->buffers, sizeof(float));
    fv_net_init(r->net, 11, r->arena);
    for (int i = 0; i < r->net->tensors; i++) /* BN weights and biases off their special values */
        for (size_t k = 0; r->net->tensor[i].ndim == 1 && k < r->net->tensor[i].count; k++)
            r->arena[r->net->tensor[i].offset + k] += (float)fv_rng_uniform(&rng, .05, .3);
    for (size_t i = 0; i < sizeof r->pixels; i++)
        r->pixels[i] = (uint8_t)fv_rng_below(&rng, 256);
    r->batch = (struct fv_batch){.n = N,
                                 .capacity = N,
                                 .height = SIZE,
                                 .width = SIZE,
                                 .pixels = r->pixels,
                                 .label = r->label,
                                 .label_mix = r->label_mix,
                                 .lambda = r->lambda,
                                 .ticket = ((uint64_t)1 << 32) + 7};
}

static void close_rig(struct rig *r)
{
    r->backend->release(&r->program);
    r->backend->close(&r->device);
    fv_net_free(&r->net);
    free(r->arena);
    free(r->grad);
    free(r->other);
}

static double step(struct rig *r, const struct fv_optim *optim, struct fv_step_result *result)
{
    struct fv_step_result local;
    must(r->backend->step(r->program, &r->batch, optim));
    must(r->backend->result(r->program, result ? result : &local));
    return result ? result->loss : local.loss;
}

static double loss_with(struct rig *ref, size_t at, float value)
{
    float kept = ref->arena[at];
    ref->arena[at] = value;
    must(ref->backend->params_set(ref->program, ref->arena));
    ref->arena[at] = kept;
    return step(ref, NULL, NULL);
}

static void check_gradients(int (*build)(struct fv_net **))
{
    struct rig r, ref;
    open_rig(&r, backend_name, build);
    open_rig(&ref, "ref", build);
    must(r.backend->params_set(r.program, r.arena));
    step(&r, NULL, NULL);
    must(r.backend->grads_get(r.program, r.grad));
    for (int i = 0; i < r.net->tensors; i++) {
        const struct fv_tensor *t = &r.net->tensor[i];
        double squares = 0;
        for (size_t k = 0; !t->buffer && k < t->count; k++)
            squares += pow((double)r.grad[t->offset + k], 2);
        for (size_t k = 0; !t->buffer && k < t->count; k += t->count / 12 + 1) {
            size_t at = t->offset + k;
            float up = r.arena[at] + 2e-6f, down = r.arena[at] - 2e-6f;
            double slope =
                (loss_with(&ref, at, up) - loss_with(&ref, at, down)) / ((double)up - (double)down);
            double size = fmax(sqrt(squares / (double)t->count), fabs(slope));
            if (!(fabs(slope - (double)r.grad[at]) <= tolerance * size))
                fail_msg("%s[%zu]: gradient %.9g, difference quotient %.9g", t->name, k,
                         (double)r.grad[at], slope);
        }
    }
    close_rig(&r);
    close_rig(&ref);
}

static void gradients_of_every_kind_of_node(void **state)
{
    (void)state;
    check_gradients(build_mixed);
}

static void gradients_of_activations(void **state)
{
    (void)state;
    check_gradients(build_acts);
}

static void gradients_of_a_residual_net(void **state)
{
    (void)state;
    check_gradients(build_tiny);
}

/* torch.optim.SGD's formula, written out for two steps; decay on all tensors, or only on those that want it. */
static void update_is_sgd(void **state)
{
    (void)state;
    for (int variant = 0; variant < 4; variant++) {
        struct rig r;
        struct fv_optim o = {
            .lr = .1, .momentum = .8, .weight_decay = .01, .nesterov = variant & 1};
        float decay[64];
        open_rig(&r, backend_name, build_tiny);
        double *w = calloc(r.net->params, sizeof *w), *v = calloc(r.net->params, sizeof *v);
        for (size_t i = 0; i < r.net->params; i++)
            w[i] = (double)r.arena[i];
        assert_true(r.net->tensors <= 64);
        for (int i = 0; i < r.net->tensors; i++)
            decay[i] = variant > 1 || !r.net->tensor[i].no_decay;
        o.decay_factor = decay;
        must(r.backend->params_set(r.program, r.arena));
        for (int k = 0; k < 2; k++) {
            step(&r, &o, NULL);
            must(r.backend->grads_get(r.program, r.grad));
            for (int i = 0; i < r.net->tensors; i++) {
                const struct fv_tensor *t = &r.net->tensor[i];
                for (size_t j = t->offset; !t->buffer && j < t->offset + t->count; j++) {
                    double g = (double)r.grad[j] + .01 * (double)decay[i] * w[j];
                    v[j] = .8 * v[j] + g;
                    w[j] -= .1 * (o.nesterov ? g + .8 * v[j] : v[j]);
                }
            }
        }
        must(r.backend->params_get(r.program, r.arena));
        must(r.backend->state_get(r.program, FV_STATE_FIRST, r.other));
        for (size_t i = 0; i < r.net->params; i++) {
            assert_true(fabs((double)r.arena[i] - w[i]) <= 1e-6 * fmax(1, fabs(w[i])));
            assert_true(fabs((double)r.other[i] - v[i]) <= 1e-6 * fmax(1, fabs(v[i])));
        }
        free(w);
        free(v);
        close_rig(&r);
    }
}

static void non_finite_step_changes_nothing(void **state)
{
    struct rig r;
    struct fv_optim o = {.lr = .1, .momentum = .9, .weight_decay = .01};
    struct fv_step_result result;
    (void)state;
    open_rig(&r, backend_name, build_tiny);
    r.arena[r.net->params - 1] = NAN; /* a bias of the head: all before it stays finite */
    must(r.backend->params_set(r.program, r.arena));
    step(&r, &o, &result);
    assert_false(result.finite);
    must(r.backend->params_get(r.program, r.other));
    assert_memory_equal(r.arena, r.other, (r.net->params + r.net->buffers) * sizeof(float));
    must(r.backend->state_get(r.program, FV_STATE_FIRST, r.grad));
    for (size_t i = 0; i < r.net->params; i++)
        assert_true(r.grad[i] == 0);
    close_rig(&r);
}

/* Of a step in parts of which one was not finite no update is made, and the last part changes nothing: not the running
 * statistics either, finite as it is itself. The next step knows nothing of it. */
static void a_broken_part_breaks_the_last(void **state)
{
    struct rig r;
    struct fv_optim o = {.lr = .1, .momentum = .9, .parts = 3, .ema_decay = .9};
    struct fv_step_result result;
    (void)state;
    open_rig(&r, backend_name, build_tiny);
    const size_t all = r.net->params + r.net->buffers;
    for (o.part = 0; o.part < 3; o.part++) {
        const float kept = r.arena[r.net->params - 1];
        if (o.part == 1)
            r.arena[r.net->params - 1] = NAN;
        must(r.backend->params_set(r.program, r.arena));
        step(&r, &o, &result);
        assert_int_equal(result.finite, o.part == 0);
        must(r.backend->params_get(r.program, r.other));
        if (o.part == 0) /* its statistics count */
            assert_memory_not_equal(r.arena + r.net->params, r.other + r.net->params,
                                    r.net->buffers * sizeof(float));
        else
            assert_memory_equal(r.arena, r.other, all * sizeof(float));
        r.arena[r.net->params - 1] = kept;
    }
    must(r.backend->state_get(r.program, FV_STATE_EMA, r.other));
    assert_memory_equal(r.arena, r.other, r.net->params * sizeof(float));
    for (o.part = 0; o.part < 3; o.part++) {
        step(&r, &o, &result);
        assert_true(result.finite);
    }
    must(r.backend->params_get(r.program, r.other));
    assert_memory_not_equal(r.arena, r.other, r.net->params * sizeof(float));
    close_rig(&r);
}

/* A margin head and losses over the embedding, and a head that may be frozen by itself. */
static int build_heads(struct fv_net **out)
{
    return fv_net_build(out, "tiny",
                        &(struct fv_arch_settings){SIZE,
                                                   CLASSES,
                                                   "auto",
                                                   {.5f, .5f, .5f},
                                                   {.25f, .25f, .25f},
                                                   6,
                                                   "adaface(s=8)+ce(smooth=0.1)"});
}

static void freeze(const struct fv_net *net, const char *names, float *lr_factor)
{
    for (int t = 0; t < net->tensors; t++) {
        const char *name = net->tensor[t].name, *at = names;
        lr_factor[t] = 1;
        for (size_t n; *at; at += n + (at[n] == ' ')) {
            n = strcspn(at, " ");
            if (strncmp(at, name, n) == 0 && name[n] == '.')
                lr_factor[t] = 0;
        }
    }
}

/* Freezing what lies below `lowest` as well: no gradient is any other, those of what is frozen are 0, and those of
 * values from `below` down are not computed. */
static void compare_frozen(int (*build)(struct fv_net **), const char *frozen, const char *below,
                           const char *lowest)
{
    struct rig r;
    char both[128];
    float *lr_factor, *full;
    int nonzero = 0, compared = 0;
    open_rig(&r, backend_name, build);
    lr_factor = calloc((size_t)r.net->tensors, sizeof *lr_factor);
    full = calloc(r.net->params, sizeof *full);
    struct fv_optim o = {.lr = 0, .lr_factor = lr_factor};
    snprintf(both, sizeof both, "%s %s", frozen, below);
    must(r.backend->params_set(r.program, r.arena));
    for (int round = 0; round < 2; round++) { /* and back again */
        freeze(r.net, frozen, lr_factor);
        must(r.backend->params_set(r.program, r.arena));
        step(&r, &o, NULL);
        must(r.backend->grads_get(r.program, full));
        freeze(r.net, both, lr_factor);
        must(r.backend->params_set(r.program, r.arena));
        step(&r, &o, NULL);
        must(r.backend->grads_get(r.program, r.grad));
        for (int t = 0; t < r.net->tensors; t++) {
            const struct fv_tensor *tensor = &r.net->tensor[t];
            for (size_t i = tensor->offset; !tensor->buffer && i < tensor->offset + tensor->count;
                 i++) {
                const float want = lr_factor[t] == 0 ? 0 : full[i];
                if (memcmp(&r.grad[i], &want, sizeof want) != 0 && !(r.grad[i] == 0 && want == 0))
                    fail_msg("%s: %.9g, not %.9g", tensor->name, (double)r.grad[i], (double)want);
                nonzero += lr_factor[t] == 0 && full[i] != 0;
                compared += want != 0;
            }
        }
    }
    assert_true(nonzero > 10); /* of `below`, while it was trained */
    assert_true(compared > 100);
    const int node = r.net->nodes - 1;
    if (strcmp(backend_name, "ref") == 0) { /* others may have fused it away */
        int lower = 0, seen = 0;
        for (int i = 1; i < node; i++) {
            float *v = malloc((size_t)(N * r.net->node[i].h * r.net->node[i].w * r.net->node[i].c) *
                              sizeof *v);
            const int rc = r.backend->node_get(r.program, i, 1, v);
            seen |= strcmp(r.net->node[i].name, lowest) == 0;
            assert_int_equal(rc, seen ? 0 : FV_EUNSUPPORTED);
            lower += !seen;
            free(v);
        }
        assert_true(seen && lower > 0);
    }
    free(lr_factor);
    free(full);
    close_rig(&r);
}

static void a_frozen_trunk_changes_no_other_gradient(void **state)
{
    (void)state;
    compare_frozen(build_tiny, "bn1 layer1", "conv1", "layer2.0.conv1");
    compare_frozen(build_tiny, "bn1 layer1.0.bn1 layer1.0.bn2", "conv1 layer1", "layer2.0.conv1");
    compare_frozen(build_tiny, "bn1 layer1 layer2.0.bn1 layer2.0.bn2 layer2.0.downsample",
                   "conv1 layer2", "fc");
    compare_frozen(build_acts, "bn prelu", "a", "b");
    compare_frozen(build_heads, "bn1 layer1 layer2 neck.1", "conv1", "neck.0");
    compare_frozen(build_heads, "bn1 layer1 layer2 neck.1 fc", "conv1", "neck.0");
    compare_frozen(build_heads, "bn1 layer1 layer2 neck.1 head", "conv1", "neck.0");
    compare_frozen(build_heads, "bn1 layer1 layer2 neck", "conv1", "fc");
}

/* The node is told that made it: of a weight that is NaN its layer. */
static void the_bad_node_is_found(void **state)
{
    struct rig r;
    struct fv_step_result result;
    int node, gradient;
    (void)state;
    open_rig(&r, backend_name, build_tiny);
    must(r.backend->params_set(r.program, r.arena));
    step(&r, NULL, &result);
    assert_true(result.finite);
    assert_true(r.backend->find_bad(r.program, &node, &gradient) < 0);
    const int t = fv_net_find_tensor(r.net, "layer2.0.conv1.weight");
    r.arena[r.net->tensor[t].offset + 3] = NAN;
    must(r.backend->params_set(r.program, r.arena));
    step(&r, NULL, &result);
    assert_false(result.finite);
    must(r.backend->find_bad(r.program, &node, &gradient));
    assert_false(gradient);
    assert_string_equal(r.net->node[node].name, "layer2.0.conv1");
    must(r.backend->params_get(r.program, r.other));
    assert_memory_equal(r.arena, r.other, (r.net->params + r.net->buffers) * sizeof(float));
    close_rig(&r);
}

static void bad_batches_are_refused(void **state)
{
    struct rig r;
    (void)state;
    open_rig(&r, backend_name, build_tiny);
    r.batch.n = N + 1;
    assert_int_equal(r.backend->step(r.program, &r.batch, NULL), FV_EINVAL);
    r.batch.n = 0;
    assert_int_equal(r.backend->step(r.program, &r.batch, NULL), FV_EINVAL);
    r.batch.n = N;
    r.label[2] = CLASSES;
    assert_int_equal(r.backend->step(r.program, &r.batch, NULL), FV_EINVAL);
    r.label[2] = 0;
    r.lambda[1] = NAN;
    assert_int_equal(r.backend->step(r.program, &r.batch, NULL), FV_EINVAL);
    r.lambda[1] = 1;
    r.batch.width = SIZE + 1;
    assert_int_equal(r.backend->step(r.program, &r.batch, NULL), FV_EINVAL);
    close_rig(&r);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradients_of_every_kind_of_node),
        cmocka_unit_test(gradients_of_activations),
        cmocka_unit_test(gradients_of_a_residual_net),
        cmocka_unit_test(update_is_sgd),
        cmocka_unit_test(non_finite_step_changes_nothing),
        cmocka_unit_test(a_broken_part_breaks_the_last),
        cmocka_unit_test(a_frozen_trunk_changes_no_other_gradient),
        cmocka_unit_test(the_bad_node_is_found),
        cmocka_unit_test(bad_batches_are_refused),
    };
    if (argc != 3)
        return 2;
    backend_name = argv[1];
    tolerance = strtod(argv[2], NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
