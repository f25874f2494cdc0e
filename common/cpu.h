/* SPDX-License-Identifier: MIT */
/* What this processor can do, and what we let it do.
 *
 * Kernels are chosen once per handle from fv_cpu_flags(), which is the detected set masked by
 * fv_cpu_set_mask(): the one hook for tests and for fvbench --cpu-mask.
 */
#ifndef FV_COMMON_CPU_H
#define FV_COMMON_CPU_H

enum fv_cpu_flag {
    FV_CPU_AVX2 = 1,   /* AVX2, FMA, BMI2 (x86-64-v3) and an OS that saves the registers */
    FV_CPU_AVX512 = 2, /* F, BW, DQ, VL (x86-64-v4) */
};

unsigned fv_cpu_flags(void);
/* ~0u at start; not to be called while handles are being opened. */
void fv_cpu_set_mask(unsigned mask);
const char *fv_cpu_flag_name(unsigned flag); /* "avx2"; "c" for 0 */
/* "avx2+avx512", "c"; FV_EUSAGE lists the valid names. Gives a mask for fv_cpu_set_mask. */
int fv_cpu_parse_mask(const char *text, unsigned *mask);

/* Threads that may run at once: the smallest of CPU affinity, cgroup quota (v1 and v2) and the number
 * of processors on line; at least 1. */
int fv_cpu_count(void);

#endif
