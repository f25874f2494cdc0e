/* SPDX-License-Identifier: MIT */
#include "common/cpu.h"
#include "common/err.h"

#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static _Atomic unsigned mask = ~0u;

static const struct {
    unsigned flag;
    const char *name;
} names[] = {{FV_CPU_AVX2, "avx2"}, {FV_CPU_AVX512, "avx512"}};
enum { NAMES = sizeof names / sizeof names[0] };

static unsigned detect(void)
{
    unsigned f = 0;
#if defined(__x86_64__)
    /* The compiler's run-time also asks XGETBV whether the OS saves the wide registers. */
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
        __builtin_cpu_supports("bmi2"))
        f |= FV_CPU_AVX2;
    if (f && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
        f |= FV_CPU_AVX512;
#endif
    return f;
}

unsigned fv_cpu_flags(void)
{
    return detect() & atomic_load_explicit(&mask, memory_order_relaxed);
}

void fv_cpu_set_mask(unsigned m)
{
    atomic_store_explicit(&mask, m, memory_order_relaxed);
}

const char *fv_cpu_flag_name(unsigned flag)
{
    for (int i = 0; i < NAMES; i++)
        if (names[i].flag == flag)
            return names[i].name;
    return "c";
}

int fv_cpu_parse_mask(const char *text, unsigned *out)
{
    unsigned m = 0;

    for (const char *p = text;; p++) {
        const size_t n = strcspn(p, "+,");
        int found = n == 1 && *p == 'c';
        for (int i = 0; i < NAMES; i++)
            if (strlen(names[i].name) == n && strncmp(p, names[i].name, n) == 0) {
                m |= names[i].flag;
                found = 1;
            }
        if (!found)
            return fv_err(FV_EUSAGE, "unknown instruction set '%.*s': valid are c, avx2, avx512",
                          (int)n, p);
        p += n;
        if (!*p)
            break;
    }
    *out = m;
    return FV_OK;
}

/* quota / period as whole processors, rounded up; 0: unlimited or unknown. */
static int cgroup_limit(void)
{
    long long quota = -1, period = 0;
    FILE *f = fopen("/sys/fs/cgroup/cpu.max", "re");

    if (f) {
        if (fscanf(f, "%lld %lld", &quota, &period) != 2)
            quota = -1;
        fclose(f);
    } else {
        f = fopen("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "re");
        if (f) {
            if (fscanf(f, "%lld", &quota) != 1)
                quota = -1;
            fclose(f);
        }
        f = fopen("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "re");
        if (f) {
            if (fscanf(f, "%lld", &period) != 1)
                period = 0;
            fclose(f);
        }
    }
    return quota > 0 && period > 0 ? (int)((quota + period - 1) / period) : 0;
}

int fv_cpu_count(void)
{
    int n = (int)sysconf(_SC_NPROCESSORS_ONLN);
    cpu_set_t set;

    if (sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0 && CPU_COUNT(&set) < n)
        n = CPU_COUNT(&set);
    const int quota = cgroup_limit();
    if (quota > 0 && quota < n)
        n = quota;
    return n > 0 ? n : 1;
}
