/* SPDX-License-Identifier: MIT */
#include "common/cpu.h"
#include "common/err.h"

#include <stdatomic.h>
#include <string.h>

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
