/* SPDX-License-Identifier: MIT */
/* The frame of fvcheck: arguments, instruction sets, canaries, timing. See check.h.
 *
 * usage: fvcheck [--bench] [--only PATTERN] [SEED]
 */
#include "tests/check/check.h"
#include "common/clock.h"
#include "common/cpu.h"

#include <fnmatch.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static void (*const modules[])(void) = {check_dsp, check_resample};

struct fv_rng check_rng;
static const char *pattern = "*", *current = "";
static uint8_t *guarded; /* CHECK_MAX bytes between two unreadable pages */
static int bench, faults, checks;
static unsigned flag; /* the instruction set under test */

uint8_t *check_prepare(struct check_buffer *b, size_t n, uint8_t fill)
{
    memset(b->bytes, 0xA5, CHECK_CANARY);
    memset(b->bytes + CHECK_CANARY, fill, n);
    memset(b->bytes + CHECK_CANARY + n, 0xA5, CHECK_CANARY);
    b->n = n;
    return b->bytes + CHECK_CANARY;
}

int check_intact(const struct check_buffer *b)
{
    for (size_t i = 0; i < CHECK_CANARY; i++)
        if (b->bytes[i] != 0xA5 || b->bytes[CHECK_CANARY + b->n + i] != 0xA5)
            return 0;
    return 1;
}

void check_randomise(uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        p[i] = (uint8_t)fv_rng_u32(&check_rng);
}

uint8_t *check_guarded(size_t n)
{
    static int turn;
    uint8_t *p = (turn ^= 1) ? guarded + CHECK_MAX - n : guarded;

    check_randomise(p, n);
    return p;
}

static void say(const char *text)
{
    if (write(STDOUT_FILENO, text, strlen(text)) < 0)
        _exit(1);
}

static void on_fault(int sig)
{
    (void)sig;
    say(current);
    say(" (");
    say(fv_cpu_flag_name(flag));
    say(") READS OR WRITES WHAT IS NOT ITS OWN\n");
    _exit(1);
}

static int guard(void)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    uint8_t *p = mmap(NULL, CHECK_MAX + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (p == MAP_FAILED || mprotect(p + page, CHECK_MAX, PROT_READ | PROT_WRITE) != 0)
        return 0;
    guarded = p + page;
    return signal(SIGSEGV, on_fault) != SIG_ERR && signal(SIGBUS, on_fault) != SIG_ERR;
}

int check_wants(const char *name)
{
    current = name;
    return fnmatch(pattern, name, 0) == 0;
}

void check_result(const char *name, int same)
{
    checks++;
    faults += !same;
    if (!same)
        printf("%-20s %-8s DIFFERS FROM C\n", name, fv_cpu_flag_name(flag));
}

/* Nanoseconds a call: the least of several runs, each long enough for the clock. */
static double time_call(void (*call)(void *arg, int reference), void *arg, int reference)
{
    double best = 1e30;

    for (int run = 0; run < 15; run++) {
        const uint64_t start = fv_now_ns();
        for (int i = 0; i < 200; i++)
            call(arg, reference);
        const double ns = (double)(fv_now_ns() - start) / 200;
        best = ns < best ? ns : best;
    }
    return best;
}

void check_bench(const char *name, int pixels, void (*call)(void *arg, int reference), void *arg)
{
    if (!bench)
        return;
    const double reference = time_call(call, arg, 1), tested = time_call(call, arg, 0);
    printf("%-20s %-8s %8.3f ns/pixel   C %8.3f   %5.2f times as fast\n", name,
           fv_cpu_flag_name(flag), tested / pixels, reference / pixels, reference / tested);
}

int main(int argc, char **argv)
{
    static const unsigned flags[] = {0, FV_CPU_AVX2, FV_CPU_AVX512};
    uint64_t seed = fv_now_ns() & 0xffffffff;

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--bench") == 0) {
            bench = 1;
        } else if (strcmp(argv[i], "--only") == 0 && i + 1 < argc) {
            pattern = argv[++i];
        } else {
            char *end;
            seed = strtoull(argv[i], &end, 0);
            if (*end || end == argv[i]) {
                fprintf(stderr, "usage: fvcheck [--bench] [--only PATTERN] [SEED]\n");
                return 2;
            }
        }
    }
    if (!guard()) {
        fprintf(stderr, "fvcheck: cannot make unreadable pages\n");
        return 1;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    printf("fvcheck: seed %llu\n", (unsigned long long)seed);
    const unsigned here = fv_cpu_flags();
    unsigned mask = 0;
    for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++) {
        if ((flags[i] & here) != flags[i]) {
            printf("%s: not on this processor\n", fv_cpu_flag_name(flags[i]));
            continue;
        }
        flag = flags[i];
        mask |= flag;
        fv_cpu_set_mask(mask);
        check_rng = fv_rng_at(seed, 0, 0, FV_RNG_TEST);
        for (size_t m = 0; m < sizeof modules / sizeof modules[0]; m++)
            modules[m]();
    }
    printf("%d checks, %d faults\n", checks, faults);
    return faults || !checks;
}
