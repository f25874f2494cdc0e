/* SPDX-License-Identifier: MIT */
/* All-against-all scoring. Where vectors are +-1/8 in 64 dimensions, every inner product is a multiple of 1/32: exact
 * in float32 in whatever order it is summed, and an edge of a bin. Then nothing is lost, and the ROC must be that of
 * the scores one by one. */
#include "common/cpu.h"
#include "common/err.h"
#include "common/rng.h"
#include "tests/cmocka_all.h"
#include "trainer/eval/allpairs.h"
#include "trainer/eval/dots.h"
#include "trainer/eval/highest.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { N = 500, M = 333, DIM = 64, LABELS = 40 };

struct faces {
    float v[N * DIM];
    uint32_t label[N];
};

static struct faces a, b;

/* Signs like those of the label's centre, but for some. */
static void draw_signs(struct faces *f, uint64_t seed)
{
    struct fv_rng r = fv_rng_at(seed, 0, 0, FV_RNG_TEST);
    static int8_t centre[LABELS][DIM];

    for (int l = 0; l < LABELS; l++)
        for (int k = 0; k < DIM; k++)
            centre[l][k] = (int8_t)fv_rng_below(&r, 2);
    for (int i = 0; i < N; i++) {
        f->label[i] = fv_rng_below(&r, LABELS);
        for (int k = 0; k < DIM; k++)
            f->v[i * DIM + k] =
                (centre[f->label[i]][k] ^ (fv_rng_below(&r, 100) < 30)) ? 0.125f : -0.125f;
    }
}

static void draw_any(struct faces *f, uint64_t seed)
{
    struct fv_rng r = fv_rng_at(seed, 0, 0, FV_RNG_TEST);

    draw_signs(f, seed);
    for (int i = 0; i < N; i++) {
        double square = 0;
        for (int k = 0; k < DIM; k++) {
            f->v[i * DIM + k] *= (float)(1 + fv_rng_below(&r, 1000)) / 1000;
            square += (double)f->v[i * DIM + k] * (double)f->v[i * DIM + k];
        }
        for (int k = 0; k < DIM; k++)
            f->v[i * DIM + k] = (float)((double)f->v[i * DIM + k] / sqrt(square));
    }
}

/* The ROC of the scores one by one; y: NULL for x among itself. */
static void brute(struct fv_roc *roc, const struct faces *x, int n, const struct faces *y, int m)
{
    double *score = malloc(sizeof *score * N * N);
    uint8_t *same = malloc((size_t)N * N);
    size_t at = 0;

    for (int i = 0; i < n; i++)
        for (int j = y ? 0 : i + 1; j < (y ? m : n); j++) {
            const struct faces *z = y ? y : x;
            score[at] = 0;
            for (int k = 0; k < DIM; k++)
                score[at] += (double)x->v[i * DIM + k] * (double)z->v[j * DIM + k];
            same[at++] = x->label[i] == z->label[j];
        }
    assert_int_equal(fv_roc_make(roc, score, same, at), FV_OK);
    free(score);
    free(same);
}

static void check_equal(const struct fv_allpairs *p, const struct fv_roc *want)
{
    assert_true(p->roc.n == want->n && p->roc.genuine == want->genuine &&
                p->roc.impostor == want->impostor);
    for (size_t k = 0; k < want->n; k++)
        assert_true(p->roc.point[k].fp == want->point[k].fp &&
                    p->roc.point[k].tp == want->point[k].tp &&
                    p->roc.point[k].threshold == want->point[k].threshold);
}

static void run_both_ways(const struct faces *y, int n, int m)
{
    const struct fv_allpairs_side sa = {a.v, a.label, (size_t)n},
                                  sb = {y ? y->v : NULL, y ? y->label : NULL, (size_t)m};
    const size_t keep[] = {1, 100, 5000, 1 << 17};
    struct fv_roc want;

    brute(&want, &a, n, y, m);
    for (int i = 0; i < 12; i++) {
        const struct fv_allpairs_settings s = {.threads = 1 + i % 3, .keep = keep[i / 3]};
        struct fv_allpairs p;
        assert_int_equal(fv_allpairs_run(&p, DIM, &sa, y ? &sb : NULL, &s), FV_OK);
        check_equal(&p, &want);
        assert_true(p.comparisons == want.genuine + want.impostor);
        fv_allpairs_free(&p);
    }
    fv_roc_free(&want);
}

static void exact_scores_give_the_exact_roc(void **state)
{
    (void)state;
    draw_signs(&a, 1);
    draw_signs(&b, 2);
    run_both_ways(NULL, N, 0);
    run_both_ways(NULL, 97, 0); /* one more row than a task has */
    run_both_ways(NULL, 257, 0);
    run_both_ways(&b, N, M);
    run_both_ways(&b, 33, M);
    run_both_ways(&b, M, 16);
}

static void any_processor(void **state)
{
    (void)state;
    fv_cpu_set_mask(0);
    draw_signs(&a, 3);
    run_both_ways(NULL, N, 0);
    fv_cpu_set_mask(~0u);
}

/* Scores of any kind: the metrics of the scores one by one lie within the bounds, and the kept ones are exact but for
 * the rounding of float32, which moves a score by less than 1e-6 and no more than a few past another. */
static void bounds_hold(void **state)
{
    const struct fv_allpairs_side side = {a.v, a.label, N};
    struct fv_roc want;
    struct fv_eer eer;
    struct fv_tpr tpr[2];

    (void)state;
    for (uint64_t seed = 1; seed <= 6; seed++) {
        draw_any(&a, seed);
        brute(&want, &a, N, NULL, 0);
        fv_roc_eer(&want, &eer);
        for (size_t keep = 100; keep <= 100000; keep *= 10) {
            const struct fv_allpairs_settings s = {.threads = 2, .keep = keep};
            const double slack = 3.0 / (double)want.genuine;
            struct fv_allpairs p;
            assert_int_equal(fv_allpairs_run(&p, DIM, &side, NULL, &s), FV_OK);
            assert_in_range(p.eer_low <= eer.eer + slack && eer.eer - slack <= p.eer_high, 1, 1);
            assert_true(p.auc_low - 1e-6 <= fv_roc_auc(&want) &&
                        fv_roc_auc(&want) <= p.auc_high + 1e-6 && p.auc_high - p.auc_low < 1e-3);
            fv_roc_tpr(&want, 50.0 / (double)want.impostor, &tpr[0]);
            fv_roc_tpr(&p.roc, 50.0 / (double)want.impostor, &tpr[1]);
            if (p.exact_fmr * (double)want.impostor >= 50)
                assert_true(fabs(tpr[0].tpr - tpr[1].tpr) <= slack &&
                            fabs(tpr[0].threshold - tpr[1].threshold) < 1e-5);
            assert_true(p.eer_high - p.eer_low < 0.01);
            fv_allpairs_free(&p);
        }
        fv_roc_free(&want);
    }
}

static void one_kind_is_refused(void **state)
{
    const struct fv_allpairs_settings s = {.threads = 1};
    struct fv_allpairs_side side = {a.v, a.label, 1};
    struct fv_allpairs p;

    (void)state;
    assert_int_equal(fv_allpairs_run(&p, DIM, &side, NULL, &s), FV_EINVAL);
    for (int i = 0; i < N; i++)
        a.label[i] = 7;
    side.n = N;
    assert_int_equal(fv_allpairs_run(&p, DIM, &side, NULL, &s), FV_EINVAL);
    assert_non_null(strstr(fv_err_text(), "no impostor pairs"));
}

/* Both kernels against the sum in double, with canaries around the output. */
static void kernels(void **state)
{
    enum { STRIDE = FV_DOTS_COLUMNS + 3 };
    float out[FV_DOTS_ROWS * STRIDE + 2];
    fv_dots_fn *const kernel[] = {fv__dots_c, fv__dots_choose()};
    float *panel = aligned_alloc(64, fv__dots_panel_bytes(FV_DOTS_COLUMNS, DIM));
    const float *row[FV_DOTS_ROWS];

    (void)state;
    draw_any(&a, 5);
    fv__dots_pack(panel, a.v + FV_DOTS_ROWS * DIM, FV_DOTS_COLUMNS, DIM);
    for (int r = 0; r < FV_DOTS_ROWS; r++)
        row[r] = a.v + r * DIM;
    for (int k = 0; k < 2; k++) {
        for (size_t i = 0; i < sizeof out / sizeof *out; i++)
            out[i] = 77;
        kernel[k](row, panel, DIM, out + 1, STRIDE);
        for (int i = 0; i < FV_DOTS_ROWS * STRIDE; i++) {
            const int r = i / STRIDE, c = i % STRIDE;
            double want = 0;
            for (int d = 0; c < FV_DOTS_COLUMNS && d < DIM; d++)
                want += (double)row[r][d] * (double)a.v[(FV_DOTS_ROWS + c) * DIM + d];
            assert_true(c < FV_DOTS_COLUMNS ? fabs((double)out[1 + i] - want) < 1e-6
                                            : out[1 + i] == 77);
        }
        assert_true(out[0] == 77);
    }
    free(panel);
}

static int descending(const void *x, const void *y)
{
    return (*(const float *)x < *(const float *)y) - (*(const float *)x > *(const float *)y);
}

/* What is kept is the top of the sorted numbers, and all that is above the floor; however it was divided. */
static void the_highest(void **state)
{
    enum { COUNT = 3000 };
    static float x[COUNT];

    (void)state;
    for (uint64_t round = 0; round < 300; round++) {
        struct fv_rng r = fv_rng_at(9, 0, round, FV_RNG_TEST);
        const uint32_t levels = 1 + fv_rng_below(&r, round % 2 ? 20 : 100000);
        const size_t keep = 1 + fv_rng_below(&r, 700);
        struct fv_highest h[3];
        for (int i = 0; i < 3; i++)
            assert_int_equal(fv__highest_open(&h[i], keep), FV_OK);
        for (int i = 0; i < COUNT; i++) {
            x[i] = (float)fv_rng_below(&r, levels) - 5;
            fv__highest_add(&h[fv_rng_below(&r, 3)], x[i]);
        }
        fv__highest_merge(&h[0], &h[1]);
        fv__highest_merge(&h[0], &h[2]);
        fv__highest_finish(&h[0], COUNT);
        qsort(x, COUNT, sizeof *x, descending);
        assert_true(h[0].n <= keep);
        assert_memory_equal(h[0].x, x, h[0].n * sizeof *x);
        assert_true(h[0].n == COUNT || x[h[0].n] < h[0].floor);
        assert_true(h[0].n == 0 || h[0].x[h[0].n - 1] >= h[0].floor);
        /* the floor is the keep-th highest, or just above where that one is one of too many */
        const float last = x[keep - 1];
        assert_true(h[0].floor == (h[0].n == keep ? last : nextafterf(last, INFINITY)));
        for (int i = 0; i < 3; i++)
            fv__highest_close(&h[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exact_scores_give_the_exact_roc),
        cmocka_unit_test(any_processor),
        cmocka_unit_test(bounds_hold),
        cmocka_unit_test(one_kind_is_refused),
        cmocka_unit_test(kernels),
        cmocka_unit_test(the_highest),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
