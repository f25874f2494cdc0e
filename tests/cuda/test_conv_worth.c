/* SPDX-License-Identifier: MIT */
/* Fused against plain, with figures that can be added up by hand: x is 20,000 bytes, y 10,000, and memory moves 1,000
 * bytes in a microsecond, so that reading x is 20 us, reading y 10 us, and each launch saved 2 us. */
#include "trainer/cuda/conv_worth.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const struct fv_conv_key shape = {
    .type = FV_CUDNN_F16, .n = 2, .h = 10, .w = 10, .c = 50, .k = 25, .window = 1, .stride = 1};

static int worth(enum fv_conv_graph graph, const double us[FV_CONV_GRAPHS], double bytes_per_us,
                 struct fv_conv_worth *out)
{
    struct fv_conv_key key = shape;
    struct fv_conv_times t = {.bytes_per_us = bytes_per_us};
    key.graph = graph;
    for (int i = 0; i < FV_CONV_GRAPHS; i++)
        t.us[i] = us[i];
    return fv_conv_is_worth(&key, &t, out);
}

static const double memory = 1000 / 0.85;

static void is_near(double a, double b)
{
    assert_true(a > b - 1e-9 && a < b + 1e-9);
}

static void statistics(void **state)
{
    struct fv_conv_worth w;
    double us[FV_CONV_GRAPHS] = {[FV_CONV_FORWARD] = 30, [FV_CONV_FORWARD_STATS] = 42};
    (void)state;
    assert_true(worth(FV_CONV_FORWARD_STATS, us, memory, &w)); /* 30 + 10 + 2 */
    is_near(w.together, 42);
    is_near(w.apart, 42);
    us[FV_CONV_FORWARD_STATS] = 42.1;
    assert_false(worth(FV_CONV_FORWARD_STATS, us, memory, &w));
}

static void batch_norm_in_front(void **state)
{
    struct fv_conv_worth w;
    double us[FV_CONV_GRAPHS] = {[FV_CONV_FORWARD] = 30,
                                 [FV_CONV_FORWARD_STATS] = -1,
                                 [FV_CONV_WGRAD] = 50,
                                 [FV_CONV_BN_FORWARD_STATS] = 70,
                                 [FV_CONV_BN_WGRAD] = 64};
    (void)state;
    /* (30 + 10 + 2) + 50 + (20 + 20 + 2) */
    assert_true(worth(FV_CONV_BN_FORWARD_STATS, us, memory, &w));
    is_near(w.together, 134);
    is_near(w.apart, 134);
    assert_true(worth(FV_CONV_BN_WGRAD, us, memory, &w));
    us[FV_CONV_BN_WGRAD] = 64.1; /* both are given up */
    assert_false(worth(FV_CONV_BN_FORWARD_STATS, us, memory, &w));
    assert_false(worth(FV_CONV_BN_WGRAD, us, memory, &w));
    us[FV_CONV_BN_WGRAD] = 63;
    assert_true(worth(FV_CONV_BN_WGRAD, us, memory, &w));
    us[FV_CONV_FORWARD_STATS] = 40; /* then what it is weighed against is faster: 40 + 50 + 42 */
    assert_false(worth(FV_CONV_BN_WGRAD, us, memory, &w));
    is_near(w.apart, 132);
    us[FV_CONV_FORWARD_STATS] = 45; /* and if it is slow it is not taken: 42 + 50 + 42 */
    assert_true(worth(FV_CONV_BN_WGRAD, us, memory, &w));
    is_near(w.apart, 134);
}

static void data_gradient(void **state)
{
    struct fv_conv_worth w;
    double us[FV_CONV_GRAPHS] = {[FV_CONV_DGRAD] = 25, [FV_CONV_DGRAD_BN] = 67};
    (void)state;
    assert_true(worth(FV_CONV_DGRAD_BN, us, memory, &w)); /* 25 + 20 + 20 + 2 */
    is_near(w.apart, 67);
    us[FV_CONV_DGRAD_BN] = 67.1;
    assert_false(worth(FV_CONV_DGRAD_BN, us, memory, &w));
}

/* Without a clock, or a bandwidth, what can be had is taken. */
static void unknown(void **state)
{
    struct fv_conv_worth w;
    double us[FV_CONV_GRAPHS] = {[FV_CONV_FORWARD] = 1, [FV_CONV_FORWARD_STATS] = 1000};
    (void)state;
    assert_true(worth(FV_CONV_FORWARD_STATS, us, 0, &w));
    is_near(w.apart, 0);
    us[FV_CONV_FORWARD_STATS] = 0;
    assert_true(worth(FV_CONV_FORWARD_STATS, us, memory, &w));
    us[FV_CONV_FORWARD_STATS] = -1;
    assert_false(worth(FV_CONV_FORWARD_STATS, us, memory, &w));
    us[FV_CONV_BN_FORWARD_STATS] = 0; /* the gradient of the weights could not follow */
    us[FV_CONV_BN_WGRAD] = -1;
    assert_false(worth(FV_CONV_BN_FORWARD_STATS, us, memory, &w));
    assert_true(worth(FV_CONV_FORWARD, us, memory, &w));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(statistics),
        cmocka_unit_test(batch_norm_in_front),
        cmocka_unit_test(data_gradient),
        cmocka_unit_test(unknown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
