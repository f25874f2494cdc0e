/* SPDX-License-Identifier: MIT */
/* What this processor can do, and what we let it do.
 *
 * Kernels are chosen once per handle from fv_cpu_flags(), which is the detected set masked by
 * fv_cpu_set_mask(): the one hook for tests and for fvbench --cpu-mask.
 */
#ifndef FV_COMMON_CPU_H
#define FV_COMMON_CPU_H

#include <stddef.h>

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

/* Processors that this process may use (common/cpu_limits.c). */
struct fv_cpu_limits {
    int online;   /* of the machine */
    int affinity; /* that it may run on */
    double quota; /* processors' worth of time that its control group has; 0: no limit */
};
/* root is put before /proc and /sys: "" but in tests. */
void fv_cpu_limits(struct fv_cpu_limits *out, const char *root);
/* The least of the three, a part of a processor counted as one; at least 1. */
int fv_cpu_available(const struct fv_cpu_limits *l);
/* "2 of 64 processors, by a cgroup quota of 1.5" */
void fv_cpu_say_limits(const struct fv_cpu_limits *l, char *text, size_t n);
int fv_cpu_count(void); /* those available */

#endif
