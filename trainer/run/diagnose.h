/* SPDX-License-Identifier: MIT */
/* Known ways in which training goes wrong, noticed and put into words (internal to trainer/). None of it is state: a
 * resumed run begins to watch anew, and ends in the same bytes. */
#ifndef FV_TRAINER_DIAGNOSE_H
#define FV_TRAINER_DIAGNOSE_H

#include "augment/batch.h"
#include "trainer/backend.h"

#include <stddef.h>

/* Where the last step, which was not finite, first was not: "the output of layer1.0.conv1 (conv)". Empty if the
 * backend cannot tell. */
void fv__diagnose_not_finite(const struct fv_backend *backend, struct fv_program *p,
                             const struct fv_net *net, char *text, size_t n);

/* FV_EINVAL names the image whose label is outside of 0 .. classes - 1. */
int fv__diagnose_labels(const struct fv_batch *b, int classes);

/* A loss that no longer decreases, judged by the means of windows of steps. */
enum { FV_STUCK_STEPS = 200, FV_STUCK_WINDOWS = 5 };
struct fv_stuck {
    double best, sum;       /* lowest mean so far; of the window under way */
    double correct, images; /* of the window */
    int windows;            /* since the best; -1: no window yet */
    int steps;              /* in the window under way */
    int said;
};
void fv__stuck_start(struct fv_stuck *s);
/* Takes the loss of one step, and how many of its images were named rightly; 1, with a sentence, when it is time to
 * say one: at most once. What guessing gives is known of cross entropy alone. Of a loss with a margin, or of several,
 * it is the named images that say whether anything was learnt. */
int fv__stuck_add(struct fv_stuck *s, const struct fv_loss_spec *spec,
                  const struct fv_step_result *r, int classes, char *text, size_t n);

#endif
