/* SPDX-License-Identifier: MIT */
/* For every optimiser and every schedule, with average, clipping, accumulation and patience: stopped at some step and
 * resumed, a run ends in the bytes of one that was not.
 *
 *     test_exact_resume BACKEND [every]
 *
 * The backend cpu makes its kernels anew whenever it opens, which is slow: without `every` it takes each schedule
 * once and each optimiser twice, with all tricks together. The rate is not the backend's business.
 */
#include "train_fixture.h"

#include "common/err.h"
#include "common/fs.h"
#include "common/rng.h"
#include "tests/cmocka_all.h"
#include "trainer/run/schedule.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *backend;
static int every;
static struct fixture fix;
static uint64_t stop_ticket;

static void stop_at_ticket(struct synthetic *s)
{
    if (s->ticket == stop_ticket)
        fv_train_stop = 1;
}

static const struct trick {
    const char *name;
    double clip_norm, ema;
    int accumulate, nesterov, patience;
    const char *freeze, *lr_of, *cycle;
} tricks[] = {
    {"plain", 0, 0, 1, 0, 0, NULL, NULL, NULL},
    {"average", 0, 0.9, 1, 0, 0, NULL, NULL, NULL},
    {"clipped halves", 0.5, 0, 4, 0, 0, NULL, NULL, NULL},
    {"all", 0.7, 0.95, 4, 1, 1, "conv1,bn1", "fc=10,layer1=0.5", "0.8,0.9"},
};

enum { TRICKS = sizeof tricks / sizeof *tricks };

static int run(const char *name, int resume)
{
    return fixture_run(&fix, name, resume);
}

static void must_run(const char *name, int resume)
{
    if (run(name, resume) != 0)
        fail_msg("%s: %s", name, fv_err_text());
}

static int exists(const char *name, const char *file)
{
    return access(fixture_path(&fix, name, file), F_OK) == 0;
}

/* A run of its own folder, whole and in pieces. Which steps it stops after is a function of its number. */
static void check_case(unsigned number)
{
    static const char *const files[] = {"last.safetensors", "best_cls.safetensors",
                                        "best_ver.safetensors", "settings.txt"};
    struct fv_rng rng = fv_rng_at(5, 0, number, FV_RNG_TEST);
    char whole[32], pieces[32];
    snprintf(whole, sizeof whole, "whole-%u", number);
    snprintf(pieces, sizeof pieces, "pieces-%u", number);
    must_run(whole, 0);
    fix.train.before = stop_at_ticket;
    const uint64_t steps = (uint64_t)fix.settings.epochs * FIXTURE_STEPS;
    for (stop_ticket = fv_rng_below(&rng, 5); stop_ticket + 1 < steps;
         stop_ticket += 1 + fv_rng_below(&rng, 7)) {
        fv_train_stop = 0;
        const int rc = run(pieces, 1);
        if (rc == 0) /* patience came first */
            break;
        assert_int_equal(rc, FV_EINTR);
    }
    fv_train_stop = 0;
    fix.train.before = NULL;
    must_run(pieces, 1);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        assert_int_equal(exists(whole, files[i]), exists(pieces, files[i]));
        if (exists(whole, files[i]))
            assert_same_file(&fix, whole, pieces, files[i]);
    }
}

static void test_every_combination(void **state)
{
    (void)state;
    unsigned number = 0;
    for (int o = 0; o < FV_OPTIM_KINDS; o++)
        for (int s = 0; fv_schedule_names[s]; s++)
            for (size_t t = 0; t < TRICKS; t++, number++) {
                if (!every && (o != s / 2 || t + 1 < TRICKS))
                    continue;
                fixture_open(&fix);
                fix.settings.backend = backend;
                fix.settings.threads = 2;
                fix.settings.save_every = 0;
                fix.settings.optim = fv_optim_names[o];
                fix.settings.schedule = fv_schedule_names[s];
                fix.settings.schedule_by = number % 2 ? "epoch" : "step";
                fix.settings.milestones = "1,2.5";
                fix.settings.lr = o == FV_OPTIM_SGD ? 0.05 : 0.003;
                fix.settings.clip_norm = tricks[t].clip_norm;
                fix.settings.ema = tricks[t].ema;
                fix.settings.accumulate = tricks[t].accumulate;
                fix.settings.nesterov = tricks[t].nesterov;
                fix.settings.patience = tricks[t].patience;
                fix.settings.patience_on = "val-acc";
                fix.settings.cycle_momentum = tricks[t].cycle;
                fix.settings.freeze = tricks[t].freeze;
                fix.settings.lr_of = tricks[t].lr_of;
                check_case(number);
                fixture_close(&fix);
            }
}

/* Frozen weights, and the statistics of a batch norm that is frozen whole, keep their bits; others do not. */
static void test_frozen(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        int moves;
    } wanted[] = {{"conv1.weight", 0},        {"bn1.weight", 0},
                  {"bn1.running_mean", 0},    {"bn1.running_var", 0},
                  {"layer1.0.bn1.bias", 1},   {"layer1.0.bn1.running_mean", 1},
                  {"layer2.0.bn2.weight", 0}, {"layer2.0.bn2.running_var", 1}};
    struct fv_st *st;
    struct fv_st_tensor t;
    fixture_open(&fix);
    fix.settings.backend = backend;
    fix.settings.seed = 7;
    fix.settings.freeze = "conv1,bn1,layer2.0.bn2.weight";
    must_run("frozen", 0);
    assert_int_equal(fv_st_open(&st, fixture_path(&fix, "frozen", "last.safetensors")), 0);
    struct fv_net *net;
    const struct fv_arch_settings a = {.size = 12,
                                       .classes = FIXTURE_CLASSES,
                                       .stem = "auto",
                                       .mean = {.5f, .5f, .5f},
                                       .std = {.5f, .5f, .5f}};
    assert_int_equal(fv_net_build(&net, "tiny", &a), 0);
    float *arena = calloc(net->params + net->buffers, sizeof *arena);
    fv_net_init(net, 7, arena);
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        const int tensor = fv_net_find_tensor(net, wanted[i].name);
        assert_int_equal(fv_st_tensor(st, wanted[i].name, &t), 0);
        const int moved = memcmp(t.data, arena + net->tensor[tensor].offset, t.bytes) != 0;
        if (moved != wanted[i].moves)
            fail_msg("%s has %s", wanted[i].name, moved ? "moved" : "not moved");
    }
    fv_st_close(&st);
    fv_net_free(&net);
    free(arena);
    fixture_close(&fix);
}

/* With an average, what was measured is the average: best_cls holds it, and "last" both. */
static void test_average_is_measured(void **state)
{
    (void)state;
    struct fv_st *last, *best;
    struct fv_st_tensor ema, own, kept;
    fixture_open(&fix);
    fix.settings.backend = backend;
    fix.settings.epochs = 1;
    fix.settings.ema = 0.8;
    must_run("average", 0);
    assert_int_equal(fv_st_open(&last, fixture_path(&fix, "average", "last.safetensors")), 0);
    assert_int_equal(fv_st_open(&best, fixture_path(&fix, "average", "best_cls.safetensors")), 0);
    assert_int_equal(fv_st_tensor(last, "ema.fc.weight", &ema), 0);
    assert_int_equal(fv_st_tensor(last, "fc.weight", &own), 0);
    assert_int_equal(fv_st_tensor(best, "fc.weight", &kept), 0);
    assert_memory_equal(kept.data, ema.data, ema.bytes);
    assert_memory_not_equal(own.data, ema.data, ema.bytes);
    assert_int_equal(fv_st_tensor(best, "ema.fc.weight", &kept), FV_ENOTFOUND);
    assert_int_equal(fv_st_tensor(best, "optim.momentum.fc.weight", &kept), FV_ENOTFOUND);

    struct fv_model *m;
    double accuracy, loss;
    const double logged = strtod(fv_st_meta(last, "best_cls_accuracy"), NULL);
    assert_int_equal(
        fv_model_open(&m, fixture_path(&fix, "average", "last.safetensors"), backend, 1, 5), 0);
    assert_int_equal(fv_model_accuracy(m, &fix.val.source, &accuracy, &loss, NULL), 0);
    assert_true(accuracy == logged);
    fv_model_close(&m);
    fv_st_close(&last);
    fv_st_close(&best);
    fixture_close(&fix);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_combination),
        cmocka_unit_test(test_frozen),
        cmocka_unit_test(test_average_is_measured),
    };
    if (argc < 2)
        return 2;
    backend = argv[1];
    every = argc > 2;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
