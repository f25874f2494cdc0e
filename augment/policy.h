/* SPDX-License-Identifier: MIT */
/* An augmentation policy: text -> ops -> the decisions for one sample -> pixels.
 *
 *     rrc(0.8,1),flip,rotate(10),jitter(.2,.2,.2),erase(.25),cutmix(1,p=.5)
 *
 * An op is one file (augment/op_*.c) and one row in augment/meson.build: it declares its parameters and
 * writes its decision into the plan. Deciding is apart from doing, so decisions are tested without
 * pixels, and all geometry ends as one 3x3 matrix, all colour as one affine map of RGB.
 *
 * Fused, a sample is warped, then coloured, then erased, whatever the order of the text: that counts among
 * geometric ops and among colour ops. Exact, geometry and colour come as the text has them, and erasing last: erased
 * boxes are in the pixels of the result.
 */
#ifndef FV_AUGMENT_POLICY_H
#define FV_AUGMENT_POLICY_H

#include "augment/batch.h"

#include <stddef.h>
#include <stdint.h>

struct fv_dsp;    /* kernels: augment/dsp.h */
struct fv_policy; /* immutable after parsing: shared by all threads */

enum { FV_PLAN_ERASES = 4, FV_PLAN_STEPS = 24 };
enum { FV_BLUR_MOST = 63 }; /* side of a blur's kernel in pixels */

struct fv_rect {
    int x, y, w, h;
};

enum fv_step_kind {
    /* geometry; points are (x + 0.5, y + 0.5) for the pixel in column x and row y */
    FV_STEP_FLIP,        /* left to right */
    FV_STEP_CROP,        /* box is cut out and resized to the result's size */
    FV_STEP_AFFINE,      /* v[0..5]: new -> old point, both relative to the picture's centre */
    FV_STEP_PERSPECTIVE, /* v[0..7] and a 1: the homogeneous 3x3, new -> old point */
    /* colour */
    FV_STEP_BRIGHTNESS, /* v[0]: factor; so for the next two */
    FV_STEP_CONTRAST,
    FV_STEP_SATURATION,
    FV_STEP_HUE, /* v[0]: part of a turn, -0.5 to 0.5 */
    FV_STEP_GRAY,
    FV_STEP_BLUR,  /* v[0]: sigma in pixels, v[1]: side of the kernel, odd */
    FV_STEP_ERASE, /* v[0]: which of the plan's erases */
};

/* One thing that an op decided, in torchvision's terms. */
struct fv_step {
    enum fv_step_kind kind;
    struct fv_rect box;
    double v[8];
};

struct fv_erase {
    struct fv_rect box; /* in the result */
    uint8_t rgb[3];
    int noise; /* instead of rgb, drawn under key */
    uint64_t key;
};

/* What is to be done to one sample. Sources and results are (h, w, 3) u8 RGB, sides up to 16384.
 *
 * The steps are everything, one by one: geometry and colour in the order of the policy, then the erases. The
 * composed form says the same of geometry and erases at once. */
struct fv_plan {
    float inverse
        [9]; /* result -> source, homogeneous, in pixel-centre coordinates (x + 0.5, y + 0.5) */
    int identity; /* geometry is a copy (possibly mirrored): exact, no resampling */
    int mirror;   /* only meaningful with identity */
    int erases, steps;
    struct fv_erase erase[FV_PLAN_ERASES];
    struct fv_step step[FV_PLAN_STEPS]; /* those from `steps` on are not set */
};

enum fv_mix_kind { FV_MIX_NONE, FV_MIX_CUTMIX, FV_MIX_MIXUP };

/* What is to be done to a whole batch after its samples are finished: item k takes from its partner, item
 * k-1 mod n. */
struct fv_mix {
    enum fv_mix_kind kind;
    float lambda;       /* share that stays the item's own; CutMix: 1 - box area / image area */
    int x1, y1, x2, y2; /* CutMix: the box that comes from the partner */
};

/* "" and "none" are the policy that leaves everything as it is. FV_EUSAGE names the op or the parameter
 * and what is valid. */
int fv_policy_parse(struct fv_policy **out, const char *text);
void fv_policy_free(struct fv_policy **p);
/* The policy in one canonical spelling: equal texts, equal decisions. Valid until free. */
const char *fv_policy_text(const struct fv_policy *p);

/* The decisions for one sample: a function of the arguments alone. Without an op that crops, a source of
 * another size is resized as a whole. */
void fv_policy_plan(const struct fv_policy *p, uint64_t seed, uint32_t epoch, uint64_t image,
                    int src_h, int src_w, int out_h, int out_w, struct fv_plan *plan);
/* The same for a batch of n items of (h, w); mix->kind is FV_MIX_NONE when
 * n < 2. */
void fv_policy_plan_batch(const struct fv_policy *p, uint64_t seed, uint32_t epoch, uint64_t step,
                          int n, int h, int w, struct fv_mix *mix);
int fv_policy_mixes(const struct fv_policy *p); /* whether any op works on whole batches */

/* Bytes of scratch (64-byte aligned) that one render may need for these sizes. */
size_t fv_render_scratch(int src_h, int src_w, int out_h, int out_w);
struct fv_render_times {
    uint64_t warp_ns, colour_ns, erase_ns; /* added to */
};
/* src: (src_h, src_w, 3) with 64 readable bytes after it, of any value; dst: (out_h, out_w, 3), exactly
 * that many bytes are written. times may be NULL. */
void fv_render(const struct fv_dsp *dsp, const struct fv_plan *plan, const uint8_t *src, int src_h,
               int src_w, uint8_t *dst, int out_h, int out_w, void *scratch,
               struct fv_render_times *times);
/* The same without fusing: the plan's steps one by one, with torchvision's formulas and roundings. */
size_t fv_render_exact_scratch(int src_h, int src_w, int out_h, int out_w);
void fv_render_exact(const struct fv_plan *plan, const uint8_t *src, int src_h, int src_w,
                     uint8_t *dst, int out_h, int out_w, void *scratch,
                     struct fv_render_times *times);
/* Applies the mix in place to b->n finished items, and sets label_mix and lambda of those; without a mix
 * label_mix is label and lambda 1. scratch: one image. */
void fv_mix_apply(const struct fv_dsp *dsp, const struct fv_mix *mix, struct fv_batch *b,
                  void *scratch);

#endif
