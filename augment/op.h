/* SPDX-License-Identifier: MIT */
/* What an augmentation op is, and the vocabulary in which ops speak of geometry.
 *
 * An op draws its parameters and writes what it decided: geometry as a step composed into the frame's
 * matrix, colour and erasing as fields of the plan, mixing as a box. It never sees pixels. Each op of a
 * policy draws from a stream of its own, so ops do not disturb each other.
 */
#ifndef FV_AUGMENT_OP_H
#define FV_AUGMENT_OP_H

#include "augment/policy.h"
#include "common/param.h"
#include "common/rng.h"

enum { FV_AUG_PARAMS = 9 };

/* The picture as it stands between two geometric ops. */
struct fv_aug_frame {
    int h, w;          /* its size: the source's, until an op crops to the result's */
    int out_h, out_w;  /* the size of the result */
    double inverse[9]; /* its points -> points of the source */
    struct fv_plan *plan;
};

struct fv_aug_op {
    const char *name;
    const char *help;
    const char *example; /* given where a parameter has no default */
    int most;            /* how often a policy may name it; 0: any number of times */
    struct fv_param param[FV_AUG_PARAMS + 1]; /* in positional order; ends with name == NULL */
    /* Whether the values go together; sets the error. NULL: any do. */
    int (*check)(const double *value);
    /* One of the two: decides for a sample, or for a batch. The policy gives a batch to one op at most: `share`
     * tells which value is the op's share of the batches. */
    int share;
    void (*decide)(const double *value, struct fv_rng *r, struct fv_aug_frame *f);
    void (*decide_batch)(const double *value, struct fv_rng *r, int h, int w, struct fv_mix *mix);
};

/* Every op of this build, ends with NULL. Written by Meson from common/table.c.in. */
extern const struct fv_aug_op *const fv_aug_ops[];

/* A policy with a name of its own. */
struct fv_aug_preset {
    const char *name, *policy, *source;
};
/* Ends with name == NULL. */
extern const struct fv_aug_preset fv_aug_presets[];

/* FV_EUSAGE unless lo <= hi. */
int fv__aug_check_range(const char *op, const char *what, double lo, double hi);

/* Adds a step to the plan: at the end, but before all erases unless it is one. The step is zero but for its kind. */
struct fv_step *fv__aug_step(struct fv_plan *plan, enum fv_step_kind kind);

/* Geometry: each adds its step and composes it into the frame's matrix. Coordinates are those of the frame. */
void fv__aug_mirror(struct fv_aug_frame *f);
/* Clockwise about the centre, then shifted, as torchvision's affine. */
struct fv_aug_affine {
    double degrees;
    double shift_x, shift_y; /* pixels */
    double scale;
    double shear_x, shear_y; /* degrees */
};
void fv__aug_affine(struct fv_aug_frame *f, const struct fv_aug_affine *a);
/* Counter-clockwise, about the centre, as torchvision's rotate. */
void fv__aug_rotate(struct fv_aug_frame *f, double degrees);
/* What was at the corners (0, 0), (w - 1, 0), (w - 1, h - 1), (0, h - 1) comes to the four given points (x, y).
 * Three points on a line, a horizon through (0, 0) or a picture one pixel wide or high leave all as it is. */
void fv__aug_perspective(struct fv_aug_frame *f, const double corner[4][2]);
/* The box becomes the whole picture, resized to the result. */
void fv__aug_crop(struct fv_aug_frame *f, int y, int x, int h, int w);

/* Colour: brightness, contrast, saturation, hue, gray (amount is not used). */
void fv__aug_colour(struct fv_plan *plan, enum fv_step_kind kind, double amount);
void fv__aug_blur(struct fv_plan *plan, double sigma, int kernel);
/* e->box lies in the result. At most FV_PLAN_ERASES. */
void fv__aug_erase(struct fv_plan *plan, const struct fv_erase *e);

/* torchvision's search for a box of random area and shape. scale: share of the picture's area; ratio:
 * bounds of the side ratio, drawn uniformly in its logarithm. Ten tries; 0 when none fits. `tall` makes the
 * ratio height : width instead of width : height; `strict` demands a box smaller than the picture in
 * both directions. */
struct fv_aug_box {
    double scale[2], ratio[2];
    int tall, strict;
};
int fv__aug_draw_box(const struct fv_aug_box *rule, struct fv_rng *r, int h, int w,
                     struct fv_rect *box);

/* The box of CutMix for a drawn share and centre, clipped; lambda becomes the share that is true. */
void fv__cutmix_box(double lambda, int centre_x, int centre_y, int h, int w, struct fv_mix *mix);

#endif
