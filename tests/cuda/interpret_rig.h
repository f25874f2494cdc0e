/* SPDX-License-Identifier: MIT */
/* A lowered program beside ref, on the same weights and batches. */
#ifndef FV_TESTS_CUDA_INTERPRET_RIG_H
#define FV_TESTS_CUDA_INTERPRET_RIG_H

#include "tests/cuda/interpret.h"

enum { RIG_N = 4, RIG_CLASSES = 11, RIG_STEPS = 2 };

void rig_must(int rc); /* fails the test with the error's sentence */

struct rig_data {
    struct fv_batch batch;
    uint8_t *pixels;
    int32_t label[RIG_N], label_mix[RIG_N];
    float lambda[RIG_N];
};

/* By ref: gradients and loss of each step, all numbers after both, what inference gives then. */
struct rig_truth {
    const struct fv_net *net;
    const unsigned char *frozen; /* by tensor; NULL: none */
    float *lr_factor;
    float *start, *grads[RIG_STEPS], *arena, *embedding, *logits;
    double loss[RIG_STEPS], correct[RIG_STEPS];
    struct rig_data data[RIG_STEPS];
};
/* frozen: by tensor, or NULL; it must outlive t. */
void rig_make_truth(struct rig_truth *t, const struct fv_net *net, const unsigned char *frozen);
void rig_free_truth(struct rig_truth *t);

/* With `share` of 8 fused graphs, drawn by `seed`. */
struct fv_lowered *rig_lower(const struct fv_net *net, enum fv_low_dtype dtype, int train,
                             int share, uint32_t seed, const unsigned char *frozen);

/* Largest relative differences; what the interpreter found wrong, "" if nothing. */
struct rig_outcome {
    double loss, grads, arena, eval;
    char fault[256];
};
/* infer: NULL to leave inference out. */
struct rig_outcome rig_run(const struct rig_truth *t, const struct fv_lowered *train,
                           const struct fv_lowered *infer);

#endif
