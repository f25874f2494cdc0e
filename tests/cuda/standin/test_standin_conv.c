/* SPDX-License-Identifier: MIT */
/* What the stand-in for cuDNN evaluates beyond what fv asks for: windows turned round, groups, dilations, uneven
 * padding, other strides than NHWC's, alpha and beta, by the definition of a convolution. */
#include "tests/cuda/standin/cudnn_scene.h"

#include "tests/cmocka_all.h"

#include <math.h>
#include <stdlib.h>

static float at(const float *v, const struct tensor *t, int64_t n, int64_t c, int64_t y, int64_t x)
{
    return v[n * t->stride[0] + c * t->stride[1] + y * t->stride[2] + x * t->stride[3]];
}

/* y of a convolution by its definition: cross-correlation, or with the window turned round. */
static double expected(const float *x, const float *w, int turned, int64_t n, int64_t k, int64_t oy,
                       int64_t ox)
{
    const struct tensor *tx = &scene.t[X], *tw = &scene.t[W];
    const int64_t c = tw->dim[1], groups = tx->dim[1] / c, group = k / (tw->dim[0] / groups);
    double sum = 0;
    for (int64_t r = 0; r < tw->dim[2]; r++)
        for (int64_t q = 0; q < tw->dim[3]; q++) {
            const int64_t iy = oy * scene.stride[0] - scene.pre[0] + r * scene.dilation[0],
                          ix = ox * scene.stride[1] - scene.pre[1] + q * scene.dilation[1];
            for (int64_t i = 0; i < c; i++)
                if (iy >= 0 && ix >= 0 && iy < tx->dim[2] && ix < tx->dim[3])
                    sum += (double)at(x, tx, n, group * c + i, iy, ix) *
                           (double)at(w, tw, k, i, turned ? tw->dim[2] - 1 - r : r,
                                      turned ? tw->dim[3] - 1 - q : q);
        }
    return sum;
}

static int64_t extent(const struct tensor *t)
{
    int64_t last = 1;
    for (int i = 0; i < 4; i++)
        last += (t->dim[i] - 1) * t->stride[i];
    return last;
}

static float *filled(int i)
{
    const int64_t n = extent(&scene.t[i]);
    float *v = malloc((size_t)n * sizeof *v);
    for (int64_t k = 0; k < n; k++)
        v[k] = (float)((k * 7919 + i * 31) % 17 - 8) / 8;
    void *p;
    assert_int_equal(cudaMalloc(&p, (size_t)n * sizeof *v), 0);
    scene.at[i] = p;
    cudaMemcpy(p, v, (size_t)n * sizeof *v, cudaMemcpyHostToDevice);
    return v;
}

static void check_conv(cudnnConvolutionMode_t mode, float alpha, float beta)
{
    cudnnHandle_t h = scene_opened();
    for (int i = X; i <= Y; i++)
        scene.t[i].type = CUDNN_DATA_FLOAT;
    float *x = filled(X), *w = filled(W), *before = filled(Y), *y = filled(Y);
    desc op = scene_forward(X, mode, alpha, beta);
    scene.pack = 3;
    scene_execute(h, scene_plan(h, scene_graph_of(h, 1, &op), 0));
    const struct tensor *t = &scene.t[Y];
    cudaMemcpy(y, scene.at[Y], (size_t)extent(t) * sizeof *y, cudaMemcpyDeviceToHost);
    for (int64_t n = 0; n < t->dim[0]; n++)
        for (int64_t k = 0; k < t->dim[1]; k++)
            for (int64_t p = 0; p < t->dim[2] * t->dim[3]; p++) {
                const int64_t oy = p / t->dim[3], ox = p % t->dim[3];
                const double want =
                    (double)alpha * expected(x, w, mode == CUDNN_CONVOLUTION, n, k, oy, ox) +
                    (double)beta * (double)at(before, t, n, k, oy, ox);
                assert_true(fabs((double)at(y, t, n, k, oy, ox) - want) < 1e-4);
            }
    free(x);
    free(w);
    free(before);
    free(y);
}

static void test_convolutions(void **state)
{
    check_conv(CUDNN_CROSS_CORRELATION, 1, 0);
    scene_begin(state);
    check_conv(CUDNN_CONVOLUTION, 0.5f, 2);
    scene_begin(state); /* four groups, NCHW */
    scene.t[W] = scene_nhwc(11, 16, 2, 3, 3, 0);
    for (int i = X; i <= Y; i++) {
        int64_t *d = scene.t[i].dim, *st = scene.t[i].stride;
        st[3] = 1;
        st[2] = d[3];
        st[1] = d[2] * d[3];
        st[0] = d[1] * d[2] * d[3];
    }
    check_conv(CUDNN_CROSS_CORRELATION, 1, 0);
    scene_begin(state); /* dilated, uneven padding and strides; rows with a gap behind them */
    scene.t[X].stride[2] += 5;
    scene.t[X].stride[0] += 6 * 5;
    scene.dilation[0] = 2;
    scene.pre[0] = 2;
    scene.post[1] = 2;
    scene.stride[1] = 2;
    scene.t[Y] = scene_nhwc(12, 2, 16, 5, 4, 0);
    check_conv(CUDNN_CONVOLUTION, 1, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_convolutions, scene_begin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
