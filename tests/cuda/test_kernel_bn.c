/* SPDX-License-Identifier: MIT */
/* Batch norm's kernels against its definition in double, for every storage type and shapes that do not fit the blocks;
 * and the same bits whatever the order of threads. */
#include "common/err.h"
#include "tests/cmocka_all.h"
#include "tests/cuda/kernel_rig.h"

#include <math.h>
#include <stdio.h>

static const struct {
    int rows, c, channels;
} shapes[] = {{2, 8, 8},      {3, 8, 5},        {49, 64, 64},  {257, 24, 24},
              {1000, 16, 16}, {37, 2056, 2056}, {5000, 40, 33}};
enum { SHAPES = sizeof shapes / sizeof *shapes };

struct moments {
    double *mean, *var;
};

static struct moments measure(const double *x, int rows, int c)
{
    struct moments m = {rig_doubles((size_t)c), rig_doubles((size_t)c)};
    for (int k = 0; k < c; k++) {
        for (int i = 0; i < rows; i++)
            m.mean[k] += x[(size_t)i * (size_t)c + (size_t)k] / rows;
        for (int i = 0; i < rows; i++) {
            double d = x[(size_t)i * (size_t)c + (size_t)k] - m.mean[k];
            m.var[k] += d * d / rows;
        }
    }
    return m;
}

/* Values with a mean of 3 and more a channel, so that a variance from plain sums of squares would be off. */
static double *with_offsets(enum fv_k_type type, int rows, int c)
{
    double *x = rig_doubles((size_t)rows * (size_t)c);
    for (int i = 0; i < rows * c; i++)
        x[i] = rig_round(type, 3 + i % c % 5 + rig_draw(-1, 1));
    return x;
}

static void statistics_of(enum fv_k_type type, int rows, int c, int channels, uint64_t seed)
{
    rig_begin(seed);
    const double eps = 1e-5;
    double *x = with_offsets(type, rows, c), *gamma, *beta;
    float *f_gamma = rig_drawn(FV_K_F32, (size_t)channels, 0.5, 2, &gamma);
    float *f_beta = rig_drawn(FV_K_F32, (size_t)channels, -1, 1, &beta);
    struct moments m = measure(x, rows, c);
    double *rstd = rig_doubles((size_t)c), *scale = rig_doubles((size_t)c),
           *shift = rig_doubles((size_t)c);
    double *unbiased = rig_doubles((size_t)c);
    for (int k = 0; k < c; k++) {
        rstd[k] = 1 / sqrt(m.var[k] + eps);
        scale[k] = k < channels ? gamma[k] * rstd[k] : 0;
        shift[k] = k < channels ? beta[k] - m.mean[k] * scale[k] : 0;
        unbiased[k] = m.var[k] * rows / (rows - 1);
    }

    float *partial = rig_new(FV_K_F32, fv_k_bn_stats_partial(rows, c));
    float *out[6];
    for (int i = 0; i < 6; i++)
        out[i] = rig_new(FV_K_F32, (size_t)(i < 4 ? c : channels));
    rig_run(fv_k_bn_stats(&(struct fv_k_bn_stats){rig_given(type, (size_t)rows * (size_t)c, x),
                                                  type, rows, c, partial},
                          NULL));
    struct fv_k_bn_finalize f = {.partial = partial,
                                 .rows = rows,
                                 .c = c,
                                 .channels = channels,
                                 .gamma = f_gamma,
                                 .beta = f_beta,
                                 .eps = 1e-5f,
                                 .mean = out[0],
                                 .rstd = out[1],
                                 .scale = out[2],
                                 .shift = out[3],
                                 .batch_mean = out[4],
                                 .batch_var = out[5]};
    rig_run(fv_k_bn_finalize(&f, NULL));
    rig_check("mean", FV_K_F32, out[0], (size_t)c, m.mean, 4, 1e-7);
    for (int k = 0; k < c; k++) /* rstd amplifies what the variance is off by */
        rig_check("rstd", FV_K_F32, out[1] + k, 1, rstd + k, 4, 2e-6 * rstd[k]);
    for (int k = 0; k < c; k++) {
        rig_check("scale", FV_K_F32, out[2] + k, 1, scale + k, 4, 2e-6 * fabs(scale[k]));
        rig_check("shift", FV_K_F32, out[3] + k, 1, shift + k, 4,
                  4e-6 * fabs(m.mean[k] * scale[k]));
    }
    rig_check("batch mean", FV_K_F32, out[4], (size_t)channels, m.mean, 4, 1e-7);
    rig_check("batch variance", FV_K_F32, out[5], (size_t)channels, unbiased, 4, 2e-6);
}

static void statistics(void **state)
{
    (void)state;
    for (int t = 0; t < 3; t++)
        for (int i = 0; i < SHAPES; i++)
            statistics_of(rig_types[t], shapes[i].rows, shapes[i].c, shapes[i].channels,
                          (uint64_t)i);
}

/* cuDNN's genstats: plain sums, here of values around zero. */
static void statistics_from_sums(void **state)
{
    (void)state;
    const int rows = 300, c = 24;
    rig_begin(1);
    double *x = rig_doubles((size_t)(rows * c)), sum[24] = {0}, square[24] = {0};
    for (int i = 0; i < rows * c; i++) {
        x[i] = rig_draw(-1, 1);
        sum[i % c] += x[i];
        square[i % c] += x[i] * x[i];
    }
    struct moments m = measure(x, rows, c);
    float *out[4];
    for (int i = 0; i < 4; i++)
        out[i] = rig_new(FV_K_F32, (size_t)c);
    struct fv_k_bn_finalize f = {.sum = rig_given(FV_K_F32, (size_t)c, sum),
                                 .square = rig_given(FV_K_F32, (size_t)c, square),
                                 .rows = rows,
                                 .c = c,
                                 .channels = c,
                                 .eps = 1e-3f,
                                 .mean = out[0],
                                 .rstd = out[1],
                                 .scale = out[2],
                                 .shift = out[3]};
    rig_run(fv_k_bn_finalize(&f, NULL));
    for (int k = 0; k < c; k++)
        m.var[k] = 1 / sqrt(m.var[k] + 1e-3);
    rig_check("mean", FV_K_F32, out[0], (size_t)c, m.mean, 4, 1e-7);
    rig_check("rstd", FV_K_F32, out[1], (size_t)c, m.var, 4, 2e-6);
    rig_check("scale", FV_K_F32, out[2], (size_t)c, m.var, 4, 2e-6);
}

static void folding(void **state)
{
    (void)state;
    const int c = 16, channels = 13;
    rig_begin(2);
    double *mean, *var, *gamma, *beta, scale[16] = {0}, shift[16] = {0};
    struct fv_k_bn_fold f = {.mean = rig_drawn(FV_K_F32, 13, -1, 1, &mean),
                             .var = rig_drawn(FV_K_F32, 13, 0.1, 2, &var),
                             .gamma = rig_drawn(FV_K_F32, 13, 0.5, 2, &gamma),
                             .beta = rig_drawn(FV_K_F32, 13, -1, 1, &beta),
                             .eps = 1e-5f,
                             .c = c,
                             .channels = channels,
                             .scale = rig_new(FV_K_F32, 16),
                             .shift = rig_new(FV_K_F32, 16)};
    rig_run(fv_k_bn_fold(&f, NULL));
    for (int k = 0; k < channels; k++) {
        scale[k] = gamma[k] / sqrt(var[k] + 1e-5);
        shift[k] = beta[k] - mean[k] * scale[k];
    }
    rig_check("scale", FV_K_F32, f.scale, 16, scale, 4, 1e-6);
    rig_check("shift", FV_K_F32, f.shift, 16, shift, 4, 1e-6);
}

static double activate(enum fv_k_act act, double z, double slope)
{
    return act == FV_K_RELU    ? (z < 0 ? 0 : z)
           : act == FV_K_RELU6 ? (z < 0   ? 0
                                  : z > 6 ? 6
                                          : z)
           : act == FV_K_PRELU ? (z < 0 ? slope * z : z)
                               : z;
}

/* A bit for each value that passed; one too near to a corner may be either. */
static void check_bits(struct fv_k_bn_apply a, enum fv_k_act act, size_t count, const double *z)
{
    uint8_t *got = (uint8_t *)rig_doubles(count / 64 + 1);
    a.y = rig_new(a.type, count);
    a.open = rig_bytes(count / 8, NULL);
    rig_run(fv_k_bn_apply(&a, NULL));
    place_get(got, a.open, count / 8);
    for (size_t i = 0; i < count; i++)
        if (!(fabs(z[i]) < 1e-5) && !(act == FV_K_RELU6 && fabs(z[i] - 6) < 1e-5))
            assert_int_equal(got[i / 8] >> i % 8 & 1, z[i] > 0 && !(act == FV_K_RELU6 && z[i] > 6));
}

static void apply_of(enum fv_k_type type, enum fv_k_act act, int residual, int rows, int c,
                     uint64_t seed)
{
    rig_begin(seed);
    const size_t count = (size_t)rows * (size_t)c;
    double *x, *r, *p[5], *want = rig_doubles(count), *before = rig_doubles(count);
    float *d[5];
    void *px = rig_drawn(type, count, -4, 4, &x), *pr = rig_drawn(type, count, -4, 4, &r);
    for (int i = 0; i < 5; i++)
        d[i] = rig_drawn(FV_K_F32, (size_t)c, -2, 2, &p[i]);
    x[count / 2] = (double)NAN; /* passes through every activation */
    px = rig_given(type, count, x);
    for (size_t i = 0; i < count; i++) {
        const size_t k = i % (size_t)c;
        double z = x[i] * p[0][k] + p[1][k];
        z += residual == 0 ? 0 : residual == 1 ? r[i] : r[i] * p[2][k] + p[3][k];
        want[i] = activate(act, z, p[4][k]);
        before[i] = z;
    }
    struct fv_k_bn_apply a = {.x = px,
                              .residual = residual ? pr : NULL,
                              .scale = d[0],
                              .shift = d[1],
                              .scale2 = residual == 2 ? d[2] : NULL,
                              .shift2 = residual == 2 ? d[3] : NULL,
                              .slope = act == FV_K_PRELU ? d[4] : NULL,
                              .y = rig_new(type, count),
                              .type = type,
                              .act = act,
                              .rows = rows,
                              .c = c};
    rig_run(fv_k_bn_apply(&a, NULL));
    rig_check("apply", type, a.y, count, want, 1.001, 4e-6);
    if (act == FV_K_RELU || act == FV_K_RELU6)
        check_bits(a, act, count, before);
    a.y = residual ? pr : px; /* in place */
    rig_run(fv_k_bn_apply(&a, NULL));
    rig_check("apply in place", type, a.y, count, want, 1.001, 4e-6);
}

static void apply(void **state)
{
    (void)state;
    for (int t = 0; t < 3; t++)
        for (int act = FV_K_NONE; act <= FV_K_PRELU; act++)
            for (int residual = 0; residual < 3; residual++)
                for (int i = 0; i < SHAPES; i++)
                    if (shapes[i].rows < 2000)
                        apply_of(rig_types[t], (enum fv_k_act)act, residual, shapes[i].rows,
                                 shapes[i].c, 7);
}

/* The same input in several orders of blocks and threads. */
static void order_does_not_matter(void **state)
{
    (void)state;
    const int rows = 5000, c = 40;
    uint64_t first = 0;
    for (uint64_t seed = 1; seed <= 5; seed++) {
        rig_begin(99);
        float *partial = rig_new(FV_K_F32, fv_k_bn_stats_partial(rows, c));
        void *x = rig_drawn(FV_K_BF16, (size_t)(rows * c), -1, 1, NULL);
        place_seed(seed);
        rig_run(fv_k_bn_stats(&(struct fv_k_bn_stats){x, FV_K_BF16, rows, c, partial}, NULL));
        uint64_t bits = rig_bits(partial, 4 * fv_k_bn_stats_partial(rows, c));
        if (seed == 1)
            first = bits;
        assert_int_equal(bits, first);
    }
}

static void refuses(void **state)
{
    (void)state;
    rig_begin(1);
    float *p = rig_new(FV_K_F32, 64);
    assert_int_equal(fv_k_bn_stats(&(struct fv_k_bn_stats){p, FV_K_F32, 2, 12, p}, NULL),
                     FV_EINVAL);
    assert_int_equal(fv_k_bn_stats(&(struct fv_k_bn_stats){p, (enum fv_k_type)3, 2, 8, p}, NULL),
                     FV_EINVAL);
    struct fv_k_bn_apply a = {
        .x = p, .y = p, .scale = p, .shift = p, .act = FV_K_SIGMOID, .rows = 1, .c = 8};
    assert_int_equal(fv_k_bn_apply(&a, NULL), FV_EINVAL);
    a.act = FV_K_PRELU;
    a.open = (uint8_t *)p;
    assert_int_equal(fv_k_bn_apply(&a, NULL), FV_EINVAL); /* a prelu passes everything */
    rig_begin(1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(statistics),
        cmocka_unit_test(statistics_from_sums),
        cmocka_unit_test(folding),
        cmocka_unit_test(apply),
        cmocka_unit_test(order_does_not_matter),
        cmocka_unit_test(refuses),
    };
    place_open();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
