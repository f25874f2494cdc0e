/* SPDX-License-Identifier: MIT */
/* Randomness as a function: Philox4x32-10 (Salmon et al., SC'11) keyed by what is being decided.
 *
 * fv_rng_at(seed, epoch, sample, op) opens the stream of draws for one operation on one sample in
 * one epoch. Streams do not overlap and keep no state between samples, so every decision is the same
 * whatever thread takes it and in whatever order, and a resumed run needs no history.
 *
 * Counter layout: word 0 the draw block within the stream (24 bits) and the op (8 bits); word 1 the
 * epoch; words 2 and 3 the sample. Key: the seed. Known-answer vectors of Random123 (kat_vectors) are
 * in tests/common/test_rng.c, e.g. key 0, counter 0 gives 6627e8d5 e169c58d bc57ac4c 9b00dbd8.
 */
#ifndef FV_COMMON_RNG_H
#define FV_COMMON_RNG_H

#include <stdint.h>

/* Who draws. On-disk results depend on these numbers: append, never renumber. */
enum fv_rng_op {
    FV_RNG_SHUFFLE = 0,
    FV_RNG_SPLIT = 1,
    FV_RNG_PAIRS = 2,
    FV_RNG_INIT = 3,      /* weights; sample = index of the parameter tensor */
    FV_RNG_SYNTH_ID = 4,  /* demo faces; sample = identity */
    FV_RNG_SYNTH_IMG = 5, /* sample = identity << 32 | image */
    FV_RNG_BOOTSTRAP = 6,
    /* orders of images (augment/sampler.c) */
    FV_RNG_IDENTITIES = 7,      /* sample = round */
    FV_RNG_IDENTITY_IMAGES = 8, /* epoch = identity, sample = turn */
    FV_RNG_BLOCKS = 9,
    FV_RNG_WINDOWS = 10,  /* sample = window */
    FV_RNG_STAND_IN = 11, /* for a bad image; sample = position in the epoch and try */
    FV_RNG_DROPOUT = 12,  /* epoch = node of the net, sample = ticket of the batch */
    FV_RNG_AUG = 16,      /* 16 + position of the op in the policy */
    FV_RNG_BATCH = 64, /* 64 + position: decisions for a whole batch; sample = step in the epoch */
    FV_RNG_TEST = 255,
};

struct fv_rng {
    uint32_t key[2];
    uint32_t ctr[4];
    uint32_t out[4];
    int left; /* unread words of out */
};

void fv_philox4x32_10(const uint32_t key[2], const uint32_t ctr[4], uint32_t out[4]);

struct fv_rng fv_rng_at(uint64_t seed, uint32_t epoch, uint64_t sample, unsigned op);
uint32_t fv_rng_u32(struct fv_rng *r);
uint64_t fv_rng_u64(struct fv_rng *r);
double fv_rng_unit(struct fv_rng *r);                            /* [0, 1), 53 bits, two words */
double fv_rng_uniform(struct fv_rng *r, double lo, double hi);   /* [lo, hi) */
uint32_t fv_rng_below(struct fv_rng *r, uint32_t n);             /* 0 .. n-1, unbiased; n > 0 */
double fv_rng_normal(struct fv_rng *r);                          /* N(0,1), Box-Muller */
double fv_rng_gamma(struct fv_rng *r, double shape);             /* Marsaglia-Tsang */
double fv_rng_beta(struct fv_rng *r, double alpha, double beta); /* Beta(1,1) is one uniform draw */

/* The i-th element of a pseudorandom permutation of 0 .. n-1 chosen by (seed, epoch): O(1) in time
 * and memory (a Feistel network over the next power of four, cycle-walked). i < n. */
uint64_t fv_rng_permute(uint64_t seed, uint32_t epoch, uint64_t n, uint64_t i);

#endif
