/* SPDX-License-Identifier: MIT */
/* What a run says of itself before it goes wrong: each sentence where it belongs, and nowhere else. */
#include "common/err.h"
#include "tests/cmocka_all.h"
#include "train_fixture.h"
#include "trainer/files/origin.h"
#include "trainer/run/loss_watch.h"
#include "trainer/run/train_run.h"
#include "trainer/run/traps.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void memory_is_short(void **state)
{
    char words[192];
    (void)state;
    assert_false(fv__memory_is_short(1000u << 20, 1000u << 20, words, sizeof words));
    assert_false(fv__memory_is_short(1000u << 20, 0, words, sizeof words)); /* not known */
    assert_true(fv__memory_is_short(1001u << 20, 1000u << 20, words, sizeof words));
    assert_non_null(strstr(words, "about 1001 MiB of memory are needed and 1000 can be had"));
    assert_non_null(strstr(words, "lower --batch"));
}

static void durations_are_words(void **state)
{
    static const struct {
        double seconds;
        const char *words;
    } rows[] = {{0.4, "0 s"},
                {89, "89 s"},
                {90, "2 min"},
                {12 * 60 + 29, "12 min"},
                {89 * 60, "89 min"},
                {90 * 60, "1 h 30 min"},
                {47.5 * 3600, "47 h 30 min"},
                {52 * 3600, "2 d 4 h"},
                {-1, "0 s"}};
    char text[FV_METER_DURATION];
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_string_equal(fv__meter_duration(text, rows[i].seconds), rows[i].words);
}

/* 30 epochs of 100 steps, of 8 images each. */
static void time_is_told_after_twenty_steps(void **state)
{
    const struct fv_batch_source train = {.batch = 8};
    const struct fv_train_data d = {.train = &train};
    struct fv_train_settings s = {.patience = 0};
    struct fv_run run = {.s = &s, .d = &d, .first_steps = 1};
    char words[160];
    (void)state;
    run.snap.epochs = 30;
    run.snap.steps_per_epoch = 100;
    run.snap.at.step = 20; /* 19 of them are timed */
    assert_false(fv__meter_estimate(&run, 9.5, words, sizeof words));
    run.snap.at.step = 21;
    assert_false(fv__meter_estimate(&run, 2.9, words, sizeof words));
    assert_true(
        fv__meter_estimate(&run, 10, words, sizeof words)); /* half a second each: 2979 more */
    assert_string_equal(words,
                        "about 25 min for 30 epochs (50 s each, 16 img/s; evaluation not counted)");
    run.snap.at.step = 4; /* a slow net */
    assert_true(fv__meter_estimate(&run, 30, words, sizeof words));
    assert_string_equal(
        words, "about 8 h 19 min for 30 epochs (17 min each, 1 img/s; evaluation not counted)");
    s.patience = 5;
    run.first_steps = 1730; /* resumed in the 18th epoch */
    run.snap.at.step = 1750;
    assert_true(fv__meter_estimate(&run, 10, words, sizeof words));
    assert_string_equal(words, "at most about 10 min for the last 12.5 epochs (50 s each, 16 "
                               "img/s; evaluation not counted)");
}

static void rates_far_off_are_named(void **state)
{
    static const struct {
        enum fv_optim_kind kind;
        double lr, momentum;
        int fresh;
        const char *says; /* NULL: nothing */
    } rows[] = {
        {FV_OPTIM_SGD, 0.1, 0.9, 1, NULL},
        {FV_OPTIM_SGD, 0.9, 0.9, 1, NULL},
        {FV_OPTIM_SGD, 2, 0.9, 1,
         "--lr 2 is far above what sgd with a momentum of 0.9 works with: begin with --lr 0.1"},
        {FV_OPTIM_SGD, 2, 0, 1, NULL},
        {FV_OPTIM_SGD, 5e-5, 0.9, 1, "--lr 5e-05 is far below"},
        {FV_OPTIM_SGD, 5e-5, 0.9, 0, NULL}, /* fine-tuning */
        {FV_OPTIM_ADAM, 1e-3, 0.9, 1, NULL},
        {FV_OPTIM_ADAM, 0.02, 0.9, 1, "--lr 0.02 is far above what adam works with"},
        {FV_OPTIM_ADAMW, 0.02, 0.9, 0, "what adamw works with"},
        {FV_OPTIM_ADAM, 1e-7, 0.9, 1, "--lr 1e-07 is far below what adam learns with"},
        {FV_OPTIM_ADAM, 1e-7, 0.9, 0, NULL},
    };
    char words[240];
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct fv_optim o = {.kind = rows[i].kind, .momentum = rows[i].momentum};
        assert_int_equal(fv__trap_rate(&o, rows[i].lr, rows[i].fresh, words, sizeof words),
                         rows[i].says != NULL);
        if (rows[i].says && !strstr(words, rows[i].says))
            fail_msg("says \"%s\"", words);
    }
    const struct fv_optim o = {.kind = FV_OPTIM_ADAM};
    fv__trap_rate(&o, 0.02, 1, words, sizeof words);
    assert_non_null(strstr(words, "begin with --lr 1e-3"));
}

/* 10 identities, 1000 images: guessing names 100 of them, give or take 9.5. */
static void validation_is_held_against_guessing(void **state)
{
    char words[320];
    (void)state;
    assert_false(fv__trap_validation(3, 0.9, 0.85, 1000, 10, words, sizeof words));
    assert_false(fv__trap_validation(1, 0.9, 0.01, 1000, 10, words, sizeof words));
    assert_false(fv__trap_validation(3, 0.9, NAN, 1000, 10, words, sizeof words));
    assert_false(fv__trap_validation(3, 0.1, 0.09, 1000, 10, words, sizeof words));
    assert_false(fv__trap_validation(3, 0.3, 0.075, 1000, 10, words, sizeof words));
    assert_true(fv__trap_validation(3, 0.3, 0.07, 1000, 10, words, sizeof words));
    assert_non_null(strstr(words, "7.00 % of the validation images are named rightly, fewer than "
                                  "guessing gives (10.00 %)"));
    assert_false(fv__trap_validation(3, 0.3, 0.0, 20, 10, words, sizeof words)); /* too few */
    assert_true(fv__trap_validation(3, 0.9, 0.11, 1000, 10, words, sizeof words));
    assert_non_null(strstr(words, "no more than guessing gives: a --batch too small"));
    assert_false(fv__trap_validation(3, 0.9, 0.13, 1000, 10, words, sizeof words));
    assert_false(fv__trap_validation(3, NAN, 0.11, 1000, 10, words, sizeof words));
    assert_false(fv__trap_validation(3, 0.9, 0.5, 1000, 2, words, sizeof words)); /* of two */
}

static void waiting_is_told_of(void **state)
{
    char words[320];
    (void)state;
    assert_false(fv__trap_wait(0.2, 100, words, sizeof words));
    assert_false(fv__trap_wait(0.9, 5, words, sizeof words));
    assert_true(fv__trap_wait(0.62, 100, words, sizeof words));
    assert_non_null(strstr(words, "waited for images 62 % of the time: more --loader-threads"));
}

/* The bound of CosFace, by its own terms: with the classes as far apart as they can be, cosines are 1 and -1/(C-1). */
static void a_low_scale_is_told_of(void **state)
{
    struct fv_loss_spec spec;
    char words[240];
    (void)state;
    for (int classes = 2; classes < 20000; classes = classes * 3 + 1) {
        const double c = classes, scale = (c - 1) / c * log((c - 1) * 9);
        const double right = exp(scale), other = exp(-scale / (c - 1));
        assert_true(fabs(right / (right + (c - 1) * other) - 0.9) < 1e-9);
        for (int low = 0; low < 2; low++) {
            char loss[64];
            snprintf(loss, sizeof loss, "ce+0.1*arcface(s=%.6f)", scale * (low ? 0.99 : 1.01));
            assert_int_equal(fv_loss_parse(&spec, loss), 0);
            assert_int_equal(fv__loss_scale_is_low(&spec, classes, words, sizeof words), low);
        }
    }
    assert_int_equal(fv_loss_parse(&spec, "cosface(s=4)"), 0);
    assert_true(fv__loss_scale_is_low(&spec, 8631, words, sizeof words));
    assert_non_null(strstr(words, "cosface: with s=4 the right one of 8631 identities never gets a "
                                  "probability above 0.0063"));
    assert_non_null(strstr(words, "take s=12 or more"));
}

static struct fv_weight weight(const char *name, int ndim, int64_t rows)
{
    return (struct fv_weight){.name = name, .dtype = "F32", .ndim = ndim, .dim = {rows, 512, 3, 3}};
}

/* Weights give away where they come from by their head or their architecture; a run that sees colours otherwise says
 * so. */
static void colours_of_foreign_weights(void **state)
{
    const float imagenet[2][3] = {{0.485f, 0.456f, 0.406f}, {0.229f, 0.224f, 0.225f}};
    const float half[3] = {0.5f, 0.5f, 0.5f};
    struct fv_weight w[2] = {weight("module.conv1.weight", 4, 64),
                             weight("module.fc.weight", 2, 1000)};
    struct fv_weights file = {.weight = w, .weights = 2};
    char words[400];
    (void)state;
    const struct fv_origin *o = fv__origin_of(&file, "resnet18");
    assert_non_null(o);
    assert_false(fv__origin_differs(o, "r.pth", imagenet[0], imagenet[1], 0, words, sizeof words));
    assert_true(fv__origin_differs(o, "r.pth", half, half, 0, words, sizeof words));
    assert_non_null(strstr(
        words, "r.pth looks like one of torchvision's nets for ImageNet, which see red first, "
               "and --mean imagenet --std imagenet: give these, or"));
    assert_true(fv__origin_differs(o, "r.pth", imagenet[0], imagenet[1], 1, words, sizeof words));
    assert_non_null(strstr(words, ": leave --init-bgr out, or"));
    assert_true(fv__origin_differs(o, "r.pth", half, half, 1, words, sizeof words));
    assert_non_null(strstr(words, ": give these, and leave --init-bgr out, or"));
    w[1] = weight("module.fc.weight", 2, 8631); /* of somebody's faces */
    assert_null(fv__origin_of(&file, "resnet18"));
    o = fv__origin_of(&file, "iresnet50");
    assert_non_null(o);
    assert_false(fv__origin_differs(o, "i.pth", half, half, 0, words, sizeof words));
    assert_true(fv__origin_differs(o, "i.pth", imagenet[0], imagenet[1], 0, words, sizeof words));
    assert_non_null(strstr(
        words, "InsightFace's nets, which see red first, and --mean 0.5 --std 0.5: give these"));
    file.is_checkpoint = 1; /* which says it itself */
    assert_null(fv__origin_of(&file, "iresnet50"));
    w[1] = weight("classifier.1.weight", 2, 1000);
    file.is_checkpoint = 0;
    assert_non_null(fv__origin_of(&file, "mobilenet-v2"));
}

static char said[4096];

static void listen(void *ctx, enum fv_level level, const char *text)
{
    (void)ctx;
    if (level == FV_LEVEL_WARN)
        snprintf(said + strlen(said), sizeof said - strlen(said), "%s\n", text);
}

/* How often a sentence comes in what was said. */
static int times(const char *sentence)
{
    int n = 0;
    for (const char *at = said; (at = strstr(at, sentence)); at++)
        n++;
    return n;
}

/* The first convolution of a run's net, and a head for a thousand classes. */
static void write_imagenet_weights(const struct fixture *f, const char *run, const char *file)
{
    struct fv_st *st;
    struct fv_st_tensor t[2];
    float *head = calloc(1000 * 16, sizeof *head);
    assert_int_equal(fv_st_open(&st, fixture_path(f, run, "last.safetensors")), 0);
    assert_int_equal(fv_st_tensor(st, "conv1.weight", &t[0]), 0);
    t[1] = (struct fv_st_tensor){.name = "fc.weight",
                                 .dtype = "F32",
                                 .ndim = 2,
                                 .dim = {1000, 16},
                                 .data = head,
                                 .bytes = 1000 * 16 * sizeof *head};
    assert_int_equal(fv_st_write(fixture_path(f, run, file), t, 2, NULL, 0), 0);
    fv_st_close(&st);
    free(head);
}

/* Whole runs: each trap is told of, once, and the run goes on. Validation images with the labels of others. */
static void runs_tell_once(void **state)
{
    struct fixture f;
    (void)state;
    fixture_open(&f);
    f.report = (struct fv_report){.message = listen};
    f.settings.epochs = 6;
    f.settings.save_every = 0;
    synthetic_close(&f.val);
    synthetic_open(&f.val, FIXTURE_CLASSES, 200, 8, 12, 0, 2);
    f.val.wrong_labels = 1;
    assert_int_equal(fixture_run(&f, "labels", 0), 0);
    assert_int_equal(times("of the validation images are named rightly, fewer than guessing"), 1);
    f.val.wrong_labels = 0;
    said[0] = '\0';
    f.settings.loss = "cosface(s=0.5)";
    f.settings.optim = "adam";
    assert_int_equal(fixture_run(&f, "settings", 0), 0);
    assert_int_equal(times("--lr 0.05 is far above what adam works with"), 1);
    assert_int_equal(times("cosface: with s=0.5 the right one of 4 identities never"), 1);
    said[0] = '\0';
    write_imagenet_weights(&f, "settings", "imagenet.safetensors");
    f.settings.init = fixture_path(&f, "settings", "imagenet.safetensors");
    assert_int_equal(fixture_run(&f, "init", 0), 0);
    assert_int_equal(
        times("imagenet.safetensors looks like one of torchvision's nets for ImageNet"), 1);
    fixture_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_is_short),
        cmocka_unit_test(durations_are_words),
        cmocka_unit_test(time_is_told_after_twenty_steps),
        cmocka_unit_test(rates_far_off_are_named),
        cmocka_unit_test(validation_is_held_against_guessing),
        cmocka_unit_test(waiting_is_told_of),
        cmocka_unit_test(a_low_scale_is_told_of),
        cmocka_unit_test(colours_of_foreign_weights),
        cmocka_unit_test(runs_tell_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
