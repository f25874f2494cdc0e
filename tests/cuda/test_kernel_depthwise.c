/* SPDX-License-Identifier: MIT */
/* Depthwise convolution and both its gradients against the definition in double. */
#include "common/err.h"
#include "tests/cmocka_all.h"
#include "tests/cuda/kernel_rig.h"

#include <math.h>
#include <stdlib.h>

static const struct {
    int n, in_h, in_w, c, window, stride, pad;
} shapes[] = {{2, 5, 7, 8, 3, 1, 1},   {1, 1, 1, 8, 3, 1, 1},  {3, 6, 5, 24, 3, 2, 1},
              {1, 20, 3, 40, 3, 1, 1}, {2, 37, 4, 8, 3, 2, 1}, {2, 7, 7, 16, 7, 1, 0},
              {1, 9, 8, 16, 5, 2, 2},  {2, 6, 6, 8, 3, 1, 0},  {1, 4, 4, 2056, 3, 1, 1},
              {1, 2, 2, 8, 3, 2, 1}};

/* For every output value and tap inside the image: *out, *in, *weight. */
typedef void tap_fn(double *out, double *in, double *weight);
static void slide(const struct fv_k_depthwise *k, double *in, double *out, double *weight,
                  tap_fn *tap)
{
    for (int n = 0; n < k->n; n++)
        for (int y = 0; y < k->h; y++)
            for (int x = 0; x < k->w; x++)
                for (int t = 0; t < k->window * k->window; t++) {
                    const int iy = y * k->stride - k->pad + t / k->window,
                              ix = x * k->stride - k->pad + t % k->window;
                    if (iy < 0 || iy >= k->in_h || ix < 0 || ix >= k->in_w)
                        continue;
                    for (int c = 0; c < k->c; c++)
                        tap(&out[((n * k->h + y) * k->w + x) * k->c + c],
                            &in[((n * k->in_h + iy) * k->in_w + ix) * k->c + c],
                            &weight[t * k->c + c]);
                }
}

static void forward_tap(double *out, double *in, double *weight)
{
    *out += *in * *weight;
}
static void data_tap(double *out, double *in, double *weight)
{
    *in += *out * *weight;
}
static void weight_tap(double *out, double *in, double *weight)
{
    *weight += *out * *in;
}

static void run(enum fv_k_type type, int shape, int prologue, enum fv_k_act act)
{
    struct fv_k_depthwise k = {.n = shapes[shape].n,
                               .in_h = shapes[shape].in_h,
                               .in_w = shapes[shape].in_w,
                               .c = shapes[shape].c,
                               .window = shapes[shape].window,
                               .stride = shapes[shape].stride,
                               .pad = shapes[shape].pad,
                               .type = type,
                               .act = act};
    k.h = (k.in_h + 2 * k.pad - k.window) / k.stride + 1;
    k.w = (k.in_w + 2 * k.pad - k.window) / k.stride + 1;
    const size_t c = (size_t)k.c, taps = (size_t)(k.window * k.window),
                 in = (size_t)(k.n * k.in_h * k.in_w) * c, out = (size_t)(k.n * k.h * k.w) * c;
    double *x, *w, *dy, *scale, *shift, *y = rig_doubles(out), *dx = rig_doubles(in),
                                        *dw = rig_doubles(taps * c);
    void *px = rig_drawn(type, in, -2, 2, &x), *pw = rig_drawn(type, taps * c, -1, 1, &w);
    void *pdy = rig_drawn(type, out, -1, 1, &dy);
    const float *pscale = rig_drawn(FV_K_F32, c, -2, 3, &scale),
                *pshift = rig_drawn(FV_K_F32, c, -1, 2, &shift);
    if (prologue) {
        k.scale = pscale;
        k.shift = pshift;
        for (size_t i = 0; i < in; i++) {
            x[i] = x[i] * scale[i % c] + shift[i % c];
            x[i] = act == FV_K_NONE ? x[i] : fmin(fmax(x[i], 0), act == FV_K_RELU6 ? 6 : INFINITY);
        }
    }
    slide(&k, x, y, w, forward_tap);
    slide(&k, x, dy, dw, weight_tap);
    slide(&k, dx, dy, w, data_tap);

    const struct fv_k_depthwise_forward forward = {k, px, pw, rig_new(type, out)};
    rig_run(fv_k_depthwise_forward(&forward, NULL));
    rig_check("y", type, forward.y, out, y, 1.001, 2e-5);

    const int parts = fv_k_depthwise_parts(&k);
    assert_true(parts > 0);
    const struct fv_k_depthwise_weight weight = {k, px, pdy,
                                                 rig_new(FV_K_F32, (size_t)parts * taps * c)};
    rig_run(fv_k_depthwise_weight(&weight, NULL));
    rig_orders(weight.partial, 4 * (size_t)parts * taps * c, fv_k_depthwise_weight(&weight, NULL));
    const struct fv_k_column_finish finish = {
        weight.partial, parts, 0, (int)(taps * c), taps * c, rig_new(type, taps * c), type};
    rig_run(fv_k_column_finish(&finish, NULL));
    rig_check("dw", type, finish.out, taps * c, dw, 1.001, 1e-4);

    k.scale = k.shift = NULL;
    const struct fv_k_depthwise_data data = {k, pdy, pw, rig_new(type, in)};
    rig_run(fv_k_depthwise_data(&data, NULL));
    rig_check("dx", type, data.dx, in, dx, 1.001, 2e-5);
}

static void every_shape(void **state)
{
    (void)state;
    for (int t = 0; t < 3; t++)
        for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
            for (int prologue = 0; prologue < 2; prologue++) {
                rig_begin(i);
                run(rig_types[t], (int)i, prologue, (enum fv_k_act)((i + (size_t)t) % 3));
            }
    rig_begin(0);
}

static void refuses(void **state)
{
    (void)state;
    rig_begin(1);
    float *p = rig_new(FV_K_F32, 64);
    struct fv_k_depthwise_forward a = {.conv = {.n = 1,
                                                .in_h = 4,
                                                .in_w = 4,
                                                .h = 4,
                                                .w = 4,
                                                .c = 12,
                                                .window = 3,
                                                .stride = 1,
                                                .pad = 1},
                                       .x = p,
                                       .weight = p,
                                       .y = p};
    assert_int_equal(fv_k_depthwise_forward(&a, NULL), FV_EINVAL);
    a.conv.c = 8;
    a.conv.h = 5;
    assert_int_equal(fv_k_depthwise_forward(&a, NULL), FV_EINVAL);
    a.conv.h = 4;
    a.conv.scale = a.conv.shift = p;
    a.conv.act = FV_K_PRELU;
    assert_int_equal(fv_k_depthwise_forward(&a, NULL), FV_EINVAL);
    rig_begin(1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_shape), cmocka_unit_test(refuses)};
    place_open();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
