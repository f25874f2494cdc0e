/* SPDX-License-Identifier: MIT */
#include "common/cpu.h"
#include "common/err.h"
#include "common/fs.h"
#include "tests/cmocka_all.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void the_mask_only_takes_away(void **state)
{
    const unsigned all = fv_cpu_flags();

    (void)state;
    fv_cpu_set_mask(0);
    assert_int_equal(fv_cpu_flags(), 0);
    fv_cpu_set_mask(FV_CPU_AVX2);
    assert_int_equal(fv_cpu_flags(), all & FV_CPU_AVX2);
    fv_cpu_set_mask(~0u);
    assert_int_equal(fv_cpu_flags(), all);
}

static void masks_are_read_by_name(void **state)
{
    unsigned m;

    (void)state;
    assert_int_equal(fv_cpu_parse_mask("c", &m), FV_OK);
    assert_int_equal(m, 0);
    assert_int_equal(fv_cpu_parse_mask("avx2+avx512", &m), FV_OK);
    assert_int_equal(m, FV_CPU_AVX2 | FV_CPU_AVX512);
    assert_int_equal(fv_cpu_parse_mask("avx3", &m), FV_EUSAGE);
    assert_non_null(strstr(fv_err_text(), "valid are c, avx2, avx512"));
    assert_int_equal(fv_cpu_parse_mask("", &m), FV_EUSAGE);
}

static void the_count_follows_affinity(void **state)
{
    cpu_set_t old, one;

    (void)state;
    assert_int_equal(sched_getaffinity(0, sizeof old, &old), 0);
    CPU_ZERO(&one);
    for (int i = 0; i < CPU_SETSIZE; i++)
        if (CPU_ISSET(i, &old)) {
            CPU_SET(i, &one);
            break;
        }
    assert_true(fv_cpu_count() >= 1 && fv_cpu_count() <= CPU_COUNT(&old));
    assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
    assert_int_equal(fv_cpu_count(), 1);
    sched_setaffinity(0, sizeof old, &old);
}

/* --- control groups, in a folder that looks like a root ------------------------------------------ */

static char root[] = "/tmp/fv-test-cpu-XXXXXX";

static void put(const char *path, const char *text)
{
    char full[512];

    snprintf(full, sizeof full, "%s/%s", root, path);
    *strrchr(full, '/') = '\0';
    assert_int_equal(fv_mkdirs(full), FV_OK);
    snprintf(full, sizeof full, "%s/%s", root, path);
    FILE *f = fopen(full, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static double quota_of(const char *group)
{
    struct fv_cpu_limits l;
    char command[600];

    put("proc/self/cgroup", group);
    fv_cpu_limits(&l, root);
    snprintf(command, sizeof command, "rm -rf '%s'/*", root);
    assert_int_equal(system(command), 0);
    return l.quota;
}

static void the_least_quota_of_all_groups_counts(void **state)
{
    (void)state;
    assert_non_null(mkdtemp(root));
    assert_true(quota_of("") == 0);
    put("sys/fs/cgroup/a/b/cpu.max", "150000 100000\n"); /* version 2 */
    assert_true(quota_of("0::/a/b\n") == 1.5);
    put("sys/fs/cgroup/a/b/cpu.max", "max 100000\n");
    assert_true(quota_of("0::/a/b\n") == 0);
    put("sys/fs/cgroup/a/b/cpu.max", "400000 100000\n"); /* the one above has less */
    put("sys/fs/cgroup/a/cpu.max", "300000 100000\n");
    assert_true(quota_of("0::/a/b\n") == 3);
    put("sys/fs/cgroup/cpu.max", "200000 100000\n"); /* a container: its group is the root */
    assert_true(quota_of("0::/\n") == 2);
    put("sys/fs/cgroup/cpu.max", "200000 100000\n"); /* a group outside of the namespace */
    assert_true(quota_of("0::/../../x\n") == 2);
    put("sys/fs/cgroup/cpu,cpuacct/docker/9/cpu.cfs_quota_us", "250000\n"); /* version 1 */
    put("sys/fs/cgroup/cpu,cpuacct/docker/9/cpu.cfs_period_us", "100000\n");
    assert_true(quota_of("5:memory:/\n4:cpu,cpuacct:/docker/9\n0::/\n") == 2.5);
    put("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "50000\n"); /* no such path below the mount point */
    put("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
    assert_true(quota_of("4:cpuacct,cpu:/docker/9\n") == 0.5);
    put("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n");
    put("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
    assert_true(quota_of("4:cpu:/\n") == 0);
    put("sys/fs/cgroup/cpuset/cpu.cfs_quota_us", "50000\n"); /* not of the controller cpu */
    put("sys/fs/cgroup/cpuset/cpu.cfs_period_us", "100000\n");
    assert_true(quota_of("4:cpuset:/\n") == 0);
    put("sys/fs/cgroup/unified/a/cpu.max", "100000 50000\n"); /* both versions */
    assert_true(quota_of("1:cpu:/\n0::/a\n") == 2);
    put("sys/fs/cgroup/a/cpu.max", "what\n");
    assert_true(quota_of("0::/a\nnonsense\n:\n") == 0);
    assert_int_equal(rmdir(root), 0);
}

static void the_least_limit_is_what_is_available(void **state)
{
    static const struct {
        struct fv_cpu_limits limits;
        int available;
        const char *said;
    } rows[] = {
        {{8, 8, 0}, 8, "8 processors"},
        {{8, 3, 0}, 3, "3 of 8 processors, by affinity"},
        {{8, 8, 1.5}, 2, "2 of 8 processors, by a cgroup quota of 1.5"},
        {{8, 8, 0.1}, 1, "1 of 8 processors, by a cgroup quota of 0.1"},
        {{8, 2, 4}, 2, "2 of 8 processors, by affinity"},
        {{4, 4, 16}, 4, "4 processors"},
        {{1, 1, 0}, 1, "1 processor"},
    };
    char said[100];

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(fv_cpu_available(&rows[i].limits), rows[i].available);
        fv_cpu_say_limits(&rows[i].limits, said, sizeof said);
        assert_string_equal(said, rows[i].said);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_mask_only_takes_away),
        cmocka_unit_test(masks_are_read_by_name),
        cmocka_unit_test(the_count_follows_affinity),
        cmocka_unit_test(the_least_quota_of_all_groups_counts),
        cmocka_unit_test(the_least_limit_is_what_is_available),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
