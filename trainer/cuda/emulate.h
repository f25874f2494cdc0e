/* SPDX-License-Identifier: MIT */
/* The emulator of launch.cuh, as tests see it: kernels run on the host, thread by thread.
 *
 * A launch runs to its end before it returns. Blocks, and the threads of a block between two barriers, run in an order
 * drawn from the seed; shared memory starts poisoned with NaNs. A launch fails with FV_EBACKEND if two threads use
 * one element of shared memory without a barrier between them (one of them writing), if an element is read that the
 * block has not written, if an index is outside the array, or if threads wait at different barriers.
 */
#ifndef FV_TRAINER_CUDA_EMULATE_H
#define FV_TRAINER_CUDA_EMULATE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Of the launches that follow, by any thread of the host; only one may launch at a time. */
void fv_emulate_seed(uint64_t seed);
/* Launches that follow do not run but are handed over, with the stream that they are for, to be run by
 * fv_emulate_replay, again and again, and freed with free: what a queue or a capture does. NULL: they run. */
struct fv_emulated;
void fv_emulate_record(void (*take)(void *ctx, void *stream, struct fv_emulated *launch),
                       void *ctx);
int fv_emulate_replay(const struct fv_emulated *launch);
/* Its name lives as long as the program, its arguments as long as it. */
const char *fv_emulate_name(const struct fv_emulated *launch);
const void *fv_emulate_arguments(const struct fv_emulated *launch, size_t *bytes);
/* Launches and threads run since the program began. */
void fv_emulate_count(uint64_t *launches, uint64_t *threads);

#ifdef __cplusplus
}
#endif

#endif
