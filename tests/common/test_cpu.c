/* SPDX-License-Identifier: MIT */
#include "common/cpu.h"
#include "common/err.h"
#include "tests/cmocka_all.h"

#include <sched.h>
#include <string.h>

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_mask_only_takes_away),
        cmocka_unit_test(masks_are_read_by_name),
        cmocka_unit_test(the_count_follows_affinity),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
