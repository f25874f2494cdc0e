/* SPDX-License-Identifier: MIT */
/* An augmentation policy: text -> ops -> the decisions for one sample -> pixels.
 *
 *     rrc(0.8,1),flip,rotate(10),jitter(.2,.2,.2),erase(.25),cutmix(1,p=.5)
 *
 * An op is one file (augment/op_*.c) and one row in augment/policy.c: it declares its parameters and writes
 * its decision into the plan. Deciding is apart from doing, so decisions are tested without pixels, and all
 * geometry ends as one 3x3 matrix, all colour as one affine map of RGB.
 */
#ifndef FV_AUGMENT_POLICY_H
#define FV_AUGMENT_POLICY_H

#include "augment/batch.h"

#include <stddef.h>
#include <stdint.h>

struct fv_dsp;    /* kernels: augment/dsp.h */
struct fv_policy; /* immutable after parsing: shared by all threads */

/* What is to be done to one sample. Sources and results are (h, w, 3) u8 RGB. */
struct fv_plan {
    float inverse[9];  /* result -> source, homogeneous, in pixel-centre coordinates (x + 0.5, y + 0.5) */
    int identity;      /* geometry is a copy (possibly mirrored): exact, no resampling */
    int mirror;        /* only meaningful with identity */
    float brightness, contrast, saturation; /* factors; 1: leave */
    uint8_t colour_order[3];                /* permutation of 0 brightness, 1 contrast, 2 saturation */
    int erases;
    struct fv_rect {
        int x, y, w, h;
    } erase[4];
    uint8_t erase_rgb[4][3];
};

/* What is to be done to a whole batch after its samples are finished. */
struct fv_mix {
    int on;
    int x1, y1, x2, y2; /* the box that comes from the partner: item k from item k-1 mod n */
    float lambda;       /* share that stays the item's own: 1 - box area / image area */
};

int fv_policy_parse(struct fv_policy **out, const char *text); /* FV_EUSAGE names the op and what is valid */
void fv_policy_free(struct fv_policy **p);

void fv_policy_plan(const struct fv_policy *p, uint64_t seed, uint32_t epoch, uint64_t image, int src_h,
                    int src_w, int out_h, int out_w, struct fv_plan *plan);
void fv_policy_plan_batch(const struct fv_policy *p, uint64_t seed, uint32_t epoch, uint64_t step, int n,
                          int h, int w, struct fv_mix *mix);
int fv_policy_mixes(const struct fv_policy *p); /* whether any op works on whole batches */

/* Bytes of scratch (64-byte aligned) that one render may need for these sizes. */
size_t fv_render_scratch(int src_h, int src_w, int out_h, int out_w);
struct fv_render_times {
    uint64_t warp_ns, colour_ns, erase_ns; /* added to */
};
/* src: (src_h, src_w, 3) with 64 readable bytes after it; dst: (out_h, out_w, 3), exactly that many bytes are
 * written. times may be NULL. */
void fv_render(const struct fv_dsp *dsp, const struct fv_plan *plan, const uint8_t *src, int src_h, int src_w,
               uint8_t *dst, int out_h, int out_w, void *scratch, struct fv_render_times *times);
/* Applies the mix in place to b->n finished items, and sets label_mix and lambda. scratch: one image. */
void fv_mix_apply(const struct fv_mix *mix, struct fv_batch *b, void *scratch);

#endif
