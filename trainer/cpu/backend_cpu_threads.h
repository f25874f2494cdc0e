/* SPDX-License-Identifier: MIT */
/* The threads of the cpu backend: those of libgomp, the OpenMP library that oneDNN runs on.
 *
 * Our loops share oneDNN's pool, since a second one would compete with it for the cores. They reach it by libgomp's
 * binary interface and not by pragmas: clang would turn a pragma into calls of its own OpenMP library. How many
 * threads a team has is a setting of the calling thread, so the rest of the process does not notice.
 */
#ifndef FV_TRAINER_BACKEND_CPU_THREADS_H
#define FV_TRAINER_BACKEND_CPU_THREADS_H

#include <stddef.h>

int fv__threads_available(void); /* processors that this process may use */
/* Sets the team of the calling thread; returns what it was, to be set again afterwards. */
int fv__threads_set(int threads);

/* Calls fn(ctx, begin, end) on `threads` threads, for equal shares of 0 .. count that begin at multiples of
 * `granule`. */
void fv__threads_share(int threads, size_t count, size_t granule,
                       void (*fn)(void *ctx, size_t begin, size_t end), void *ctx);

#endif
