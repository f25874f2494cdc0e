/* SPDX-License-Identifier: MIT */
/* How a library speaks while it works: through these two callbacks, never to a file descriptor.
 *
 * A main passes fv_console_report(), tests pass NULL or their own. Both callbacks may be NULL; the
 * fv_report_* helpers check. They are called from one thread at a time (the one that runs the job).
 */
#ifndef FV_COMMON_REPORT_H
#define FV_COMMON_REPORT_H

#include <stdint.h>

enum fv_level { FV_LEVEL_ERROR, FV_LEVEL_WARN, FV_LEVEL_INFO };

struct fv_progress {
    const char *what; /* "pack", "epoch 3" */
    const char *unit; /* "img", "step" */
    uint64_t done;
    uint64_t total; /* 0: unknown; done = total = 0: take back the line */
    /* appended to the line as it is, e.g. "loss 2.31, data wait 1 %"; may be NULL */
    const char *extra;
};

struct fv_report {
    void *ctx;
    void (*message)(void *ctx, enum fv_level level, const char *text);
    void (*progress)(void *ctx, const struct fv_progress *p);
};

void fv_say(const struct fv_report *r, enum fv_level level, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void fv_progress(const struct fv_report *r, const struct fv_progress *p);
/* Takes back the live line of a progress whose end is said by what follows. */
void fv_progress_clear(const struct fv_report *r);

/* The console: results go to stdout elsewhere; everything here goes to stderr. On a terminal the
 * progress is one live line (done/total, rate, ETA), no longer than the terminal is wide, redrawn at
 * most ten times a second; into a pipe or a file it is a plain line every ten seconds and one at the
 * end. */
/* verbosity: 0 errors only, 1 warnings too, 2 + information and progress (default). */
const struct fv_report *fv_console_report(const char *program, int verbosity);
/* Ends the live line so that what follows starts on a fresh one. Called before each message. */
void fv_console_endline(void);

#endif
