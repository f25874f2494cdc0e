/* SPDX-License-Identifier: MIT */
/* What a program is said to move, compute and launch: against numbers worked out by hand, and launches against those
 * that the dispatch makes, counted by the emulator without running them. */
#include "common/err.h"
#include "tests/cmocka_all.h"
#include "trainer/cuda/conv_key.h"
#include "trainer/cuda/dispatch.h"
#include "trainer/cuda/emulate.h"
#include "trainer/cuda/traffic.h"

#include <stdlib.h>
#include <string.h>

enum { BATCH = 4 };

static void must(int rc)
{
    if (rc < 0)
        fail_msg("%s", fv_err_text());
}

static struct fv_net *build(const char *arch, int size, const char *loss)
{
    const struct fv_arch_settings settings = {.size = size,
                                              .classes = 1000,
                                              .stem = "auto",
                                              .mean = {0.5f, 0.5f, 0.5f},
                                              .std = {0.5f, 0.5f, 0.5f},
                                              .loss = loss};
    struct fv_net *net;
    must(fv_net_build(&net, arch, &settings));
    return net;
}

static struct fv_lowered *lower(struct fv_net *net, enum fv_low_dtype t,
                                int (*can)(void *, const struct fv_low_query *), int train)
{
    const struct fv_lower_settings s = {
        .batch = BATCH, .train = train, .dtype = t, .can = can, .ctx = net};
    struct fv_lowered *l;
    must(fv_lower(&l, net, &s));
    return l;
}

/* The first op of a kind on the node of that name; NULL: on any. */
static struct fv_traffic find(const struct fv_lowered *l, enum fv_low_kind kind, const char *name)
{
    struct fv_traffic t = {0};
    for (int i = 0; i < l->ops; i++)
        if (l->op[i].kind == kind &&
            (!name || strcmp(l->net->node[l->op[i].node].name, name) == 0)) {
            fv_traffic_op(&t, l, i, 1);
            return t;
        }
    fail_msg("no %s", fv_low_kinds[kind].name);
    return t;
}

static void assert_traffic(struct fv_traffic t, double read, double written, double flops)
{
    assert_float_equal((double)t.read, read, 0.5);
    assert_float_equal((double)t.written, written, 0.5);
    assert_float_equal(t.flops, flops, 0.5);
}

/* ResNet-18 at 112 px: 56 px behind the stem, 28 behind the pool, then 14, 7, 4. Two bytes a number. */
static void test_by_hand(void **state)
{
    (void)state;
    struct fv_net *net = build("resnet18", 112, "ce");
    struct fv_lowered *l = lower(net, FV_LOW_BF16, NULL, 1);
    const double n = BATCH, image = n * 112 * 112 * 8 * 2, stem = n * 56 * 56 * 64 * 2,
                 pooled = n * 28 * 28 * 64 * 2, two = n * 14 * 14 * 128 * 2;
    assert_traffic(find(l, FV_LOW_INPUT, NULL), n * 112 * 112 * 3, image, 0);
    assert_traffic(find(l, FV_LOW_CONV, "conv1"), image + 64 * 49 * 8 * 2, stem,
                   2 * n * 56 * 56 * 64 * 49 * 8);
    /* a window of 1 and stride 2 sees a quarter of the pixels, and its gradient is written to all of them */
    const double weights = 128 * 64 * 2, products = 2 * n * 14 * 14 * 128 * 64;
    assert_traffic(find(l, FV_LOW_CONV, "layer2.0.downsample.0"), pooled / 4 + weights, two,
                   products);
    assert_traffic(find(l, FV_LOW_CONV_WGRAD, "layer2.0.downsample.0"), pooled / 4 + two, weights,
                   products);
    assert_traffic(find(l, FV_LOW_CONV_DGRAD, "layer2.0.downsample.0"), two + weights, pooled,
                   products);
    const struct fv_traffic fc = find(l, FV_LOW_FC, NULL);
    assert_traffic(fc, 4 * (n * 512 + 1000 * 512 + 1000), 4 * n * 1000, 2 * n * 512 * 1000);
    assert_true(fc.on_vectors);
    /* gradient, master, momentum and copy. In 16 bits are the convolutions, the stem with five channels of padding;
     * in fp32 batch norms, those of 64 and 128 channels in blocks of 256, and the head. */
    const double in_16 = 11166912 + 64 * 49 * 5, in_32 = 9600 + 3200 + 512000 + 1024;
    assert_int_equal(l->elements_t, in_16);
    assert_int_equal(l->elements, in_16 + in_32);
    const struct fv_traffic sgd = find(l, FV_LOW_OPTIM, NULL);
    assert_float_equal((double)sgd.read, 10 * in_16 + 12 * in_32 + 256, 0.5);
    assert_float_equal((double)sgd.written, 10 * in_16 + 8 * in_32, 0.5);
    fv_lowered_free(&l);
    fv_net_free(&net);
}

static void test_depthwise(void **state)
{
    (void)state;
    struct fv_net *net = build("mobilenet-v2", 112, "ce");
    struct fv_lowered *l = lower(net, FV_LOW_BF16, NULL, 1);
    const double map = (double)BATCH * 56 * 56 * 32;
    const struct fv_traffic t = find(l, FV_LOW_DEPTHWISE, NULL);
    /* it applies the batch norm before it: scale and shift */
    assert_traffic(t, 2 * map + 2 * 9 * 32 + 2 * 4 * 32, 2 * map, 2 * 9 * map);
    assert_true(t.on_vectors);
    fv_lowered_free(&l);
    fv_net_free(&net);
}

static void test_time(void **state)
{
    (void)state;
    const struct fv_traffic_card card = {.matrix_flops = 100,
                                         .vector_flops = 10,
                                         .bytes_per_s = 40,
                                         .compute_share = 0.5,
                                         .memory_share = 0.25,
                                         .launch_s = 1};
    struct fv_traffic t = {.read = 30, .written = 20, .flops = 200, .launches = 2};
    assert_float_equal(fv_traffic_seconds(&t, &card), 2 + 5, 1e-9);
    t.flops = 300;
    assert_float_equal(fv_traffic_seconds(&t, &card), 2 + 6, 1e-9);
    t.on_vectors = 1;
    assert_float_equal(fv_traffic_seconds(&t, &card), 2 + 60, 1e-9);
}

/* Launches: the dispatch's own, recorded and not run, so that addresses may be of nothing. */

static int counted;

static void count(void *ctx, void *stream, struct fv_emulated *launch)
{
    (void)ctx, (void)stream;
    counted++;
    free(launch);
}

static int count_conv(void *ctx, int op, void *const arg[FV_LOW_ROLES], void *scratch)
{
    (void)ctx, (void)op, (void)arg, (void)scratch;
    counted++;
    return 0;
}

static int count_gemm(void *ctx, const struct fv_gpu_gemm *s, const void *a, const void *b, void *c)
{
    (void)ctx, (void)s, (void)a, (void)b, (void)c;
    counted++;
    return 0;
}

static int is_of_the_backend(enum fv_low_kind kind)
{
    return kind == FV_LOW_DROPOUT || kind == FV_LOW_LOSS || kind == FV_LOW_CHECK ||
           kind == FV_LOW_OPTIM || kind == FV_LOW_RUNNING_UPDATE;
}

static void compare_launches(const struct fv_lowered *l)
{
    struct fv_dispatch d = {.l = l, .conv = count_conv, .gemm = count_gemm};
    static char nowhere[256];
    for (int i = 0; i < FV_LOW_SPACES; i++)
        d.base[i] = nowhere;
    d.scratch = nowhere;
    for (int i = 0; i < l->ops; i++) {
        struct fv_traffic t;
        if (is_of_the_backend(l->op[i].kind))
            continue;
        fv_traffic_op(&t, l, i, 1);
        counted = 0;
        must(fv_dispatch_run(&d, i));
        if (counted != t.launches)
            fail_msg("%s: %s is %d launches and not %d", l->net->arch,
                     fv_low_kinds[l->op[i].kind].name, counted, t.launches);
    }
}

static void test_launches(void **state)
{
    (void)state;
    static const enum fv_low_dtype types[] = {FV_LOW_F32, FV_LOW_F16};
    fv_emulate_record(count, NULL);
    for (int a = 0; fv_archs[a]; a++)
        for (int k = 0; k < 4; k++) {
            struct fv_net *net = build(fv_archs[a]->name, 112, a % 2 ? "arcface" : "ce");
            struct fv_lowered *l = lower(net, types[k % 2], fv_traffic_can, k / 2);
            compare_launches(l);
            fv_lowered_free(&l);
            fv_net_free(&net);
        }
    fv_emulate_record(NULL, NULL);
}

/* In fp16 the whole chain but for the stem, whose input has no data gradient either; in bf16 nothing. */
static void test_graphs(void **state)
{
    (void)state;
    struct fv_net *net = build("resnet18", 112, "ce");
    struct fv_lowered *half = lower(net, FV_LOW_F16, fv_traffic_can, 1),
                      *bf16 = lower(net, FV_LOW_BF16, fv_traffic_can, 1);
    int graph[FV_LOW_GRAPHS] = {0};
    for (int i = 0; i < half->ops; i++)
        graph[half->op[i].graph]++;
    assert_int_equal(graph[FV_LOW_GRAPH_STATS], 11);
    assert_int_equal(graph[FV_LOW_GRAPH_PROLOGUE_STATS], 8);
    assert_int_equal(graph[FV_LOW_GRAPH_WGRAD_PROLOGUE], 8);
    assert_int_equal(graph[FV_LOW_GRAPH_DGRAD_BN], 8);
    for (int i = 0; i < bf16->ops; i++)
        assert_true(bf16->op[i].graph <= FV_LOW_GRAPH_PLAIN);
    fv_lowered_free(&half);
    fv_lowered_free(&bf16);
    fv_net_free(&net);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_by_hand), cmocka_unit_test(test_depthwise),
        cmocka_unit_test(test_time), cmocka_unit_test(test_launches),
        cmocka_unit_test(test_graphs)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
