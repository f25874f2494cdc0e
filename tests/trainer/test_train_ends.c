/* SPDX-License-Identifier: MIT */
/* How a run ends when it is not to go on: patience, a full disk, a checkpoint that is not what it was, options that
 * fit nothing; and what is noticed on the way. */
#include "train_fixture.h"

#include "common/err.h"
#include "common/fs.h"
#include "tests/cmocka_all.h"
#include "trainer/run/diagnose.h"
#include "trainer/run/end_note.h"
#include "trainer/run/groups.h"
#include "trainer/run/snapshot.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static struct fixture fix;

static int setup(void **state)
{
    (void)state;
    fixture_open(&fix);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fixture_close(&fix);
    return 0;
}

static void assert_says(int rc, int code, const char *says)
{
    assert_int_equal(rc, code);
    if (!strstr(fv_err_text(), says))
        fail_msg("says \"%s\", should say \"%s\"", fv_err_text(), says);
}

static char *slurp(const char *run, const char *file, size_t *n)
{
    char *bytes;
    assert_int_equal(fv_file_read(fixture_path(&fix, run, file), 1 << 24, &bytes, n), 0);
    return bytes;
}

static double meta(const char *run, const char *key)
{
    struct fv_st *st;
    assert_int_equal(fv_st_open(&st, fixture_path(&fix, run, "last.safetensors")), 0);
    const double value = strtod(fv_st_meta(st, key), NULL);
    fv_st_close(&st);
    return value;
}

static char said[4096];

static void keep_words(void *ctx, enum fv_level level, const char *text)
{
    (void)ctx;
    (void)level;
    strncat(said, text, sizeof said - strlen(said) - 1);
    strncat(said, "\n", sizeof said - strlen(said) - 1);
}

/* Ends so many epochs after the best, and a run that has ended so stays as it is. */
static void test_patience(void **state)
{
    (void)state;
    size_t n, m;
    fix.settings.epochs = 40;
    fix.settings.save_every = 0;
    fix.settings.patience = 3;
    fix.settings.patience_on = "val-acc";
    fix.report.message = keep_words;
    assert_int_equal(fixture_run(&fix, "patient", 0), 0);
    const double epoch = meta("patient", "epoch"), best = meta("patient", "watched_epoch");
    assert_true(epoch < 40);
    assert_true(epoch == best + 3);
    assert_true(best == meta("patient", "best_cls_epoch"));
    assert_true(meta("patient", "watched_best") == meta("patient", "best_cls_accuracy"));
    assert_non_null(strstr(said, "--patience-on val-acc"));
    char *before = slurp("patient", "last.safetensors", &n);
    assert_int_equal(fixture_run(&fix, "patient", 1), 0); /* is over, and stays so */
    char *after = slurp("patient", "last.safetensors", &m);
    assert_int_equal(n, m);
    assert_memory_equal(before, after, n);
    free(before);
    free(after);
}

static void test_patience_needs_its_measure(void **state)
{
    (void)state;
    fix.settings.patience = 3;
    fix.settings.patience_on = "eer";
    fix.data.verify = NULL;
    assert_says(fixture_run(&fix, "no", 0), FV_EUSAGE, "--patience-on eer");
    fix.settings.patience_on = "happiness";
    assert_says(fixture_run(&fix, "no", 0), FV_ENOTFOUND, "val-acc");
    fix.settings.patience_on = "loss";
    assert_int_equal(fixture_run(&fix, "yes", 0), 0);
}

static rlim_t room;

static void fill_the_disk(struct synthetic *s)
{
    const struct rlimit limit = {room, room};
    if (s->ticket == 8) {
        signal(SIGXFSZ, SIG_IGN);
        setrlimit(RLIMIT_FSIZE, &limit);
    }
}

/* In evaluation the limit comes after a checkpoint and before what is best is kept. */
static void fill_the_disk_at_once(struct synthetic *s)
{
    const struct rlimit limit = {room, room};
    (void)s;
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &limit);
}

/* In a child, since the limit stays. It ends with 7 if the sentence is as it should be. */
static void run_out_of_room(const char *run, const char *file)
{
    const pid_t pid = fork();
    int status;
    if (pid == 0) {
        const int rc = fixture_run(&fix, run, 1);
        _exit(rc == FV_EIO && strstr(fv_err_text(), "is whole") && strstr(fv_err_text(), file) ? 7
                                                                                               : 1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 7);
}

/* The checkpoint before the disk was full is whole, nothing lies about, and what comes after is as ever. */
static void test_full_disk(void **state)
{
    (void)state;
    size_t n;
    assert_int_equal(fixture_run(&fix, "whole", 0), 0);
    free(slurp("whole", "last.safetensors", &n));
    room = (rlim_t)n - 1000;
    fix.train.before = fill_the_disk;
    run_out_of_room("full", "last.safetensors");
    fix.train.before = NULL;
    assert_true(meta("full", "step") == 8);
    assert_int_equal(fixture_run(&fix, "full", 1), 0);
    assert_same_file(&fix, "whole", "full", "last.safetensors");
    assert_same_file(&fix, "whole", "full", "best_ver.safetensors");
    assert_log_whole(&fix, "full");
    free(slurp("whole", "best_cls.safetensors", &n));
    room = (rlim_t)n - 1000;
    fix.val.before = fill_the_disk_at_once;
    run_out_of_room("best", "best_cls.safetensors");
    fix.val.before = NULL;
    assert_true(meta("best", "step") == FIXTURE_STEPS);
    assert_int_equal(fixture_run(&fix, "best", 1), 0);
    assert_same_file(&fix, "whole", "best", "last.safetensors");
    assert_log_whole(&fix, "best");
}

/* The only object in a run's end.json. */
static void assert_end(const char *run, const char *state, const char *why)
{
    size_t n;
    char *text = slurp(run, "end.json", &n);
    json_t *o = json_loadb(text, n, 0, NULL);
    assert_non_null(o);
    assert_int_equal(text[n - 1], '\n');
    assert_string_equal(json_string_value(json_object_get(o, "state")), state);
    if (why)
        assert_string_equal(json_string_value(json_object_get(o, "why")), why);
    else
        assert_null(json_object_get(o, "why"));
    json_decref(o);
    free(text);
}

static void stop_without_room(struct synthetic *s)
{
    char blocked[32];
    if (s->ticket != 8)
        return;
    assert_end("last words", "running", NULL);
    snprintf(blocked, sizeof blocked, "end.json.tmp-%d", (int)getpid());
    assert_int_equal(mkdir(fixture_path(&fix, "last words", blocked), 0777), 0);
    fv_train_stop = 1;
}

/* Where no file can be written any more, how the run ended is said all the same. */
static void test_last_words(void **state)
{
    (void)state;
    char why[FV_ERR_TEXT_MAX];
    fix.train.before = stop_without_room;
    assert_int_equal(fixture_run(&fix, "last words", 0), FV_EINTR);
    fix.train.before = NULL;
    assert_end("last words", "stopped", NULL);
    memset(why, '"', sizeof why);
    why[sizeof why - 1] = '\0';
    fv__end_note_write(fixture_path(&fix, "last words", ""), fv_err(FV_EIO, "%s", why));
    assert_end("last words", "failed", why);
    assert_string_equal(fv_err_text(), why);
    fv_train_stop = 0;
    assert_int_equal(fixture_run(&fix, "without", 0), 0);
    assert_end("without", "done", NULL);
}

static void refuse(const char *bytes, size_t n, const char *says)
{
    const char *path = fixture_path(&fix, "damaged", "last.safetensors");
    struct fv_model *m;
    size_t after;
    assert_int_equal(fv_file_write(path, bytes, n), 0);
    const int rc = fixture_run(&fix, "damaged", 1);
    assert_true(rc == FV_ECORRUPT || rc == FV_EVERSION);
    if (!strstr(fv_err_text(), says) || !strstr(fv_err_text(), "last.safetensors"))
        fail_msg("says \"%s\", should say \"%s\"", fv_err_text(), says);
    path = fixture_path(&fix, "damaged", "last.safetensors");
    assert_true(fv_model_open(&m, path, "ref", 1, 4) < 0);
    char *left = slurp("damaged", "last.safetensors", &after); /* nothing was put in its place */
    assert_int_equal(n, after);
    assert_memory_equal(bytes, left, n);
    free(left);
}

/* Every tenth of a file cut short, single bits all over it, and files of other programs. */
static void test_damaged_checkpoints(void **state)
{
    (void)state;
    size_t n;
    fix.settings.epochs = 1;
    fix.settings.ema = 0.9;
    assert_int_equal(fixture_run(&fix, "damaged", 0), 0);
    char *whole = slurp("damaged", "last.safetensors", &n), *copy = malloc(n);
    for (size_t cut = 0; cut < 10; cut++)
        refuse(whole, n * cut / 10, "");
    refuse(whole, n - 1, "");
    for (size_t i = 0; i < 60; i++) { /* in the data, where nothing else would notice */
        memcpy(copy, whole, n);
        copy[n - 1 - i * 1111 % (n / 2)] ^= (char)(1 << i % 8);
        refuse(copy, n, "");
    }
    memcpy(copy, whole, n);
    copy[n - 3] ^= 1; /* the lowest bit but a few of a weight */
    refuse(copy, n, "was altered");
    char *at = memmem(copy, n, "\"step\":\"6\"", 10);
    assert_non_null(at);
    copy[n - 3] ^= 1;
    at[8] = '5';
    refuse(copy, n, "was altered");
    static const float w[2] = {1, 2};
    const struct fv_st_tensor foreign = {"conv1.weight", "F32", 1, {2}, w, sizeof w};
    const char *path = fixture_path(&fix, "damaged", "other.safetensors");
    size_t m;
    assert_int_equal(fv_st_write(path, &foreign, 1, NULL, 0), 0);
    char *other = slurp("damaged", "other.safetensors", &m);
    refuse(other, m, "not a checkpoint of fvtrain");
    assert_int_equal(fv_file_write(fixture_path(&fix, "damaged", "last.safetensors"), whole, n), 0);
    assert_int_equal(fixture_run(&fix, "damaged", 1), 0); /* the whole one still is */
    free(other);
    free(whole);
    free(copy);
}

static void test_groups(void **state)
{
    (void)state;
    struct fv_net *net;
    const struct fv_arch_settings a = {
        .size = 12, .classes = 4, .stem = "auto", .mean = {.5f, .5f, .5f}, .std = {.5f, .5f, .5f}};
    assert_int_equal(fv_net_build(&net, "tiny", &a), 0);
    float *lr = calloc((size_t)net->tensors, sizeof *lr);
    float *decay = calloc((size_t)net->tensors, sizeof *decay);
    struct fv_group_settings g = {.lr_of = "layer1.0.conv2=0.25,layer1=0.5,fc=10",
                                  .freeze = "conv1,layer1.0.bn1"};
    assert_int_equal(fv__groups_fill(&g, net, lr, decay), 0);
    static const struct {
        const char *name;
        double lr, decay;
    } want[] = {{"conv1.weight", 0, 1},
                {"bn1.weight", 1, 0},
                {"layer1.0.conv1.weight", .5, 1},
                {"layer1.0.conv2.weight", .25, 1},
                {"layer1.0.bn1.bias", 0, 0},
                {"layer2.0.conv1.weight", 1, 1},
                {"fc.weight", 10, 1},
                {"fc.bias", 10, 0}};
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        const int t = fv_net_find_tensor(net, want[i].name);
        assert_true((double)lr[t] == want[i].lr);
        assert_true((double)decay[t] == want[i].decay);
    }
    g.decay_all = 1;
    assert_int_equal(fv__groups_fill(&g, net, lr, decay), 0);
    assert_true(decay[fv_net_find_tensor(net, "fc.bias")] == 1);
    static const struct {
        const char *lr_of, *freeze, *says;
    } bad[] = {{"conv=2", NULL, "--lr-of: no tensor of tiny is called or begins with 'conv'"},
               {"fc", NULL, "--lr-of: 'fc'"},
               {"fc=-1", NULL, "--lr-of"},
               {"fc=1e99", NULL, "--lr-of"},
               {"fc=2x", NULL, "--lr-of"},
               {NULL, "layer3", "there are conv1, bn1, layer1, layer2, fc"},
               {NULL, "fc,,conv1", "--freeze"},
               {NULL, "conv1,bn1,layer1,layer2,fc", "nothing of tiny is left to train"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        g.lr_of = bad[i].lr_of;
        g.freeze = bad[i].freeze;
        assert_says(fv__groups_fill(&g, net, lr, decay), FV_EUSAGE, bad[i].says);
    }
    fv_net_free(&net);
    free(lr);
    free(decay);
}

static void test_idle_options_are_named(void **state)
{
    (void)state;
    fix.settings.epochs = 1;
    fix.settings.schedule = "constant";
    fix.settings.lr = 1e-6; /* below the usual --eta-min, which a constant rate does not mind */
    fix.settings.gamma = 0.5;
    fix.settings.cycle_momentum = "0.8,0.9";
    fix.settings.beta1 = 0.8;
    fix.settings.momentum = 0.8;
    fix.settings.patience_on = "loss";
    fix.settings.init_bgr = 1;
    said[0] = '\0';
    fix.report.message = keep_words;
    assert_int_equal(fixture_run(&fix, "idle", 0), 0);
    static const char *const idle[] = {
        "--gamma 0.5 says nothing to --schedule constant",
        "--cycle-momentum 0.8,0.9 says nothing to --schedule constant",
        "--beta1 0.8 says nothing to --optim sgd",
        "--patience-on loss says nothing without --patience",
        "--init-bgr says nothing without --init"};
    for (size_t i = 0; i < sizeof idle / sizeof *idle; i++)
        if (!strstr(said, idle[i]))
            fail_msg("\"%s\" is not in:\n%s", idle[i], said);
    assert_null(strstr(said, "--eta-min"));
    assert_null(strstr(said, "--momentum"));
    fix.settings.optim = "adamw";
    fix.settings.nesterov = fix.settings.decoupled_decay = 1;
    said[0] = '\0';
    assert_int_equal(fixture_run(&fix, "idle too", 0), 0);
    static const char *const too[] = {"--momentum 0.8 says nothing to --optim adamw",
                                      "--nesterov says nothing to --optim adamw",
                                      "--decoupled-decay says nothing to --optim adamw"};
    for (size_t i = 0; i < sizeof too / sizeof *too; i++)
        if (!strstr(said, too[i]))
            fail_msg("\"%s\" is not in:\n%s", too[i], said);
    assert_null(strstr(said, "--beta1"));
}

/* A cycle that stays at one value is that value; another one is not; and it is beta1 of Adam. */
static void test_momentum_cycles(void **state)
{
    (void)state;
    static const char *const names[2][3] = {{"sgd", "sgd still", "sgd moving"},
                                            {"adam", "adam still", "adam moving"}};
    fix.settings.epochs = 1;
    fix.settings.save_every = 0;
    fix.settings.schedule = "one-cycle";
    for (int adam = 0; adam < 2; adam++) {
        static const char *const cycle[] = {NULL, "0.9,0.9", "0.8,0.9"};
        size_t n[3];
        char *bytes[3];
        fix.settings.optim = adam ? "adam" : "sgd";
        fix.settings.lr = adam ? 0.003 : 0.05;
        for (int i = 0; i < 3; i++) {
            fix.settings.momentum = adam || i == 0 ? 0.9 : 0.1;
            fix.settings.beta1 = !adam || i == 0 ? 0.9 : 0.1;
            fix.settings.cycle_momentum = cycle[i];
            assert_int_equal(fixture_run(&fix, names[adam][i], 0), 0);
            bytes[i] = slurp(names[adam][i], "last.safetensors", &n[i]);
        }
        assert_int_equal(n[0], n[1]);
        assert_memory_equal(bytes[0], bytes[1], n[0]);
        assert_true(n[0] != n[2] || memcmp(bytes[0], bytes[2], n[0]) != 0);
        for (int i = 0; i < 3; i++)
            free(bytes[i]);
    }
    fix.settings.cycle_momentum = "0.9";
    assert_says(fixture_run(&fix, "bad", 0), FV_EUSAGE, "--cycle-momentum 0.9: two numbers");
}

enum { MOST = 400 };

/* "last" of a run, with another value of one key and a digest that fits. */
static void change_meta(const char *run, const char *key, const char *value)
{
    static struct fv_st_tensor t[MOST];
    static struct fv_st_meta m[MOST];
    char digest[FV_SNAPSHOT_DIGEST];
    struct fv_st *st;
    int tensors = 0, metas = 0, hits = 0;
    assert_int_equal(fv_st_open(&st, fixture_path(&fix, run, "last.safetensors")), 0);
    while (tensors < MOST && fv_st_tensor_at(st, tensors, &t[tensors]) == 0)
        tensors++;
    while (metas < MOST && fv_st_meta_at(st, metas, &m[metas]) == 0)
        metas++;
    for (int i = 0; i < metas; i++)
        if (strcmp(m[i].key, key) == 0 && ++hits)
            m[i].value = value;
    assert_int_equal(hits, 1);
    assert_int_equal(fv__snapshot_digest(t, tensors, m, metas, digest), 0);
    for (int i = 0; i < metas; i++)
        if (strcmp(m[i].key, "digest") == 0)
            m[i].value = digest;
    assert_int_equal(fv_st_write(fixture_path(&fix, run, "last.safetensors"), t, tensors, m, metas),
                     0);
    fv_st_close(&st);
}

/* Whole by its digest, and yet no state that a run can be in. */
static void test_impossible_progress(void **state)
{
    (void)state;
    static const struct {
        const char *key, *value, *says;
    } odd[] = {{"broken_step", "1", "no step is half done"},
               {"updates", "19", "does not lie in"},
               {"step", "25", "does not lie in"},
               {"epoch", "4", "does not lie in"},
               {"watched_epoch", "4", "does not lie in"},
               {"std", "inf 1 1", "std"}};
    fix.settings.save_every = 0;
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
        char run[16];
        snprintf(run, sizeof run, "odd %zu", i);
        assert_int_equal(fixture_run(&fix, run, 0), 0);
        if (strcmp(odd[i].key, "std") == 0) {
            struct fv_model *m;
            change_meta(run, "std", odd[i].value);
            assert_says(fv_model_open(&m, fixture_path(&fix, run, "last.safetensors"), "ref", 1, 4),
                        FV_ECORRUPT, odd[i].says);
            continue;
        }
        change_meta(run, odd[i].key, odd[i].value);
        assert_says(fixture_run(&fix, run, 1), FV_ECORRUPT, odd[i].says);
    }
}

static uint64_t stop_ticket;

static void stop_at_ticket(struct synthetic *s)
{
    if (s->ticket == stop_ticket)
        fv_train_stop = 1;
}

/* That a part of the step under way was not finite goes from process to process: no update is made of that step. */
static void test_broken_step_is_remembered(void **state)
{
    (void)state;
    fix.settings.accumulate = 3;
    fix.settings.save_every = 0;
    fix.train.before = stop_at_ticket;
    for (stop_ticket = 0; stop_ticket < 2; stop_ticket++) {
        assert_int_equal(fixture_run(&fix, "broken", 1), FV_EINTR);
        fv_train_stop = 0;
        if (stop_ticket == 0)
            change_meta("broken", "broken_step", "1");
    }
    fix.train.before = NULL;
    assert_true(meta("broken", "step") == 2);
    assert_true(meta("broken", "broken_step") == 1);
    assert_int_equal(fixture_run(&fix, "broken", 1), 0);
    assert_true(meta("broken", "broken_step") == 0);
    assert_true(meta("broken", "updates") == 3 * FIXTURE_STEPS / 3 - 1);
}

static void test_labels(void **state)
{
    (void)state;
    int32_t label[2] = {3, 4}, mix[2] = {3, 3};
    uint32_t image[2] = {7, 9};
    const struct fv_batch b = {.n = 2, .label = label, .label_mix = mix, .image = image};
    assert_int_equal(fv__diagnose_labels(&b, 5), 0);
    assert_says(fv__diagnose_labels(&b, 4), FV_EINVAL, "image 9 has label 4");
    label[1] = -1;
    assert_says(fv__diagnose_labels(&b, 4), FV_EINVAL, "image 9 has label -1");
    label[1] = 0;
    mix[0] = 4;
    assert_says(fv__diagnose_labels(&b, 4), FV_EINVAL, "image 7 has label 4");
}

/* Steps until something is said of a loss that is `from` and falls to `to` in a line over so many steps. */
static int steps_of(const char *loss, double named, double from, double to, int steps,
                    char text[320])
{
    struct fv_loss_spec spec;
    struct fv_stuck s;
    assert_int_equal(fv_loss_parse(&spec, loss), 0);
    fv__stuck_start(&s);
    for (int i = 0; i < steps; i++) {
        const struct fv_step_result r = {
            .loss = from + (to - from) * i / steps, .n = 50, .correct = named * 50, .finite = 1};
        if (fv__stuck_add(&s, &spec, &r, 100, text, 320))
            return i + 1;
    }
    return 0;
}

static int steps_to_words(double from, double to, int steps, char text[320])
{
    return steps_of("ce", 0.01, from, to, steps, text);
}

static void test_stuck_loss(void **state)
{
    (void)state;
    char text[320];
    assert_int_equal(steps_to_words(log(100), log(100), 5000, text), 1200);
    assert_non_null(strstr(text, "ln(100)"));
    assert_int_equal(steps_to_words(69.0776, 69.0776, 5000, text), 1200);
    assert_non_null(strstr(text, "-ln(1e-30)"));
    assert_int_equal(steps_to_words(20, 20, 5000, text), 1200);
    assert_non_null(strstr(text, "has not decreased for 1000 steps"));
    assert_int_equal(steps_to_words(4.6, 1, 20000, text), 0);     /* 0.8 % a window to begin with */
    assert_int_equal(steps_to_words(0.01, 0.01, 20000, text), 0); /* has learnt all there is */

    /* a margin adds to the loss, a weight scales it: ln(classes) says nothing, what is named rightly does */
    assert_int_equal(steps_of("arcface", 0.01, log(100), log(100), 5000, text), 1200);
    assert_null(strstr(text, "ln(100)"));
    assert_non_null(
        strstr(text, "1.00 % of the images named rightly without a margin (guessing: 1.00 %)"));
    assert_int_equal(steps_of("arcface", 0.01, 1, 1, 5000, text), 1200);
    assert_int_equal(steps_of("arcface", 0.9, 12, 12, 20000, text), 0);
    assert_int_equal(steps_of("0.5*ce", 0.01, log(100) / 2, log(100) / 2, 5000, text), 1200);
    assert_null(strstr(text, "ln(100)"));
    assert_int_equal(steps_of("ce(smooth=0.1)", 0.01, log(100), log(100), 5000, text), 1200);
    assert_non_null(strstr(text, "ln(100)"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_patience, setup, teardown),
        cmocka_unit_test_setup_teardown(test_patience_needs_its_measure, setup, teardown),
        cmocka_unit_test_setup_teardown(test_full_disk, setup, teardown),
        cmocka_unit_test_setup_teardown(test_last_words, setup, teardown),
        cmocka_unit_test_setup_teardown(test_damaged_checkpoints, setup, teardown),
        cmocka_unit_test(test_groups),
        cmocka_unit_test_setup_teardown(test_idle_options_are_named, setup, teardown),
        cmocka_unit_test_setup_teardown(test_momentum_cycles, setup, teardown),
        cmocka_unit_test_setup_teardown(test_impossible_progress, setup, teardown),
        cmocka_unit_test_setup_teardown(test_broken_step_is_remembered, setup, teardown),
        cmocka_unit_test(test_labels),
        cmocka_unit_test(test_stuck_loss),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
