/* SPDX-License-Identifier: MIT */
/* The nets, weights and images of golden/make_trainer_golden.py. */
#ifndef FV_TESTS_GOLDEN_NET_H
#define FV_TESTS_GOLDEN_NET_H

#include "trainer/net/net.h"

/* A number in [-1, 1), a multiple of 2^-23. */
double golden_unit(uint32_t seed, uint32_t stream, uint32_t i);
/* The initial numbers of a net. */
void golden_fill(const struct fv_net *net, uint32_t seed, float *arena);
/* The pixels of the batch of a step: so many bytes. */
void golden_images(uint32_t seed, int step, int count, uint8_t *pixels);
/* "tiny", "grouped", or a resnet18 as "resnet18-3x3". */
int golden_build(struct fv_net **out, const char *name, int size, int classes);

#endif
