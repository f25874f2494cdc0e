/* SPDX-License-Identifier: MIT */
/* What the files of a step's end share: the settings that go up with a batch, and an op on its way to its kernels. */
#ifndef FV_TRAINER_CUDA_BACKEND_CUDA_UPDATE_H
#define FV_TRAINER_CUDA_BACKEND_CUDA_UPDATE_H

#include "trainer/cuda/backend_cuda.h"

/* What a step takes along. */
struct fv__cuda_settings {
    struct fv_k_hyper hyper;
    struct fv_k_margin margin[FV_LOSS_TERMS]; /* of the terms over class scores */
    uint64_t ticket;                          /* of the batch */
};

struct fv__cuda_update {
    struct fv_program *p;
    const struct fv_lowered *l; /* whose op it is */
    const struct fv_low_op *op;
    void *const *arg;
    void *scratch;
    fv_stream stream;
    const struct fv__cuda_settings *settings; /* device */
    struct fv_k_control *control;             /* device */
};

/* backend_cuda_loss.c */
int fv__cuda_set_margins(const struct fv_program *p, struct fv__cuda_settings *s);
int fv__cuda_loss(const struct fv__cuda_update *u);
/* What the terms keep from step to step, before the running statistics are updated. */
int fv__cuda_follow_classes(const struct fv__cuda_update *u);

#endif
