/* SPDX-License-Identifier: MIT */
#include "common/err.h"
#include "common/fs.h"
#include "common/memory.h"
#include "tests/cmocka_all.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char root[] = "/tmp/fv-test-memory-XXXXXX";

static void put(const char *folder, const char *file, const char *text)
{
    char *in = fv_format("%s%s", root, folder), *path = fv_format("%s%s/%s", root, folder, file);
    assert_int_equal(fv_mkdirs(in), 0);
    assert_int_equal(fv_file_write(path, text, strlen(text)), 0);
    free(in);
    free(path);
}

/* What is allocated and written to is resident, as /proc has it. */
static void what_is_touched_is_resident(void **state)
{
    enum { BYTES = 64 << 20 };
    const uint64_t before = fv_memory_resident("");
    char *block = malloc(BYTES);
    (void)state;
    assert_non_null(block);
    memset(block, 1, BYTES);
    const uint64_t after = fv_memory_resident("");
    assert_true(before > 0);
    assert_true(after - before > BYTES * 0.9 && after - before < BYTES * 1.5);
    free(block);
    assert_true(fv_memory_limit("") > 0);
}

static void the_least_limit_counts(void **state)
{
    const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    (void)state;
    assert_int_equal(fv_memory_limit(root), 0); /* not known */
    put("/proc", "meminfo", "MemTotal: 4000 kB\nMemFree: 10 kB\nMemAvailable: 3000 kB\n");
    put("/proc/self", "statm", "900 100 0 0 0 0 0\n");
    put("/proc/self", "cgroup", "0::/slice/job\n");
    assert_int_equal(fv_memory_resident(root), 100 * page);
    assert_int_equal(fv_memory_limit(root), 3000 * 1024 + 100 * page);
    put("/sys/fs/cgroup/slice/job", "memory.max", "max\n");
    assert_int_equal(fv_memory_limit(root), 3000 * 1024 + 100 * page);
    put("/sys/fs/cgroup/slice", "memory.max", "2000000\n"); /* of the one above */
    assert_int_equal(fv_memory_limit(root), 2000000);
    put("/sys/fs/cgroup/slice/job", "memory.max", "1000000\n");
    assert_int_equal(fv_memory_limit(root), 1000000);
    put("/proc/self", "cgroup", "0::/../other\n"); /* of no group below the mount point */
    assert_int_equal(fv_memory_limit(root), 3000 * 1024 + 100 * page);
    put("/proc/self", "cgroup", "0::/elsewhere\n"); /* in a container: the mount point */
    put("/sys/fs/cgroup", "memory.max", "1500000\n");
    assert_int_equal(fv_memory_limit(root), 1500000);
}

static int make_root(void **state)
{
    (void)state;
    return mkdtemp(root) ? 0 : -1;
}

static int remove_root(void **state)
{
    char *command = fv_format("rm -rf %s", root);
    (void)state;
    const int rc = system(command);
    free(command);
    return rc;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_touched_is_resident),
        cmocka_unit_test(the_least_limit_counts),
    };
    return cmocka_run_group_tests(tests, make_root, remove_root);
}
