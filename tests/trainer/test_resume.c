/* SPDX-License-Identifier: MIT */
/* A run that is killed or stopped, however often and wherever, and resumed ends in the bytes of one that was not. */
#include "train_fixture.h"

#include "common/err.h"
#include "common/fs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

static struct fixture fix;

static int setup(void **state)
{
    (void)state;
    fixture_open(&fix);
    assert_int_equal(fixture_run(&fix, "whole", 0), 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fixture_close(&fix);
    return 0;
}

static void assert_same_run(const char *run)
{
    static const char *const files[] = {"last.safetensors", "best_cls.safetensors",
                                        "best_ver.safetensors", "settings.txt"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        assert_same_file(&fix, "whole", run, files[i]);
    assert_log_whole(&fix, run);
}

/* What befalls the child, and when. */
static uint64_t fatal_ticket;
static const char *fatal_words;

static void die_at_ticket(struct synthetic *s)
{
    if (s->ticket == fatal_ticket)
        raise(SIGKILL);
}

static void die_at_words(void *ctx, enum fv_level level, const char *text)
{
    (void)ctx;
    (void)level;
    if (strstr(text, fatal_words))
        raise(SIGKILL);
}

static pid_t start_child(const char *run)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        _exit(fixture_run(&fix, run, 1) == 0 ? 0 : 1);
    return pid;
}

/* 1: the child was killed, 0: it came to the end. */
static int was_killed(pid_t pid)
{
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (WIFEXITED(status))
        assert_int_equal(WEXITSTATUS(status), 0);
    return WIFSIGNALED(status);
}

static void test_killed_between_steps(void **state)
{
    (void)state;
    static const uint64_t tickets[] = {0, 1, 4, 5, 6, 11, 12, 17};
    fix.train.before = die_at_ticket;
    for (size_t i = 0; i < sizeof tickets / sizeof *tickets; i++) {
        fatal_ticket = tickets[i];
        assert_int_equal(was_killed(start_child("steps")), 1);
    }
    fix.train.before = NULL;
    assert_int_equal(fixture_run(&fix, "steps", 1), 0);
    assert_same_run("steps");
}

/* With checkpoints only at the end of epochs, whole stretches are done again. */
static void test_killed_without_checkpoint(void **state)
{
    (void)state;
    fix.settings.save_every = 0;
    fix.train.before = die_at_ticket;
    for (fatal_ticket = 4; fatal_ticket < 18; fatal_ticket += 6)
        assert_int_equal(was_killed(start_child("far")), 1);
    fix.train.before = NULL;
    assert_int_equal(fixture_run(&fix, "far", 1), 0);
    fix.settings.save_every = 1e-12;
    assert_same_run("far");
}

static void test_killed_in_evaluation(void **state)
{
    (void)state;
    fix.val.before = die_at_ticket;
    for (fatal_ticket = 0; fatal_ticket < 4; fatal_ticket++)
        assert_int_equal(was_killed(start_child("evaluation")), 1);
    fix.val.before = NULL;
    assert_int_equal(fixture_run(&fix, "evaluation", 1), 0);
    assert_same_run("evaluation");
}

/* The words of an epoch come after its line in the log and its best checkpoints, before "last". */
static void test_killed_before_last(void **state)
{
    (void)state;
    static const char *const words[] = {"epoch 1/3", "epoch 2/3", "epoch 3/3"};
    fix.report.message = die_at_words;
    for (int i = 0; i < 3; i++) {
        fatal_words = words[i];
        assert_int_equal(was_killed(start_child("late")), 1);
    }
    fix.report.message = NULL;
    assert_int_equal(fixture_run(&fix, "late", 1), 0);
    assert_same_run("late");
}

/* At any moment: in a step, in the middle of a file, between two files. */
static void test_killed_by_the_clock(void **state)
{
    (void)state;
    int kills = 0, killed = 1;
    for (useconds_t us = 500; killed; us += us / 2) {
        pid_t pid = start_child("clock");
        usleep(us);
        kill(pid, SIGKILL);
        killed = was_killed(pid);
        kills += killed;
    }
    assert_true(kills >= 3);
    assert_same_run("clock");
}

static void stop_at_ticket(struct synthetic *s)
{
    if (s->ticket == fatal_ticket)
        fv_train_stop = 1;
}

static void test_stopped(void **state)
{
    (void)state;
    fix.settings.save_every = 0;
    fix.train.before = fix.val.before = stop_at_ticket;
    for (fatal_ticket = 0; fatal_ticket < 18; fatal_ticket += 2) {
        fv_train_stop = 0;
        int rc = fixture_run(&fix, "stopped", 1);
        assert_int_equal(rc, FV_EINTR);
        assert_int_equal(access(fixture_path(&fix, "stopped", "last.safetensors"), F_OK), 0);
    }
    fix.train.before = fix.val.before = NULL;
    fix.settings.save_every = 1e-12;
    fv_train_stop = 0;
    assert_int_equal(fixture_run(&fix, "stopped", 1), 0);
    assert_same_run("stopped");
}

/* A run that is complete stays as it is. */
static void test_resumed_at_the_end(void **state)
{
    (void)state;
    assert_int_equal(fixture_run(&fix, "done", 0), 0);
    assert_int_equal(fixture_run(&fix, "done", 1), 0);
    assert_same_run("done");
}

static void assert_refused(int resume, int code, const char *says)
{
    assert_int_equal(fixture_run(&fix, "whole", resume), code);
    if (!strstr(fv_err_text(), says))
        fail_msg("says \"%s\", should say \"%s\"", fv_err_text(), says);
}

static void test_refusals(void **state)
{
    (void)state;
    const struct fv_train_data data = fix.data;
    assert_refused(0, FV_EEXIST, "--resume");
    fix.data.settings_text = "arch = tiny\nlr = 0.06\n";
    assert_refused(1, FV_EINVAL, "settings had 'lr = 0.05' and now there is 'lr = 0.06'");
    fix.data.settings_text = "arch = tiny\nlr = 0.05\nnesterov = yes\n";
    assert_refused(1, FV_EINVAL, "'nesterov = yes'");
    fix.data = data;
    fix.data.data_id = "digest = 18\nimages = 48\n";
    assert_refused(1, FV_EINVAL, "data had 'digest = 17' and now there is 'digest = 18'");
    fix.data = data;
    int fd = open(fixture_path(&fix, "whole", ""), O_RDONLY | O_DIRECTORY);
    assert_int_equal(flock(fd, LOCK_EX), 0);
    assert_refused(1, FV_EEXIST, "another process");
    close(fd);
}

/* Killed before its first checkpoint, a run still knows its settings. */
static void test_refuses_before_the_first_checkpoint(void **state)
{
    (void)state;
    const struct fv_train_data data = fix.data;
    fatal_ticket = 0;
    fix.train.before = die_at_ticket;
    assert_int_equal(was_killed(start_child("early")), 1);
    fix.train.before = NULL;
    fix.data.settings_text = "arch = tiny\nlr = 0.06\n";
    assert_int_equal(fixture_run(&fix, "early", 1), FV_EINVAL);
    fix.data = data;
    assert_int_equal(fixture_run(&fix, "early", 1), 0);
    assert_same_run("early");
}

static const char defaults[] = "arch = resnet18\nlr = 0.02\nnesterov = no\nwarmup = 1\n";

/* A run from before an option had what is now its default, or what the program did then. */
static void test_resumes_what_older_programs_wrote(void **state)
{
    (void)state;
    static const struct {
        const char *text, *says; /* NULL: it goes on */
    } now[] = {
        {"arch = tiny\nlr = 0.05\nnesterov = no\nwarmup = 0\n", NULL},
        {"arch = tiny\nlr   =   0.05\nwarmup = 0\n", NULL}, /* in a column */
        {"arch = tiny\nlr = 5e-02\nwarmup = 0\n", NULL},    /* the same number */
        {"arch = tiny\nlr = 5e-02 0\nwarmup = 0\n", "had 'lr = 0.05' and now"},
        {"arch = tiny\nnesterov = no\nlr = 0.05\nwarmup = 0\n", NULL},
        {"arch = tiny\nlr = 0.05\nnesterov = yes\nwarmup = 0\n",
         "had 'nesterov = no' and now there is 'nesterov = yes'"},
        {"arch = tiny\nlr = 0.05\nnesterov = no\nwarmup = 1\n",
         "had 'warmup = 0' and now there is 'warmup = 1'"},
        {"arch = tiny\nlr = 0.05\nfreeze = conv1\nwarmup = 0\n",
         "had 'nothing' and now there is 'freeze = conv1'"},
        {"arch = tiny\nnesterov = no\nwarmup = 0\n",
         "had 'lr = 0.05' and now there is 'lr = 0.02'"},
    };
    const struct fv_train_data data = fix.data;
    fix.data.settings_defaults = defaults;
    for (size_t i = 0; i < sizeof now / sizeof *now; i++) {
        fix.data.settings_text = now[i].text;
        if (now[i].says)
            assert_refused(1, FV_EINVAL, now[i].says);
        else if (fixture_run(&fix, "whole", 1) != 0)
            fail_msg("%zu: %s", i, fv_err_text());
    }
    fix.data = data;
}

static void test_completes_older_settings(void **state)
{
    (void)state;
    static const char *const texts[][2] = {
        {"", "warmup = 0\n"},
        {"lr = 0.02", "lr = 0.02\nwarmup = 0\n"},
        {"lr = 0.02\nwarmup-of = 3\n", "lr = 0.02\nwarmup-of = 3\nwarmup = 0\n"},
        {"warmup   = 2\nlr = 1\n", "warmup   = 2\nlr = 1\n"},
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        char *whole = fv_train_settings_complete(texts[i][0]);
        assert_string_equal(whole, texts[i][1]);
        free(whole);
    }
}

/* What a killed process left half-written goes away. */
static void test_removes_leftovers(void **state)
{
    (void)state;
    assert_int_equal(fixture_run(&fix, "left", 0), 0);
    FILE *f = fopen(fixture_path(&fix, "left", "last.safetensors.tmp-99999"), "w");
    assert_non_null(f);
    fclose(f);
    assert_int_equal(fv_file_write(fixture_path(&fix, "left", "notes.tmp-old"), "mine", 4), 0);
    assert_int_equal(fixture_run(&fix, "left", 1), 0);
    assert_int_equal(access(fixture_path(&fix, "left", "last.safetensors.tmp-99999"), F_OK), -1);
    assert_int_equal(access(fixture_path(&fix, "left", "notes.tmp-old"), F_OK), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_killed_between_steps),
        cmocka_unit_test(test_killed_without_checkpoint),
        cmocka_unit_test(test_killed_in_evaluation),
        cmocka_unit_test(test_killed_before_last),
        cmocka_unit_test(test_killed_by_the_clock),
        cmocka_unit_test(test_stopped),
        cmocka_unit_test(test_resumed_at_the_end),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_refuses_before_the_first_checkpoint),
        cmocka_unit_test(test_resumes_what_older_programs_wrote),
        cmocka_unit_test(test_completes_older_settings),
        cmocka_unit_test(test_removes_leftovers),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
