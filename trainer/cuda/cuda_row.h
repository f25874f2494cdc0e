/* SPDX-License-Identifier: MIT */
/* What the CUDA backend says of itself, alike in a program's table and in the module. */
#ifndef FV_TRAINER_CUDA_CUDA_ROW_H
#define FV_TRAINER_CUDA_CUDA_ROW_H

#define FV__CUDA_ROW                                                                               \
    .name = "cuda", .help = "cuDNN and kernels of fv's own on an NVIDIA GPU (not yet run on one)", \
    .own_memory = 1, .takes_dtype = 1

#endif
