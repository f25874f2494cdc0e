/* SPDX-License-Identifier: MIT */
/* Batch norm's backward kernels, with activation and residual, against the chain rule in double. */
#include "common/err.h"
#include "tests/cmocka_all.h"
#include "tests/cuda/kernel_rig.h"

#include <math.h>
#include <stdlib.h>

struct unit {
    enum fv_k_type type;
    enum fv_k_act act;
    int rows, c, channels;
    int dy2, residual, by_bits, store_dz; /* a residual only with bits */
};

/* What the kernels are given and what they should give. */
struct case_ {
    double *x, *dy, *dy2, *residual, *z, *gamma, *beta, *slope, *mean, *rstd, *scale, *shift;
    double *dz, *dgamma, *dbeta, *dslope, *dx, *size, *slack;
};

static double *sized(const struct unit *u)
{
    return rig_doubles((size_t)u->rows * (size_t)u->c);
}

static double draw(const struct unit *u, double low, double high)
{
    return rig_round(u->type, rig_draw(low, high));
}

static void fill(struct case_ *k, const struct unit *u)
{
    double **vectors[] = {&k->gamma, &k->beta,   &k->slope, &k->mean,   &k->rstd, &k->scale,
                          &k->shift, &k->dgamma, &k->dbeta, &k->dslope, &k->size, &k->slack};
    double **arrays[] = {&k->x, &k->dy, &k->dy2, &k->residual, &k->z, &k->dz, &k->dx};
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++)
        *vectors[i] = rig_doubles((size_t)u->c);
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++)
        *arrays[i] = sized(u);
    for (int i = 0; i < u->rows * u->c; i++) {
        const int real = i % u->c < u->channels;
        k->x[i] = real ? rig_round(u->type, i % u->c % 4 + rig_draw(-2, 2)) : 0;
        k->dy[i] = real ? draw(u, -1, 1) : 0;
        k->dy2[i] = real && u->dy2 ? draw(u, -1, 1) : 0;
        k->residual[i] = real && u->residual ? draw(u, -3, 3) : 0;
    }
    for (int c = 0; c < u->c; c++) {
        const int real = c < u->channels;
        double var = 0;
        k->gamma[c] = real ? rig_round(FV_K_F32, rig_draw(-2, 2)) : 0;
        k->beta[c] = real ? rig_round(FV_K_F32, rig_draw(-1, 1)) : 0;
        k->slope[c] = real ? rig_round(FV_K_F32, rig_draw(-0.5, 0.5)) : 0;
        for (int i = c; i < u->rows * u->c; i += u->c)
            k->mean[c] += k->x[i] / u->rows;
        for (int i = c; i < u->rows * u->c; i += u->c)
            var += (k->x[i] - k->mean[c]) * (k->x[i] - k->mean[c]) / u->rows;
        k->mean[c] = rig_round(FV_K_F32, k->mean[c]);
        k->rstd[c] = rig_round(FV_K_F32, 1 / sqrt(var + 1e-3));
        k->scale[c] = rig_round(FV_K_F32, k->gamma[c] * k->rstd[c]);
        k->shift[c] = rig_round(FV_K_F32, k->beta[c] - k->mean[c] * k->scale[c]);
    }
}

/* The activation's slope at z, and the output it had. A z so near to a corner that fp32 may see it on the other side is
 * moved away, by the residual or by x being what it is: the draw is repeated until there is none. */
static double slope_at(const struct unit *u, double z, double slope)
{
    switch (u->act) {
    case FV_K_RELU:
        return z > 0;
    case FV_K_RELU6:
        return z > 0 && z < 6;
    case FV_K_PRELU:
        return z < 0 ? slope : 1;
    default:
        return 1;
    }
}

static int work_out(struct case_ *k, const struct unit *u)
{
    for (int i = 0; i < u->rows * u->c; i++) {
        const int c = i % u->c;
        const double z = k->x[i] * k->scale[c] + k->shift[c] + k->residual[i],
                     g = k->dy[i] + k->dy2[i];
        if (c < u->channels && u->act != FV_K_NONE && (fabs(z) < 1e-5 || fabs(z - 6) < 1e-5))
            return 0;
        k->z[i] = z;
        k->dz[i] = g * slope_at(u, z, k->slope[c]);
        if (u->store_dz)
            k->dz[i] = rig_round(u->type, rig_round(FV_K_F32, k->dz[i]));
        k->dbeta[c] += k->dz[i];
        k->dgamma[c] += k->dz[i] * (k->x[i] - k->mean[c]) * k->rstd[c];
        k->dslope[c] += u->act == FV_K_PRELU && z < 0 ? g * z : 0;
        k->size[c] += fabs(k->dz[i]) * (1 + fabs(k->x[i] - k->mean[c]) * k->rstd[c] + fabs(z));
    }
    for (int c = 0; c < u->c; c++) /* fp32's rounding of dx's three terms */
        k->slack[c] = 1e-6 * fabs(k->gamma[c]) * k->rstd[c] *
                      (4 + 4 * (1 + fabs(k->mean[c])) * k->rstd[c] * fabs(k->dgamma[c]) / u->rows);
    for (int i = 0; i < u->rows * u->c; i++) {
        const int c = i % u->c;
        k->dx[i] = k->gamma[c] * k->rstd[c] *
                   (k->dz[i] - k->dbeta[c] / u->rows -
                    (k->x[i] - k->mean[c]) * k->rstd[c] * k->dgamma[c] / u->rows);
    }
    return 1;
}

static void check_sums(const char *what, const float *got, const double *want, const double *size,
                       int channels)
{
    for (int c = 0; c < channels; c++)
        rig_check(what, FV_K_F32, got + c, 1, want + c, 2, 2e-6 * size[c] + 1e-7);
}

/* A bit for each value that passed. */
static const uint8_t *bits_of(const struct case_ *k, const struct unit *u)
{
    const size_t count = (size_t)u->rows * (size_t)u->c;
    uint8_t *bits = (uint8_t *)rig_doubles(count / 64 + 1);
    for (size_t i = 0; i < count; i++)
        bits[i / 8] |= (uint8_t)((slope_at(u, k->z[i], 0) > 0) << i % 8);
    return rig_bytes(count / 8, bits);
}

static void run(const struct unit *u)
{
    struct case_ k;
    const size_t count = (size_t)u->rows * (size_t)u->c, channels = (size_t)u->channels;
    do
        fill(&k, u);
    while (!work_out(&k, u));

    struct fv_k_bn_incoming in = {.dy = rig_given(u->type, count, k.dy),
                                  .x = rig_given(u->type, count, k.x),
                                  .type = u->type,
                                  .act = u->act,
                                  .rows = u->rows,
                                  .c = u->c};
    if (u->dy2)
        in.dy2 = rig_given(u->type, count, k.dy2);
    if (u->by_bits)
        in.open = bits_of(&k, u);
    if (!u->by_bits && u->act != FV_K_NONE) {
        in.scale = rig_given(FV_K_F32, (size_t)u->c, k.scale);
        in.shift = rig_given(FV_K_F32, (size_t)u->c, k.shift);
    }
    if (u->act == FV_K_PRELU)
        in.slope = rig_given(FV_K_F32, (size_t)u->c, k.slope);
    const size_t floats = fv_k_bn_reduce_partial(u->rows, u->c);
    const struct fv_k_bn_reduce reduce = {.in = in,
                                          .mean = rig_given(FV_K_F32, (size_t)u->c, k.mean),
                                          .dz = u->store_dz ? rig_new(u->type, count) : NULL,
                                          .partial = rig_new(FV_K_F32, floats)};
    rig_run(fv_k_bn_reduce(&reduce, NULL));
    rig_orders(reduce.partial, 4 * floats, fv_k_bn_reduce(&reduce, NULL));
    if (u->store_dz)
        rig_check("dz", u->type, reduce.dz, count, k.dz, 1.001, 5e-7);

    const struct fv_k_bn_gradient gradient = {
        .partial = reduce.partial,
        .gamma = rig_given(FV_K_F32, channels, k.gamma),
        .mean = reduce.mean,
        .rstd = rig_given(FV_K_F32, (size_t)u->c, k.rstd),
        .rows = u->rows,
        .c = u->c,
        .channels = u->channels,
        .dgamma = rig_new(FV_K_F32, channels),
        .dbeta = rig_new(FV_K_F32, channels),
        .dslope = u->act == FV_K_PRELU ? rig_new(FV_K_F32, channels) : NULL,
        .coefficients = rig_new(FV_K_F32, 3 * (size_t)u->c)};
    rig_run(fv_k_bn_gradient(&gradient, NULL));
    check_sums("dbeta", gradient.dbeta, k.dbeta, k.size, u->channels);
    check_sums("dgamma", gradient.dgamma, k.dgamma, k.size, u->channels);
    if (gradient.dslope)
        check_sums("dslope", gradient.dslope, k.dslope, k.size, u->channels);

    struct fv_k_bn_backward backward = {
        .in = in, .coefficients = gradient.coefficients, .dx = rig_new(u->type, count)};
    if (u->store_dz)
        backward.in = (struct fv_k_bn_incoming){
            .dy = reduce.dz, .x = in.x, .type = u->type, .rows = u->rows, .c = u->c};
    rig_run(fv_k_bn_backward(&backward, NULL));
    rig_check_each("dx", u->type, backward.dx, count, k.dx, 1.001, k.slack, (size_t)u->c);
    backward.dx = (void *)(uintptr_t)backward.in.dy; /* in place */
    rig_run(fv_k_bn_backward(&backward, NULL));
    rig_check_each("dx in place", u->type, backward.dx, count, k.dx, 1.001, k.slack, (size_t)u->c);
}

static void every_unit(void **state)
{
    static const int shapes[][3] = {
        {2, 8, 8}, {49, 16, 13}, {300, 24, 24}, {1033, 40, 33}, {5, 2056, 2056}};
    (void)state;
    for (int t = 0; t < 3; t++)
        for (int act = FV_K_NONE; act <= FV_K_PRELU; act++)
            for (int flags = 0; flags < 16; flags++) {
                const int *shape = shapes[(t + act + flags) % 5];
                const struct unit u = {rig_types[t],   (enum fv_k_act)act, shape[0],
                                       shape[1],       shape[2],           flags & 1,
                                       flags >> 1 & 1, flags >> 2 & 1,     flags >> 3 & 1};
                if ((u.by_bits && act != FV_K_RELU && act != FV_K_RELU6) ||
                    (u.residual && !u.by_bits && act != FV_K_NONE))
                    continue;
                rig_begin((uint64_t)(t * 64 + act * 16 + flags));
                run(&u);
            }
    rig_begin(0);
}

/* Sums as a convolution's fused graph leaves them, centred or not, give the same as the kernel's own. */
static void sums_of_a_graph(void **state)
{
    (void)state;
    const struct unit u = {FV_K_F32, FV_K_NONE, 200, 16, 16, 0, 0, 0, 0};
    for (int centred = 0; centred < 2; centred++) {
        struct case_ k;
        rig_begin(5);
        fill(&k, &u);
        assert_true(work_out(&k, &u));
        double dot[16] = {0}, coefficients[48];
        for (int i = 0; i < u.rows * u.c; i++)
            dot[i % 16] +=
                k.dz[i] * (centred ? (k.x[i] - k.mean[i % 16]) * k.rstd[i % 16] : k.x[i]);
        for (int c = 0; c < 16; c++) {
            double a = k.gamma[c] * k.rstd[c], b = -a * k.rstd[c] * k.dgamma[c] / u.rows;
            coefficients[c] = a;
            coefficients[16 + c] = b;
            coefficients[32 + c] = -a * k.dbeta[c] / u.rows - b * k.mean[c];
        }
        const struct fv_k_bn_gradient g = {.sum = rig_given(FV_K_F32, 16, k.dbeta),
                                           .dot = rig_given(FV_K_F32, 16, dot),
                                           .centred = centred,
                                           .gamma = rig_given(FV_K_F32, 16, k.gamma),
                                           .mean = rig_given(FV_K_F32, 16, k.mean),
                                           .rstd = rig_given(FV_K_F32, 16, k.rstd),
                                           .rows = u.rows,
                                           .c = 16,
                                           .channels = 16,
                                           .dgamma = rig_new(FV_K_F32, 16),
                                           .dbeta = rig_new(FV_K_F32, 16),
                                           .coefficients = rig_new(FV_K_F32, 48)};
        rig_run(fv_k_bn_gradient(&g, NULL));
        rig_check("dgamma", FV_K_F32, g.dgamma, 16, k.dgamma, 2, 1e-4);
        rig_check("dbeta", FV_K_F32, g.dbeta, 16, k.dbeta, 2, 0);
        rig_check("coefficients", FV_K_F32, g.coefficients, 48, coefficients, 4, 1e-6);
    }
    rig_begin(0);
}

static void refuses(void **state)
{
    (void)state;
    rig_begin(1);
    float *p = rig_new(FV_K_F32, 64);
    struct fv_k_bn_reduce a = {
        .in = {.dy = p, .x = p, .act = FV_K_RELU, .rows = 1, .c = 8}, .mean = p, .partial = p};
    assert_int_equal(fv_k_bn_reduce(&a, NULL), FV_EINVAL); /* neither y nor scale */
    a.in.act = FV_K_SIGMOID;
    assert_int_equal(fv_k_bn_reduce(&a, NULL), FV_EINVAL);
    rig_begin(1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_unit), cmocka_unit_test(sums_of_a_graph), cmocka_unit_test(refuses)};
    place_open();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
