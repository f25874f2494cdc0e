/* SPDX-License-Identifier: MIT */
/* A lowered program as data: every operand is one that its kind has, nothing is read before it is written, buffers
 * that live at the same time lie apart, every gradient is written once and its bucket comes after whoever touches
 * it, and the arena is hardly larger than what is alive at once. For every architecture, in training and inference,
 * with all, none and random fused graphs; and convolutions have the operands that cuDNN's graphs need. */
#include "common/err.h"
#include "common/rng.h"
#include "tests/cmocka_all.h"
#include "trainer/cuda/conv_key.h"
#include "trainer/cuda/lower.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

static void must(int rc)
{
    if (rc < 0)
        fail_msg("%s", fv_err_text());
}

static int overlap(const struct fv_low_buffer *a, const struct fv_low_buffer *b)
{
    return a->space == b->space && a->offset < b->offset + b->bytes &&
           b->offset < a->offset + a->bytes;
}

static void check_operands(const struct fv_lowered *l)
{
    for (int i = 0; i < l->ops; i++) {
        const struct fv_low_op *op = &l->op[i];
        for (int k = 0; k < FV_LOW_ROLES; k++) {
            if (op->arg[k] < 0)
                continue;
            if (fv_low_kinds[op->kind].access[k] == FV_LOW_ABSENT)
                fail_msg("op %d (%s) has no operand %s", i, fv_low_kinds[op->kind].name,
                         fv_low_role_names[k]);
            const struct fv_low_buffer *f = &l->buffer[op->arg[k]];
            assert_in_range(op->arg[k], 0, l->buffers - 1);
            assert_true(f->first <= i && i <= f->last);
            if (f->space != FV_LOW_STATE)
                assert_true(f->offset + f->bytes <= l->bytes[f->space]);
        }
    }
}

/* A kernel works in one type: activations and their gradients have it, except where an op is there to change it. */
static void check_types(const struct fv_lowered *l)
{
    static const int typed[] = {FV_LOW_X,   FV_LOW_Y,  FV_LOW_R,  FV_LOW_S,  FV_LOW_DY,
                                FV_LOW_DY2, FV_LOW_DX, FV_LOW_DZ, FV_LOW_DS, FV_LOW_DMEAN};
    for (int i = 0; i < l->ops; i++) {
        const struct fv_low_op *op = &l->op[i];
        int type = -1;
        if (op->kind == FV_LOW_CAST || op->kind == FV_LOW_GAP || op->kind == FV_LOW_GAP_BACKWARD ||
            op->kind == FV_LOW_FC)
            continue;
        for (size_t k = 0; k < sizeof typed / sizeof *typed; k++) {
            if (op->arg[typed[k]] < 0)
                continue;
            int own = (int)l->buffer[op->arg[typed[k]]].dtype;
            if (type >= 0 && own != type)
                fail_msg("op %d (%s) is of two types", i, fv_low_kinds[op->kind].name);
            type = own;
        }
    }
}

/* Arena buffers are written once, before they are read; gradients are written once. */
static void check_order(const struct fv_lowered *l)
{
    int *written = calloc((size_t)l->buffers, sizeof *written);
    assert_non_null(written);
    for (int i = 0; i < l->ops; i++) {
        for (int pass = 0; pass < 2; pass++) {
            for (int k = 0; k < FV_LOW_ROLES; k++) {
                int arg = l->op[i].arg[k], access = fv_low_kinds[l->op[i].kind].access[k];
                if (arg < 0 ||
                    (l->buffer[arg].space != FV_LOW_ARENA && l->buffer[arg].space != FV_LOW_GRAD))
                    continue;
                if (pass == 0 && access != FV_LOW_WRITE && l->buffer[arg].space == FV_LOW_ARENA &&
                    !written[arg])
                    fail_msg("op %d reads buffer %d, which nothing has written", i, arg);
                if (pass == 1 && access == FV_LOW_WRITE && written[arg]++)
                    fail_msg("op %d writes buffer %d again", i, arg);
            }
        }
    }
    free(written);
}

static void check_places(const struct fv_lowered *l)
{
    for (int i = 0; i < l->buffers; i++) {
        const struct fv_low_buffer *a = &l->buffer[i];
        if (a->space != FV_LOW_ARENA || a->last < 0)
            continue;
        assert_int_equal(a->offset % 256, 0);
        for (int k = 0; k < i; k++) {
            const struct fv_low_buffer *b = &l->buffer[k];
            if (b->last >= 0 && a->first <= b->last && b->first <= a->last && overlap(a, b))
                fail_msg("buffers %d and %d share memory", i, k);
        }
    }
    size_t least = fv_lowered_least_bytes(l);
    if ((double)l->bytes[FV_LOW_ARENA] > 1.10 * (double)least)
        fail_msg("%s: an arena of %zu bytes for %zu", l->net->arch, l->bytes[FV_LOW_ARENA], least);
}

/* Slots lie apart; every trained tensor's gradient is written; its bucket covers it and comes last. */
static void check_buckets(const struct fv_lowered *l)
{
    for (int t = 0; t < l->net->tensors; t++) {
        const struct fv_low_slot *slot = &l->slot[t];
        if (l->net->tensor[t].buffer)
            continue;
        const struct fv_low_bucket *bucket = &l->bucket[slot->bucket];
        size_t at = fv_low_grad_byte(l, slot->offset);
        int writers = 0;
        assert_int_equal(slot->offset % 256, 0);
        assert_true(bucket->offset <= at && at + slot->count * fv_low_dtype_bytes(bucket->dtype) <=
                                                bucket->offset + bucket->bytes);
        assert_int_equal(l->op[bucket->op].kind, FV_LOW_BUCKET);
        for (int i = 0; i < l->backward_ops; i++) {
            for (int k = 0; k < FV_LOW_ROLES && l->op[i].kind != FV_LOW_BUCKET; k++) {
                int arg = l->op[i].arg[k];
                if (arg < 0 || l->buffer[arg].space != FV_LOW_GRAD || l->buffer[arg].offset != at)
                    continue;
                writers += fv_low_kinds[l->op[i].kind].access[k] == FV_LOW_WRITE;
                assert_true(i < bucket->op);
            }
        }
        if (writers != 1)
            fail_msg("%s: %d ops write the gradient", l->net->tensor[t].name, writers);
    }
}

/* Every argument of the graph that a convolution asks cuDNN for is an operand of the op, of just that size, and what
 * the graph writes the op says that it writes. */
static void check_convs(const struct fv_lowered *l)
{
    for (int i = 0; i < l->ops; i++) {
        const struct fv_low_op *op = &l->op[i];
        struct fv_conv_key key;
        if (op->graph == FV_LOW_GRAPH_NONE ||
            !fv_conv_key_of(&key, op->kind, op->graph, l->dtype, &op->shape))
            continue;
        for (int role = 0; role < FV_CONV_ROLES; role++) {
            const size_t bytes = fv_conv_role_bytes(&key, (enum fv_conv_role)role);
            const enum fv_low_role operand = fv_conv_operand(&key, (enum fv_conv_role)role);
            if (bytes == 0 || operand == FV_LOW_ROLES)
                continue;
            if (op->arg[operand] < 0)
                fail_msg("op %d (%s, %s): argument %d of the graph is operand %s, which is absent",
                         i, fv_low_kinds[op->kind].name, fv_low_graph_names[op->graph], role,
                         fv_low_role_names[operand]);
            if (l->buffer[op->arg[operand]].bytes != bytes)
                fail_msg("op %d (%s, %s): operand %s is of %zu bytes, the graph's is of %zu", i,
                         fv_low_kinds[op->kind].name, fv_low_graph_names[op->graph],
                         fv_low_role_names[operand], l->buffer[op->arg[operand]].bytes, bytes);
        }
    }
}

/* The sums of a fused data gradient: cuDNN writes dbeta and dgamma where BN_SUMS takes them from. */
static void test_fused_sums(void **state)
{
    (void)state;
    const struct fv_conv_key key = {.graph = FV_CONV_DGRAD_BN,
                                    .type = FV_CUDNN_F16,
                                    .n = 1,
                                    .h = 8,
                                    .w = 8,
                                    .c = 8,
                                    .k = 8,
                                    .window = 3,
                                    .stride = 1,
                                    .pad = 1};
    assert_int_equal(fv_conv_operand(&key, FV_CONV_DBETA), FV_LOW_STAT0);
    assert_int_equal(fv_conv_operand(&key, FV_CONV_DGAMMA), FV_LOW_STAT1);
    for (int role = 0; role < FV_CONV_EQ_DY; role++) {
        const enum fv_low_role operand = fv_conv_operand(&key, (enum fv_conv_role)role);
        if (fv_conv_role_bytes(&key, (enum fv_conv_role)role) > 0)
            assert_int_equal(fv_low_kinds[FV_LOW_CONV_DGRAD].access[operand],
                             role == FV_CONV_G || role == FV_CONV_DBETA || role == FV_CONV_DGAMMA
                                 ? FV_LOW_WRITE
                                 : FV_LOW_READ);
    }
}

static void check(const struct fv_net *net, enum fv_low_dtype dtype, int train, int share,
                  uint32_t seed)
{
    struct answers a = {share, fv_rng_at(seed, 0, 0, FV_RNG_TEST)};
    struct fv_lower_settings s = {
        .batch = 4, .train = train, .dtype = dtype, .bucket_bytes = 1 << 20, .can = can, .ctx = &a};
    struct fv_lowered *l = NULL;
    must(fv_lower(&l, net, &s));
    check_operands(l);
    check_types(l);
    check_order(l);
    check_places(l);
    check_convs(l);
    if (train)
        check_buckets(l);
    else
        assert_true(l->embedding >= 0 && l->logits >= 0);
    fv_lowered_free(&l);
}

static void test_programs(void **state)
{
    (void)state;
    for (int i = 0; fv_archs[i / 2]; i++) {
        struct fv_arch_settings s = {.size = i % 2 ? 8 : 64, /* at 8 maps shrink to a pixel */
                                     .classes = 11,
                                     .stem = "auto",
                                     .mean = {.5f, .5f, .5f},
                                     .std = {.5f, .5f, .5f}};
        struct fv_net *net = NULL;
        must(fv_net_build(&net, fv_archs[i / 2]->name, &s));
        for (uint32_t k = 0; k < 6; k++) {
            int share = k == 0 ? 0 : k == 1 ? 8 : 4;
            check(net, k % 2 ? FV_LOW_F16 : FV_LOW_BF16, 1, share, k);
        }
        check(net, FV_LOW_F32, 1, 8, 1);
        check(net, FV_LOW_F32, 0, 8, 1);
        check(net, FV_LOW_BF16, 0, 0, 1);
        fv_net_free(&net);
    }
}

static int always(void *ctx, const struct fv_low_query *q)
{
    (void)ctx;
    (void)q;
    return 1;
}

/* Bytes of activations that an image more takes in a large batch, in KB. */
static double image_kb(const struct fv_net *net, struct fv_lower_settings s)
{
    struct fv_low_memory m[2];
    for (int k = 0; k < 2; k++) {
        s.batch = 64 + 32 * k;
        must(fv_lower_memory(&m[k], net, &s, 1));
    }
    assert_true(m[0].activations < m[1].activations && m[0].parameters == m[1].parameters);
    assert_true(!s.train || m[0].states >= net->params * sizeof(float));
    return (double)(m[1].activations - m[0].activations) / 32 / 1024;
}

/* Fused graphs keep less; inference keeps less than training; fp32 takes twice what 16 bits take, but for the places of
 * maxima, a byte each. */
static void test_memory(void **state)
{
    (void)state;
    printf("KB of activations an image, 112 px:%6splain   fused  inference\n", "");
    for (int i = 0; fv_archs[i]; i++) {
        struct fv_arch_settings s = {.size = 112,
                                     .classes = 1000,
                                     .stem = "auto",
                                     .mean = {.5f, .5f, .5f},
                                     .std = {.5f, .5f, .5f}};
        struct fv_net *net = NULL;
        must(fv_net_build(&net, fv_archs[i]->name, &s));
        double plain = image_kb(net, (struct fv_lower_settings){.train = 1, .dtype = FV_LOW_BF16});
        double fused = image_kb(
            net, (struct fv_lower_settings){.train = 1, .dtype = FV_LOW_F16, .can = always});
        double infer = image_kb(net, (struct fv_lower_settings){.dtype = FV_LOW_BF16});
        double full = image_kb(net, (struct fv_lower_settings){.train = 1, .dtype = FV_LOW_F32});
        printf("%-32s %13.0f %7.0f %10.0f\n", net->arch, plain, fused, infer);
        assert_true(fused <= plain && infer < plain && full > 1.8 * plain && full < 2.1 * plain);
        fv_net_free(&net);
    }
}

static void test_refusals(void **state)
{
    (void)state;
    struct fv_net *net = NULL;
    struct fv_lowered *l = NULL;
    const float zero[3] = {0, 0, 0}, one[3] = {1, 1, 1};
    must(fv_net_new(&net, "odd"));
    int x = fv_net_conv(net, "a", fv_net_input(net, 8, zero, one), 12, 3, 1, 1, 1, 0);
    x = fv_net_conv(net, "grouped", x, 12, 3, 1, 1, 3, 0);
    fv_net_loss(net, fv_net_fc(net, "fc", fv_net_gap(net, x), 4, 1));
    must(fv_net_finish(net));
    struct fv_lower_settings s = {.batch = 2, .train = 1, .dtype = FV_LOW_BF16};
    must(fv_lower(&l, net, &s));
    for (int i = 0; i < l->ops; i++) /* groups of four channels become one */
        assert_true(l->op[i].node < 0 || l->op[i].shape.groups <= 1);
    fv_lowered_free(&l);
    s.batch = 0;
    assert_int_equal(fv_lower(&l, net, &s), FV_EINVAL);
    s = (struct fv_lower_settings){.batch = 2, .dtype = FV_LOW_U8};
    assert_int_equal(fv_lower(&l, net, &s), FV_EINVAL);
    fv_net_free(&net);
}

static void test_dump(void **state)
{
    (void)state;
    struct fv_arch_settings s = {32, 11, "auto", {.5f, .5f, .5f}, {.5f, .5f, .5f}, 0, NULL};
    struct answers a = {8, fv_rng_at(1, 0, 0, FV_RNG_TEST)};
    struct fv_lower_settings t = {
        .batch = 4, .train = 1, .dtype = FV_LOW_F16, .can = can, .ctx = &a};
    struct fv_net *net = NULL;
    struct fv_lowered *l = NULL;
    must(fv_net_build(&net, "tiny", &s));
    must(fv_lower(&l, net, &t));
    char *text = fv_lowered_dump(l), *graphs = fv_lowered_graphs(l);
    assert_true(text && graphs);
    if (getenv("FV_TEST_DUMP"))
        printf("%s\n%s\n", text, graphs);
    assert_non_null(strstr(text, "bn-backward"));
    assert_non_null(strstr(text, "conv1"));
    assert_non_null(strstr(graphs, "prologue+stats"));
    free(text);
    free(graphs);
    fv_lowered_free(&l);
    fv_net_free(&net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_programs), cmocka_unit_test(test_fused_sums),
        cmocka_unit_test(test_memory),   cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_dump),
    };
    return cmocka_run_group_tests_name("lower", tests, NULL, NULL);
}
