/* SPDX-License-Identifier: MIT */
/* Passes over images without training (internal to trainer/): accuracy, embeddings. */
#ifndef FV_TRAINER_EVALUATE_H
#define FV_TRAINER_EVALUATE_H

#include "common/report.h"
#include "trainer/backend.h"

struct fv_evaluator {
    const struct fv_backend *backend;
    struct fv_program *program;
    const struct fv_net *net;
    int capacity; /* images that the program takes at once */
    const struct fv_report *report;
};

/* One pass over a single-pass source, from its beginning. FV_EINTR when fv_train_stop is set meanwhile;
 * FV_EVAL_USELESS, with a sentence naming the image, when the net answers with numbers that say nothing. */
enum { FV_EVAL_USELESS = 1 };
int fv__eval_accuracy(const struct fv_evaluator *e, const struct fv_batch_source *images,
                      double *accuracy, double *loss);
/* As fv_model_classify. */
int fv__eval_classes(const struct fv_evaluator *e, const struct fv_batch_source *images,
                     uint32_t *label);
/* As fv_model_embed and fv_model_embed_raw. */
int fv__eval_embed(const struct fv_evaluator *e, const struct fv_batch_source *images, int flip,
                   float *emb);
int fv__eval_embed_raw(const struct fv_evaluator *e, const struct fv_batch_source *images, int flip,
                       float *emb);

#endif
