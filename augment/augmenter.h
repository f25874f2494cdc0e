/* SPDX-License-Identifier: MIT */
/* A policy at work on images in memory, on the calling thread, without records, threads or a ring: what the loader does
 * between decoding and publishing. For measuring ops and for showing what they do. */
#ifndef FV_AUGMENT_AUGMENTER_H
#define FV_AUGMENT_AUGMENTER_H

#include "augment/batch.h"

struct fv_augmenter;

struct fv_augmenter_settings {
    const char *policy;
    uint64_t seed;
    int batch; /* capacity of the batches */
    int src_h, src_w, out_h, out_w;
};

/* Kernels are those that fv_cpu_flags() permits at this moment. */
int fv_augmenter_open(struct fv_augmenter **out, const struct fv_augmenter_settings *s);
void fv_augmenter_close(struct fv_augmenter **a);              /* accepts NULL */
const char *fv_augmenter_policy(const struct fv_augmenter *a); /* in its canonical spelling */

/* Makes b->n images from as many sources, (src_h, src_w, 3) with 64 readable bytes behind each, as the loader would
 * for images b->image[] in that epoch and step; mixes the batch. */
void fv_augmenter_run(struct fv_augmenter *a, uint32_t epoch, uint32_t step,
                      const uint8_t *const *src, struct fv_batch *b);
/* The same with what was decided last time: pixels alone. */
void fv_augmenter_repeat(struct fv_augmenter *a, const uint8_t *const *src, struct fv_batch *b);

#endif
