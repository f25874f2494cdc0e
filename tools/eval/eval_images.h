/* SPDX-License-Identifier: MIT */
/* The images of a data set that a command of fveval looks at, and a unit vector of each: by a net, or by pixels
 * alone. A loader delivers whole splits, so those that a wanted image is in are embedded as a whole. */
#ifndef FV_TOOLS_EVAL_IMAGES_H
#define FV_TOOLS_EVAL_IMAGES_H

#include "common/report.h"
#include "store/store.h"
#include "trainer/trainer.h"

struct eval_images {
    struct fv_store *store;         /* not owned */
    const struct fv_report *report; /* of progress; not owned */
    unsigned splits;                /* bit set of those that are delivered */
    uint32_t n;                     /* images in these */
    uint32_t *position;             /* (all images) in the order of delivery */
};

/* Asks for the split of an image. */
int eval_images_want(struct eval_images *im, uint32_t image);
/* After the last wanted one: where each image of these splits stands in the order of delivery. */
int eval_images_place(struct eval_images *im);
/* Both at once, for "all" or a list with commas of fv_split_names. FV_ENOTFOUND when these are empty. */
int eval_images_want_splits(struct eval_images *im, const char *list);
void eval_images_free(struct eval_images *im);

/* Unit vectors (n, embedding) in the order of delivery. */
int eval_images_embed(const struct eval_images *im, struct fv_model *model, int flip, int64_t batch,
                      float *emb);
/* The same with the length that the net gives them. */
int eval_images_embed_raw(const struct eval_images *im, struct fv_model *model, int flip,
                          int64_t batch, float *emb);
/* Of two images, by vectors in the order of delivery. */
double eval_images_score(const struct eval_images *im, const float *emb, int dim, uint32_t a,
                         uint32_t b);
/* The classes that the net takes them for: (n), in the order of delivery. */
int eval_images_classify(const struct eval_images *im, struct fv_model *model, int64_t batch,
                         uint32_t *label);
/* Unit vectors by grey pixels averaged into cells, mean removed: (n, EVAL_PIXEL_DIM). */
enum { EVAL_PIXEL_GRID = 32, EVAL_PIXEL_DIM = EVAL_PIXEL_GRID * EVAL_PIXEL_GRID };
int eval_images_pixels(const struct eval_images *im, float *v);

#endif
