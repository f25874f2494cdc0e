/* SPDX-License-Identifier: MIT */
/* Pooling, unit rows, and what moves and converts memory, against their definitions. */
#include "common/err.h"
#include "tests/cmocka_all.h"
#include "tests/cuda/kernel_rig.h"

#include <math.h>
#include <stdlib.h>

static void maxpool_of(enum fv_k_type type, int n, int in_h, int in_w, int c, int window,
                       int stride, int pad)
{
    const int h = (in_h + 2 * pad - window) / stride + 1,
              w = (in_w + 2 * pad - window) / stride + 1;
    const size_t in = (size_t)(n * in_h * in_w * c), out = (size_t)(n * h * w * c);
    double *x = rig_doubles(in), *dy, *dy2, *y = rig_doubles(out), *dx = rig_doubles(in);
    for (size_t i = 0; i < in; i++) /* few values: many ties */
        x[i] = (double)rig_below(5) - 3;
    if (in > 100)
        x[in / 2] = (double)NAN;
    const void *pdy = rig_drawn(type, out, -1, 1, &dy), *pdy2 = rig_drawn(type, out, -1, 1, &dy2);
    for (size_t i = 0; i < out; i++) {
        const int k = (int)i % c, ox = (int)i / c % w, oy = (int)i / c / w % h,
                  image = (int)i / c / w / h;
        size_t best = SIZE_MAX;
        for (int t = 0; t < window * window; t++) {
            const int iy = oy * stride - pad + t / window, ix = ox * stride - pad + t % window;
            const size_t at = (size_t)(((image * in_h + iy) * in_w + ix) * c + k);
            if (iy >= 0 && iy < in_h && ix >= 0 && ix < in_w &&
                (best == SIZE_MAX || x[at] > x[best] || isnan(x[at])))
                best = at;
        }
        y[i] = x[best];
        dx[best] += dy[i] + dy2[i];
    }
    const struct fv_k_maxpool_forward f = {.x = rig_given(type, in, x),
                                           .y = rig_new(type, out),
                                           .winner = rig_bytes(out, NULL),
                                           .type = type,
                                           .n = n,
                                           .in_h = in_h,
                                           .in_w = in_w,
                                           .h = h,
                                           .w = w,
                                           .c = c,
                                           .window = window,
                                           .stride = stride,
                                           .pad = pad};
    const struct fv_k_maxpool_backward b = {.dy = pdy,
                                            .dy2 = pdy2,
                                            .winner = f.winner,
                                            .dx = rig_new(type, in),
                                            .type = type,
                                            .n = n,
                                            .in_h = in_h,
                                            .in_w = in_w,
                                            .h = h,
                                            .w = w,
                                            .c = c,
                                            .window = window,
                                            .stride = stride,
                                            .pad = pad};
    rig_run(fv_k_maxpool_forward(&f, NULL));
    rig_check("maxpool", type, f.y, out, y, 0, 0);
    rig_run(fv_k_maxpool_backward(&b, NULL));
    rig_check("maxpool's dx", type, b.dx, in, dx, 1.001, 1e-5);
    struct fv_k_maxpool_forward without = f;
    without.winner = NULL;
    rig_run(fv_k_maxpool_forward(&without, NULL));
    rig_check("maxpool", type, f.y, out, y, 0, 0);
}

static void maxpool(void **state)
{
    static const int shapes[][7] = {{2, 8, 6, 8, 3, 2, 1},  {1, 7, 9, 24, 3, 2, 1},
                                    {2, 4, 4, 16, 2, 2, 0}, {1, 5, 5, 8, 3, 1, 1},
                                    {1, 1, 1, 8, 1, 1, 0},  {1, 15, 15, 8, 15, 1, 7},
                                    {1, 9, 8, 8, 2, 3, 1}};
    (void)state;
    for (int t = 0; t < 3; t++)
        for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
            const int *s = shapes[i];
            rig_begin(i);
            maxpool_of(rig_types[t], s[0], s[1], s[2], s[3], s[4], s[5], s[6]);
        }
    struct fv_k_maxpool_forward f = {
        .n = 1, .in_h = 20, .in_w = 20, .h = 5, .w = 5, .c = 8, .window = 16, .stride = 1};
    assert_int_equal(fv_k_maxpool_forward(&f, NULL), FV_EINVAL);
    rig_begin(0);
}

static void unit_rows_of(int rows, int c, int add)
{
    const size_t count = (size_t)(rows * c);
    const double eps = 1e-6;
    double *x, *dy, *before, *y = rig_doubles(count), *norm = rig_doubles((size_t)rows),
                             *dx = rig_doubles(count);
    rig_drawn(FV_K_F32, count, -1, 1, &x);
    for (int i = 0; i < c; i++)
        x[i] *= 1e-9; /* the first row is shorter than eps */
    for (size_t i = 0; i < count; i++)
        x[i] = rig_round(FV_K_F32, x[i]);
    struct fv_k_normalise_forward f = {rig_given(FV_K_F32, count, x),
                                       rig_new(FV_K_F32, count),
                                       rig_new(FV_K_F32, (size_t)rows),
                                       rows,
                                       c,
                                       1e-6f};
    struct fv_k_normalise_backward b = {rig_drawn(FV_K_F32, count, -1, 1, &dy),
                                        f.y,
                                        f.norm,
                                        rig_drawn(FV_K_F32, count, -1, 1, &before),
                                        rows,
                                        c,
                                        add,
                                        1e-6f};
    for (int r = 0; r < rows; r++) {
        const double *xr = x + r * c, *g = dy + r * c;
        double dot = 0, *yr = y + r * c;
        for (int i = 0; i < c; i++)
            norm[r] += xr[i] * xr[i];
        norm[r] = sqrt(norm[r]);
        for (int i = 0; i < c; i++) {
            yr[i] = xr[i] / fmax(norm[r], eps);
            dot += g[i] * yr[i];
        }
        for (int i = 0; i < c; i++)
            dx[r * c + i] = (norm[r] < eps ? g[i] / eps : (g[i] - yr[i] * dot) / norm[r]) +
                            (add ? before[r * c + i] : 0);
    }
    rig_run(fv_k_normalise_forward(&f, NULL));
    rig_check("unit rows", FV_K_F32, f.y, count, y, 8, 1e-7);
    rig_check("norms", FV_K_F32, f.norm, (size_t)rows, norm, 8, 0);
    rig_run(fv_k_normalise_backward(&b, NULL));
    rig_check("unit rows' dx, the short", FV_K_F32, b.dx, (size_t)c, dx, 8, 0.5);
    rig_check("unit rows' dx", FV_K_F32, b.dx + c, count - (size_t)c, dx + c, 8, 1e-6);
}

static void unit_rows(void **state)
{
    (void)state;
    for (int add = 0; add < 2; add++) {
        rig_begin(1);
        unit_rows_of(2, 5, add);
        unit_rows_of(19, 512, add);
        unit_rows_of(9, 33, add);
    }
    rig_begin(0);
}

static void moving(void **state)
{
    (void)state;
    for (int bytes = 1; bytes < 9000; bytes = bytes * 3 + 1) {
        rig_begin(1);
        unsigned char from[9000], back[9000];
        for (int i = 0; i < bytes; i++)
            from[i] = (unsigned char)rig_below(256);
        void *a = rig_bytes((size_t)bytes, from), *b = rig_bytes((size_t)bytes, NULL);
        rig_run(fv_k_copy(b, a, (size_t)bytes, NULL));
        place_get(back, b, (size_t)bytes);
        assert_memory_equal(back, from, (size_t)bytes);
        rig_run(fv_k_zero(b, (size_t)bytes, NULL));
        place_get(back, b, (size_t)bytes);
        for (int i = 0; i < bytes; i++)
            assert_int_equal(back[i], 0);
    }
    rig_begin(0);
}

static void casts(void **state)
{
    (void)state;
    for (int from = 0; from < 3; from++)
        for (int to = 0; to < 3; to++)
            for (size_t count = 1; count < 700; count = count * 3 + 2) {
                rig_begin(count);
                double *v;
                const struct fv_k_cast a = {rig_drawn(rig_types[from], count, -9, 9, &v),
                                            rig_new(rig_types[to], count), rig_types[from],
                                            rig_types[to], (int64_t)count};
                rig_run(fv_k_cast(&a, NULL));
                for (size_t i = 0; i < count; i++)
                    v[i] = rig_round(rig_types[to], v[i]);
                rig_check("cast", rig_types[to], a.to, count, v, 0, 0);
            }
    rig_begin(0);
}

static void packing(void **state)
{
    static const int shapes[][5] = {
        {5, 8, 3, 8, 9}, {8, 8, 16, 16, 1}, {1, 1, 40, 40, 9}, {3, 8, 5, 8, 49}};
    (void)state;
    for (int t = 0; t < 3; t++)
        for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
            rig_begin(i);
            const int k = shapes[i][0], k_pad = shapes[i][1], c = shapes[i][2],
                      c_pad = shapes[i][3], window = shapes[i][4];
            const size_t count = (size_t)(k * c * window),
                         padded = (size_t)(k_pad * c_pad * window);
            double *v, *want = rig_doubles(padded);
            struct fv_k_pack a = {rig_drawn(FV_K_F32, count, -1, 1, &v),
                                  rig_new(rig_types[t], padded),
                                  rig_types[t],
                                  k,
                                  k_pad,
                                  c,
                                  c_pad,
                                  window};
            for (int j = 0; j < (int)count; j++)
                want[(j / window / c * window + j % window) * c_pad + j / window % c] = v[j] =
                    rig_round(rig_types[t], v[j]);
            rig_run(fv_k_pack(&a, NULL));
            rig_check("pack", rig_types[t], a.to, padded, want, 0, 0);
            a.from = a.to;
            a.to = rig_new(FV_K_F32, count);
            rig_run(fv_k_unpack(&a, NULL));
            rig_check("unpack", FV_K_F32, a.to, count, v, 0, 0);
        }
    rig_begin(0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(maxpool), cmocka_unit_test(unit_rows),
                                       cmocka_unit_test(moving), cmocka_unit_test(casts),
                                       cmocka_unit_test(packing)};
    place_open();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
