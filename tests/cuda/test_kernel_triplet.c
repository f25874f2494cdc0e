/* SPDX-License-Identifier: MIT */
/* Triplet loss against trainer/loss in double: both ways of mining, equal embeddings, batches without a triplet. */
#include "common/err.h"
#include "tests/cmocka_all.h"
#include "tests/cuda/kernel_rig.h"
#include "trainer/cuda/hyper.h"
#include "trainer/loss/loss.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { ROWS = 21, N = 19, DIM = 37, STRIDE = 40, WIDE = 300, SCALE = 16 };

enum what { USUAL, TWINS, ONE_IDENTITY, NO_PAIRS, NOT_A_NUMBER };

static double at(const char *text, const char *param)
{
    struct fv_loss_spec spec;
    assert_int_equal(fv_loss_parse(&spec, text), 0);
    return fv_loss_value(&spec.term[0], param);
}

static void compare(const char *text, enum what what, int dim, int add)
{
    const int stride = (dim + 7) / 8 * 8;
    struct fv_loss_spec spec;
    float lambda[ROWS];
    int32_t label[ROWS], mix[ROWS];
    const size_t cells = (size_t)(ROWS * stride);
    double *x = rig_doubles(cells), *packed = rig_doubles((size_t)(N * dim)),
           *grad = rig_doubles((size_t)(N * dim)), *want = rig_doubles(cells),
           *items = rig_doubles(ROWS);
    assert_int_equal(fv_loss_parse(&spec, text), 0);
    for (int i = 0; i < ROWS; i++) {
        const int twin = what == TWINS && i >= 4 ? i % 4 : i;
        lambda[i] = i % 3 ? 1 : 0;
        label[i] = mix[i] = what == ONE_IDENTITY ? 3
                            : what == NO_PAIRS   ? i
                                                 : i * 7 % (what == TWINS ? 3 : 5);
        if (i % 3) /* the other label does not count */
            mix[i] = (int32_t)rig_below(5);
        else
            label[i] = (int32_t)rig_below(5);
        for (int k = 0; k < dim; k++) {
            x[i * stride + k] =
                twin == i ? rig_round(FV_K_F32, rig_draw(-1, 1)) : x[twin * stride + k];
            if (what == NOT_A_NUMBER && i == 5 && k == 2)
                x[i * stride + k] = (double)NAN;
            if (i < N)
                packed[i * dim + k] = x[i * stride + k];
        }
    }
    struct fv_loss_call c = {.spec = &spec,
                             .n = N,
                             .classes = 5,
                             .dim = dim,
                             .label = label,
                             .label_mix = mix,
                             .lambda = lambda,
                             .epoch = INFINITY,
                             .work = rig_doubles(fv_loss_work(&spec, N, dim))};
    c.in[FV_LOSS_EMBEDDING] = (struct fv_loss_rows){.d = packed, .grad_d = grad};
    fv_loss_run(&c);

    struct fv_k_control control = {.loss_scale = SCALE};
    struct fv_k_hyper hyper;
    fv_k_hyper_set(&hyper, NULL, N, 0);
    for (int i = 0; i < N; i++) {
        items[i] = c.work[i];
        for (int k = 0; k < dim; k++)
            want[i * stride + k] = (1 + add) * SCALE * grad[i * dim + k];
    }
    struct fv_k_triplet a = {.embedding = rig_given(FV_K_F32, cells, x),
                             .rows = ROWS,
                             .dim = dim,
                             .stride = stride,
                             .label = rig_bytes(sizeof label, label),
                             .label_mix = rig_bytes(sizeof mix, mix),
                             .lambda = rig_bytes(sizeof lambda, lambda),
                             .weight = (float)spec.term[0].weight,
                             .margin = (float)at(text, "margin"),
                             .semi_hard = at(text, "mine") != 0,
                             .squared = at(text, "squared") != 0,
                             .soft = at(text, "soft") != 0,
                             .unit = at(text, "unit") != 0,
                             .hyper = rig_bytes(sizeof hyper, &hyper),
                             .control = rig_bytes(sizeof control, &control),
                             .work = rig_new(FV_K_F32, fv_k_triplet_work(ROWS, stride)),
                             .gradient = rig_new(FV_K_F32, cells),
                             .items = rig_new(FV_K_F32, ROWS)};
    rig_run(fv_k_triplet(&a, NULL));
    if (what == USUAL)
        rig_orders(a.gradient, cells * sizeof(float), fv_k_triplet(&a, NULL));
    a.add_gradient = add;
    if (add)
        rig_run(fv_k_triplet(&a, NULL));
    place_get(&control, a.control, sizeof control);
    rig_check(text, FV_K_F32, a.items, ROWS, items, 16, 2e-5);
    if (what == NOT_A_NUMBER)
        return;
    rig_check(text, FV_K_F32, a.gradient, cells, want, 64, 1e-4);
    assert_true(isnan(c.result.active) ? isnan(control.shared.active)
                                       : fabs(control.shared.active - c.result.active) < 1e-7);
    assert_true(fabs(control.shared.distance - c.result.distance) <
                1e-5 * c.result.distance + 1e-9);
}

static const char *const kinds[] = {
    "triplet",
    "0.25*triplet(margin=0.7)",
    "triplet(mine=semi-hard)",
    "2*triplet(mine=semi-hard,margin=0.1,squared=yes)",
    "triplet(soft=yes)",
    "triplet(soft=yes,mine=semi-hard,unit=no)",
    "triplet(unit=no,margin=1.5)",
    "triplet(squared=yes,unit=no)",
};

static void triplets(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        for (int way = 0; way < 3; way++) {
            rig_begin(100 + 3 * i + (uint64_t)way);
            compare(kinds[i], USUAL, way == 2 ? WIDE : DIM, way & 1);
        }
    rig_begin(0);
}

static void corners(void **state)
{
    (void)state;
    for (enum what w = TWINS; w <= NOT_A_NUMBER; w++)
        for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
            rig_begin(200 + 8 * (uint64_t)w + i);
            compare(kinds[i], w, DIM, 0);
        }
    rig_begin(0);
}

static void refused(void **state)
{
    (void)state;
    const struct fv_k_triplet a = {.rows = 2, .dim = 9, .stride = 8};
    assert_int_equal(fv_k_triplet(&a, NULL), FV_EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(triplets),
        cmocka_unit_test(corners),
        cmocka_unit_test(refused),
    };
    place_open();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
