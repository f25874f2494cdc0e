/* SPDX-License-Identifier: MIT */
/* The end of a step, from gradients to weights: norm, clipping, loss scale, accumulation, update, averages, against the
 * rules of trainer/optim.c in double. */
#include "common/err.h"
#include "tests/cmocka_all.h"
#include "tests/cuda/kernel_rig.h"
#include "trainer/cuda/hyper.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { LOW = 5 * 256, HIGH = 4 * 256, COUNT = LOW + HIGH, BLOCKS = COUNT / 256, ITEMS = 37 };

/* Blocks 1 and 6 are frozen. */
static const float lr_factor[BLOCKS] = {1, 0, 0.5f, 1, 1, 1, 0, 2, 1};
static const float decay_factor[BLOCKS] = {1, 1, 1, 0, 1, 0.5f, 1, 1, 1};

struct state {
    enum fv_k_type type;
    struct fv_optim optim;
    struct fv_k_gradients gradients;
    struct fv_k_optim update;
    struct fv_k_control *control;
    struct fv_k_hyper *hyper;
    float *partial;
    /* what they should be */
    double *w, *first, *second, *average;
    double *g; /* of the last step, before scaling */
};

static void *control_new(double scale)
{
    const struct fv_k_control c = {.loss_scale = (float)scale};
    return rig_bytes(sizeof c, &c);
}

static struct fv_k_control control_of(const struct state *s)
{
    struct fv_k_control c;
    place_get(&c, s->control, sizeof c);
    return c;
}

static void begin(struct state *s, enum fv_k_type type, struct fv_optim optim, double scale)
{
    struct fv_k_block blocks[BLOCKS];
    *s = (struct state){.type = type, .optim = optim};
    s->optim.lr_factor = lr_factor;
    s->optim.decay_factor = decay_factor;
    for (int b = 0; b < BLOCKS; b++)
        blocks[b] = fv_k_block_of(&s->optim, b);
    s->control = control_new(scale);
    s->hyper = rig_bytes(sizeof *s->hyper, NULL);
    s->partial = rig_new(FV_K_F32, fv_k_gradient_norm_partial(COUNT));
    s->update = (struct fv_k_optim){
        .block = rig_bytes(sizeof blocks, blocks),
        .hyper = s->hyper,
        .control = s->control,
        .master = rig_drawn(FV_K_F32, COUNT, -1, 1, &s->w),
        .first = rig_drawn(FV_K_F32, COUNT, 0, 0, &s->first),
        .second = rig_drawn(FV_K_F32, COUNT, 0, 0, &s->second),
        .average = rig_given(FV_K_F32, COUNT, s->w),
        .work = type == FV_K_F32 ? NULL : rig_new(type, LOW),
        .work_type = type,
        .is_adam = optim.kind != FV_OPTIM_SGD,
    };
    s->average = rig_doubles(COUNT);
    memcpy(s->average, s->w, COUNT * sizeof *s->w);
}

/* Gradients whose sum with other ranks' is done. */
static void draw_gradients(struct state *s, double scale)
{
    double *low, *high;
    s->gradients = (struct fv_k_gradients){.type = s->type, .low_count = LOW, .count = COUNT};
    s->gradients.low = rig_drawn(s->type, LOW, -scale, scale, &low);
    s->gradients.high = rig_drawn(FV_K_F32, HIGH, -scale, scale, &high);
    s->g = rig_doubles(COUNT);
    for (int i = 0; i < COUNT; i++)
        s->g[i] = (i < LOW ? low[i] : high[i - LOW]) / scale;
}

static double norm_of(const double *g)
{
    double squares = 0;
    for (int i = 0; i < COUNT; i++)
        squares += lr_factor[i / 256] > 0 ? g[i] * g[i] : 0;
    return sqrt(squares);
}

/* The rule, in double, from fp32 values as ref takes them. */
static void follow(struct state *s, const double *g)
{
    const double clip = fv_optim_clip_scale(&s->optim, norm_of(g));
    for (int i = 0; i < COUNT; i++) {
        const struct fv_optim_scalars c = fv_optim_scalars(&s->optim, i / 256);
        double state[2] = {s->first[i], s->second[i]};
        if (c.frozen)
            continue;
        fv_optim_rules[s->optim.kind].update(&c, &s->w[i], g[i] * clip, state);
        s->first[i] = state[0];
        s->second[i] = state[1];
        if (s->optim.ema_decay > 0)
            s->average[i] += (1 - s->optim.ema_decay) * (s->w[i] - s->average[i]);
    }
    s->optim.updates++;
}

static void launch(struct state *s, const struct fv_k_gradients *gradients, const float *items,
                   const float *hits, int growth_steps)
{
    struct fv_k_hyper h;
    fv_k_hyper_set(&h, &s->optim, ITEMS, growth_steps);
    place_put(s->hyper, &h, sizeof h);
    const struct fv_k_gradient_norm norm = {*gradients, s->update.block, s->partial};
    const struct fv_k_decide decide = {s->partial, COUNT, gradients->is_sum, items,     hits,
                                       1,          ITEMS, s->hyper,          s->control};
    rig_run(fv_k_gradient_norm(&norm, NULL));
    rig_orders(s->partial, 4 * fv_k_gradient_norm_partial(COUNT), fv_k_gradient_norm(&norm, NULL));
    rig_run(fv_k_decide(&decide, NULL));
    s->update.gradients = *gradients;
    rig_run(fv_k_optim(&s->update, NULL));
}

static void check(const struct state *s)
{
    double *copy = rig_values(FV_K_F32, s->update.master, COUNT);
    rig_check("weights", FV_K_F32, s->update.master, COUNT, s->w, 0, 1e-5);
    rig_check("first", FV_K_F32, s->update.first, COUNT, s->first, 0, 1e-5);
    rig_check("average", FV_K_F32, s->update.average, COUNT, s->average, 0, 1e-5);
    if (s->update.is_adam)
        rig_check("second", FV_K_F32, s->update.second, COUNT, s->second, 0, 1e-5);
    for (int i = 0; s->update.work && i < LOW; i++) {
        copy[i] = rig_round(s->type, copy[i]);
        if (lr_factor[i / 256] == 0)
            copy[i] = (double)NAN; /* as it was: never written */
    }
    if (s->update.work)
        rig_check("working copy", s->type, s->update.work, LOW, copy, 0, 0);
}

static const struct fv_optim optims[] = {
    {.kind = FV_OPTIM_SGD, .lr = 0.1, .momentum = 0.9, .weight_decay = 5e-4},
    {.kind = FV_OPTIM_SGD,
     .lr = 0.1,
     .momentum = 0.9,
     .nesterov = 1,
     .weight_decay = 5e-2,
     .clip_norm = 3},
    {.kind = FV_OPTIM_SGD,
     .lr = 0.1,
     .momentum = 0.5,
     .weight_decay = 0.1,
     .decoupled = 1,
     .ema_decay = 0.9},
    {.kind = FV_OPTIM_ADAM,
     .lr = 0.01,
     .beta1 = 0.9,
     .beta2 = 0.999,
     .eps = 1e-8,
     .weight_decay = 0.01,
     .ema_decay = 0.99},
    {.kind = FV_OPTIM_ADAMW,
     .lr = 0.01,
     .beta1 = 0.9,
     .beta2 = 0.99,
     .eps = 1e-6,
     .weight_decay = 0.1,
     .clip_norm = 5},
};
enum { OPTIMS = sizeof optims / sizeof *optims };

static void updates(void **state)
{
    (void)state;
    for (int t = 0; t < 3; t++)
        for (int o = 0; o < OPTIMS; o++) {
            struct state s;
            const double scale = rig_types[t] == FV_K_F16 ? 1024 : 1;
            double *loss, *hit, mean = 0, correct = 0;
            rig_begin((uint64_t)o);
            begin(&s, rig_types[t], optims[o], scale);
            const float *items = rig_drawn(FV_K_F32, ITEMS, 0, 5, &loss),
                        *hits = rig_drawn(FV_K_F32, ITEMS, 0, 1, &hit);
            for (int i = 0; i < ITEMS; i++) {
                mean += loss[i] / ITEMS;
                correct += hit[i];
            }
            for (int step = 0; step < 4; step++) {
                draw_gradients(&s, scale);
                s.optim.lr = optims[o].lr / (1 + step);
                launch(&s, &s.gradients, items, hits, 0);
                const struct fv_k_control c = control_of(&s);
                assert_true(c.finite && c.updates == (uint64_t)step + 1 && c.n == ITEMS);
                assert_true(fabs(c.loss - mean) < 1e-12 && fabs(c.correct - correct) < 1e-12);
                assert_true(fabs(c.grad_norm / norm_of(s.g) - 1) < 1e-6);
                follow(&s, s.g);
                check(&s);
            }
        }
    rig_begin(0);
}

/* Three parts, of which the sum is divided; a loss scale that changes between them does not matter. */
static void accumulation(void **state)
{
    (void)state;
    struct state s;
    double *sum, *loss;
    rig_begin(3);
    begin(&s, FV_K_F16, optims[1], 256);
    const float *items = rig_drawn(FV_K_F32, ITEMS, 0, 5, &loss);
    float *plane = rig_new(FV_K_F32, COUNT);
    for (int step = 0; step < 2; step++) {
        sum = rig_doubles(COUNT);
        s.optim.parts = 3;
        for (s.optim.part = 0; s.optim.part < 3; s.optim.part++) {
            const double scale = 256 << s.optim.part;
            struct fv_k_control c = control_of(&s);
            c.loss_scale = (float)scale;
            place_put(s.control, &c, sizeof c);
            draw_gradients(&s, scale);
            for (int i = 0; i < COUNT; i++)
                sum[i] += s.g[i] / 3;
            const struct fv_k_accumulate a = {s.gradients, s.update.block, s.control, plane,
                                              s.optim.part == 0};
            rig_run(fv_k_accumulate(&a, NULL));
            const struct fv_k_gradients whole = {.low = plane,
                                                 .high = plane + LOW,
                                                 .type = FV_K_F32,
                                                 .low_count = LOW,
                                                 .count = COUNT,
                                                 .is_sum = 1};
            launch(&s, &whole, items, NULL, 0);
            assert_int_equal(control_of(&s).updates, step + (s.optim.part == 2));
        }
        s.optim.part = 2;
        follow(&s, sum);
        check(&s);
    }
    rig_begin(0);
}

/* A gradient or a loss that is not finite: nothing changes, the loss scale halves; then it grows again. */
static void faults(void **state)
{
    (void)state;
    for (int fault = 0; fault < 4; fault++) {
        struct state s;
        double *loss;
        rig_begin((uint64_t)fault);
        begin(&s, FV_K_F16, optims[3], 1024);
        float *items = rig_drawn(FV_K_F32, ITEMS, 0, 5, &loss);
        draw_gradients(&s, 1024);
        const float bad = fault & 1 ? NAN : INFINITY;
        const uint16_t bad16 = 0x7c00;
        /* a frozen tensor's gradient is nobody's business */
        place_put((char *)(uintptr_t)s.gradients.low + 2 * 300, &bad16, 2);
        launch(&s, &s.gradients, items, NULL, 2);
        follow(&s, s.g);
        assert_true(control_of(&s).finite);
        check(&s);

        if (fault == 0)
            place_put((char *)(uintptr_t)s.gradients.low + 2 * (LOW - 1), &bad16, 2);
        else if (fault < 3)
            place_put((char *)(uintptr_t)s.gradients.high + 4 * (HIGH - 1), &bad, 4);
        else
            place_put(items + ITEMS - 1, &bad, 4);
        launch(&s, &s.gradients, items, NULL, 2);
        struct fv_k_control c = control_of(&s);
        assert_false(c.finite);
        assert_int_equal(c.updates, 1);
        assert_true(c.loss_scale == 512 && c.used_scale == 1024 && c.good_steps == 0);
        check(&s);

        items = rig_drawn(FV_K_F32, ITEMS, 0, 5, &loss);
        draw_gradients(&s, 512);
        for (int good = 0; good < 2; good++) {
            launch(&s, &s.gradients, items, NULL, 2);
            c = control_of(&s);
            assert_true(c.finite && c.loss_scale == (good ? 1024 : 512));
            if (good == 0)
                follow(&s, s.g);
        }
    }
    rig_begin(0);
}

static void running_statistics(void **state)
{
    (void)state;
    enum { N = 3 * 256 };
    static const double momenta[3] = {0.1, 0, 1};
    for (int finite = 0; finite < 2; finite++) {
        rig_begin(1);
        double *batch, *running, *average;
        struct fv_k_control c = {.finite = finite, .loss_scale = 1};
        struct fv_k_hyper h = {.update = 1, .ema_share = 0.25f};
        const struct fv_k_running a = {.batch = rig_drawn(FV_K_F32, N, -1, 1, &batch),
                                       .momentum = rig_given(FV_K_F32, 3, momenta),
                                       .running = rig_drawn(FV_K_F32, N, -1, 1, &running),
                                       .average = rig_drawn(FV_K_F32, N, -1, 1, &average),
                                       .count = N,
                                       .hyper = rig_bytes(sizeof h, &h),
                                       .control = rig_bytes(sizeof c, &c)};
        rig_run(fv_k_running(&a, NULL));
        for (int i = 0; finite && i < N; i++) {
            running[i] += momenta[i / 256] * (batch[i] - running[i]);
            average[i] += 0.25 * (running[i] - average[i]);
        }
        rig_check("running", FV_K_F32, a.running, N, running, 2, 1e-7);
        rig_check("their average", FV_K_F32, a.average, N, average, 2, 1e-7);
    }
    rig_begin(0);
}

static void refuses(void **state)
{
    (void)state;
    struct fv_k_optim a = {.gradients = {.count = 300}};
    assert_int_equal(fv_k_optim(&a, NULL), FV_EINVAL);
    struct fv_k_running r = {.count = 10};
    assert_int_equal(fv_k_running(&r, NULL), FV_EINVAL);
    assert_true(sizeof(struct fv_k_control) <= 256);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(updates), cmocka_unit_test(accumulation), cmocka_unit_test(faults),
        cmocka_unit_test(running_statistics), cmocka_unit_test(refuses)};
    place_open();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
