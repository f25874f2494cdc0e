/* SPDX-License-Identifier: MIT */
/* Time for measuring, monotonic or of one thread; wall time for dating. */
#ifndef FV_COMMON_CLOCK_H
#define FV_COMMON_CLOCK_H

#include <stddef.h>
#include <stdint.h>

uint64_t fv_now_ns(void);
/* What the calling thread has had of a processor: for measuring on a machine that has other work too. */
uint64_t fv_thread_ns(void);
uint64_t fv_process_ns(void); /* the same of all threads of the process */
/* "2026-03-01T12:00:00Z" into buf; returns buf. */
const char *fv_utc_now(char *buf, size_t n);

#endif
