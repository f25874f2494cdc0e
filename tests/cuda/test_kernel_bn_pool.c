/* SPDX-License-Identifier: MIT */
/* A batch norm with the max pool behind it as one, against its definition in double: normalise, activate, pool, and
 * back. */
#include "common/err.h"
#include "tests/cmocka_all.h"
#include "tests/cuda/kernel_rig.h"

#include <math.h>
#include <stdlib.h>

struct shape {
    int n, in_h, in_w, c;
};

struct case_ {
    struct shape s;
    enum fv_k_type type;
    enum fv_k_act act;
    int h, w;
    size_t in, out, c;
    double *x, *dy, *dy2, *gamma, *mean, *rstd, *scale, *shift; /* given */
    double *y, *dx, *dz, *dgamma, *dbeta, *size;                /* wanted */
    uint8_t *winner;
};

static double *of(size_t count, double low, double high, enum fv_k_type type)
{
    double *v = rig_doubles(count);
    for (size_t i = 0; i < count; i++)
        v[i] = rig_round(type, rig_draw(low, high));
    return v;
}

static struct case_ draw(struct shape s, enum fv_k_type type, enum fv_k_act act)
{
    struct case_ k = {
        .s = s, .type = type, .act = act, .h = (s.in_h + 1) / 2, .w = (s.in_w + 1) / 2};
    k.c = (size_t)s.c;
    k.in = (size_t)(s.n * s.in_h * s.in_w) * k.c;
    k.out = (size_t)(s.n * k.h * k.w) * k.c;
    k.x = rig_doubles(k.in);
    for (size_t i = 0; i < k.in; i++) /* few values: many ties */
        k.x[i] = (double)rig_below(9) - 4;
    k.dy = of(k.out, -1, 1, type);
    k.dy2 = of(k.out, -1, 1, type);
    k.gamma = of(k.c, -2, 2, FV_K_F32);
    k.gamma[1] = 0; /* all are equal: the first wins */
    k.mean = of(k.c, -1, 1, FV_K_F32);
    k.rstd = of(k.c, 0.5, 2, FV_K_F32);
    k.shift = of(k.c, 0.1, 3, FV_K_F32);
    k.scale = rig_doubles(k.c);
    for (size_t c = 0; c < k.c; c++)
        k.scale[c] = rig_round(FV_K_F32, k.gamma[c] * k.rstd[c]);
    return k;
}

static double active(enum fv_k_act act, double z)
{
    return act == FV_K_NONE ? z : fmin(fmax(z, 0), act == FV_K_RELU6 ? 6 : INFINITY);
}

/* The first of the largest in the window of output (image, oy, ox). */
static size_t find_winner(const struct case_ *k, int image, int oy, int ox, size_t c, int *tap)
{
    size_t best = SIZE_MAX;
    for (int t = 0; t < 9; t++) {
        const int y = 2 * oy - 1 + t / 3, x = 2 * ox - 1 + t % 3;
        if (y < 0 || y >= k->s.in_h || x < 0 || x >= k->s.in_w)
            continue;
        const size_t at = (size_t)((image * k->s.in_h + y) * k->s.in_w + x) * k->c + c;
        if (best == SIZE_MAX || k->x[at] * k->scale[c] > k->x[best] * k->scale[c]) {
            best = at;
            *tap = t;
        }
    }
    return best;
}

static void work_out(struct case_ *k)
{
    const double rows = (double)k->in / (double)k->c;
    k->y = rig_doubles(k->out);
    k->dz = rig_doubles(k->in);
    k->dx = rig_doubles(k->in);
    k->dgamma = rig_doubles(k->c);
    k->dbeta = rig_doubles(k->c);
    k->size = rig_doubles(k->c);
    k->winner = (uint8_t *)rig_doubles(k->out);
    for (size_t i = 0; i < k->out; i++) {
        const size_t c = i % k->c;
        const int pixel = (int)(i / k->c), image = pixel / k->w / k->h;
        int tap = -1;
        const size_t best = find_winner(k, image, pixel / k->w % k->h, pixel % k->w, c, &tap);
        const double z = k->x[best] * k->scale[c] + k->shift[c];
        const int open = k->act == FV_K_NONE || (z > 0 && !(k->act == FV_K_RELU6 && z >= 6));
        k->y[i] = active(k->act, z);
        k->winner[i] = (uint8_t)(open ? tap : 254);
        k->dz[best] += open ? k->dy[i] + k->dy2[i] : 0;
    }
    for (size_t i = 0; i < k->in; i++) {
        const size_t c = i % k->c;
        const double apart = (k->x[i] - k->mean[c]) * k->rstd[c];
        k->dbeta[c] += k->dz[i];
        k->dgamma[c] += k->dz[i] * apart;
        k->size[c] += fabs(k->dz[i]) * (1 + fabs(apart));
    }
    for (size_t i = 0; i < k->in; i++) {
        const size_t c = i % k->c;
        k->dx[i] = k->scale[c] * (k->dz[i] - k->dbeta[c] / rows -
                                  (k->x[i] - k->mean[c]) * k->rstd[c] * k->dgamma[c] / rows);
    }
}

static void check_forward(const struct case_ *k, const struct fv_k_bn_pool *f)
{
    uint8_t *got = (uint8_t *)rig_doubles(k->out);
    rig_run(fv_k_bn_pool(f, NULL));
    rig_check("y", k->type, f->y, k->out, k->y, 1.001, 2e-6);
    place_get(got, f->winner, k->out);
    for (size_t i = 0; i < k->out; i++)
        assert_int_equal(got[i], k->winner[i]);
    struct fv_k_bn_pool without = *f;
    without.winner = NULL;
    without.y = rig_new(k->type, k->out);
    rig_run(fv_k_bn_pool(&without, NULL));
    rig_check("y in inference", k->type, without.y, k->out, k->y, 1.001, 2e-6);
}

static void check_sums(const struct case_ *k, const float *got, const double *want)
{
    for (size_t c = 0; c < k->c; c++)
        rig_check("a sum", FV_K_F32, got + c, 1, want + c, 2, 4e-6 * k->size[c] + 1e-7);
}

static void check_backward(const struct case_ *k, struct fv_k_bn_pool_backward b)
{
    const int64_t rows = k->s.n * k->h * k->w;
    const size_t floats = fv_k_bn_reduce_partial(rows, k->s.c);
    b.partial = rig_new(FV_K_F32, floats);
    rig_run(fv_k_bn_pool_reduce(&b, NULL));
    rig_orders(b.partial, 2 * k->c * sizeof(float), fv_k_bn_pool_reduce(&b, NULL));
    const struct fv_k_bn_gradient g = {.partial = b.partial,
                                       .gamma = rig_given(FV_K_F32, k->c, k->gamma),
                                       .mean = b.mean,
                                       .rstd = rig_given(FV_K_F32, k->c, k->rstd),
                                       .rows = k->s.n * k->s.in_h * k->s.in_w,
                                       .part_rows = rows,
                                       .c = k->s.c,
                                       .channels = k->s.c,
                                       .dgamma = rig_new(FV_K_F32, k->c),
                                       .dbeta = rig_new(FV_K_F32, k->c),
                                       .coefficients = rig_new(FV_K_F32, 3 * k->c)};
    rig_run(fv_k_bn_gradient(&g, NULL));
    check_sums(k, g.dgamma, k->dgamma);
    check_sums(k, g.dbeta, k->dbeta);
    b.coefficients = g.coefficients;
    b.dx = rig_new(k->type, k->in);
    rig_run(fv_k_bn_pool_backward(&b, NULL));
    rig_check("dx", k->type, b.dx, k->in, k->dx, 1.001, 2e-5);
    b.dx = (void *)(uintptr_t)b.x;
    rig_run(fv_k_bn_pool_backward(&b, NULL));
    rig_check("dx in place", k->type, b.dx, k->in, k->dx, 1.001, 2e-5);
}

static void run(struct shape s, enum fv_k_type type, enum fv_k_act act, int two)
{
    struct case_ k = draw(s, type, act);
    for (size_t i = 0; i < k.out && !two; i++)
        k.dy2[i] = 0;
    work_out(&k);
    const struct fv_k_bn_pool f = {.x = rig_given(type, k.in, k.x),
                                   .scale = rig_given(FV_K_F32, k.c, k.scale),
                                   .shift = rig_given(FV_K_F32, k.c, k.shift),
                                   .y = rig_new(type, k.out),
                                   .winner = rig_bytes(k.out, NULL),
                                   .type = type,
                                   .act = act,
                                   .n = s.n,
                                   .in_h = s.in_h,
                                   .in_w = s.in_w,
                                   .c = s.c};
    check_forward(&k, &f);
    const struct fv_k_bn_pool_backward b = {.dy = rig_given(type, k.out, k.dy),
                                            .dy2 = two ? rig_given(type, k.out, k.dy2) : NULL,
                                            .x = f.x,
                                            .winner = f.winner,
                                            .type = type,
                                            .n = s.n,
                                            .in_h = s.in_h,
                                            .in_w = s.in_w,
                                            .c = s.c,
                                            .mean = rig_given(FV_K_F32, k.c, k.mean)};
    check_backward(&k, b);
}

static void every_unit(void **state)
{
    static const struct shape shapes[] = {
        {2, 8, 6, 8}, {1, 7, 9, 24}, {3, 2, 2, 16}, {1, 1, 5, 8}, {5, 13, 12, 40}};
    static const enum fv_k_act acts[] = {FV_K_NONE, FV_K_RELU, FV_K_RELU6};
    (void)state;
    for (int t = 0; t < 3; t++)
        for (int act = 0; act < 3; act++)
            for (int i = 0; i < 5; i++) {
                rig_begin((uint64_t)(t * 15 + act * 5 + i));
                run(shapes[i], rig_types[t], acts[act], (t + act + i) % 2);
            }
    rig_begin(0);
}

/* A value that is no number comes through the pool, and gets no gradient behind a relu. */
static void not_a_number(void **state)
{
    (void)state;
    rig_begin(1);
    double x[4 * 8] = {0}, one[8], zero[8] = {0};
    uint8_t won[8];
    for (int i = 0; i < 8; i++)
        one[i] = 1;
    x[8] = (double)NAN;
    x[16] = 3;
    const struct fv_k_bn_pool f = {.x = rig_given(FV_K_F32, 32, x),
                                   .scale = rig_given(FV_K_F32, 8, one),
                                   .shift = rig_given(FV_K_F32, 8, zero),
                                   .y = rig_new(FV_K_F32, 8),
                                   .winner = rig_bytes(8, NULL),
                                   .act = FV_K_RELU,
                                   .n = 1,
                                   .in_h = 2,
                                   .in_w = 2,
                                   .c = 8};
    rig_run(fv_k_bn_pool(&f, NULL));
    const double *y = rig_values(FV_K_F32, f.y, 8);
    place_get(won, f.winner, 8);
    assert_true(isnan(y[0]) && y[1] == 0);
    assert_int_equal(won[0], 254);
    rig_begin(1);
}

static void refuses(void **state)
{
    struct fv_k_bn_pool f = {.act = FV_K_PRELU, .n = 1, .in_h = 2, .in_w = 2, .c = 8};
    (void)state;
    assert_int_equal(fv_k_bn_pool(&f, NULL), FV_EINVAL);
    f.act = FV_K_RELU;
    f.c = 12;
    assert_int_equal(fv_k_bn_pool(&f, NULL), FV_EINVAL);
    f.c = 512;
    f.n = f.in_h = f.in_w = 4096;
    assert_int_equal(fv_k_bn_pool(&f, NULL), FV_EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_unit), cmocka_unit_test(not_a_number),
                                       cmocka_unit_test(refuses)};
    place_open();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
