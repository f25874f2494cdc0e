/* SPDX-License-Identifier: MIT */
/* The cpu backend against ref: every node's output and gradient, every weight's gradient, whole nets, inference.
 *
 * The measure, tensor by tensor: norm of the difference over norm of ref's, and largest difference over ref's
 * largest value; both stay below TOLERANCE. ref computes in double, so the difference is the rounding of fp32, and
 * of Winograd's method where that is used; every case runs with and without it. At the weights drawn here no value
 * is so near a ReLU's kink that rounding decides: batch norms of the large nets have shifts well away from zero.
 */
#include "common/err.h"
#include "common/rng.h"
#include "tests/cmocka_all.h"
#include "trainer/backend.h"
#include "trainer/cpu/backend_cpu.h"
#include "trainer/cpu/backend_cpu_threads.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TOLERANCE 1e-4

enum { N = 3, CLASSES = 7 };

extern const struct fv_backend fv_backend_cpu, fv_backend_ref;

static const float mean[3] = {.5f, .4f, .3f}, deviation[3] = {.2f, .25f, .3f};

static void must(int rc)
{
    if (rc < 0)
        fail_msg("%s", fv_err_text());
}

static int head(struct fv_net *n, int x)
{
    x = n->embedding_node = fv_net_gap(n, x);
    return fv_net_loss(n, fv_net_fc(n, "fc", x, CLASSES, 1));
}

/* Every shape of convolution: channels that fill blocks and that do not, biases, strides, groups, depthwise, and
 * 3x3 at stride 1 with and without remainder tiles. */
static void build_convs(struct fv_net *n)
{
    int x = fv_net_input(n, 13, mean, deviation);
    x = fv_net_conv(n, "stem", x, 16, 7, 1, 3, 1, 0);
    x = fv_net_conv(n, "three", x, 32, 3, 1, 1, 1, 1);
    x = fv_net_conv(n, "whole_tiles", fv_net_conv(n, "to12", x, 32, 2, 1, 0, 1, 0), 16, 3, 1, 1, 1,
                    0);
    x = fv_net_conv(n, "odd", x, 20, 3, 2, 1, 1, 1);
    x = fv_net_conv(n, "odd_three", x, 9, 3, 1, 1, 1, 0);
    x = fv_net_conv(n, "grouped", x, 18, 5, 1, 2, 3, 1);
    x = fv_net_conv(n, "depthwise", x, 18, 3, 1, 1, 18, 0);
    x = fv_net_conv(n, "one", x, 32, 1, 2, 0, 1, 1);
    x = fv_net_conv(n, "wide_depthwise", x, 32, 3, 1, 1, 32, 1);
    head(n, x);
}

/* Batch norms and ReLUs fused and alone: read twice, followed by something else, before and after a pool. */
static void build_norms(struct fv_net *n)
{
    int x = fv_net_input(n, 11, mean, deviation);
    x = fv_net_relu(n, fv_net_conv(n, "a", x, 16, 3, 1, 1, 1, 1));
    x = fv_net_relu(n, fv_net_bn(n, "bn_a", x));
    x = fv_net_bn(n, "bn_b", fv_net_conv(n, "b", x, 24, 3, 1, 1, 1, 0));
    int y = fv_net_relu(n, x);
    x = fv_net_add(n, fv_net_relu(n, fv_net_conv(n, "c", y, 24, 1, 1, 0, 1, 1)), x);
    x = fv_net_bn(n, "bn_c", fv_net_maxpool(n, x, 3, 2, 1));
    x = fv_net_maxpool(n, fv_net_relu(n, x), 2, 2, 0);
    head(n, x);
}

/* Additions: with a ReLU and without, of a value read again later, of a node with itself, of a convolution's input
 * to its output, of values in different layouts; a value read four times; a branch that ends nowhere. */
static void build_adds(struct fv_net *n)
{
    int in = fv_net_input(n, 10, mean, deviation);
    int x = fv_net_conv(n, "a", in, 16, 3, 1, 1, 1, 1);
    int y = fv_net_relu(n, fv_net_add(n, fv_net_conv(n, "b", x, 16, 3, 1, 1, 1, 1), x));
    int z = fv_net_add(n, fv_net_bn(n, "bn", fv_net_conv(n, "c", y, 16, 1, 1, 0, 1, 0)), y);
    fv_net_conv(n, "unread", z, 8, 1, 1, 0, 1, 1);
    z = fv_net_add(n, z, fv_net_conv(n, "d", y, 16, 3, 1, 1, 4, 1));
    z = fv_net_relu(n, fv_net_add(n, z, y));
    z = fv_net_add(n, z, z);
    z = fv_net_add(n, fv_net_conv(n, "e", in, 16, 1, 1, 0, 1, 1), z);
    head(n, z);
}

/* What works number by number: on plain values, on blocks of channels with and without padding, on one pixel; ReLU6
 * with values beyond both ends, fused and not; a gate whose input is read elsewhere too; dropout over a map and over a
 * vector, a fully connected layer over a map, a batch norm whose scale stays 1. */
static void build_acts(struct fv_net *n)
{
    n->seed = 12;
    int in = fv_net_input(n, 9, mean, deviation);
    int x = fv_net_conv(n, "a", fv_net_prelu(n, "plain", in), 32, 3, 1, 1, 1, 0);
    x = fv_net_relu6(n, fv_net_bn(n, "bn", fv_net_add(n, x, x)));
    int y = fv_net_conv(n, "b", x, 20, 3, 2, 1, 1, 1);
    y = fv_net_relu6(n, fv_net_add(n, y, fv_net_conv(n, "c", x, 20, 1, 2, 0, 1, 1)));
    y = fv_net_prelu(n, "padded", fv_net_add(n, y, fv_net_conv(n, "d", y, 20, 3, 1, 1, 1, 1)));
    int gate = fv_net_relu(n, fv_net_conv(n, "fc1", fv_net_gap(n, y), 5, 1, 1, 0, 1, 1));
    gate = fv_net_sigmoid(n, fv_net_conv(n, "fc2", gate, 20, 1, 1, 0, 1, 1));
    y = fv_net_add(n, fv_net_scale(n, y, gate), y);
    x = fv_net_prelu(n, "blocks", fv_net_bn(n, "bn2", fv_net_conv(n, "e", y, 32, 1, 1, 0, 1, 0)));
    x = fv_net_scale(n, x, fv_net_sigmoid(n, fv_net_gap(n, x)));
    x = fv_net_fc(n, "fc", fv_net_dropout(n, x, .25), 24, 0);
    x = n->embedding_node = fv_net_bn_unit_scale(n, "features", x);
    fv_net_loss(n, fv_net_fc(n, "head", fv_net_dropout(n, x, .4), CLASSES, 1));
}

static void build_named(struct fv_net **out, const char *arch, const char *stem, int size)
{
    struct fv_arch_settings s = {size, CLASSES, stem, {.5f, .4f, .3f}, {.2f, .25f, .3f}, 0, NULL};
    must(fv_net_build(out, arch, &s));
}

/* Weights by He, everything else random; `apart` moves the shifts of batch norms away from zero. */
static float *draw_arena(const struct fv_net *net, int apart)
{
    struct fv_rng rng = fv_rng_at(5, 0, 0, FV_RNG_TEST);
    float *arena = calloc(net->params + net->buffers, sizeof *arena);
    assert_non_null(arena);
    fv_net_init(net, 5, arena);
    for (int i = 0; i < net->tensors; i++) {
        const struct fv_tensor *t = &net->tensor[i];
        size_t length = strlen(t->name);
        int shift = length > 5 && strcmp(t->name + length - 5, ".bias") == 0;
        for (size_t k = 0; t->ndim == 1 && k < t->count; k++) {
            float u = (float)fv_rng_uniform(&rng, .05, .3);
            if (!apart || t->buffer)
                arena[t->offset + k] += u;
            else
                arena[t->offset + k] = shift ? (k % 2 ? -.8f : .8f) - u : .15f + u / 4;
        }
    }
    return arena;
}

struct rig {
    const struct fv_net *net;
    const struct fv_backend *backend;
    struct fv_device *device;
    struct fv_program *program;
    float *grad;
    uint8_t *pixels;
    struct fv_batch batch;
    int32_t label[8], label_mix[8];
    float lambda[8];
};

static void open_rig(struct rig *r, const struct fv_backend *backend, const struct fv_net *net,
                     int capacity, const float *arena)
{
    struct fv_rng rng = fv_rng_at(6, 0, 0, FV_RNG_TEST);
    size_t pixels = (size_t)(capacity * net->size * net->size) * 3;
    *r = (struct rig){.net = net, .backend = backend};
    must(backend->open(&r->device, &(struct fv_device_settings){.threads = 2}));
    must(backend->compile(r->device, net, capacity, 1, NULL, &r->program));
    must(backend->params_set(r->program, arena));
    r->grad = calloc(net->params, sizeof *r->grad);
    r->pixels = malloc(pixels);
    assert_true(r->grad && r->pixels && capacity <= 8);
    for (size_t i = 0; i < pixels; i++)
        r->pixels[i] = (uint8_t)fv_rng_below(&rng, 256);
    for (int i = 0; i < capacity; i++) {
        r->label[i] = (3 * i + 1) % CLASSES;
        r->label_mix[i] = (5 * i + 2) % CLASSES;
        r->lambda[i] = (float[]){1, .25f, .625f}[i % 3];
    }
    r->batch = (struct fv_batch){.n = capacity,
                                 .capacity = capacity,
                                 .height = net->size,
                                 .width = net->size,
                                 .pixels = r->pixels,
                                 .label = r->label,
                                 .label_mix = r->label_mix,
                                 .lambda = r->lambda};
}

static void close_rig(struct rig *r)
{
    r->backend->release(&r->program);
    r->backend->close(&r->device);
    free(r->grad);
    free(r->pixels);
}

/* Compiles again, with these of the device's settings. */
static void recompile(struct rig *r, int capacity, const float *arena, int winograd, int keep)
{
    r->backend->release(&r->program);
    r->device->winograd = winograd;
    r->device->keep = keep;
    must(r->backend->compile(r->device, r->net, capacity, 1, NULL, &r->program));
    must(r->backend->params_set(r->program, arena));
}

static struct fv_step_result step(struct rig *r, const struct fv_optim *optim)
{
    struct fv_step_result result;
    must(r->backend->step(r->program, &r->batch, optim));
    must(r->backend->result(r->program, &result));
    must(r->backend->grads_get(r->program, r->grad));
    return result;
}

static double worst; /* of a test, to be printed */

static void compare(const char *what, const char *name, const float *got, const float *want,
                    size_t count)
{
    double diff2 = 0, want2 = 0, diff_max = 0, want_max = 0;
    for (size_t i = 0; i < count; i++) {
        double d = fabs((double)got[i] - (double)want[i]), w = fabs((double)want[i]);
        diff2 += d * d;
        want2 += w * w;
        diff_max = d > diff_max ? d : diff_max;
        want_max = w > want_max ? w : want_max;
    }
    if (!(sqrt(diff2) <= TOLERANCE * sqrt(want2) && diff_max <= TOLERANCE * want_max))
        fail_msg("%s of %s: differs by %.2g of its norm %.3g, by %.2g of its largest value %.3g",
                 what, name, sqrt(diff2 / want2), sqrt(want2), diff_max / want_max, want_max);
    if (want_max > 0)
        worst = fmax(worst, fmax(sqrt(diff2 / want2), diff_max / want_max));
}

/* The scale and the shift of a batch norm, neighbours in the arena, are compared as one tensor: another batch norm
 * further on undoes most of a shift, so that its gradient alone is the small difference of large sums. */
static void compare_grads(const struct rig *a, const struct rig *b)
{
    for (int i = 0; i < a->net->nodes; i++) {
        const struct fv_node *o = &a->net->node[i];
        for (int k = 0; k < 2; k++) {
            const struct fv_tensor *t = &a->net->tensor[o->tensor[k]];
            if (o->tensor[k] < 0 || t->buffer || (o->kind == FV_NODE_BN && k == 1 && !t[-1].buffer))
                continue;
            compare("gradient", t->name, a->grad + t->offset, b->grad + t->offset,
                    o->kind == FV_NODE_BN && k == 0 ? 2 * t->count : t->count);
        }
    }
}

/* Returns 1 if the cpu backend has the value. ref has all but those that make no sense. */
static int compare_node(const struct rig *cpu, const struct rig *ref, int node, int gradient)
{
    const struct fv_node *o = &cpu->net->node[node];
    size_t count = (size_t)(cpu->batch.n * o->h * o->w * o->c);
    float *got = calloc(count, sizeof *got), *want = calloc(count, sizeof *want);
    char name[64];
    snprintf(name, sizeof name, "node %d (%s %s)", node, fv_node_names[o->kind], o->name);
    int has = cpu->backend->node_get(cpu->program, node, gradient, got);
    assert_true(has == 0 || has == FV_EUNSUPPORTED);
    if (has == 0) {
        must(ref->backend->node_get(ref->program, node, gradient, want));
        compare(gradient ? "gradient" : "output", name, got, want, count);
    }
    free(got);
    free(want);
    return has == 0;
}

static int compare_nodes(const struct rig *cpu, const struct rig *ref, int gradients)
{
    int seen = 0;
    for (int i = 0; i < cpu->net->nodes; i++) {
        seen += compare_node(cpu, ref, i, 0);
        if (gradients && cpu->net->node[i].kind != FV_NODE_INPUT)
            seen += compare_node(cpu, ref, i, 1);
    }
    return seen;
}

/* Without `ref_too`, ref's results are those of the last call. */
static void compare_eval(const struct rig *cpu, const struct rig *ref, int n, int ref_too)
{
    static float e[2][8 * 512], l[2][8 * CLASSES];
    must(cpu->backend->eval(cpu->program, cpu->pixels, n, e[0], l[0]));
    if (ref_too)
        must(ref->backend->eval(ref->program, ref->pixels, n, e[1], l[1]));
    compare("embedding", cpu->net->arch, e[0], e[1], (size_t)(n * cpu->net->embedding));
    compare("logits", cpu->net->arch, l[0], l[1], (size_t)(n * CLASSES));
}

/* What is fused or written over in place is not to be had, but where all is kept most is. */
static void compare_all(struct rig *cpu, const struct rig *ref)
{
    struct fv_step_result got = step(cpu, NULL), want;
    must(ref->backend->result(ref->program, &want));
    assert_true(got.finite && got.n == want.n);
    assert_true(fabs(got.loss - want.loss) <= TOLERANCE * want.loss);
    assert_true(fabs(got.correct - want.correct) < 1e-6);
    compare_grads(cpu, ref);
    int seen = compare_nodes(cpu, ref, 1);
    if (cpu->device->keep)
        assert_true(seen > cpu->net->nodes);
}

/* A training step and inference of one net, all that both backends know of it: with and without Winograd's method,
 * with buffers of their own and with shared ones. */
static void compare_net(const struct fv_net *net, const float *arena, int capacity)
{
    struct rig cpu[4], ref;
    worst = 0;
    open_rig(&ref, &fv_backend_ref, net, capacity, arena);
    step(&ref, NULL);
    for (int i = 0; i < 4; i++) {
        open_rig(&cpu[i], &fv_backend_cpu, net, capacity, arena);
        recompile(&cpu[i], capacity, arena, i >> 1, i & 1);
        compare_all(&cpu[i], &ref);
    }
    for (int i = 0; i < 4; i++) {
        compare_eval(&cpu[i], &ref, capacity, i == 0);
        compare_nodes(&cpu[i], &ref, 0);
        close_rig(&cpu[i]);
    }
    print_message("largest difference %.2g\n", worst);
    close_rig(&ref);
}

static void compare_built(void (*build)(struct fv_net *))
{
    struct fv_net *net;
    must(fv_net_new(&net, "case"));
    build(net);
    must(fv_net_finish(net));
    float *arena = draw_arena(net, 0);
    compare_net(net, arena, N);
    free(arena);
    fv_net_free(&net);
}

static void convolutions(void **state)
{
    (void)state;
    compare_built(build_convs);
}

static void norms_relus_and_pools(void **state)
{
    (void)state;
    compare_built(build_norms);
}

static void additions(void **state)
{
    (void)state;
    compare_built(build_adds);
}

static void activations(void **state)
{
    (void)state;
    compare_built(build_acts);
}

static void compare_arch(const char *arch, const char *stem, int size, int capacity, int apart)
{
    struct fv_net *net;
    build_named(&net, arch, stem, size);
    float *arena = draw_arena(net, apart);
    compare_net(net, arena, capacity);
    free(arena);
    fv_net_free(&net);
}

static void tiny(void **state)
{
    (void)state;
    compare_arch("tiny", "auto", 24, 5, 0);
}

static void resnet18(void **state)
{
    (void)state;
    compare_arch("resnet18", "3x3", 32, 3, 1);
}

/* A smaller batch than the capacity: batch norms see only the images that count, for several sizes in turn (more
 * than the program keeps plans for), and the full size still works after them. */
static void partial_batches(void **state)
{
    (void)state;
    static const int sizes[] = {3, 8, 2, 5, 4, 3, 8, 7, 2};
    const struct fv_optim optim = {.lr = .01, .momentum = .9, .weight_decay = 1e-3};
    struct fv_net *net;
    struct rig cpu, ref;
    build_named(&net, "tiny", "auto", 16);
    float *arena = draw_arena(net, 0);
    open_rig(&cpu, &fv_backend_cpu, net, 8, arena);
    open_rig(&ref, &fv_backend_ref, net, 8, arena);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        cpu.batch.n = ref.batch.n = sizes[i];
        assert_int_equal(step(&cpu, &optim).n, sizes[i]);
        step(&ref, &optim);
        compare_grads(&cpu, &ref);
        compare_eval(&cpu, &ref, 1 + sizes[i] / 2, 1);
    }
    close_rig(&cpu);
    close_rig(&ref);
    free(arena);
    fv_net_free(&net);
}

/* What evaluates during training is what evaluates afterwards, bit for bit. */
static void inference_program_is_the_same(void **state)
{
    (void)state;
    const struct fv_optim optim = {.lr = .01, .momentum = .9, .weight_decay = 1e-3, .nesterov = 1};
    struct fv_net *net;
    struct rig r;
    struct fv_program *p;
    float a[4 * CLASSES], b[4 * CLASSES];
    build_named(&net, "tiny", "auto", 16);
    float *arena = draw_arena(net, 0);
    open_rig(&r, &fv_backend_cpu, net, 4, arena);
    must(r.backend->eval(r.program, r.pixels, 4, NULL, a));
    step(&r, &optim);
    must(r.backend->eval(r.program, r.pixels, 4, NULL, a));
    must(r.backend->params_get(r.program, arena));
    must(r.backend->compile(r.device, net, 4, 0, NULL, &p));
    must(r.backend->params_set(p, arena));
    must(r.backend->eval(p, r.pixels, 4, NULL, b));
    assert_memory_equal(a, b, sizeof a);
    assert_int_equal(r.backend->step(p, &r.batch, NULL), FV_EINVAL);
    assert_int_equal(r.backend->state_get(p, FV_STATE_FIRST, arena), FV_EINVAL);
    r.backend->release(&p);
    close_rig(&r);
    free(arena);
    fv_net_free(&net);
}

static float *run_steps(const struct fv_net *net, const float *start, int keep)
{
    const struct fv_optim optim = {.lr = .05, .momentum = .9, .weight_decay = 5e-4};
    struct rig r;
    float *arena = calloc(net->params + net->buffers, sizeof *arena);
    open_rig(&r, &fv_backend_cpu, net, 6, start);
    recompile(&r, 6, start, 1, keep);
    for (int i = 0; i < 4; i++) {
        r.batch.n = i == 2 ? 5 : 6;
        step(&r, &optim);
    }
    must(r.backend->params_get(r.program, arena));
    close_rig(&r);
    return arena;
}

/* Nor do bytes depend on which buffers share memory. */
static void same_bytes_every_time(void **state)
{
    (void)state;
    struct fv_net *net;
    build_named(&net, "resnet18", "3x3", 24);
    float *start = draw_arena(net, 0), *arena[4];
    for (int i = 0; i < 4; i++) {
        arena[i] = run_steps(net, start, i == 3);
        assert_memory_equal(arena[0], arena[i], (net->params + net->buffers) * sizeof(float));
    }
    assert_memory_not_equal(arena[0], start, net->params * sizeof(float));
    for (int i = 0; i < 4; i++)
        free(arena[i]);
    free(start);
    fv_net_free(&net);
}

/* Values that a computation on the way would change: denormals, signed zeros, the largest. */
static void round_trips_are_exact(void **state)
{
    (void)state;
    struct fv_net *net;
    struct rig r;
    must(fv_net_new(&net, "case"));
    build_convs(net);
    must(fv_net_finish(net));
    size_t all = net->params + net->buffers;
    struct fv_rng rng = fv_rng_at(7, 0, 0, FV_RNG_TEST);
    float *arena = calloc(all, sizeof *arena), *back = calloc(all, sizeof *back);
    for (size_t i = 0; i < all; i++) {
        uint32_t bits = fv_rng_below(&rng, 0x7f800000u) | (uint32_t)(i % 2) << 31;
        memcpy(&arena[i], &bits, sizeof bits);
    }
    open_rig(&r, &fv_backend_cpu, net, N, arena);
    must(r.backend->params_get(r.program, back));
    assert_memory_equal(arena, back, all * sizeof *arena);
    memset(back, 0, net->params * sizeof *back);
    must(r.backend->state_set(r.program, FV_STATE_FIRST, arena));
    must(r.backend->state_get(r.program, FV_STATE_FIRST, back));
    assert_memory_equal(arena, back, net->params * sizeof *arena);
    r.backend->release(&r.program);
    must(r.backend->compile(r.device, net, N, 0, NULL, &r.program));
    must(r.backend->params_set(r.program, arena));
    must(r.backend->params_get(r.program, back));
    assert_memory_equal(arena, back, all * sizeof *arena);
    close_rig(&r);
    free(arena);
    free(back);
    fv_net_free(&net);
}

/* The convolutions of a plan that are not by oneDNN's reference implementation, which is a hundred times slower than
 * any other; a matrix product there is for every shape. */
static int count_convs(const struct fv__cpu_plan *plan)
{
    int convs = 0;
    for (int i = 0; i < plan->ops; i++) {
        dnnl_primitive_kind_t kind;
        assert_int_equal(
            dnnl_primitive_desc_query(plan->op[i].desc, dnnl_query_primitive_kind, 0, &kind),
            dnnl_success);
        if (kind != dnnl_convolution)
            continue;
        const char *name = fv__dnn_op_name(&plan->op[i]);
        if (strncmp(name, "ref", 3) == 0)
            fail_msg("%s at %d px: a convolution by %s", plan->program->net->arch,
                     plan->program->net->size, name);
        convs++;
    }
    return convs;
}

/* Three of each convolution, but for the first, whose input wants no gradient. A plan that is not committed has no
 * memory for weights and activations, which for these nets would take the most time. */
static void no_convolution_is_slow_at(struct fv_device *device, const char *arch, int size,
                                      int training)
{
    struct fv_program *p = calloc(1, sizeof *p);
    struct fv_net *net;
    int convs = 0;
    build_named(&net, arch, "auto", size);
    for (int i = 0; i < net->nodes; i++)
        convs += net->node[i].kind == FV_NODE_CONV;
    assert_non_null(p);
    *p = (struct fv_program){.device = device, .net = net, .batch = 2, .train = training};
    must(fv__cpu_slots_new(p));
    must(fv__cpu_plan_new(&p->plan[0], p, 2, training));
    fv__cpu_lower_forward(p->plan[0]);
    if (training)
        fv__cpu_lower_backward(p->plan[0]);
    must(p->plan[0]->error);
    assert_int_equal(count_convs(p->plan[0]), training ? 3 * convs - 1 : convs);
    fv_backend_cpu.release(&p);
    fv_net_free(&net);
}

static void no_convolution_is_slow(void **state)
{
    (void)state;
    struct fv_device *device;
    must(fv_backend_cpu.open(&device, &(struct fv_device_settings){.threads = 2}));
    for (int i = 0; fv_archs[i]; i++)
        for (int k = 0; k < 6; k++)
            no_convolution_is_slow_at(device, fv_archs[i]->name, (int[]){32, 64, 112}[k / 2],
                                      k % 2);
    fv_backend_cpu.close(&device);
}

static int count_backward(const struct rig *r, const char *prefix)
{
    const struct fv__cpu_plan *plan = r->program->plan[0];
    int steps = 0;
    for (int i = 0; i < plan->steps; i++)
        steps += plan->step[i].backward &&
                 strncmp(r->net->node[plan->step[i].node].name, prefix, strlen(prefix)) == 0;
    return steps;
}

/* The backward pass ends at the lowest tensor that is trained, and what is frozen above it wants no gradient of its
 * own: the memory of what is left out is saved too. */
static void a_frozen_trunk_is_not_gone_through(void **state)
{
    (void)state;
    struct fv_net *net;
    struct rig r;
    build_named(&net, "tiny", "auto", 24);
    float *arena = draw_arena(net, 0), *lr_factor = calloc((size_t)net->tensors, sizeof *lr_factor);
    const struct fv_optim o = {.lr = .01, .lr_factor = lr_factor};
    open_rig(&r, &fv_backend_cpu, net, 4, arena);
    step(&r, NULL);
    const int conv = count_backward(&r, "layer2.0.conv1"),
              both = count_backward(&r, "layer2.0.conv2");
    assert_true(count_backward(&r, "conv1") > 0 && count_backward(&r, "layer1") > 0 && conv > 1);
    struct fv_memory_use whole, frozen;
    assert_int_equal(r.backend->memory(r.program, NULL, 0, &whole), 0);
    for (int t = 0; t < net->tensors; t++) /* the head, a shift in the middle, and no more */
        lr_factor[t] = strncmp(net->tensor[t].name, "fc", 2) == 0 ||
                       strcmp(net->tensor[t].name, "layer2.0.bn1.bias") == 0;
    step(&r, &o);
    assert_int_equal(count_backward(&r, "conv1") + count_backward(&r, "layer1") +
                         count_backward(&r, "layer2.0.conv1") +
                         count_backward(&r, "layer2.0.downsample"),
                     0);
    assert_true(count_backward(&r, "layer2.0.bn1") > 0);
    assert_in_range(count_backward(&r, "layer2.0.conv2"), 1, both - 1); /* that of its input */
    assert_int_equal(r.backend->memory(r.program, &o, 0, &frozen), 0);
    assert_true(frozen.activations < whole.activations);
    step(&r, NULL);
    assert_int_equal(count_backward(&r, "layer2.0.conv1"), conv);
    free(lr_factor);
    close_rig(&r);
    free(arena);
    fv_net_free(&net);
}

/* Compiled for what is frozen, a program has its plan from the beginning: it says before the first step what that
 * takes, and does what ref does; then also where nothing is frozen any more. */
static void a_program_is_made_for_what_is_frozen(void **state)
{
    (void)state;
    struct fv_net *net;
    struct rig r, ref;
    build_named(&net, "tiny", "auto", 24);
    float *arena = draw_arena(net, 0), *lr_factor = calloc((size_t)net->tensors, sizeof *lr_factor);
    const struct fv_optim o = {.lr = 1e-3, .lr_factor = lr_factor};
    for (int t = 0; t < net->tensors; t++)
        lr_factor[t] = strncmp(net->tensor[t].name, "fc", 2) == 0;
    open_rig(&r, &fv_backend_cpu, net, 4, arena);
    open_rig(&ref, &fv_backend_ref, net, 4, arena);
    struct fv_memory_use whole, before, after;
    must(r.backend->memory(r.program, NULL, 0, &whole));
    r.backend->release(&r.program);
    must(r.backend->compile(r.device, net, 4, 1, &o, &r.program));
    must(r.backend->params_set(r.program, arena));
    must(r.backend->state_set(r.program, FV_STATE_FIRST, ref.grad)); /* zeros */
    assert_int_equal(count_backward(&r, "conv1") + count_backward(&r, "layer"), 0);
    must(r.backend->memory(r.program, &o, 0, &before));
    assert_true(before.activations < whole.activations);
    step(&r, &o);
    step(&ref, &o);
    compare_grads(&r, &ref);
    must(r.backend->memory(r.program, &o, 0, &after));
    assert_memory_equal(&before, &after, sizeof before);
    step(&ref, NULL);
    compare_all(&r, &ref);
    must(r.backend->memory(r.program, NULL, 0, &after));
    assert_int_equal(after.activations, whole.activations);
    free(lr_factor);
    close_rig(&r);
    close_rig(&ref);
    free(arena);
    fv_net_free(&net);
}

static void threads_of_the_caller_are_left_alone(void **state)
{
    (void)state;
    struct fv_net *net;
    struct rig r;
    int before = fv__threads_set(3);
    build_named(&net, "tiny", "auto", 12);
    float *arena = draw_arena(net, 0), logits[4 * CLASSES];
    open_rig(&r, &fv_backend_cpu, net, 4, arena);
    step(&r, NULL);
    must(r.backend->eval(r.program, r.pixels, 4, NULL, logits));
    assert_int_equal(fv__threads_set(before), 3);
    char *profile = r.backend->profile(r.program);
    assert_non_null(strstr(profile, "layer1.0.conv1"));
    free(profile);
    struct fv_device *none;
    assert_int_equal(r.backend->open(&none, &(struct fv_device_settings){.threads = -1}),
                     FV_EINVAL);
    close_rig(&r);
    free(arena);
    fv_net_free(&net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(convolutions),
        cmocka_unit_test(norms_relus_and_pools),
        cmocka_unit_test(additions),
        cmocka_unit_test(activations),
        cmocka_unit_test(tiny),
        cmocka_unit_test(resnet18),
        cmocka_unit_test(partial_batches),
        cmocka_unit_test(inference_program_is_the_same),
        cmocka_unit_test(same_bytes_every_time),
        cmocka_unit_test(round_trips_are_exact),
        cmocka_unit_test(no_convolution_is_slow),
        cmocka_unit_test(a_frozen_trunk_is_not_gone_through),
        cmocka_unit_test(a_program_is_made_for_what_is_frozen),
        cmocka_unit_test(threads_of_the_caller_are_left_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
