/* SPDX-License-Identifier: MIT */
#include "common/clock.h"

#include <time.h>

static uint64_t read_ns(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

uint64_t fv_now_ns(void)
{
    return read_ns(CLOCK_MONOTONIC);
}

uint64_t fv_thread_ns(void)
{
    return read_ns(CLOCK_THREAD_CPUTIME_ID);
}

uint64_t fv_process_ns(void)
{
    return read_ns(CLOCK_PROCESS_CPUTIME_ID);
}

const char *fv_utc_now(char *buf, size_t n)
{
    const time_t now = time(NULL);
    struct tm tm;

    gmtime_r(&now, &tm);
    if (strftime(buf, n, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0 && n > 0)
        buf[0] = '\0';
    return buf;
}
