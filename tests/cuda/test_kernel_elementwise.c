/* SPDX-License-Identifier: MIT */
/* Activations, squeeze and excitation, means, pixels in, against their definitions in double. */
#include "common/err.h"
#include "tests/cmocka_all.h"
#include "tests/cuda/kernel_rig.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static double activate(enum fv_k_act act, double z, double slope)
{
    return act == FV_K_RELU      ? (z < 0 ? 0 : z)
           : act == FV_K_RELU6   ? (z < 0   ? 0
                                    : z > 6 ? 6
                                            : z)
           : act == FV_K_PRELU   ? (z < 0 ? slope * z : z)
           : act == FV_K_SIGMOID ? 1 / (1 + exp(-z))
                                 : z;
}

/* From the input (prelu) or the output. */
static double slope_of(enum fv_k_act act, double from, double slope)
{
    return act == FV_K_RELU      ? from > 0
           : act == FV_K_RELU6   ? from > 0 && from < 6
           : act == FV_K_PRELU   ? (from < 0 ? slope : 1)
           : act == FV_K_SIGMOID ? from * (1 - from)
                                 : 1;
}

static void act_forward_of(enum fv_k_type type, enum fv_k_act act, int rows, int c, int extras)
{
    const size_t count = (size_t)rows * (size_t)c;
    const int channels = c - 3;
    double *x, *r, *bias, *slope, *want = rig_doubles(count);
    struct fv_k_act_forward a = {.x = rig_drawn(type, count, -8, 8, &x),
                                 .y = rig_new(type, count),
                                 .type = type,
                                 .act = act,
                                 .rows = rows,
                                 .c = c,
                                 .channels = channels};
    const void *pr = rig_drawn(type, count, -1, 1, &r);
    const float *pb = rig_drawn(FV_K_F32, (size_t)c, -1, 1, &bias);
    a.slope = rig_drawn(FV_K_F32, (size_t)c, -1, 1, &slope);
    a.residual = extras & 1 ? pr : NULL;
    a.bias = extras & 2 ? pb : NULL;
    for (size_t i = 0; i < count; i++) {
        const size_t k = i % (size_t)c;
        want[i] =
            activate(act, x[i] + (extras & 1 ? r[i] : 0) + (extras & 2 ? bias[k] : 0), slope[k]);
        if (act == FV_K_SIGMOID && (int)k >= channels)
            want[i] = 0;
    }
    rig_run(fv_k_act_forward(&a, NULL));
    rig_check("act", type, a.y, count, want, 1.001, 2e-6);
}

static void act_backward_of(enum fv_k_type type, enum fv_k_act act, int rows, int c, int extras)
{
    const size_t count = (size_t)rows * (size_t)c, floats = fv_k_act_backward_partial(rows, c);
    double *dy, *dy2, *saved, *slope, *want = rig_doubles(count),
                                      *sums = rig_doubles(2 * (size_t)c);
    struct fv_k_act_backward a = {.dy = rig_drawn(type, count, -1, 1, &dy),
                                  .type = type,
                                  .act = act,
                                  .rows = rows,
                                  .c = c,
                                  .dx = rig_new(type, count),
                                  .partial = rig_new(FV_K_F32, floats)};
    const void *p2 = rig_drawn(type, count, -1, 1, &dy2);
    a.saved =
        rig_drawn(type, count, act == FV_K_PRELU ? -3 : 0, act == FV_K_SIGMOID ? 1 : 7, &saved);
    a.slope = rig_drawn(FV_K_F32, (size_t)c, -1, 1, &slope);
    a.dy2 = extras & 1 ? p2 : NULL;
    for (size_t i = 0; i < count; i++) {
        const size_t k = i % (size_t)c;
        const double g = dy[i] + (extras & 1 ? dy2[i] : 0);
        want[i] = g * slope_of(act, saved[i], slope[k]);
        sums[k] += rig_round(type, want[i]);
        sums[(size_t)c + k] += saved[i] < 0 ? g * saved[i] : 0;
    }
    rig_run(fv_k_act_backward(&a, NULL));
    rig_check("act's dx", type, a.dx, count, want, 1.001, 1e-6);
    for (int row = 0; row < (act == FV_K_PRELU ? 2 : 1); row++) {
        const struct fv_k_column_finish f = {
            a.partial,     fv_k_parts(rows, c),          row * c, c,
            2 * (size_t)c, rig_new(FV_K_F32, (size_t)c), FV_K_F32};
        rig_run(fv_k_column_finish(&f, NULL));
        rig_check(row ? "dslope" : "dbias", FV_K_F32, f.out, (size_t)c, sums + row * c, 2,
                  type == FV_K_BF16 ? 1e-2 : 1e-3);
    }
    const struct fv_k_act_backward only_sums = {
        .dy = a.dy, .partial = a.partial, .type = type, .rows = rows, .c = c};
    rig_run(fv_k_act_backward(&only_sums, NULL));
}

static void activations(void **state)
{
    static const int shapes[][2] = {{1, 8}, {77, 24}, {300, 16}, {9, 2056}};
    (void)state;
    for (int t = 0; t < 3; t++)
        for (int act = FV_K_NONE; act <= FV_K_SIGMOID; act++)
            for (int extras = 0; extras < 4; extras++) {
                const int *shape = shapes[(t + act + extras) % 4];
                rig_begin((uint64_t)extras);
                act_forward_of(rig_types[t], (enum fv_k_act)act, shape[0], shape[1], extras);
                act_backward_of(rig_types[t], (enum fv_k_act)act, shape[0], shape[1], extras);
            }
    rig_begin(0);
}

static void scale_of(enum fv_k_type type, enum fv_k_act act, int n, int pixels, int c, int extras)
{
    const size_t count = (size_t)(n * pixels * c), few = (size_t)(n * c);
    double *x, *f, *r, *dy, *dy2, *dmean, *y = rig_doubles(count), *dz = rig_doubles(count),
                                          *df = rig_doubles(few), *dx = rig_doubles(count);
    void *px = rig_drawn(type, count, -3, 3, &x), *pf = rig_drawn(type, few, 0, 3, &f);
    void *pr = rig_drawn(type, count, -3, 3, &r), *pdy = rig_drawn(type, count, -1, 1, &dy);
    void *pdy2 = rig_drawn(type, count, -1, 1, &dy2), *pdmean = rig_drawn(type, few, -9, 9, &dmean);
    for (size_t i = 0; i < count; i++) {
        const size_t own = i / (size_t)(pixels * c) * (size_t)c + i % (size_t)c;
        y[i] = activate(act, x[i] * f[own] + (extras & 1 ? r[i] : 0), 0);
    }
    const struct fv_k_scale_forward forward = {
        px, pf, extras & 1 ? pr : NULL, rig_new(type, count), type, act, n, pixels, c};
    rig_run(fv_k_scale_forward(&forward, NULL));
    rig_check("scale", type, forward.y, count, y, 1.001, 2e-6);

    for (size_t i = 0; i < count; i++) {
        const size_t own = i / (size_t)(pixels * c) * (size_t)c + i % (size_t)c;
        dz[i] = (dy[i] + (extras & 2 ? dy2[i] : 0)) * slope_of(act, rig_round(type, y[i]), 0);
        df[own] += (extras & 4 ? rig_round(type, dz[i]) : dz[i]) * x[i];
        dx[i] = rig_round(type, dz[i]) * f[own] + (extras & 1 ? dmean[own] / pixels : 0);
    }
    const struct fv_k_scale_reduce reduce = {.dy = pdy,
                                             .dy2 = extras & 2 ? pdy2 : NULL,
                                             .y = act == FV_K_NONE ? NULL
                                                                   : rig_given(type, count, y),
                                             .x = px,
                                             .dz = extras & 4 ? rig_new(type, count) : NULL,
                                             .dfactor = rig_new(type, few),
                                             .type = type,
                                             .act = act,
                                             .n = n,
                                             .pixels = pixels,
                                             .c = c};
    rig_run(fv_k_scale_reduce(&reduce, NULL));
    rig_orders(reduce.dfactor, few * fv_k_type_bytes(type), fv_k_scale_reduce(&reduce, NULL));
    rig_check("dfactor", type, reduce.dfactor, few, df, 1.001, type == FV_K_BF16 ? 1e-2 : 1e-3);
    if (reduce.dz)
        rig_check("dz", type, reduce.dz, count, dz, 1.001, 1e-6);
    const struct fv_k_scale_backward backward = {rig_given(type, count, dz),
                                                 pf,
                                                 extras & 1 ? pdmean : NULL,
                                                 rig_new(type, count),
                                                 type,
                                                 n,
                                                 pixels,
                                                 c};
    rig_run(fv_k_scale_backward(&backward, NULL));
    rig_check("scale's dx", type, backward.dx, count, dx, 1.001, 3e-6);
}

static void squeeze_and_excitation(void **state)
{
    static const int shapes[][3] = {{1, 1, 8}, {3, 49, 24}, {2, 300, 16}, {2, 4, 2056}};
    (void)state;
    for (int t = 0; t < 3; t++)
        for (int act = FV_K_NONE; act <= FV_K_RELU6; act++)
            for (int extras = 0; extras < 8; extras++) {
                const int *shape = shapes[(t + act + extras) % 4];
                rig_begin((uint64_t)(extras + 8 * act));
                scale_of(rig_types[t], (enum fv_k_act)act, shape[0], shape[1], shape[2], extras);
            }
    rig_begin(0);
}

static void gap_of(enum fv_k_type type, enum fv_k_type y_type, int n, int pixels, int c, int add)
{
    const size_t count = (size_t)(n * pixels * c), few = (size_t)(n * c);
    double *x, *dy, *r, *y = rig_doubles(few), *dx = rig_doubles(count);
    const struct fv_k_gap_forward forward = {
        rig_drawn(type, count, -3, 3, &x), rig_new(y_type, few), type, y_type, n, pixels, c};
    const void *pr = rig_drawn(type, count, -1, 1, &r);
    const struct fv_k_gap_backward backward = {rig_drawn(y_type, few, -1, 1, &dy),
                                               add ? pr : NULL,
                                               rig_new(type, count),
                                               type,
                                               y_type,
                                               n,
                                               pixels,
                                               c};
    for (size_t i = 0; i < count; i++) {
        const size_t own = i / (size_t)(pixels * c) * (size_t)c + i % (size_t)c;
        y[own] += x[i] / pixels;
        dx[i] = dy[own] / pixels + (add ? r[i] : 0);
    }
    rig_run(fv_k_gap_forward(&forward, NULL));
    rig_check("gap", y_type, forward.y, few, y, 1.001, 2e-6);
    rig_run(fv_k_gap_backward(&backward, NULL));
    rig_check("gap's dx", type, backward.dx, count, dx, 1.001, 2e-7);
}

static void means(void **state)
{
    (void)state;
    for (int t = 0; t < 3; t++)
        for (int add = 0; add < 2; add++) {
            rig_begin(1);
            gap_of(rig_types[t], FV_K_F32, 3, 49, 24, add);
            gap_of(rig_types[t], rig_types[t], 2, 1, 2056, add);
            gap_of(rig_types[t], rig_types[t], 1, 700, 8, add);
        }
    rig_begin(0);
}

static void pixels_in(void **state)
{
    (void)state;
    enum { N = 3, H = 5, W = 7, COUNT = N * H * W };
    const float mean[3] = {0.5f, 0.4f, 0.3f}, std[3] = {0.25f, 0.3f, 0.2f};
    for (int t = 0; t < 3; t++)
        for (int mirror = 0; mirror < 2; mirror++) {
            rig_begin((uint64_t)t);
            uint8_t bytes[3 * COUNT];
            double *want = rig_doubles(8 * COUNT);
            for (int i = 0; i < 3 * COUNT; i++)
                bytes[i] = i < 2 ? (uint8_t)(255 * i) : (uint8_t)rig_below(256);
            for (int i = 0; i < COUNT; i++)
                for (int c = 0; c < 3; c++) {
                    const int from = mirror ? i / W * W + W - 1 - i % W : i;
                    want[8 * i + c] =
                        (bytes[3 * from + c] / 255.0 - (double)mean[c]) / (double)std[c];
                }
            struct fv_k_input a = {.pixels = rig_bytes(sizeof bytes, bytes),
                                   .y = rig_new(rig_types[t], 8 * COUNT),
                                   .type = rig_types[t],
                                   .n = N,
                                   .h = H,
                                   .w = W,
                                   .mirror = mirror};
            memcpy(a.mean, mean, sizeof mean);
            memcpy(a.std, std, sizeof std);
            rig_run(fv_k_input(&a, NULL));
            rig_check("input", rig_types[t], a.y, 8 * COUNT, want, 1.001, 5e-7);
        }
    rig_begin(0);
}

static void refuses(void **state)
{
    (void)state;
    rig_begin(1);
    float *p = rig_new(FV_K_F32, 64);
    struct fv_k_act_forward a = {.x = p, .y = p, .act = (enum fv_k_act)7, .rows = 1, .c = 8};
    assert_int_equal(fv_k_act_forward(&a, NULL), FV_EINVAL);
    struct fv_k_scale_forward s = {
        .x = p, .factor = p, .y = p, .act = FV_K_PRELU, .n = 1, .pixels = 1, .c = 8};
    assert_int_equal(fv_k_scale_forward(&s, NULL), FV_EINVAL);
    struct fv_k_gap_forward g = {
        .x = p, .y = p, .type = FV_K_BF16, .y_type = FV_K_F16, .n = 1, .pixels = 1, .c = 8};
    assert_int_equal(fv_k_gap_forward(&g, NULL), FV_EINVAL);
    g = (struct fv_k_gap_forward){.x = p, .y = p, .n = 70000, .pixels = 1, .c = 8};
    assert_int_equal(fv_k_gap_forward(&g, NULL), FV_EINVAL);
    rig_begin(1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(activations), cmocka_unit_test(squeeze_and_excitation),
        cmocka_unit_test(means), cmocka_unit_test(pixels_in), cmocka_unit_test(refuses)};
    place_open();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
