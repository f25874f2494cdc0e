/* SPDX-License-Identifier: MIT */
/* One op of a lowered program as calls of kernels: from buffers and roles to their arguments.
 *
 * The backend runs programs through this on a device, tests on the host with the same kernels emulated; what differs
 * (convolutions, matrix products, the sum over ranks) is handed in. Nothing is allocated and nothing waited for, so a
 * program can be captured.
 */
#ifndef FV_TRAINER_CUDA_DISPATCH_H
#define FV_TRAINER_CUDA_DISPATCH_H

#include "trainer/cuda/device_cuda.h"
#include "trainer/cuda/kernels.h"
#include "trainer/cuda/lower.h"

/* How batch norms measure over the images of several ranks, each of as many; in the order of the work. */
struct fv_dispatch_ranks {
    int ranks;
    int (*gather)(void *ctx, const float *mine, float *all, size_t count); /* all: (ranks, count) */
    int (*mean)(void *ctx, float *v, size_t count);
};

struct fv_dispatch {
    const struct fv_lowered *l;
    char *base[FV_LOW_SPACES]; /* of each space; NULL where the program has none */
    void *scratch; /* fv_dispatch_scratch bytes, or the largest workspace of a convolution */
    fv_stream stream;
    void *ctx;
    /* CONV, CONV_DGRAD, CONV_WGRAD */
    int (*conv)(void *ctx, int op, void *const arg[FV_LOW_ROLES], void *scratch);
    int (*gemm)(void *ctx, const struct fv_gpu_gemm *s, const void *a, const void *b, void *c);
    int (*bucket)(void *ctx, const struct fv_low_bucket *b); /* NULL: one rank */
    const struct fv_dispatch_ranks *sync;                    /* NULL: batch norms of one rank */
    /* DROPOUT, LOSS, CHECK, OPTIM, RUNNING_UPDATE: what depends on the settings of a step */
    int (*update)(void *ctx, int op, void *const arg[FV_LOW_ROLES], void *scratch);
};

/* Bytes of scratch that the kernels of the whole program need; ranks: that batch norms measure over, or 1. */
size_t fv_dispatch_scratch(const struct fv_lowered *l, int ranks);
/* FV_EUNSUPPORTED names an op that has no kernel. */
int fv_dispatch_check(const struct fv_lowered *l);
/* Enqueues op number `op`. */
int fv_dispatch_run(const struct fv_dispatch *d, int op);
/* The same on operands that lie elsewhere, by role. FV_EUNSUPPORTED: the op has no kernel. */
int fv_dispatch_run_on(const struct fv_dispatch *d, int op, void *const arg[FV_LOW_ROLES]);
enum fv_k_type fv_dispatch_type(enum fv_low_dtype t);

#endif
