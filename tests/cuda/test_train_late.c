/* SPDX-License-Identifier: MIT */
/* Training whose results are read a step late ends in the bytes of one that reads each at once: whole, stopped and gone
 * on with, with parts of steps, and when the loss leaves the finite numbers. The backend is the cuda one on a device
 * that is the host (device_host.h), its steps captured, its batches where the device reads them. */
#include "common/err.h"
#include "tests/cmocka_all.h"
#include "tests/cuda/device_host.h"
#include "tests/trainer/train_fixture.h"

#include <stdlib.h>
#include <string.h>

extern const struct fv_backend fv_backend_cuda;
static struct fv_backend now; /* the only one there is */
const struct fv_backend *const fv_backends[] = {&now, NULL};

static void read_late(int late)
{
    now = fv_backend_cuda;
    if (!late)
        now.read_late = NULL;
}

static void begin(struct fixture *f)
{
    fixture_open(f);
    f->settings.backend = "cuda";
    f->settings.dtype = "fp32";
    f->settings.save_every = 0; /* a checkpoint within an epoch waits for all steps */
}

static void compare(struct fixture *f)
{
    read_late(0);
    assert_int_equal(fixture_run(f, "at-once", 0), 0);
    read_late(1);
    assert_int_equal(fixture_run(f, "late", 0), 0);
    assert_same_file(f, "at-once", "late", "last.safetensors");
    assert_log_whole(f, "late");
    assert_int_equal(fv_device_host.allocated, 0);
}

static void test_whole(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    const int before = fv_device_host.graph_launches;
    compare(&f);
    assert_true(fv_device_host.graph_launches > before);
    assert_same_file(&f, "at-once", "late", "best_ver.safetensors");
    fv_train_stop = 1;
    assert_int_equal(fixture_run(&f, "stopped", 0), FV_EINTR);
    fv_train_stop = 0;
    assert_int_equal(fixture_run(&f, "stopped", 1), 0);
    assert_log_whole(&f, "stopped");
    fixture_close(&f);
}

static void test_parts(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    f.settings.accumulate = 3;
    f.settings.optim = "adamw";
    f.settings.ema = 0.9;
    compare(&f);
    fixture_close(&f);
}

static void test_not_finite(void **state)
{
    (void)state;
    struct fixture f;
    char at_once[FV_ERR_TEXT_MAX], late[FV_ERR_TEXT_MAX];
    begin(&f);
    f.settings.lr = 1e30;
    f.settings.warmup = 0;
    f.settings.epochs = 4;
    read_late(0);
    assert_int_equal(fixture_run(&f, "run", 0), FV_EBACKEND);
    fv_err_save(at_once);
    fixture_close(&f);
    begin(&f);
    f.settings.lr = 1e30;
    f.settings.warmup = 0;
    f.settings.epochs = 4;
    read_late(1);
    assert_int_equal(fixture_run(&f, "run", 0), FV_EBACKEND);
    fv_err_save(late);
    assert_non_null(strstr(late, "10 times in a row, now first in"));
    assert_true(strncmp(at_once, late, strlen("step 12")) == 0);
    assert_int_equal(strcspn(at_once, ";"), strcspn(late, ";"));
    assert_memory_equal(at_once, late, strcspn(late, ";"));
    fixture_close(&f);
}

/* The device's memory for batches is what the backend gives. */
static void test_device(void **state)
{
    (void)state;
    struct fixture f;
    struct fv_train_device *device;
    begin(&f);
    read_late(1);
    assert_int_equal(fv_train_device_open(&device, &f.settings, NULL), 0);
    char *p = fv_train_device_alloc(device, 1000);
    assert_non_null(p);
    assert_int_equal((size_t)p % 64, 0);
    memset(p, 1, 1000);
    assert_int_equal(fv_device_host.allocated, 1000);
    f.data.device = device;
    assert_int_equal(fixture_run(&f, "run", 0), 0);
    assert_int_equal(fv_device_host.allocated, 1000); /* the run has left the device open */
    fv_train_device_free(device, p, 1000);
    fv_train_device_close(&device);
    assert_null(device);
    now.host_alloc = NULL; /* a backend without */
    assert_int_equal(fv_train_device_open(&device, &f.settings, NULL), 0);
    p = fv_train_device_alloc(device, 10);
    assert_int_equal((size_t)p % 64, 0);
    fv_train_device_free(device, p, 10);
    fv_train_device_close(&device);
    fv_train_device_close(NULL);
    assert_int_equal(fv_device_host.allocated, 0);
    f.settings.backend = "none";
    assert_int_equal(fv_train_device_open(&device, &f.settings, NULL), FV_ENOTFOUND);
    assert_null(device);
    fixture_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_whole), cmocka_unit_test(test_parts),
                                       cmocka_unit_test(test_not_finite),
                                       cmocka_unit_test(test_device)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
