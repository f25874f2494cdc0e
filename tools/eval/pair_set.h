/* SPDX-License-Identifier: MIT */
/* The pairs that a command of fveval scores with nets: of images or of templates, from a list or made, and beside them
 * those of a development list over the same data set. */
#ifndef FV_TOOLS_PAIR_SET_H
#define FV_TOOLS_PAIR_SET_H

#include "store/store.h"
#include "tools/eval/eval_net.h"
#include "trainer/trainer.h"

struct pair_list {
    struct fv_pairs pairs;
    struct fv_index_pair *pair; /* (pairs.n) into what is embedded, or templates */
    double *score, *sum;        /* (pairs.n) */
    uint8_t *same;
    uint16_t *fold;
    uint32_t *a, *b; /* identities by the data set's labels */
};

struct pair_set {
    struct fv_store *store;        /* not owned */
    struct fv_templates templates; /* that are compared; none: images are */
    struct fv_pool_item *item;     /* (templates.images) */
    float *weight; /* (all images) in templates, times their length; NULL: all are alike */
    struct eval_images images;  /* that the pairs or templates use */
    struct pair_list test, dev; /* dev.pairs.n == 0: there is none */
    uint32_t identities;
    int keeps;      /* the vectors of the first net that scores */
    float *vectors; /* (images.n, dim); NULL: none are kept */
};

struct pair_source {
    const char *pairs, *format, *templates, *weights, *dev;
    int64_t n, seed; /* of pairs that are made when no list is given */
};

/* Over the data set that net has opened, which outlives it. After a failure too, pair_set_close is to be called. */
int pair_set_open(struct pair_set *s, const struct eval_net *net, const struct pair_source *from);
void pair_set_close(struct pair_set *s);

/* The cosine of every pair of both lists. v: one unit vector an image, in the order of s->images. */
int pair_set_score_vectors(struct pair_set *s, const float *v, int dim);
int pair_set_score_model(struct pair_set *s, struct fv_model *model, int flip, int64_t batch);
int pair_set_score_pixels(struct pair_set *s);
/* Adds the share of these scores to a sum that begins at zero; makes the sum the scores. */
void pair_set_sum(struct pair_set *s, double share);
void pair_set_take_sum(struct pair_set *s);

/* Every pair with its score, as CSV. */
int pair_set_write(const struct pair_set *s, const char *path);

#endif
