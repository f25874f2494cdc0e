/* SPDX-License-Identifier: MIT */
/* The loss's kernels against trainer/loss, which computes in double (and is itself compared with PyTorch). */
#include "common/err.h"
#include "tests/cmocka_all.h"
#include "tests/cuda/kernel_rig.h"
#include "trainer/cuda/hyper.h"
#include "trainer/loss/loss.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { SCALE = 64 }; /* the loss scale */

struct batch {
    int rows, n, classes, stride, dim;
    double *scores, *embedding;
    float *lambda;
    int32_t *label, *mix;
};

/* Labels that are mixed, whole, the other's alone, and twice the same. */
static void draw_batch(struct batch *b, int cosines)
{
    b->scores = rig_doubles((size_t)(b->rows * b->stride));
    b->embedding = rig_doubles((size_t)(b->rows * b->dim));
    b->lambda = (float *)rig_doubles((size_t)b->rows);
    b->label = (int32_t *)rig_doubles((size_t)b->rows);
    b->mix = (int32_t *)rig_doubles((size_t)b->rows);
    for (int i = 0; i < b->rows; i++) {
        const double reach = cosines ? 1 : 12;
        for (int k = 0; k < b->classes; k++)
            b->scores[i * b->stride + k] = rig_round(FV_K_F32, rig_draw(-reach, reach));
        for (int k = 0; k < b->dim; k++)
            b->embedding[i * b->dim + k] = rig_round(FV_K_F32, rig_draw(-3, 3));
        b->label[i] = i < b->n ? (int32_t)rig_below((unsigned)b->classes) : -1;
        b->mix[i] = i >= b->n    ? -1
                    : i % 5 == 1 ? b->label[i]
                                 : (int32_t)rig_below((unsigned)b->classes);
        b->lambda[i] = i % 5 == 2 ? 1 : i % 5 == 3 ? 0 : (float)rig_draw(0, 1);
        if (cosines && i < b->n) /* near and beyond what margins hold */
            b->scores[i * b->stride + b->label[i]] = i % 7 == 0   ? 1
                                                     : i % 7 == 1 ? -1
                                                     : i % 7 == 2 ? 0.99951171875
                                                                  : 0.3125;
    }
}

/* As trainer/loss has it; gradients of the scores with the kernel's padding. */
static struct fv_loss_result reference(const struct batch *b, const struct fv_loss_spec *spec,
                                       double epoch, float state[2], double *items, double *hits,
                                       double *gradient)
{
    const size_t n = (size_t)b->n, classes = (size_t)b->classes;
    double *scores = rig_doubles(n * classes), *grad = rig_doubles(n * classes);
    for (size_t i = 0; i < n; i++)
        memcpy(scores + i * classes, b->scores + i * (size_t)b->stride, classes * sizeof *scores);
    struct fv_loss_call c = {.spec = spec,
                             .n = b->n,
                             .classes = b->classes,
                             .dim = b->dim,
                             .label = b->label,
                             .label_mix = b->mix,
                             .lambda = b->lambda,
                             .epoch = epoch,
                             .work = rig_doubles(fv_loss_work(spec, b->n, b->dim))};
    c.in[fv_loss_scores(&spec->term[0])] = (struct fv_loss_rows){.d = scores, .grad_d = grad};
    c.in[FV_LOSS_EMBEDDING].d = b->embedding;
    c.state[0][0] = &state[0];
    c.state[0][1] = &state[1];
    fv_loss_run(&c);
    memcpy(items, c.work, n * sizeof *items);
    memcpy(hits, c.work + n, n * sizeof *hits);
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < classes; k++)
            gradient[i * (size_t)b->stride + k] = SCALE * grad[i * classes + k];
    fv_loss_commit(&c);
    return c.result;
}

static void run(const char *text, int rows, int n, int classes, double epoch)
{
    struct fv_loss_spec spec;
    if (fv_loss_parse(&spec, text) < 0)
        fail_msg("%s", fv_err_text());
    struct batch b = {
        .rows = rows, .n = n, .classes = classes, .stride = (classes + 7) / 8 * 8, .dim = 24};
    draw_batch(&b, (spec.reads & FV_LOSS_READS_COSINE) != 0);
    const size_t count = (size_t)(rows * b.stride);
    double *items = rig_doubles((size_t)rows), *hits = rig_doubles((size_t)rows),
           *gradient = rig_doubles(count);
    float state[2] = {7, 2};
    const double before[2] = {7, 2};
    reference(&b, &spec, epoch, state, items, hits, gradient);

    struct fv_k_margin margin;
    struct fv_k_hyper hyper;
    assert_int_equal(fv_k_margin_set(&margin, &spec.term[0], epoch), 0);
    fv_k_hyper_set(&hyper, NULL, n, 0);
    const struct fv_k_control control = {.loss_scale = SCALE};
    const struct fv_k_hyper *p_hyper = rig_bytes(sizeof hyper, &hyper);
    const struct fv_k_margin *p_margin = rig_bytes(sizeof margin, &margin);
    struct fv_k_loss a = {.scores = rig_given(FV_K_F32, count, b.scores),
                          .rows = rows,
                          .classes = classes,
                          .stride = b.stride,
                          .label = rig_bytes(4 * (size_t)rows, b.label),
                          .label_mix = rig_bytes(4 * (size_t)rows, b.mix),
                          .lambda = rig_bytes(4 * (size_t)rows, b.lambda),
                          .margin = p_margin,
                          .hyper = p_hyper,
                          .control = rig_bytes(sizeof control, &control),
                          .gradient = rig_new(FV_K_F32, count),
                          .items = rig_new(FV_K_F32, (size_t)rows),
                          .hits = rig_new(FV_K_F32, (size_t)rows)};
    if (margin.kind == FV_K_MARGIN_ADAFACE) {
        const struct fv_k_normalise_forward norms = {
            rig_given(FV_K_F32, (size_t)(rows * b.dim), b.embedding),
            rig_new(FV_K_F32, (size_t)(rows * b.dim)),
            rig_new(FV_K_F32, (size_t)rows),
            rows,
            b.dim,
            1e-12f};
        const struct fv_k_norm_moments moments = {norms.norm,
                                                  p_margin,
                                                  p_hyper,
                                                  rig_given(FV_K_F32, 1, before),
                                                  rig_given(FV_K_F32, 1, before + 1),
                                                  rig_new(FV_K_F32, 1),
                                                  rig_new(FV_K_F32, 1)};
        const double want[2] = {(double)state[0], (double)state[1]};
        rig_run(fv_k_normalise_forward(&norms, NULL));
        rig_run(fv_k_norm_moments(&moments, NULL));
        rig_check("mean of the norms", FV_K_F32, moments.new_mean, 1, want, 4, 0);
        rig_check("deviation of the norms", FV_K_F32, moments.new_deviation, 1, want + 1, 4, 0);
        a.norm = norms.norm;
        a.mean = moments.new_mean;
        a.deviation = moments.new_deviation;
    }
    rig_run(fv_k_loss(&a, NULL));
    rig_orders(a.gradient, 4 * count, fv_k_loss(&a, NULL));
    const double steep = SCALE * (double)margin.scale * (double)margin.weight / n;
    rig_check(text, FV_K_F32, a.items, (size_t)rows, items, 4, 2e-5 * (double)margin.scale);
    rig_check(text, FV_K_F32, a.hits, (size_t)rows, hits, 2, 0);
    /* an fp32 score that is off by half a place moves a logit by scale times as much, and a power likewise */
    rig_check(text, FV_K_F32, a.gradient, count, gradient, 8,
              1e-5 * steep * (double)(margin.scale > 1 ? 2 : 1));

    a.add_items = a.add_gradient = 1;
    a.hits = NULL;
    rig_run(fv_k_loss(&a, NULL));
    for (size_t i = 0; i < count; i++)
        gradient[i] *= 2;
    for (int i = 0; i < rows; i++)
        items[i] *= 2;
    rig_check("items twice", FV_K_F32, a.items, (size_t)rows, items, 8,
              4e-5 * (double)margin.scale);
    rig_check("gradient twice", FV_K_F32, a.gradient, count, gradient, 16, 4e-5 * steep);
}

static void every_term(void **state)
{
    static const char *const terms[] = {"ce",
                                        "ce(smooth=0.1)",
                                        "0.3*ce(smooth=0.2)",
                                        "arcface(s=30,m=0.4)",
                                        "arcface(s=64,m=0.5,grad=insightface)",
                                        "arcface(s=30,m=0.5,warmup=2)",
                                        "arcface(s=16,m=1.4,smooth=0.1)",
                                        "cosface(s=30,m=0.35)",
                                        "combined(m1=1.2,m2=0.3,m3=0.2,s=20)",
                                        "combined(m1=4,m2=0.1,m3=0,s=10)",
                                        "combined(m1=1,m2=0.3,m3=0.2,s=30,grad=insightface)",
                                        "adaface(s=30,m=0.4)",
                                        "adaface(s=20,m=0.4,t_alpha=0.5,smooth=0.1)"};
    static const int shapes[][3] = {{9, 9, 5}, {17, 13, 300}, {6, 6, 1021}, {8, 7, 2}, {3, 1, 40}};
    (void)state;
    for (size_t t = 0; t < sizeof terms / sizeof *terms; t++)
        for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
            rig_begin(i + 1);
            run(terms[t], shapes[i][0], shapes[i][1], shapes[i][2], i % 2 ? 0.7 : INFINITY);
        }
    rig_begin(0);
}

/* One class; a row where one logit towers; a NaN. */
static void extremes(void **state)
{
    (void)state;
    rig_begin(1);
    enum { ROWS = 4, CLASSES = 20, STRIDE = 24 };
    const struct fv_k_control control = {.loss_scale = 1};
    struct fv_k_hyper hyper;
    struct fv_k_margin margin;
    struct fv_loss_spec spec;
    double scores[ROWS * STRIDE] = {0}, items[ROWS] = {0, 2000, log(20), (double)NAN};
    const int32_t label[ROWS] = {3, 4, 5, 6};
    const float lambda[ROWS] = {1, 1, 1, 1};
    scores[3] = 1000;
    scores[STRIDE + 3] = 1000;
    scores[STRIDE + 4] = -1000;
    scores[3 * STRIDE + 9] = (double)NAN;
    assert_int_equal(fv_loss_parse(&spec, "ce"), 0);
    assert_int_equal(fv_k_margin_set(&margin, &spec.term[0], 0), 0);
    fv_k_hyper_set(&hyper, NULL, ROWS, 0);
    struct fv_k_loss a = {.scores = rig_given(FV_K_F32, ROWS * STRIDE, scores),
                          .rows = ROWS,
                          .classes = CLASSES,
                          .stride = STRIDE,
                          .label = rig_bytes(sizeof label, label),
                          .label_mix = rig_bytes(sizeof label, label),
                          .lambda = rig_bytes(sizeof lambda, lambda),
                          .margin = rig_bytes(sizeof margin, &margin),
                          .hyper = rig_bytes(sizeof hyper, &hyper),
                          .control = rig_bytes(sizeof control, &control),
                          .gradient = rig_new(FV_K_F32, ROWS * STRIDE),
                          .items = rig_new(FV_K_F32, ROWS)};
    rig_run(fv_k_loss(&a, NULL));
    rig_check("items", FV_K_F32, a.items, ROWS, items, 2, 1e-6);
    const double one[24] = {0};
    a.classes = 1; /* nothing to choose between: no loss, no gradient */
    a.stride = 8;
    a.rows = 3;
    const int32_t zero[3] = {0};
    a.label = a.label_mix = rig_bytes(sizeof zero, zero);
    fv_k_hyper_set(&hyper, NULL, 3, 0);
    a.hyper = rig_bytes(sizeof hyper, &hyper);
    rig_run(fv_k_loss(&a, NULL));
    rig_check("one class", FV_K_F32, a.items, 3, one, 0, 1e-7);
    rig_check("one class's gradient", FV_K_F32, a.gradient, 24, one, 0, 1e-7);
    a.stride = 0;
    assert_int_equal(fv_k_loss(&a, NULL), FV_EINVAL);
    assert_int_equal(fv_loss_parse(&spec, "triplet"), 0);
    assert_int_equal(fv_k_margin_set(&margin, &spec.term[0], 0), FV_EUNSUPPORTED);
    rig_begin(0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_term), cmocka_unit_test(extremes)};
    place_open();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
