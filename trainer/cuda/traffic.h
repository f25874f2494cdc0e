/* SPDX-License-Identifier: MIT */
/* What a lowered program has to move and to compute, op by op: a calculation from its operands, which needs no GPU.
 *
 * Bytes are those of an op's operands, each read or written once: what a perfect kernel would ask of memory if nothing
 * were left in a cache from the op before. Left out are the partial sums of reductions (they stay in the cache), the
 * workspaces of convolutions, and what several ranks send each other. Operations are those of convolutions and
 * matrix products as they are made, padded channels included; all else is bound by memory.
 */
#ifndef FV_TRAINER_CUDA_TRAFFIC_H
#define FV_TRAINER_CUDA_TRAFFIC_H

#include "trainer/cuda/lower.h"

struct fv_traffic {
    uint64_t read, written; /* bytes */
    double flops;
    int on_vectors; /* by the units for fp32 and not by those for 16-bit matrices */
    int launches;   /* of one rank; of a loss: one for each of its terms */
};
/* planes: of the optimiser's state (trainer/backend.h): 1 for SGD, 2 for Adam. */
void fv_traffic_op(struct fv_traffic *out, const struct fv_lowered *l, int op, int planes);

/* A card as the model sees it: what it reaches of its peaks, and the time between two kernels of a captured graph. */
struct fv_traffic_card {
    double matrix_flops, vector_flops, bytes_per_s; /* at best */
    double compute_share, memory_share;             /* that a kernel reaches of them */
    double launch_s;
};
/* An H200: 790 TFLOP/s and 4.3 TB/s were measured on one, 67 TFLOP/s are NVIDIA's figure; the shares are guesses. */
struct fv_traffic_card fv_traffic_h200(void);
/* launches * launch_s + max(flops / reached flops, bytes / reached bytes) */
double fv_traffic_seconds(const struct fv_traffic *t, const struct fv_traffic_card *card);

/* For fv_lower_settings.can: the graphs that cuDNN 9.19 has pre-compiled for sm_80 and sm_90 (test cuda-plans): in fp16
 * all of the chain but for the first convolution, in other types none. ctx: the net. */
int fv_traffic_can(void *net, const struct fv_low_query *q);

#endif
