/* SPDX-License-Identifier: MIT */
/* Batches of noise with soft labels, as tests and checks of the cuda backend train on: the same for the same seed. */
#ifndef FV_TESTS_CUDA_NOISE_H
#define FV_TESTS_CUDA_NOISE_H

#include "augment/batch.h"

struct noise {
    struct fv_batch b; /* its arrays are the noise's own */
};

uint32_t noise_next(uint32_t *state); /* 24 random bits */

/* Fills a batch of `capacity` items, of which n count, in arrays that are there. */
void noise_fill(struct fv_batch *b, uint32_t seed, int n, int classes);

/* Ends the program where there is no memory. */
struct noise *noise_new(int capacity, int size);
void noise_free(struct noise **n); /* accepts NULL */
void noise_draw(struct noise *d, uint32_t seed, int n, int classes);
/* Items of `from` become items from `at` on. */
void noise_put(struct noise *to, int at, const struct noise *from);

#endif
