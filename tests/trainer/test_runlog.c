/* SPDX-License-Identifier: MIT */
/* What a resumed run keeps of its log, and of its other forms: all up to the checkpoint, nothing behind it, no torn
 * line. The bytes of TensorBoard's form are those that the tensorboard package writes (make_tensorboard_golden.py). */
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
#include <errno.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static char folder[] = "/tmp/fv-test-runlog-XXXXXX";
static char path[sizeof folder + 16], csv[sizeof folder + 16], events[sizeof folder + 32];
static char *golden; /* tests/golden/tensorboard.bin */
static size_t golden_size;

static int setup(void **state)
{
    (void)state;
    if (!mkdtemp(folder))
        return -1;
    snprintf(path, sizeof path, "%s/log.jsonl", folder);
    snprintf(csv, sizeof csv, "%s/epochs.csv", folder);
    snprintf(events, sizeof events, "%s/events.out.tfevents.fv", folder);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    unlink(path);
    unlink(csv);
    unlink(events);
    return rmdir(folder);
}

/* In a child, since the limit stays: 7 if the sentence says what stopped a line in its middle. */
static void test_full_disk(void **state)
{
    (void)state;
    const struct fv_runlog_line l = {.step = 50, .epoch = 1, .loss = 2, .acc = NAN};
    const struct rlimit limit = {20, 20};
    struct fv_runlog *log;
    int status;
    const pid_t pid = fork();
    if (pid == 0) {
        unlink(path);
        if (fv_runlog_open(&log, folder, 0, 0) < 0)
            _exit(1);
        signal(SIGXFSZ, SIG_IGN);
        setrlimit(RLIMIT_FSIZE, &limit);
        errno = 0;
        const int rc = fv_runlog_step(log, &l);
        _exit(rc == FV_EIO && strstr(fv_err_text(), "log.jsonl: cannot write: File too large") ? 7
                                                                                               : 2);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 7);
}

#define STEP(n, e) "{\"type\":\"step\",\"step\":" #n ",\"epoch\":" #e "}\n"
#define EPOCH(n, e) "{\"type\":\"epoch\",\"step\":" #n ",\"epoch\":" #e "}\n"

static void assert_kept(const char *before, uint64_t step, uint64_t epochs, const char *after)
{
    struct fv_runlog *log;
    char *text;
    size_t n;
    assert_int_equal(fv_file_write(path, before, strlen(before)), 0);
    assert_int_equal(fv_runlog_open(&log, folder, step, epochs), 0);
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

static void assert_file(const char *file, const char *want, size_t n)
{
    char *bytes;
    size_t size;
    assert_int_equal(fv_file_read(file, 1 << 20, &bytes, &size), 0);
    assert_int_equal(size, n);
    assert_memory_equal(bytes, want, n);
    free(bytes);
}

static void append_to(const char *file, const char *text)
{
    FILE *f = fopen(file, "a");
    assert_non_null(f);
    fputs(text, f);
    assert_int_equal(fclose(f), 0);
}

static const struct fv_runlog_line line = {.step = 120,
                                           .epoch = 3,
                                           .time_s = 1764460800.125,
                                           .loss = 3.4125,
                                           .acc = 0.125,
                                           .lr = 0.01,
                                           .img_per_s = 812.04,
                                           .data_wait = 0.03,
                                           .val_loss = NAN,
                                           .val_acc = NAN,
                                           .eer = 0.0625,
                                           .auc = 0.975};

#define HEAD(type) "{\"type\":\"" type "\",\"step\":120,\"epoch\":3,\"time\":1764460800.125,"
#define REST "\"lr\":0.01,\"img_per_s\":812.0,\"data_wait\":0.0300"
static const char step_text[] = HEAD("step") "\"loss\":3.4125,\"acc\":0.125," REST "}\n";
static const char epoch_text[] =
    HEAD("epoch") "\"loss\":3.4125,\"acc\":0.125," REST ",\"eer\":0.0625,\"auc\":0.975}\n";
static const char poor_text[] = HEAD("epoch") REST ",\"auc\":0.975}\n";

static const char csv_text[] =
    "epoch,step,time,loss,acc,lr,img_per_s,data_wait,val_loss,val_acc,eer,auc\n"
    "3,120,1764460800.125,3.4125,0.125,0.01,812,0.03,,,0.0625,0.975\n"
    "3,120,1764460800.125,,,0.01,812,0.03,,,,0.975\n";

static void assert_log(int epoch_lines)
{
    char text[1024];
    snprintf(text, sizeof text, "%s%s%s", step_text, epoch_lines ? epoch_text : "",
             epoch_lines ? poor_text : "");
    assert_file(path, text, strlen(text));
    assert_file(csv, csv_text, epoch_lines ? strlen(csv_text) : 0);
}

/* Of so many of the golden file's records. The first is the version. */
static size_t golden_bytes(int records)
{
    size_t at = 0;
    for (int i = 0; i < records; i++)
        at += 16 + ((unsigned char)golden[at] | (size_t)(unsigned char)golden[at + 1] << 8);
    return at;
}

static void write_epochs(struct fv_runlog *log)
{
    struct fv_runlog_line poor = line;
    assert_int_equal(fv_runlog_epoch(log, &line), 0);
    poor.loss = poor.acc = poor.eer = NAN; /* JSON has no such number */
    assert_int_equal(fv_runlog_epoch(log, &poor), 0);
    assert_int_equal(fv_runlog_sync(log), 0);
}

static void test_lines(void **state)
{
    (void)state;
    struct fv_runlog *log;
    assert_int_equal(fv_file_write(path, "", 0), 0);
    assert_int_equal(fv_runlog_open(&log, folder, 0, 0), 0);
    assert_int_equal(fv_runlog_step(log, &line), 0);
    write_epochs(log);
    fv_runlog_close(&log);
    assert_log(1);
    assert_file(events, golden, golden_size);
}

/* Resumed where all is known, the other forms are as they were, whatever a crash had left of them; where the epoch is
 * not known, it goes from all of them, and comes again. */
static void test_forms_resumed(void **state)
{
    (void)state;
    struct fv_runlog *log;
    append_to(csv, "3,12");
    append_to(events, "torn");
    assert_int_equal(fv_runlog_open(&log, folder, 120, 3), 0);
    fv_runlog_close(&log);
    assert_log(1);
    assert_file(events, golden, golden_size);

    assert_int_equal(unlink(csv), 0);
    assert_int_equal(fv_file_write(events, "something else", 14), 0);
    assert_int_equal(fv_runlog_open(&log, folder, 120, 3), 0);
    fv_runlog_close(&log);
    assert_log(1);
    assert_file(events, golden, golden_size);

    assert_int_equal(fv_runlog_open(&log, folder, 120, 2), 0);
    assert_log(0);
    assert_file(events, golden, golden_bytes(2));
    write_epochs(log);
    fv_runlog_close(&log);
    assert_log(1);
    assert_file(events, golden, golden_size);
}

/* Lines that another program wrote: numbers of any size, names of any length. */
static void test_odd_lines(void **state)
{
    (void)state;
    struct fv_runlog *log;
    char text[20000];
    int n = snprintf(text, sizeof text,
                     "{\"type\":\"epoch\",\"step\":0,\"epoch\":0,\"time\":\"now\","
                     "\"a,b\":1,\"c\":null,\"%0200d\":1,\"big\":1e308",
                     0);
    for (int i = 0; i < 300; i++)
        n += snprintf(text + n, sizeof text - (size_t)n, ",\"some number or other %d\":%d", i, i);
    snprintf(text + n, sizeof text - (size_t)n,
             "}\n{\"type\":\"step\",\"step\":-1}\n"
             "{\"type\":7,\"step\":1}\n[]\n");
    assert_int_equal(fv_file_write(path, text, strlen(text)), 0);
    assert_int_equal(fv_runlog_open(&log, folder, 120, 2), 0);
    fv_runlog_close(&log);
    char *bytes;
    size_t size;
    assert_int_equal(fv_file_read(csv, 1 << 20, &bytes, &size), 0);
    assert_null(strstr(bytes, "a,b"));
    assert_non_null(strstr(bytes, "some number or other 299\n0,0,,"));
    free(bytes);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_trim), cmocka_unit_test(test_lines),
                                       cmocka_unit_test(test_forms_resumed),
                                       cmocka_unit_test(test_odd_lines),
                                       cmocka_unit_test(test_full_disk)};
    if (argc < 2 || fv_file_read(argv[1], 1 << 20, &golden, &golden_size) < 0)
        return 2;
    const int failed = cmocka_run_group_tests(tests, setup, teardown);
    free(golden);
    return failed;
}
