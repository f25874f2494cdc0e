/* SPDX-License-Identifier: MIT */
/* What augmentation costs, on one thread, on images in memory. */
#ifndef FV_TOOLS_AUG_COST_H
#define FV_TOOLS_AUG_COST_H

#include "augment/augmenter.h"
#include "tools/bench/fvbench_measure.h"

enum { AUG_BATCH = 32 };

/* Images to work on and room for what comes of them. */
struct aug_images {
    int h, w, out;
    uint8_t *memory;
    const uint8_t *src[AUG_BATCH];
    struct fv_batch batch;
};
struct fv_store;
/* From a data set, scattered over it; `out` 0: as stored. */
int aug_images_read(struct aug_images *im, const struct fv_store *store, int out);
/* Drawn ones, of a side. */
int aug_images_draw(struct aug_images *im, int side, int out);
void aug_images_free(struct aug_images *im); /* accepts a zeroed one */

/* A job for bench_run whose items are images; its ctx. */
struct aug_work {
    struct fv_augmenter *augmenter;
    struct aug_images *images;
    uint32_t step;
    int repeat; /* decisions of the first batch only */
    char name[256];
};
/* With only those instruction sets of the ones in use that `mask` has. */
int aug_work_open(struct aug_work *w, struct aug_images *im, const char *policy, unsigned mask);
int aug_work_run(void *ctx);
void aug_work_close(struct aug_work *w);

/* Copies part i of a policy in canonical spelling ("rotate(10)"), or with `without` all but it; 0 when there is
 * none. */
int aug_policy_part(const char *policy, int i, int without, char *out, size_t n);

#endif
