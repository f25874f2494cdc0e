/* SPDX-License-Identifier: MIT */
/* What a resumed run keeps of its log: all up to the checkpoint, nothing behind it, no torn line. */
#include "trainer/run/runlog.h"

#include "common/err.h"
#include "common/fs.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <unistd.h>

static char path[] = "/tmp/fv-test-runlog-XXXXXX";

static int setup(void **state)
{
    (void)state;
    int fd = mkstemp(path);
    return fd < 0 ? -1 : close(fd);
}

static int teardown(void **state)
{
    (void)state;
    return unlink(path);
}

#define STEP(n, e) "{\"type\":\"step\",\"step\":" #n ",\"epoch\":" #e "}\n"
#define EPOCH(n, e) "{\"type\":\"epoch\",\"step\":" #n ",\"epoch\":" #e "}\n"

static void assert_kept(const char *before, uint64_t step, uint64_t epochs, const char *after)
{
    struct fv_runlog *log;
    char *text;
    size_t n;
    assert_int_equal(fv_file_write(path, before, strlen(before)), 0);
    assert_int_equal(fv_runlog_open(&log, path, step, epochs), 0);
    fv_runlog_close(&log);
    assert_int_equal(fv_file_read(path, 1 << 20, &text, &n), 0);
    assert_string_equal(text, after);
    free(text);
}

static void test_trim(void **state)
{
    (void)state;
    static const char whole[] = STEP(5, 1) STEP(10, 1) EPOCH(10, 1) STEP(15, 2) EPOCH(20, 2);
    assert_kept(whole, 20, 2, whole);
    assert_kept(whole, 17, 1, STEP(5, 1) STEP(10, 1) EPOCH(10, 1) STEP(15, 2));
    /* all steps of the epoch, but its evaluation is not in the checkpoint */
    assert_kept(whole, 10, 0, STEP(5, 1) STEP(10, 1));
    assert_kept(whole, 0, 0, "");
    assert_kept("", 20, 2, "");
    assert_kept(STEP(5, 1) "{\"type\":\"step\",\"st", 20, 2, STEP(5, 1));
    assert_kept(STEP(5, 1) "\0rubbish\n", 20, 2, STEP(5, 1));
    assert_kept("rubbish\n[]\n7\n" STEP(5, 1), 20, 2, STEP(5, 1));
}

static void test_lines(void **state)
{
    (void)state;
    struct fv_runlog *log;
    struct fv_runlog_line l = {.step = 120,
                               .epoch = 3,
                               .loss = 3.4125,
                               .acc = 0.125,
                               .lr = 0.01,
                               .img_per_s = 812.04,
                               .data_wait = 0.03,
                               .val_loss = NAN,
                               .val_acc = NAN,
                               .eer = 0.0625,
                               .auc = 0.975};
    char *text;
    size_t n;
    assert_int_equal(fv_file_write(path, "", 0), 0);
    assert_int_equal(fv_runlog_open(&log, path, 0, 0), 0);
    assert_int_equal(fv_runlog_step(log, &l), 0);
    assert_int_equal(fv_runlog_epoch(log, &l), 0);
    l.loss = l.acc = l.eer = NAN; /* JSON has no such number */
    assert_int_equal(fv_runlog_epoch(log, &l), 0);
    assert_int_equal(fv_runlog_sync(log), 0);
    fv_runlog_close(&log);
    assert_int_equal(fv_file_read(path, 1 << 20, &text, &n), 0);
    assert_string_equal(
        text,
        "{\"type\":\"step\",\"step\":120,\"epoch\":3,\"loss\":3.4125,\"acc\":0.125,\"lr\":0.01,"
        "\"img_per_s\":812.0,\"data_wait\":0.0300}\n"
        "{\"type\":\"epoch\",\"step\":120,\"epoch\":3,\"loss\":3.4125,\"acc\":0.125,\"lr\":0.01,"
        "\"img_per_s\":812.0,\"data_wait\":0.0300,\"eer\":0.0625,\"auc\":0.975}\n"
        "{\"type\":\"epoch\",\"step\":120,\"epoch\":3,\"lr\":0.01,"
        "\"img_per_s\":812.0,\"data_wait\":0.0300,\"auc\":0.975}\n");
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_trim), cmocka_unit_test(test_lines)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
