/* SPDX-License-Identifier: MIT */
/* Center loss, and the centres that follow, against trainer/loss in double. */
#include "common/err.h"
#include "tests/cmocka_all.h"
#include "tests/cuda/kernel_rig.h"
#include "trainer/cuda/hyper.h"
#include "trainer/loss/loss.h"

#include <math.h>
#include <string.h>

enum { ROWS = 21, N = 19, DIM = 37, STRIDE = 40, CLASSES = 6, SCALE = 16 };

static void follows(int finite, int add)
{
    struct fv_loss_spec spec;
    float lambda[ROWS], state[CLASSES * DIM];
    int32_t label[ROWS], mix[ROWS];
    double *x = rig_doubles(ROWS * STRIDE), *packed = rig_doubles(N * DIM),
           *grad = rig_doubles(N * DIM);
    double *want = rig_doubles(ROWS * STRIDE), *items = rig_doubles(ROWS),
           *centre = rig_doubles(CLASSES * STRIDE);
    assert_int_equal(fv_loss_parse(&spec, "0.3*center(alpha=0.4)"), 0);
    for (int i = 0; i < ROWS; i++) {
        lambda[i] = i % 3 ? 1 : 0;
        label[i] =
            (int32_t)rig_below(CLASSES - 1); /* the last class has no item: its centre stays */
        mix[i] = i % 3 ? label[i] : (int32_t)rig_below(CLASSES - 1);
        for (int k = 0; k < DIM; k++) {
            x[i * STRIDE + k] = rig_round(FV_K_F32, rig_draw(-2, 2));
            if (i < N)
                packed[i * DIM + k] = x[i * STRIDE + k];
        }
    }
    for (int i = 0; i < CLASSES * DIM; i++) {
        centre[i / DIM * STRIDE + i % DIM] = rig_round(FV_K_F32, rig_draw(-1, 1));
        state[i] = (float)centre[i / DIM * STRIDE + i % DIM];
    }
    struct fv_loss_call c = {.spec = &spec,
                             .n = N,
                             .classes = CLASSES,
                             .dim = DIM,
                             .label = label,
                             .label_mix = mix,
                             .lambda = lambda,
                             .epoch = INFINITY,
                             .work = rig_doubles(fv_loss_work(&spec, N, DIM))};
    c.in[FV_LOSS_EMBEDDING] = (struct fv_loss_rows){.d = packed, .grad_d = grad};
    c.state[0][0] = state;
    fv_loss_run(&c);

    const struct fv_k_control control = {.loss_scale = SCALE, .finite = finite};
    struct fv_k_hyper hyper;
    fv_k_hyper_set(&hyper, NULL, N, 0);
    for (int i = 0; i < N; i++) {
        items[i] = (1 + add) * c.work[i];
        for (int k = 0; k < DIM; k++)
            want[i * STRIDE + k] = (1 + add) * SCALE * grad[i * DIM + k];
    }
    struct fv_k_center a = {.embedding = rig_given(FV_K_F32, ROWS * STRIDE, x),
                            .rows = ROWS,
                            .dim = DIM,
                            .stride = STRIDE,
                            .centre_stride = STRIDE,
                            .label = rig_bytes(sizeof label, label),
                            .label_mix = rig_bytes(sizeof mix, mix),
                            .lambda = rig_bytes(sizeof lambda, lambda),
                            .centre = rig_given(FV_K_F32, CLASSES * STRIDE, centre),
                            .weight = (float)spec.term[0].weight,
                            .hyper = rig_bytes(sizeof hyper, &hyper),
                            .control = rig_bytes(sizeof control, &control),
                            .gradient = rig_new(FV_K_F32, ROWS * STRIDE),
                            .items = rig_new(FV_K_F32, ROWS)};
    rig_run(fv_k_center(&a, NULL));
    a.add_items = a.add_gradient = add;
    rig_run(fv_k_center(&a, NULL));
    rig_check("items", FV_K_F32, a.items, ROWS, items, 16, 0);
    rig_check("gradient", FV_K_F32, a.gradient, ROWS * STRIDE, want, 8, 1e-6);

    const struct fv_k_center_follow f = {.embedding = a.embedding,
                                         .rows = ROWS,
                                         .dim = DIM,
                                         .stride = STRIDE,
                                         .centre_stride = STRIDE,
                                         .label = a.label,
                                         .label_mix = a.label_mix,
                                         .lambda = a.lambda,
                                         .centre = (float *)(uintptr_t)a.centre,
                                         .alpha = (float)spec.term[0].value[0],
                                         .hyper = a.hyper,
                                         .control = a.control};
    rig_run(fv_k_center_follow(&f, NULL));
    if (finite)
        fv_loss_commit(&c);
    for (int i = 0; i < CLASSES * DIM; i++)
        centre[i / DIM * STRIDE + i % DIM] = (double)state[i];
    rig_check("centres", FV_K_F32, a.centre, CLASSES * STRIDE, centre, 0, 2e-6);
    a.stride = DIM - 1;
    assert_int_equal(fv_k_center(&a, NULL), FV_EINVAL);
}

static void centres(void **state)
{
    (void)state;
    for (int way = 0; way < 8; way++) {
        rig_begin((uint64_t)way);
        follows(way & 1, way >> 1 & 1);
    }
    rig_begin(0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(centres)};
    place_open();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
