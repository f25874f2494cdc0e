/* SPDX-License-Identifier: MIT */
/* fvcheck: every kernel, under every instruction set, against its C version. A module lists its kernels in
 * a check_*.c file and adds one row to the table in check.c. */
#ifndef FV_TESTS_CHECK_H
#define FV_TESTS_CHECK_H

#include "common/rng.h"

#include <stddef.h>
#include <stdint.h>

extern struct fv_rng check_rng; /* inputs are drawn from it; its seed is printed */

/* A buffer with canaries around its n bytes. Filled with `fill`; check_intact says whether the canaries live. */
enum { CHECK_CANARY = 64, CHECK_MAX = 1 << 17 };
struct check_buffer {
    _Alignas(64) uint8_t bytes[CHECK_CANARY + CHECK_MAX + CHECK_CANARY];
    size_t n;
};
uint8_t *check_prepare(struct check_buffer *b, size_t n, uint8_t fill);
int check_intact(const struct check_buffer *b);
void check_randomise(uint8_t *p, size_t n);
/* n random bytes with an unreadable page right behind them or, by turns, before them: a kernel that reads
 * what is not its own ends the run. The next call takes them back. */
uint8_t *check_guarded(size_t n);

/* Whether the kernel of this name is asked for (--only). */
int check_wants(const char *name);
/* Reports one kernel under the instruction set in force; `same` is the verdict. */
void check_result(const char *name, int same);
/* With --bench: the time of call(arg) a pixel, beside that of the C version. */
void check_bench(const char *name, int pixels, void (*call)(void *arg, int reference), void *arg);

/* Modules */
void check_dsp(void);
void check_resample(void);

#endif
