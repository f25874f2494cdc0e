/* SPDX-License-Identifier: MIT */
/* What is known to go wrong with losses, noticed and put into words (internal to trainer/). No part of a run's state: a
 * resumed run begins to watch anew. */
#ifndef FV_TRAINER_LOSS_WATCH_H
#define FV_TRAINER_LOSS_WATCH_H

#include "trainer/backend.h"

/* 1, with a sentence, if a scale of cosines is far from what the number of classes asks for: AdaCos's sqrt(2) *
 * ln(classes - 1) (Zhang et al., arXiv 1905.00292, equation 11), which with few classes is far below the usual 64. */
int fv__loss_scale_hint(const struct fv_loss_spec *spec, int classes, char *text, size_t n);

/* 1, with a sentence, if a scale is so low that even where all classes lie as far apart as they can, softmax leaves the
 * right one below 0.9: CosFace's bound, s >= (C - 1) / C * ln((C - 1) * P / (1 - P)) with P = 0.9 (Wang et al., arXiv
 * 1801.09414, equation 6). */
int fv__loss_scale_is_low(const struct fv_loss_spec *spec, int classes, char *text, size_t n);

/* Whether a margin is still growing, and the loss may grow with it. */
int fv__loss_is_warming(const struct fv_loss_spec *spec, double epoch);

/* Triplets, judged by the means of a window of steps: none could be made, or all embeddings have become one. */
enum { FV_LOSS_WATCH_STEPS = 100 };
struct fv_loss_watch {
    int steps, without, said;
    double value, distance; /* sums of the window */
};
/* Takes a finite step; 1, with a sentence, when it is time to say one: at most once. */
int fv__loss_watch_add(struct fv_loss_watch *w, const struct fv_loss_spec *spec,
                       const struct fv_step_result *r, char *text, size_t n);

#endif
